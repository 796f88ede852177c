"""The whole pipe as a user runs it: `dvc repro` in a copy of the project, then the reader's tools.

One small simulated hospital is built by DVC; a second build of it, with other worker and thread
counts, must give the same tars; and the open MIMIC-IV demo runs through to shards.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import webdataset
import yaml
from browse_server import serve_page
from browser import CHROMIUM, new_page, run_browser

import cxrfuture_data
from cxrfuture_data.manifest import read_manifest
from cxrfuture_data.schema import SPLITS

ROOT = Path(__file__).resolve().parent.parent
DEMO = Path(os.environ.get("MIMIC_IV_DEMO_DIR", ROOT.parent / "shared" / "data" / "mimic-iv-demo"))
BIN = Path(sys.executable).parent
PAPERS = ("ddl_cxr", "ehrxdiff")
RECIPES = (*PAPERS, "future")
TO_SHARDS = ("event", "cohort", "window", "image", "embed", "fit_vae", "latent", "shard", "check")
# Of this seed's six patients every recipe has pairs in every split.
SMALL = {
    "simulate": {"patients": 6, "seed": 20, "image_size": 256},
    "shard": {"samples_per_shard": 8},
    "image": {"films_per_shard": 16},
    "latent": {"films_per_shard": 16},
    "fit_vae": {"config": "vae.yaml"},
    "fit_diffusion": {"config": "diffusion.yaml"},
}

# Stages one after the other in one process, which imports once what `dvc repro` does for each.
STAGES = """
import sys
from cxrfuture import app
for line in sys.argv[1:]:
    app(line.split(), standalone_mode=False)
