"""The planner: what a build needs at most, and exactly; lists that a download can go on from."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import polars as pl
import pytest
import yaml
from PIL import Image
from tiny_films import PATHS, STUDIES, write_filmed_tree, write_sums
from tiny_mimic import REPOSITORY, tiny_params, write_table
from tiny_stages import film, heart_rates

from cxrfuture_data.schema import ContractError
from etl import image
from etl.metadata import find_releases
from etl.plan import plan_cohort, run_plan
from etl.plan_print import download_command
from etl.recipe import read_recipe, shipped_recipes
from etl.simulate import SimulateOptions, simulate

DDL_CXR = read_recipe("ddl_cxr")


def planned(params, name="ddl_cxr", **options):
    return plan_cohort(params, find_releases(params), read_recipe(name), **options)


def counts(cohort):
    return {kind: sum(splits.values()) for kind, splits in cohort.samples.items()}


def test_before_the_events_are_read_a_pair_is_counted_at_most(tmp_path):
    """The window holds 2 hours of measurements; DDL-CXR asks for 6, which only a build knows."""
    params = write_filmed_tree(tmp_path, {"chartevents": heart_rates(5, 6)})
    bound = planned(params)
    assert not bound.is_exact
    assert counts(bound) == {"pair": 1, "stay": 1, "image": 2}
    assert list(bound.films) == PATHS
    exact = planned(params, exact=True)
    assert exact.is_exact
    assert counts(exact) == {"pair": 0, "stay": 1, "image": 0}
    assert list(exact.films) == PATHS[1:]  # the stay's, its last one


def test_rules_that_need_no_event_drop_before_the_events_are_read(tmp_path):
    """12 hours apart is not further than 12; a lateral film is no AP film."""
    films = [film("a", 4, STUDIES[0]), film("b", 16, STUDIES[1])]
    films.append(film("c", 30, STUDIES[1], viewposition="LATERAL"))
    bound = planned(write_filmed_tree(tmp_path, {"cxr_metadata": films}))
    assert counts(bound) == {"pair": 0, "stay": 1, "image": 0}


def test_rules_that_leave_nothing_are_a_plan_of_nothing(tmp_path):
    bound = planned(write_filmed_tree(tmp_path, {"cxr_metadata": []}))
    assert (counts(bound), list(bound.films)) == ({"pair": 0, "stay": 0, "image": 0}, [])


def test_a_built_cohort_is_exact_until_a_table_or_the_recipe_changes(tmp_path):
    params = write_filmed_tree(tmp_path, {"chartevents": heart_rates(*range(5, 20))})
    planned(params, exact=True)
    assert planned(params).is_exact
    cohort = DDL_CXR.cohort.model_copy(update={"minimum_gap_hours": 13})
    changed = DDL_CXR.model_copy(update={"cohort": cohort})
    assert not plan_cohort(params, find_releases(params), changed).is_exact
    write_table(tmp_path / "mimic-iv", "chartevents", heart_rates(5))
    assert not planned(params).is_exact


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A simulated hospital of 24 patients; every film is a gradient."""
    root = tmp_path_factory.mktemp("hospital")
    simulate(SimulateOptions(out=root, render=False, patients=24, seed=5, image_size=64))
    films = root / "mimic-cxr-jpg"
    metadata = pl.read_csv(films / "mimic-cxr-2.0.0-metadata.csv.gz")
    shapes = dict(metadata.select("dicom_id", pl.struct("Columns", "Rows")).iter_rows())
    for name in (films / "IMAGE_FILENAMES").read_text().splitlines():
        path = films / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize(tuple(shapes[path.stem].values())).save(path)
    return tiny_params(root, image={"workers": 1}, ingest={"tables": "all"})


@pytest.mark.parametrize("name", shipped_recipes())
def test_no_build_has_more_than_the_bound(hospital, name):
    bound = planned(hospital, name)
    exact = planned(hospital, name, exact=True)
    assert exact.films
    assert set(exact.films) <= set(bound.films)
    for kind, count in counts(exact).items():
        assert count <= counts(bound)[kind]
    if bound.is_exact:
        assert replace(bound, recipe="") == replace(exact, recipe="")


def test_rules_without_events_are_exact_before_the_events_are_read(hospital):
    exact = {name for name in shipped_recipes() if planned(hospital, name).is_exact}
    assert exact >= {"diff3m", "future"}


