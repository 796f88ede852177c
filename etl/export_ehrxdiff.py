"""EHRXDiff's cohort as the files that its code reads (specs ehrxdiff 2, 3.5, 4).

Null-event samples are none of theirs: their loader makes them itself (section 5).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import EHRXDIFF_TABLES, SPLITS
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_rows import read_table
from etl.sqlfile import bind_tables, open_sql, write_parquet

COHORT_FILE = "mimiciv_cohort_meta.csv"
SPLIT_FILE = "dataset_split.json"
COUNT_FILE = "event_count.csv"
EVENT_FILE = "event.parquet"
TABLE_FILE = "event_table.json"
TIMES = "%Y-%m-%d %H:%M:%S"


def export(params: Params, recipe: Recipe, out: Path) -> list[Path]:
    """Write the files below ``out``; returns them.

    The cohort has one row per pair and admission, the split three lists of pairs; event_count.csv
    counts each pair's events, all and those within the 1,024; event.parquet holds their texts
    (sql/export/event_text.sql). Where stage `embed` has run, there are also the three h5 files of
    embeddings, one fp16 (E, D) dataset a pair, oldest event first.
    """
    folder = params.build(recipe.name)
    pairs = _pairs(folder)
    paths = [out / name for name in (COHORT_FILE, SPLIT_FILE, COUNT_FILE, EVENT_FILE, TABLE_FILE)]
    _write_csv(_cohort(folder, pairs), out / COHORT_FILE)
    write_json(out / SPLIT_FILE, _split(pairs))
    counts = pairs.select("dicom_id", pl.col("events") + pl.col("dropped_events"), "events_kept")
    _write_csv(counts.unique().sort("dicom_id"), out / COUNT_FILE)
    _write_events(params, folder, out / EVENT_FILE)
    write_json(out / TABLE_FILE, list(EHRXDIFF_TABLES))
    if not (folder / "embed" / "done.json").exists():
        say(f"export: {recipe.name}: no embeddings yet, so no h5; run `cxrfuture embed` first")
        return paths
    return paths + [_write_h5(folder, pairs, split, out) for split in SPLITS]


def _pairs(folder: Path) -> pl.DataFrame:
    """The pairs of two films under the authors' key, and how many events each holds."""
    windows = read_table(folder / "window" / "window.parquet").select(
        pl.col("key").alias("pair_id"), "events", "dropped_events"
    )
    return (
        read_table(folder / "cohort" / "pair.parquet")
        .filter(~pl.col("is_null_event"))
        .join(windows, on="pair_id")
        .with_columns(
            pl.format("{}_{}", "target_dicom_id", "previous_dicom_id").alias("dicom_id"),
            pl.col("events").alias("events_kept"),
        )
        .sort("subject_id", "previous_at", "previous_dicom_id", "target_at", "target_dicom_id")
    )


def _cohort(folder: Path, pairs: pl.DataFrame) -> pl.DataFrame:
    admissions = read_table(folder / "cohort" / "pair_admission.parquet")
    rows = pairs.drop("hadm_id").join(admissions, on="pair_id", maintain_order="left")
    return rows.select(
        "subject_id",
        "hadm_id",
        "dicom_id",
        pl.col("previous_dicom_id").alias("prev_dicom_id"),
        pl.col("age").alias("AGE"),
        pl.col("sex").alias("gender"),
        pl.col("target_at").alias("StudyDateTime"),
        pl.col("previous_at").alias("prev_StudyDateTime"),
        pl.col("previous_at").alias("INTIME"),
        (pl.col("gap_hours") * 60).alias("OUTTIME"),
        pl.lit(-1).alias("LOS"),
        "split",
    )


def _split(pairs: pl.DataFrame) -> dict[str, list[str]]:
    return {
        split: pairs.filter(pl.col("split") == split)["dicom_id"]
        .unique(maintain_order=True)
        .to_list()
        for split in SPLITS
    }


def _write_events(params: Params, folder: Path, path: Path) -> None:
    tables = {
        "pair": folder / "cohort" / "pair.parquet",
        "window_event": folder / "window" / "window_event.parquet",
        "text": folder / "event" / "text.parquet",
    }
    with open_sql(params.sql, path.parent / ".spill") as connection:
        bind_tables(connection, tables)
        write_parquet(connection, path, "export/event_text")


def _write_h5(folder: Path, pairs: pl.DataFrame, split: str, out: Path) -> Path:
    """Embeddings of a split's pairs, /ehr/<key>: in order, each as often as it occurs."""
    import h5py  # of this format alone

    path = out / f"mimiciv-cxr-filtered_{split}_openai.h5"
    table = np.load(folder / "embed" / "table.npy", mmap_mode="r", allow_pickle=False)
    chosen = pairs.filter(pl.col("split") == split).unique("dicom_id", maintain_order=True)
    with (
        publish(path) as part,
        h5py.File(part, "w", track_order=True) as file,
        progress(f"export {split}", chosen.height, "pairs") as advance,
    ):
        group = file.create_group("ehr", track_order=True)
        for key, rows in _rows_of(folder, chosen):
            group.create_dataset(key, data=table[rows], dtype="float16", compression="lzf")
            advance()
    return path


def _rows_of(folder: Path, pairs: pl.DataFrame) -> Iterator[tuple[str, Any]]:
    """(key, rows of the embedding table) of each pair, a few hundred pairs in memory at a time."""
    texts = pl.scan_parquet(folder / "embed" / "text_row.parquet")
    events = pl.scan_parquet(folder / "window" / "window_event.parquet")
    for some in pairs.iter_slices(256):
        names: Mapping[str, str] = dict(some.select("pair_id", "dicom_id").iter_rows())
        found = (
            events.filter(pl.col("key").is_in(list(names)))
            .select("key", "position", "text_id")
            .join(texts, on="text_id")
            .collect()
            .sort("key", "position")
            .partition_by("key", as_dict=True, maintain_order=True)
        )
        for pair_id, name in names.items():
            if (pair_id,) in found:
                yield name, found[(pair_id,)]["row"].to_numpy()


def _write_csv(table: pl.DataFrame, path: Path) -> None:
    with publish(path) as part:
        table.write_csv(part, datetime_format=TIMES)
