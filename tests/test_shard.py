import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_build import LATENT, TEXTS, build_dataset, write_build

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.cache_rows import Space
from cxrfuture_data.schema import SCHEMA_VERSION
from cxrfuture_data.verify import verify
from etl import shard
from etl.cache import open_cache, stage_rows
from etl.shard_facts import CREDENTIALED, OPEN, SIMULATED, licence, params_digest
from etl.shard_sums import Sums

TESTS = Path(__file__).resolve().parent

# Runs shard in a process of its own. With a number, that process is killed in the middle of the
# tar member that has it: webdataset's writer is wrapped, our code is as it is.
CHILD = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
import webdataset
from pathlib import Path
from etl import params, recipe, shard

def main():
    written, write = 0, webdataset.TarWriter.write
    def write_or_die(self, sample):
        nonlocal written
        written += 1
        if written == {number}:
            self.stream.write(b"half a sample")
            self.stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, sample)
    webdataset.TarWriter.write = write_or_die
    settings = params.Params.model_validate_json(Path(sys.argv[1]).read_text())
    shard.run(settings, recipe.read_recipe("ddl_cxr"))

if __name__ == "__main__":
    main()
"""


def hashes(folder):
    """The sha256 of every file of a dataset."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start_child(root, params, number=0):
    script, settings = root / "child.py", root / "params.json"
    script.write_text(CHILD.format(tests=str(TESTS.parent), number=number))
    settings.write_text(params.model_dump_json())
    return subprocess.Popen([sys.executable, str(script), str(settings)], stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    shard_params = {"samples_per_shard": 4, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("reference"), "ddl_cxr", shard=shard_params)


def test_every_split_and_kind_is_listed_with_its_samples(reference):
    splits = open_dataset(reference).manifest.splits
    counts = {s: {k: entry.samples for k, entry in kinds.items()} for s, kinds in splits.items()}
    assert counts == {
        "train": {"pair": 15, "stay": 8, "image": 8},
        "valid": {"pair": 4, "stay": 2, "image": 2},
        "test": {"pair": 4, "stay": 2, "image": 2},
    }
    assert [entry.samples for entry in splits["train"]["pair"].shards] == [4, 4, 4, 3]


def test_a_kind_without_samples_is_listed_too(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    path = params.build("ddl_cxr", "cohort", "stay.parquet")
    pl.read_parquet(path).filter(pl.col("split") != "valid").write_parquet(path)
    shard.run(params, recipe)
    entry = open_dataset(params.build("ddl_cxr", "shard")).manifest.kind("valid", "stay")
    assert (entry.samples, entry.shards) == (0, [])
    assert verify(params.build("ddl_cxr", "shard")).samples == 45


def test_a_recipe_without_samples_gives_a_readable_dataset(tmp_path):
    params, recipe = write_build(tmp_path, "ehrxdiff", shard={"workers": 1})
    path = params.build("ehrxdiff", "cohort", "pair.parquet")
    pl.read_parquet(path).head(0).write_parquet(path)
    shard.run(params, recipe)
    assert verify(params.build("ehrxdiff", "shard")).samples == 0


def test_the_lost_film_is_in_the_ledger(reference):
    rows = [row for row in open_dataset(reference).manifest.attrition if row.stage == "shard"]
    assert [(row.unit, row.reason, row.before, row.removed, row.after) for row in rows] == [
        ("pair", "target film truncated", 24, 1, 23)
    ]


def test_statistics_are_of_training_windows_only(reference):
    statistics = open_dataset(reference).statistics
    # Heart rates 80 + s and 90 + s of patients 1 to 8: twice each but for patient 3, once.
    values = [base + s for s in range(1, 9) for base in (80, 90) for _ in range(1 if s == 3 else 2)]
    rate = statistics.pair.variables["Heart Rate"]
    assert rate.count == 30
    assert rate.mean == pytest.approx(np.mean(values))
    assert rate.std == pytest.approx(np.std(values, ddof=1))
    assert statistics.stay.variables["Heart Rate"].count == 16
    assert statistics.stay.age.mean == pytest.approx(44.5)
    assert statistics.pair.variables["Glucose"].count == 0
    assert statistics.pair.variables["Glucose"].mean == 128
    assert statistics.latent.films == 2 * 15 + 8 + 8
    assert len(statistics.latent.channel_mean) == 4


def test_sums_are_those_of_numpy_and_add_up_in_parts():
    values = np.array([[1e6 + 1, 5], [1e6 + 2, np.nan], [1e6 + 4, np.nan]])
    whole, parts = Sums(np.array([1e6, 0])), Sums(np.array([1e6, 0]))
    whole.add(values)
    for row in values:
        part = Sums(np.array([1e6, 0]))
        part.add(row[None])
        parts.merge(part.lists())
    assert whole.moments() == parts.moments()
    assert whole.moments()[0].mean == pytest.approx(1e6 + 7 / 3)
    assert whole.moments()[0].std == pytest.approx(np.std(values[:, 0], ddof=1))
    assert (whole.moments()[1].count, whole.moments()[1].std) == (1, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_another_build_has_the_same_bytes(reference, tmp_path, workers):
    other = build_dataset(tmp_path, "ddl_cxr", shard={"samples_per_shard": 4, "workers": workers})
    assert hashes(other) == hashes(reference)


@pytest.mark.parametrize("number", [1, 6, 40])
def test_a_build_killed_within_a_shard_goes_on_to_the_same_bytes(reference, tmp_path, number):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"samples_per_shard": 4, "workers": 1})
    assert start_child(tmp_path, params, number).wait(timeout=60) == -signal.SIGKILL
    dataset = params.build("ddl_cxr", "shard")
    with pytest.raises(ContractError, match="no dataset, or its build has not finished"):
        open_dataset(dataset)
    kept = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.tar")}
    shard.run(params, recipe)
    assert hashes(dataset) == hashes(reference)
    assert len(kept) == {1: 0, 6: 1, 40: 11}[number]  # whole shards before the killed one
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not params.build("ddl_cxr", "shard.work").exists()


def test_a_build_of_two_workers_killed_at_any_time_goes_on_to_the_same_bytes(reference, tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"samples_per_shard": 4, "workers": 2})
    child = start_child(tmp_path, params)
    done = params.build("ddl_cxr", "shard.work", "done")
    limit = time.monotonic() + 60
    while not list(done.rglob("*.json")) and child.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    child.kill()
    child.wait(timeout=60)
    shard.run(params, recipe)
    assert hashes(params.build("ddl_cxr", "shard")) == hashes(reference)


