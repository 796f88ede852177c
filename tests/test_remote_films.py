"""Films on an object store: what a run makes of them is what it makes of the same films in a
folder, and a store that fails stops it."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from object_server import BUCKET, SECRET
from PIL import Image
from test_image import RECIPE, read_table, read_test_params, result_bytes, write_cohort, write_film
from test_latent import save_autoencoder
from tiny_build import write_build
from tiny_film import release_path
from tiny_mimic import tiny_params

from cxrfuture_data.cache_rows import open_stage_rows
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.schema import ContractError
from etl import film_remote, image, latent, shard
from etl.cache import open_cache, stage_rows
from etl.film_metadata import find_film_root
from etl.film_remote import list_remote_films
from etl.plan_film import look_for_films
from etl.recipe import read_recipe

URL = f"s3://{BUCKET}/mimic/cxr"
PATHS = [release_path(10_000_001, 1, 0), release_path(11_000_002, 2, 1)]
NAMES = (
    *(path.removeprefix("files/").rpartition("/")[0] + "/{}.jpg" for path in PATHS),
    "p11/{}.png",
)
ID = "0123abcd-0123abcd-0123abcd-0123abcd-0123abc{}"


@pytest.fixture
def films(bucket, tmp_path):
    """Six films in a folder and, the same, on the server: the fifth ends early, the sixth is no
    film; a seventh is in the cohort only."""
    folder = tmp_path / "cxr" / "files"
    for number in range(5):
        write_film(folder / f"d{number}.jpg", number)
    cut = (folder / "d4.jpg").read_bytes()
    (folder / "d4.jpg").write_bytes(cut[: len(cut) // 2])
    (folder / "d5.png").write_bytes(b"no film at all")
    for path in folder.iterdir():
        bucket.put(f"mimic/cxr/files/{path.name}", path.read_bytes())
    return [(100 + number // 4, f"d{number}") for number in range(7)]


def run(tmp_path, name, films, root, workers=1):
    build = tmp_path / name
    write_cohort(build, films, root)
    image.run(read_test_params(build, workers), RECIPE)
    return build


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_gives_the_bytes_of_one_over_a_folder(tmp_path, films, workers):
    here = run(tmp_path, "here", films, tmp_path / "cxr")
    there = run(tmp_path, "there", films, URL, workers)
    assert result_bytes(there) == result_bytes(here)
    outcomes = read_table(there)["outcome"].to_list()
    assert outcomes == ["ok"] * 4 + ["truncated", "unreadable", "missing"]


def test_films_are_listed_and_not_looked_for_one_by_one(tmp_path, films, bucket, monkeypatch):
    monkeypatch.setattr(image, "choose_films", lambda located: [])
    bucket.requests.clear()
    run(tmp_path, "there", films, URL)
    lists = [request for request in bucket.requests if "list-type" in request]
    reads = [request for request in bucket.requests if request not in lists]
    assert len(lists) <= 4
    assert sorted(reads) == [
        f"GET /{BUCKET}/mimic/cxr/files/d{n}.{'png' if n == 5 else 'jpg'}" for n in range(6)
    ]


def test_a_second_run_reads_none_and_one_that_changed_is_read_alone(tmp_path, films, bucket):
    build = run(tmp_path, "there", films, URL)
    bucket.requests.clear()
    image.run(read_test_params(build), RECIPE)
    assert not [request for request in bucket.requests if "list-type" not in request]
    other = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8))
    other.save(tmp_path / "other.jpg")
    bucket.put("mimic/cxr/files/d1.jpg", (tmp_path / "other.jpg").read_bytes())
    before = read_table(build)["sha256"].to_list()
    bucket.requests.clear()
    image.run(read_test_params(build), RECIPE)
    whole = [r for r in bucket.requests if "/files/" in r and "list-type" not in r]
    assert f"GET /{BUCKET}/mimic/cxr/files/d1.jpg" in whole
    after = read_table(build)["sha256"].to_list()
    assert [a == b for a, b in zip(before, after, strict=True)] == [n != 1 for n in range(7)]


def test_a_busy_server_and_a_cut_connection_change_nothing(tmp_path, films, bucket):
    here = run(tmp_path, "here", films, tmp_path / "cxr")
    bucket.fail("GET .*/d2.jpg", times=1, status=503)
    bucket.fail("GET .*/d3.jpg", times=1, is_cut=True)
    assert result_bytes(run(tmp_path, "there", films, URL)) == result_bytes(here)


def test_a_server_that_stays_down_stops_the_run_which_then_goes_on(tmp_path, films, bucket):
    bucket.fail("GET .*/d3.jpg", status=403, code="ExpiredToken")
    with pytest.raises(ContractError, match=r"d3\.jpg: access refused \(ExpiredToken\)") as caught:
        run(tmp_path, "there", films, URL)
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "there" / RECIPE.name / "image" / "done.json").exists()
    bucket.faults.clear()
    there = run(tmp_path, "there", films, URL)
    assert result_bytes(there) == result_bytes(run(tmp_path, "here", films, tmp_path / "cxr"))


def test_a_film_that_is_gone_since_it_was_listed_is_missing(films, bucket, monkeypatch):
    listed = list_remote_films(ObjectStore(URL))
    bucket.client().delete_object(Bucket=BUCKET, Key="mimic/cxr/files/d0.jpg")
    one = listed.objects["d0.jpg"]
    got = film_remote.load_remote(listed.folder, "d0.jpg", one.bytes)
    assert got.outcome == "missing"
    monkeypatch.setattr(film_remote, "MAXIMUM_BYTES", 10)
    assert film_remote.load_remote(listed.folder, "d1.jpg", 11).outcome == "unreadable"


def test_films_come_in_their_order_however_many_are_fetched_ahead(films):
    folder = ObjectStore(f"{URL}/files")
    sizes = {name: one.bytes for name, one in folder.list_all().items()}
    for count in range(7):
        asked = list(sizes.items())[:count]
        got = list(film_remote.load_ahead(folder, asked))
        assert got == [folder.read(name) for name, _ in asked]


@pytest.mark.parametrize("prefix", ["files/", "", "resized/files/"])
def test_the_release_s_folders_are_found(bucket, prefix):
    bucket.put(f"mimic/cxr/{prefix}index.html", b"")
    for number, name in enumerate(NAMES):
        bucket.put(f"mimic/cxr/{prefix}{name.format(ID.format(number))}", b"x")
    root = URL if prefix != "resized/files/" else f"{URL}/resized"
    tree = list_remote_films(ObjectStore(root))
    assert tree.layout == "release"
    for number, name in enumerate(NAMES):
        path = name.format(ID.format(number))
        found = tree.locate(f"files/{path.replace('.png', '.jpg')}")
        assert (found.name, found.bytes) == (path, 1)
    assert tree.locate(f"files/p10/{ID.format(9)}.jpg") is None


def test_one_flat_folder_is_found(bucket):
    bucket.put("mimic/cxr/readme.txt", b"")
    for number in range(3):
        bucket.put(f"mimic/cxr/small/{ID.format(number)}.jpg", b"xy")
    tree = list_remote_films(ObjectStore(URL))
    assert (tree.layout, str(tree.folder)) == ("flat", f"{URL}/small")
    found = tree.locate(PATHS[0].rpartition("/")[0] + f"/{ID.format(2)}.jpg")
    assert found.name == f"{ID.format(2)}.jpg"


def test_a_place_without_films_is_named(tmp_path, films):
    with pytest.raises(ContractError, match=r"s3://.*/empty: none of 7 films can be used"):
        run(tmp_path, "there", films, f"s3://{BUCKET}/empty")


def test_doctor_and_plan_count_the_films_of_a_store(films, bucket):
    paths = [f"files/d{number}.jpg" for number in range(7)]
    bucket.put("mimic/cxr/files/d0.jpg", b"")
    found = look_for_films(ObjectStore(URL), paths)
    assert (found.missing, found.cut, found.found) == (("files/d6.jpg",), ("files/d0.jpg",), 5)


def test_paths_films_may_be_a_url(tmp_path):
    params = tiny_params(tmp_path, paths={"films": f"{URL}/"})
    assert find_film_root(params, None) == ObjectStore(URL)


def test_image_latent_and_shard_are_those_of_a_run_without_a_store(tmp_path, bucket):
    """Films and cache on the server; films, latents and tars to the byte those of a local run."""
    shipped = read_recipe("ddl_cxr")
    recipe = shipped.model_copy(update={"image": shipped.image.model_copy(update={"size": 32})})
    weights = save_autoencoder(tmp_path / "weights")
    settings = {"weights": str(weights), "batch_size": 4, "films_per_shard": 24}
    params, _ = write_build(tmp_path, "ddl_cxr", latent=settings)
    made = params.build("ddl_cxr")
    for path in (made / "image", made / "latent", params.build("cache")):
        shutil.rmtree(path)
    for number, path in enumerate(pl.read_parquet(made / "cohort" / "film.parquet")["path"]):
        write_film(tmp_path / "cxr" / path, number, 60, 50)
        bucket.put(f"mimic/cxr/{path}", (tmp_path / "cxr" / path).read_bytes())

    def build(name, root, **cache):
        shutil.copytree(params.build(), tmp_path / name)
        own = tiny_params(
            tmp_path,
            latent=settings,
            cache=cache,
            paths={"build": str(tmp_path / name)},
            shard={"workers": 1},
        )
        source = own.build("ingest", "source.json")
        facts = json.loads(source.read_text())
        facts["mimic_cxr_jpg"]["films"] = str(root)
        source.write_text(json.dumps(facts))
        for stage in (image, latent, shard):
            stage.run(own, recipe)
        dataset = own.build("ddl_cxr", "shard")
        files = {str(p.relative_to(dataset)): p for p in dataset.rglob("*") if p.is_file()}
        return json.loads(files.pop("dataset.json").read_text()), {
            name: path.read_bytes() for name, path in files.items()
        }

    local, local_files = build("local", tmp_path / "cxr")
    allowed = {"folder": f"s3://{BUCKET}/cache", "attestation": "simulated"}
    remote, remote_files = build("remote", URL, **allowed)
    # Card and Croissant name what the dataset was made from: a line, and three that follow from it.
    for name, lines in (("README.md", 1), ("croissant.json", 3)):
        pair = [files.pop(name).splitlines() for files in (remote_files, local_files)]
        assert sum(one != other for one, other in zip(*pair, strict=True)) == lines
    assert remote_files == local_files
    assert len(local_files) > 9
    assert {name for name in remote if remote[name] != local[name]} == {
        "attestation",
        "documents",
        "made_from",
    }
    assert remote["attestation"] == f"s3://{BUCKET}/cache: simulated"
    assert not list((tmp_path / "remote").rglob("*.rows"))
    assert len([name for name in bucket.names("cache") if name.endswith(".rows")]) >= 2


def test_shard_asks_the_store_for_the_films_of_many_samples_at_once(tmp_path, bucket):
    """A request a space and a sixty-fourth of the samples where the rows lie side by side."""
    store = {"folder": f"s3://{BUCKET}/cache", "attestation": "simulated"}
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1}, cache=store)
    remote = open_cache(params)
    for name in ("image", "latent"):
        stage = params.build("ddl_cxr", name)
        rows = open_stage_rows(stage)
        hashes = pl.read_parquet(stage / f"{'film' if name == 'image' else name}.parquet")["sha256"]
        kept = [one for one in hashes.unique() if rows.find([one])[0] >= 0]
        with remote.write(rows.space) as writer:
            writer.add(kept, rows.read(kept))
        record = json.loads((stage / "done.json").read_text())
        record |= stage_rows(remote, rows.space, stage)
        (stage / "done.json").write_text(json.dumps(record))
    bucket.requests.clear()
    shard.run(params, recipe)
    reads = [r for r in bucket.requests if r.startswith("GET") and ".rows" in r]
    tars = len(list(params.build("ddl_cxr", "shard").glob("*/*.tar")))
    assert 0 < len(reads) <= 2 * tars