@pytest.mark.parametrize("name", ["ddl_cxr", "ehrxdiff"])
def test_the_films_of_a_plan_are_those_that_the_image_stage_reads(hospital, name, tmp_path):
    recipe = read_recipe(name)
    run_plan(hospital, [recipe], out=tmp_path, exact=True)
    image.run(hospital, recipe)
    read = pl.read_parquet(hospital.build(name, "image", "film.parquet"))["dicom_id"]
    listed = (tmp_path / name / "films.txt").read_text().splitlines()
    assert sorted(line.rpartition("/")[2].removesuffix(".jpg") for line in listed) == sorted(read)
    plan = json.loads((tmp_path / "plan.json").read_text())["plans"][0]
    assert (plan["exact"], plan["films"], plan["missing"]) == (True, len(listed), 0)


def lists(folder, name):
    return (folder / name).read_text().splitlines()


def test_what_is_missing_or_cut_short_is_listed_and_the_rest_is_not(tmp_path):
    params = write_filmed_tree(tmp_path)
    root, plan = tmp_path / "mimic-cxr-jpg", params.build("plan")
    write_sums(root)
    run_plan(params, [DDL_CXR])
    assert lists(plan, "films.txt") == PATHS
    assert lists(plan, "missing.txt") == []
    whole = (root / PATHS[0]).read_bytes()
    (root / PATHS[0]).write_bytes(whole[: len(whole) // 2])
    (root / PATHS[1]).unlink()
    run_plan(params, [DDL_CXR], rate=1.51)
    assert lists(plan / "ddl_cxr", "missing.txt") == PATHS
    facts = json.loads((plan / "plan.json").read_text())["plans"][0]
    assert (facts["films"], facts["on_disk"], facts["cut_short"]) == (2, 0, 1)
    assert facts["missing_gb"] == pytest.approx(2 * 1.51e-3)  # 1.51 MB a film
    assert facts["hours"]["1.51"] == pytest.approx(2 / 3600)  # a film a second
    assert "the mean of MIMIC-CXR-JPG" in facts["size_basis"]
    checked = ["sha256sum", "-c", str((plan / "films.sha256").resolve())]
    (root / PATHS[0]).write_bytes(whole)
    result = subprocess.run(checked, cwd=root, capture_output=True, text=True)
    assert f"{PATHS[0]}: OK" in result.stdout
    first = lists(plan, "missing.aria2")[:3]
    assert first[:2] == [
        f"https://physionet.org/files/mimic-cxr-jpg/2.1.0/{PATHS[0]}",
        f"  out={PATHS[0]}",
    ]
    assert first[2].startswith("  checksum=sha-256=")


def test_without_sums_there_is_no_list_of_checksums(tmp_path, capsys):
    params = write_filmed_tree(tmp_path)
    shutil.rmtree(tmp_path / "mimic-cxr-jpg" / "files")
    run_plan(params, [DDL_CXR])
    assert not params.build("plan", "films.sha256").exists()
    assert "there are no checksums" in " ".join(capsys.readouterr().out.split())


def test_the_command_it_prints_brings_the_films_to_their_places(tmp_path):
    """wget resolves a list of relative paths against --base; here from a server of this test."""
    if shutil.which("wget") is None:
        pytest.skip("no wget")
    params = write_filmed_tree(tmp_path)
    served = tmp_path / "served" / "files" / "mimic-cxr-jpg" / "2.1.0"
    served.parent.mkdir(parents=True)
    (tmp_path / "mimic-cxr-jpg" / "files").rename(tmp_path / "films")
    (served / "files").parent.mkdir()
    (tmp_path / "films").rename(served / "files")
    run_plan(params, [DDL_CXR])
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/files/mimic-cxr-jpg/2.1.0/"
        root = str(tmp_path / "mimic-cxr-jpg")
        command = download_command(base, root, str(params.build("plan")))
        command = re.sub(r"--user \S+ --ask-password", "-q --no-proxy", command)
        subprocess.run(command, shell=True, check=True)
        server.shutdown()
    for path in PATHS:
        assert (tmp_path / "mimic-cxr-jpg" / path).read_bytes() == (served / path).read_bytes()


def test_a_rate_of_nothing_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"--rate must be above 0 MB/s, found 0"):
        run_plan(write_filmed_tree(tmp_path), [DDL_CXR], rate=0)


def test_lists_are_for_the_user_alone_and_no_id_is_printed(tmp_path):
    params = write_filmed_tree(tmp_path)
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params.model_dump(mode="json")))
    result = subprocess.run(
        [sys.executable, "-m", "cxrfuture", "plan", "--params", str(file)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    folder = params.build("plan")
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert oct((folder / "films.txt").stat().st_mode & 0o777) == "0o600"
    assert not re.search(r"[1-5]0000\d{3}", result.stdout + result.stderr)
    assert max(map(len, result.stdout.splitlines())) <= 80