def test_a_finished_build_is_left_alone(tmp_path):
    params, recipe = write_build(tmp_path, "ehrxdiff", shard={"workers": 1})
    shard.run(params, recipe)
    dataset = params.build("ehrxdiff", "shard")
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    shard.run(params, recipe)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


def test_a_lost_shard_of_a_finished_build_is_made_again(reference, tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"samples_per_shard": 4, "workers": 1})
    shard.run(params, recipe)
    dataset = params.build("ddl_cxr", "shard")
    (dataset / "valid" / "pair-000000.tar").unlink()
    shard.run(params, recipe)
    assert hashes(dataset) == hashes(reference)


def test_shards_of_a_longer_build_are_removed(tmp_path):
    root = tmp_path
    build_dataset(root, "ehrxdiff", shard={"samples_per_shard": 1, "workers": 1})
    dataset = build_dataset(root, "ehrxdiff", shard={"samples_per_shard": 100, "workers": 1})
    assert sorted(path.name for path in (dataset / "train").iterdir()) == [
        "pair-000000.json",
        "pair-000000.tar",
        "pair-000000.tar.idx",
        "pair.safetensors",
    ]
    assert verify(dataset).samples == 23


def test_films_and_texts_can_be_left_out(tmp_path):
    options = {"keep_films": "none", "keep_texts": False, "workers": 1}
    dataset = build_dataset(tmp_path, "ehrxdiff", shard=options)
    assert verify(dataset).samples == 23
    assert open_dataset(dataset).split("test", "pair")[0].target.png is None
    assert sorted(path.name for path in (dataset / "embeddings").iterdir()) == [
        "sha256.txt",
        "table.npy",
    ]


def test_each_row_of_the_table_has_the_hash_of_its_text(tmp_path):
    dataset = build_dataset(tmp_path, "ehrxdiff", shard={"workers": 1})
    lines = (dataset / "embeddings" / "sha256.txt").read_text().split()
    assert lines == [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]


def forget_a_text(folder):
    path = folder / "embed" / "text_row.parquet"
    pl.read_parquet(path).filter(pl.col("row") != 1).write_parquet(path)


def forget_a_vector(folder):
    path = folder / "embed" / "table.npy"
    np.save(path, np.load(path)[:2])


def forget_a_row(name):
    def forget(folder):
        pl.read_parquet(folder / name)[1:].write_parquet(folder / name)

    return forget


def repeat_a_row(name):
    def repeat(folder):
        table = pl.read_parquet(folder / name)
        pl.concat([table, table[:1]]).write_parquet(folder / name)

    return repeat


def lose_a_file(folder):
    (folder / "latent" / "latent.parquet").unlink()


def misspell_a_split(folder):
    path = folder / "cohort" / "pair.parquet"
    pl.read_parquet(path).with_columns(pl.lit("dev").alias("split")).write_parquet(path)


