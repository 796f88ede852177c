"""The bench's trees have the rows they say, and both commands read them."""

import json

import polars as pl
from tiny_mimic import tiny_params

from cxrfuture_data.publish import write_json
from etl.bench_metadata import run_command
from etl.bench_metadata_tables import Size, write_metadata
from etl.metadata import find_releases, read_small_table, source_of

SIZE = Size(
    patients=400,
    admitted=300,
    admissions=500,
    icustays=200,
    transfers=900,
    diagnoses=2000,
    omr=1000,
    filmed=150,
    studies=600,
    labelled=590,
    films=900,
)
ROWS = {
    "patients": 400,
    "admissions": 500,
    "icustays": 200,
    "transfers": 900,
    "diagnoses_icd": 2000,
    "omr": 1000,
    "cxr_metadata": 900,
    "cxr_chexpert": 590,
    "cxr_negbio": 590,
    "cxr_split": 900,
}


def test_its_tables_have_their_rows_and_are_read_by_both_commands(tmp_path):
    write_metadata(tmp_path, SIZE, seed=3)
    params = tiny_params(tmp_path)
    releases = find_releases(params)
    for name, rows in ROWS.items():
        table = pl.read_parquet(read_small_table(params, releases[source_of(name)], name))
        assert len(table) == rows
    file = tmp_path / "params.yaml"
    write_json(file, params.model_dump(mode="json"))  # JSON is YAML
    for command in ("doctor", "plan"):
        assert run_command(command, file).peak_mb > 50
    plans = json.loads(params.build("plan", "plan.json").read_text())["plans"]
    assert all(plan["films"] == plan["missing"] > 0 for plan in plans)


def test_the_same_seed_gives_the_same_tables(tmp_path):
    for name in ("a", "b"):
        write_metadata(tmp_path / name, SIZE, seed=3)
    first, second = (
        pl.read_csv(tmp_path / name / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz")
        for name in ("a", "b")
    )
    assert first.equals(second)