"""

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment in a folder; a failure shows what it printed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MIMIC_")}
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        env=inherited | {"PATH": f"{BIN}:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def run_stages(folder: Path, stages: list[str], **environment: str) -> None:
    run(folder, "python", "-c", STAGES, *stages, **environment)


def change_params(folder: Path, **sections: dict[str, object]) -> None:
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, settings in sections.items():
        value[section].update(settings)
    (folder / "params.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    vae = yaml.safe_load((ROOT / "train" / "config" / "fit_vae" / "tiny.yaml").read_text())
    vae["length"]["steps"] = 8
    vae |= {"channels": [8, 8, 16, 16], "norm_groups": 4, "crop": 64, "valid_films": 4}
    (folder / "vae.yaml").write_text(yaml.safe_dump(vae))
    diffusion = yaml.safe_load((ROOT / "train" / "config" / "ddl_cxr-tiny.yaml").read_text())
    diffusion["length"]["steps"] = 8
    diffusion["sampler"]["steps"] = 10
    (folder / "diffusion.yaml").write_text(yaml.safe_dump(diffusion))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which `dvc repro` has run on a small simulated hospital."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("etl", "sql", "train", "cxrfuture_data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "cxrfuture.py", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    change_params(folder, **SMALL)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    run(folder, "dvc", "repro")
    return folder


def tars(build: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(build)): path.read_bytes() for path in sorted(build.rglob("*.tar"))
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_split_of_every_recipe_has_pairs(project, recipe):
    manifest = read_manifest(project / "build" / recipe / "shard")
    assert all(manifest.kind(split, "pair").samples > 0 for split in SPLITS)
    assert manifest.simulated.tables
    assert manifest.simulated.films


@pytest.mark.parametrize("recipe", RECIPES)
def test_stock_webdataset_reads_every_sample(project, recipe):
    folder = project / "build" / recipe / "shard"
    manifest = read_manifest(folder)
    for split, kinds in manifest.splits.items():
        for entry in kinds.values():
            urls = [str(folder / split / shard.name) for shard in entry.shards]
            if not urls:
                continue
            stock = webdataset.WebDataset(urls, shardshuffle=False)
            keys = [sample.key for sample in stock.map(cxrfuture_data.decode)]
            assert len(keys) == len(set(keys)) == entry.samples


def test_events_point_at_the_texts_they_were_made_from(project):
    dataset = cxrfuture_data.open_dataset(project / "build" / "ehrxdiff" / "shard")
    sample = next(iter(dataset.split("train", "pair")))
    tables = [cxrfuture_data.schema.EVENT_TABLES[table] for table in sample.window.event_table]
    texts = dataset.texts(sample.window.event_row)
    assert len(texts) > 0
    assert all(text.startswith(table) for table, text in zip(tables, texts, strict=True))


def test_a_second_repro_runs_only_the_stages_that_look_outside(project):
    output = run(project, "dvc", "repro").stdout
    assert "Running stage 'ingest'" in output
    for stage in ("event@ddl_cxr", "shard@ehrxdiff", "check@ddl_cxr", "fit_diffusion"):
        assert f"Stage '{stage}' didn't change, skipping" in output


def test_a_second_build_gives_the_same_tars(project, tmp_path):
    one_worker = {
        "paths": {"build": str(tmp_path / "again")},
        "ingest": {"threads": 1},
        "sql": {"threads": 1},
        "image": SMALL["image"] | {"workers": 1},
        "shard": SMALL["shard"] | {"workers": 1},
    }
    change_params(tmp_path, **(SMALL | one_worker))
    recipes = ("ddl_cxr", "future")  # whose windows hold events as those of ehrxdiff do
    stages = [f"{stage} --recipe {recipe}" for recipe in recipes for stage in TO_SHARDS]
    run_stages(tmp_path, ["simulate", "ingest", *stages])
    for recipe in recipes:
        first = tars(project / "build" / recipe)
        assert len(first) >= 5
        assert tars(tmp_path / "again" / recipe) == first


def test_the_ledger_of_a_build_chains(project):
    for recipe in RECIPES:
        rows = read_manifest(project / "build" / recipe / "shard").attrition
        assert rows
        assert all(row.before - row.removed == row.after for row in rows)
        assert {row.stage for row in rows} >= {"cohort"}


def test_outputs_are_for_the_user_alone(project):
    for path in (project / "build" / "ddl_cxr" / "shard").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_trained_model_left_a_film_and_falling_losses(project):
    folder = project / "build" / "fit_diffusion"
    assert (folder / "sample.png").stat().st_size > 1000
    assert json.loads((folder / "metrics.json").read_text())


def test_show_verify_and_summary_run_on_a_build(project, tmp_path):
    shard = "build/ddl_cxr/shard"
    assert "SIMULATED" in run(project, "cxrfuture", "summary").stdout
    run(project, "cxrfuture", "verify", shard)
    shown = run(project, "cxrfuture", "show", shard, "--png", str(tmp_path / "sample.png"))
    subject = cxrfuture_data.open_dataset(project / shard).split("train", "pair")[0].subject_id
    assert str(subject) not in shown.stdout
    assert (tmp_path / "sample.png").stat().st_size > 1000


def test_dvc_shows_metrics_and_plots_of_every_recipe_and_no_patient(project):
    shown = json.loads(run(project, "dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]
    for recipe in PAPERS:
        ratio = metrics[f"build/{recipe}/check/reproduction.json"]["data"]["ratio"]
        assert 0 < ratio["pair train samples"] < 1
    run(project, "dvc", "plots", "show", "--out", "plots")
    page = (project / "plots" / "index.html").read_text()
    for words in ("cohort: pair: not closer than the maximum gap", "death in hospital"):
        assert words in page
    for recipe in RECIPES:
        path = project / "build" / recipe / "cohort" / "split.parquet"
        for subject in pl.read_parquet(path)["subject_id"]:
            assert str(subject) not in page + json.dumps(metrics)


@pytest.mark.demo
@pytest.mark.skipif(not DEMO.is_dir(), reason="the open MIMIC-IV demo is not here")
def test_the_real_demo_runs_through_to_proven_shards(project, tmp_path):
    # Of six patients none would be kept by DDL-CXR.
    settings = SMALL | {"simulate": {"patients": 15, "image_size": 256}}
    change_params(tmp_path, **settings)
    run_stages(tmp_path, ["simulate", "ingest"], MIMIC_IV_DIR=str(DEMO))
    for recipe in RECIPES:
        vae = str(project / "build" / recipe / "fit_vae")
        change_params(tmp_path, **(settings | {"latent": SMALL["latent"] | {"weights": vae}}))
        stages = [f"{stage} --recipe {recipe}" for stage in TO_SHARDS if stage != "fit_vae"]
        run_stages(tmp_path, stages, MIMIC_IV_DIR=str(DEMO))
        manifest = read_manifest(tmp_path / "build" / recipe / "shard")
        assert (manifest.simulated.tables, manifest.simulated.films) == (False, True)
        assert sum(manifest.kind(split, "pair").samples for split in SPLITS) > 0
    run_stages(tmp_path, ["report --recipe future", "report --recipe future --shareable"])
    if CHROMIUM is not None:
        open_pages(tmp_path / "build" / "future")


def open_pages(build):
    """Report, shareable report and a sample, in a real browser and without an error."""
    with run_browser() as browser:
        for name in ("report", "shareable"):
            with new_page(browser) as watched:
                watched.page.goto((build / "report" / f"{name}.html").as_uri())
                assert "imulated" in watched.page.inner_text(".origin")
                watched.require_clean()
        with serve_page(build / "shard") as served, new_page(browser) as watched:
            watched.page.context.add_cookies([served.cookie])
            watched.page.goto(served.address)
            watched.page.wait_for_selector("#panes canvas", timeout=60_000)
            watched.page.wait_for_selector("#timeline canvas", timeout=60_000)
            watched.require_clean()