def measure_after_the_end(folder):
    path = folder / "window" / "hourly.parquet"
    pl.read_parquet(path).with_columns((pl.col("hour") + 45).cast(pl.Int32)).write_parquet(path)


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        (
            "ehrxdiff",
            forget_a_row("embed/text_row.parquet"),
            "events have no embedding; run `cxrfuture embed",
        ),
        ("ehrxdiff", forget_a_vector, "3 texts and 2 embeddings"),
        ("ehrxdiff", forget_a_row("image/film.parquet"), "that image never tried"),
        ("ehrxdiff", forget_a_row("latent/latent.parquet"), "have no latent of the"),
        ("ehrxdiff", forget_a_row("window/window.parquet"), "1 pair samples have no window"),
        ("ehrxdiff", lose_a_file, "latent.parquet: no such file; run `cxrfuture latent"),
        ("ehrxdiff", misspell_a_split, "split 'dev'"),
        ("ddl_cxr", repeat_a_row("cohort/attribute.parquet"), "a dicom_id occurs twice"),
        ("ddl_cxr", repeat_a_row("cohort/change.parquet"), "a pair_id occurs twice"),
        ("ddl_cxr", repeat_a_row("cohort/phenotype.parquet"), "a hadm_id occurs twice"),
        ("ddl_cxr", measure_after_the_end, "hour 4[68] of 10; run `cxrfuture window"),
    ],
)
def test_stages_that_disagree_are_refused(tmp_path, name, spoil, words):
    params, recipe = write_build(tmp_path, name, shard={"workers": 1})
    spoil(params.build(name))
    with pytest.raises(ContractError, match=words):
        shard.run(params, recipe)
    assert not params.build(name, "shard", "dataset.json").exists()


def test_terms_are_those_of_the_data(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "LICENSE.txt").write_text("## ODC Open Database License (ODbL)\n")
    simulated = {"root": "x", "simulated": True}
    demo = {"root": str(tmp_path / "open"), "simulated": False}
    real = {"root": str(tmp_path), "simulated": False}
    assert licence({"mimic_iv": simulated, "mimic_cxr_jpg": simulated}) == SIMULATED
    assert licence({"mimic_iv": real, "mimic_cxr_jpg": real}) == CREDENTIALED
    mixed = licence({"mimic_iv": demo, "mimic_cxr_jpg": simulated})
    assert mixed == f"tables: {OPEN}; films: {SIMULATED}"


def test_speed_settings_do_not_change_the_digest(tmp_path):
    def digest_of(**changes):
        params, _ = write_build(tmp_path, "ehrxdiff", **changes)
        return params_digest(params)

    assert digest_of() == digest_of(shard={"workers": 7}) == digest_of(sql={"threads": 3})
    assert digest_of() != digest_of(shard={"keep_films": "none"})


def test_the_dataset_says_what_it_is(reference):
    value = json.loads((reference / "dataset.json").read_text())
    assert value["simulated"] == {"tables": True, "films": True}
    assert value["licence"] == SIMULATED
    assert value["recipe"]["body"]["window"]["hourly"] is True
    assert value["schema_version"] == SCHEMA_VERSION
    form = {"shape": list(LATENT), "scale": 0.5, "shift": 0.0}
    cut = {name: value["embeddings"][name] for name in ("model", "dimensions", "full_dimensions")}
    assert cut == {"model": "tiny", "dimensions": 8, "full_dimensions": 16}
    assert value["embeddings"]["maximum_tokens"] == 256
    assert value["latent"] == form | {"precision": "fp32", "dtype": "float16"}
    assert value["weights"] == {"vae": "1" * 64, "embedder": None}


def test_films_kept_in_another_size_are_another_dataset(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr")
    shard.run(params, recipe)
    dataset = params.build(recipe.name, "shard")
    before = (dataset / "train" / "pair-000000.tar").read_bytes()
    record = params.build(recipe.name, "image", "done.json")
    facts = json.loads(record.read_text())
    moved = facts | {"rows": f"../image/{facts['rows']}"}  # the same folder, said otherwise
    record.write_text(json.dumps(moved))
    made = (dataset / "dataset.json").stat().st_mtime_ns
    shard.run(params, recipe)
    assert (dataset / "dataset.json").stat().st_mtime_ns == made
    cache = open_cache(params)
    larger = Space("image", {"by": "hand", "larger": True}, (64, 64), "uint8")
    hashes = pl.read_parquet(record.parent / "film.parquet").filter(outcome="ok")["sha256"]
    with cache.write(larger) as writer:
        writer.add(hashes.to_list(), np.full((len(hashes), 64, 64), 7, np.uint8))
    kept = stage_rows(cache, larger, record.parent)
    record.write_text(json.dumps(facts | {"kept": kept}))
    shard.run(params, recipe)
    assert (dataset / "train" / "pair-000000.tar").read_bytes() != before
