"""One wide row per sample: cohort, window, labels, and where its films and latents lie."""

from pathlib import Path

import polars as pl

from cxrfuture_data.schema import FILMS_OF_KIND, FINDINGS, ContractError
from etl.ledger import Drop

IDS = ("subject_id", "hadm_id", "stay_id")
WINDOW_COLUMNS = (
    "hours",
    "hourly_start_hours",
    "events",
    "latest_event_at",
    "latest_known_at",
)


def read_rows(folder: Path, kind: str) -> tuple[pl.DataFrame, list[Drop]]:
    """The samples of a kind whose films are all usable, ordered by key; and what was dropped.

    Columns: key, split, ids, age, sex, the kind's own; ``<role>_study_id, _dicom_id, _at, _view,
    _part, _row, _latent_part, _latent_row, _<finding>`` per film; and the window's.
    """
    rows = read_table(folder / "cohort" / f"{kind}.parquet").rename(
        {"pair_id": "key"}, strict=False
    )
    if kind == "image":
        names = ("study_id", "dicom_id", "view")
        rows = rows.rename({name: f"image_{name}" for name in names} | {"taken_at": "image_at"})
    for name in IDS:
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, dtype=pl.Int64).alias(name))
    if rows["key"].n_unique() != rows.height:
        raise ContractError(f"cohort/{kind}.parquet: a key occurs twice; run `cxrfuture cohort`")
    drops: list[Drop] = []
    for role in FILMS_OF_KIND[kind]:
        rows = _join_films(rows, folder, kind, role, drops)
    for role in FILMS_OF_KIND[kind]:
        rows = _join_latents(rows, folder, kind, role)
        rows = _join_labels(rows, folder, role)
    if kind != "image":
        rows = _join_windows(rows, folder, kind)
    return rows.sort("key"), drops


def read_table(path: Path) -> pl.DataFrame:
    """A stage's Parquet file, or a ContractError that names the stage to run."""
    if not path.exists():
        stage = path.parent.name
        raise ContractError(f"{path}: no such file; run `cxrfuture {stage}` first")
    return pl.read_parquet(path)


def _join_films(
    rows: pl.DataFrame, folder: Path, kind: str, role: str, drops: list[Drop]
) -> pl.DataFrame:
    """Where each film lies; samples whose film failed go, counted by outcome."""
    films = read_table(folder / "image" / "film.parquet").select(
        pl.col("dicom_id").alias(f"{role}_dicom_id"),
        pl.col("outcome"),
        pl.col("part").alias(f"{role}_part"),
        pl.col("row").alias(f"{role}_row"),
    )
    rows = rows.join(films, on=f"{role}_dicom_id", how="left")
    _require(rows, "outcome", f"{kind} samples name a {role} film that image never tried", "image")
    for outcome in sorted(set(rows["outcome"]) - {"ok"}):
        before = rows.height
        rows = rows.filter(pl.col("outcome") != outcome)
        reason = f"{role} film {outcome}"
        drops.append(Drop("shard", kind, reason, before, before - rows.height))
    return rows.drop("outcome")


def _join_latents(rows: pl.DataFrame, folder: Path, kind: str, role: str) -> pl.DataFrame:
    latents = read_table(folder / "latent" / "latent.parquet").select(
        pl.col("dicom_id").alias(f"{role}_dicom_id"),
        pl.col("part").alias(f"{role}_latent_part"),
        pl.col("row").alias(f"{role}_latent_row"),
    )
    rows = rows.join(latents, on=f"{role}_dicom_id", how="left")
    _require(rows, f"{role}_latent_row", f"{kind} samples have no latent of the {role}", "latent")
    return rows


def _join_labels(rows: pl.DataFrame, folder: Path, role: str) -> pl.DataFrame:
    """Raw labels of the film's study; all null where CheXpert does not know the study."""
    labels = read_table(folder / "cohort" / "label.parquet").select(
        pl.col("study_id").alias(f"{role}_study_id"),
        *[pl.col(finding).cast(pl.Int8).alias(f"{role}_{finding}") for finding in FINDINGS],
    )
    return rows.join(labels, on=f"{role}_study_id", how="left")


def _join_windows(rows: pl.DataFrame, folder: Path, kind: str) -> pl.DataFrame:
    windows = read_table(folder / "window" / "window.parquet").filter(pl.col("kind") == kind)
    rows = rows.join(windows.select("key", *WINDOW_COLUMNS), on="key", how="left")
    _require(rows, "hours", f"{kind} samples have no window", "window")
    return rows


def _require(rows: pl.DataFrame, column: str, problem: str, stage: str) -> None:
    missing = rows[column].null_count()
    if missing:
        raise ContractError(f"shard: {missing} {problem}; run `cxrfuture {stage}` again")
