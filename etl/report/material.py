"""What a report is made from: the dataset's columns, and the tables of the stages before it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from duckdb import DuckDBPyConnection

from cxrfuture_data.columns import Columns
from cxrfuture_data.dataset import Dataset, open_dataset
from cxrfuture_data.manifest import DATASET_FILE, Manifest
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FILMS_OF_KIND, KINDS, SPLITS, ContractError
from etl.check import CHECK_FILE
from etl.ledger import LEDGER
from etl.params import Params
from etl.recipe import Recipe
from etl.report.tally import BySplit
from etl.reproduction import TABLE_FILE
from etl.sqlfile import bind_tables, create_table, open_sql, read_sql

STAGE = "report"
KIND_WORDS = {"pair": "pairs", "stay": "stays", "image": "images"}
WINDOWED = ("pair", "stay")
NEEDED = (
    ("ingest", "source.json"),
    ("cohort", LEDGER),
    ("window", "window.parquet"),
    ("window", "hourly.parquet"),
    ("window", "window_event.parquet"),
    ("image", "film.parquet"),
    ("embed", "done.json"),
    ("latent", "done.json"),
    ("shard", DATASET_FILE),
    ("check", CHECK_FILE),
    ("check", TABLE_FILE),
)


@dataclass(frozen=True)
class Material:
    """Of a built recipe. Splits are in the contract's order, empty ones too."""

    params: Params
    recipe: Recipe
    dataset: Dataset

    @property
    def manifest(self) -> Manifest:
        return self.dataset.manifest

    @cached_property
    def splits(self) -> list[str]:
        return [split for split in SPLITS if split in self.manifest.splits]

    @cached_property
    def kinds(self) -> list[str]:
        """Those of the recipe."""
        found = {kind for kinds in self.manifest.splits.values() for kind in kinds}
        return [kind for kind in KINDS if kind in found]

    @property
    def windowed(self) -> list[str]:
        """The kinds whose samples have a window."""
        return [kind for kind in self.kinds if kind in WINDOWED]

    def path(self, stage: str, name: str = "") -> Path:
        """A stage's folder, or a file in it."""
        return self.params.build(
            *([stage] if stage == "ingest" else [self.recipe.name, stage]), name
        )

    def columns(self, kind: str) -> Mapping[str, Columns]:
        return {split: self.dataset.columns(split, kind) for split in self.splits}

    def of(self, kind: str, name: str) -> dict[str, Array]:
        """A column by split."""
        return {split: columns[name] for split, columns in self.columns(kind).items()}

    def count(self, kind: str) -> int:
        return sum(columns.samples for columns in self.columns(kind).values())

    def films(self, split: str) -> set[str]:
        """The dicom_ids of a split's samples."""
        found = [
            self.dataset.columns(split, kind)[f"{role}.dicom_id"]
            for kind in self.kinds
            for role in FILMS_OF_KIND[kind]
        ]
        return set(np.unique(np.concatenate(found)).tolist()) - {""} if found else set()

    def patients(self, split: str) -> set[int]:
        found = [self.dataset.columns(split, kind)["subject_id"] for kind in self.kinds]
        return set(np.unique(np.concatenate(found)).tolist()) if found else set()

    def samples(self) -> pl.DataFrame:
        """kind, key and split of every sample with a window; a stay's generation window is of kind
        generation."""
        frames = [
            pl.DataFrame({"key": columns["key"]}, schema={"key": pl.String}).select(
                pl.lit(kind).alias("kind"), "key", pl.lit(split).alias("split")
            )
            for kind in self.windowed
            for split, columns in self.columns(kind).items()
        ]
        frames += [
            frame.with_columns(kind=pl.lit("generation"))
            for frame in frames
            if frame.height and frame["kind"][0] == "stay"
        ]
        schema = {"kind": pl.String, "key": pl.String, "split": pl.String}
        return pl.concat([pl.DataFrame(schema=schema), *frames])


def open_material(params: Params, recipe: Recipe) -> Material:
    """Refuses a recipe of which a stage is missing, with the stage to run."""
    for stage, name in NEEDED:
        names = (stage, name) if stage == "ingest" else (recipe.name, stage, name)
        path = params.build(*names)
        if not path.exists():
            which = "" if stage == "ingest" else f" --recipe {recipe.name}"
            raise ContractError(f"{path}: no such file; run `cxrfuture {stage}{which}` first")
    return Material(params, recipe, open_dataset(params.build(recipe.name, "shard")))


@dataclass(frozen=True)
class WindowFacts:
    """The rows of files of sql/report, which say their columns."""

    times: pl.DataFrame  # event_time
    coverage: pl.DataFrame  # event_coverage
    latest: pl.DataFrame  # window_latest
    hours: pl.DataFrame  # hourly_count


@contextmanager
def open_windows(material: Material) -> Iterator[DuckDBPyConnection]:
    """DuckDB with the tables ``hourly``, ``window_event`` and ``sample_window``: the windows of
    the dataset's samples, which are fewer than the cohort's if films failed."""
    spill = material.path(STAGE, ".spill")
    with open_sql(material.params.sql, spill) as connection:
        names = ("window", "hourly", "window_event")
        bind_tables(
            connection, {name: material.path("window", f"{name}.parquet") for name in names}
        )
        connection.register("sample", material.samples().to_arrow())
        create_table(connection, "sample_window", "report/sample_window")
        yield connection


def read_windows(material: Material) -> WindowFacts:
    """One pass over each table."""
    with open_windows(material) as connection:
        return WindowFacts(
            times=_select(connection, "event_time"),
            coverage=_select(connection, "event_coverage"),
            latest=_select(connection, "window_latest"),
            hours=_select(connection, "hourly_count"),
        )


def _select(connection: DuckDBPyConnection, name: str) -> pl.DataFrame:
    """The rows of a file of sql/report."""
    sql = read_sql(f"report/{name}")
    return connection.sql(f"{sql.body}\nORDER BY {sql.order}").pl()


def as_floats(columns: BySplit, null: float | None = None) -> dict[str, Array]:
    """float64; ``null`` becomes NaN."""
    found = {split: column.astype(np.float64) for split, column in columns.items()}
    if null is None:
        return found
    return {split: np.where(column == null, np.nan, column) for split, column in found.items()}
