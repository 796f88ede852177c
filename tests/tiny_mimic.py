"""MIMIC trees of a few literal rows, each there for a reason that its test states."""

import csv
import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from cxrfuture_data.settings import parse_settings, read_yaml
from etl.mimic_schema import RECIPE_TABLES, TABLES, Table
from etl.params import Params

REPOSITORY = Path(__file__).resolve().parent.parent

Rows = Sequence[Mapping[str, Any]]


def write_table(root: Path, name: str, rows: Rows, extension: str = ".csv.gz") -> Path:
    """Write one table under ``root`` (hosp/ or icu/; a CXR csv beside files/), release header.

    Rows name columns in either spelling; a column that is not named is empty, as is None.
    """
    table = TABLES[name]
    folder = root if table.module == "cxr" else root / table.module
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table.stem}{extension}"
    text = csv_text(table, rows)
    if extension == ".csv.gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    elif extension == ".csv":
        path.write_bytes(text.encode())
    else:
        _write_parquet(path, table, text)
    return path


def write_tree(root: Path, tables: Mapping[str, Rows], extension: str = ".csv.gz") -> Params:
    """Write every table a recipe reads (header only where no rows are given) and params for them.

    MIMIC-IV goes to ``root/mimic-iv``, MIMIC-CXR-JPG to ``root/mimic-cxr-jpg``, the build to
    ``root/build``.
    """
    for name in dict.fromkeys((*RECIPE_TABLES, *tables)):
        release = "mimic-cxr-jpg" if TABLES[name].module == "cxr" else "mimic-iv"
        write_table(root / release, name, tables.get(name, ()), extension)
    return tiny_params(root)


def tiny_params(root: Path, **overrides: Mapping[str, Any]) -> Params:
    """The shipped params.yaml, its paths below ``root``; overrides are ``section={key: value}``.

    Of recipes those that need no table beside RECIPE_TABLES; of workers one.
    """
    value = read_yaml(REPOSITORY / "params.yaml") | {"recipes": ["ddl_cxr", "ehrxdiff"]}
    value["paths"] = {
        "mimic_iv": str(root / "mimic-iv"),
        "mimic_cxr_jpg": str(root / "mimic-cxr-jpg"),
        "chest_imagenome": "",
        "mimic_cxr_reports": str(root / "mimic-cxr-reports"),
        "build": str(root / "build"),
    }
    for stage in ("image", "shard"):
        value[stage] = {**value[stage], "workers": 1}  # a worker process takes seconds to start
    for section, changes in overrides.items():
        value[section] = {**value[section], **changes}
    return parse_settings(Params, value, "params.yaml")


def csv_text(table: Table, rows: Rows) -> str:
    """The text of a release file: header, then one line a row, ``\\n`` ends."""
    release = {column.lower(): column for column in table.columns}
    out = io.StringIO()
    writer = csv.DictWriter(out, list(table.columns), restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({release[name.lower()]: value for name, value in row.items()})
    return out.getvalue()


def _write_parquet(path: Path, table: Table, text: str) -> None:
    source = path.with_suffix(".source.csv")
    source.write_text(text)
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in table.columns.items())
    duckdb.execute(
        f"COPY (SELECT * FROM read_csv('{source}', header = true, columns = {{{columns}}}))"
        f" TO '{path}' (FORMAT parquet)"
    )
    source.unlink()


def demo_root() -> Path:
    """The open MIMIC-IV demo, or a skip: MIMIC_IV_DEMO_DIR, else a folder beside the repository."""
    beside = REPOSITORY.parent / "shared" / "data" / "mimic-iv-demo"
    root = Path(os.environ.get("MIMIC_IV_DEMO_DIR", beside))
    if not (root / "icu").is_dir():
        pytest.skip("no MIMIC-IV demo; set MIMIC_IV_DEMO_DIR")
    return root


ITEM = {"itemid": 220045, "label": "Heart Rate", "linksto": "chartevents"}


def chart(subject: int, hour: int, value: object, **more: object) -> dict[str, object]:
    """One row of chartevents at an hour of 2 January 2180."""
    charted_at = f"2180-01-02 {hour:02d}:00:00"
    row = {"subject_id": subject, "charttime": charted_at, "itemid": ITEM["itemid"]}
    return {**row, "value": value, **more}


def long_table(rows: int) -> str:
    """The csv of a chartevents with 50 rows a patient."""
    return csv_text(TABLES["chartevents"], [chart(n // 50, n % 24, n) for n in range(rows)])


def rewrite(path: Path, text: str) -> None:
    """Give a csv or csv.gz another text."""
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def read_ingested(params: Params, name: str) -> pl.DataFrame:
    """An ingested table."""
    return pl.read_parquet(params.build("ingest", f"{name}.parquet"))


def read_notes(params: Params, name: str) -> dict[str, int]:
    """What ingest noted of a table."""
    metrics = json.loads(params.build("ingest", "metrics.json").read_text())
    return metrics["tables"][name]["notes"]
