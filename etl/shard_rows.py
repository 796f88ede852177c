"""One wide row per sample: cohort, window, labels, and where its films and latents lie."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES
from cxrfuture_data.schema import (
    COMORBIDITIES,
    FILMS_OF_KIND,
    FINDINGS,
    PHENOTYPES,
    STATIC,
    ContractError,
)
from etl.ledger import Drop

WINDOW_COLUMNS = (
    "hours",
    "hourly_start_hours",
    "events",
    "latest_event_at",
    "latest_known_at",
)
GENERATION_COLUMNS = tuple(name for name in WINDOW_COLUMNS if name != "events")


def read_rows(folder: Path, kind: str) -> tuple[pl.DataFrame, list[Drop]]:
    """The samples of a kind whose films are all usable, ordered by key; and what was dropped.

    Columns: key, split, ids, age, sex, the kind's own; ``<role>_study_id, _dicom_id, _at, _view,
    _sha256, _<finding>, _attributes`` per film; and the window's, ``generation_*`` of a stay's
    generation window; ``changes`` (pair), ``phenotypes`` (stay), ``history``: structs, null where
    unknown.
    """
    rows = read_table(folder / "cohort" / f"{kind}.parquet").rename(
        {"pair_id": "key"}, strict=False
    )
    if kind == "image":
        rows = _image_columns(rows)
    if rows["key"].n_unique() != rows.height:
        raise ContractError(f"cohort/{kind}.parquet: a key occurs twice; run `cxrfuture cohort`")
    drops: list[Drop] = []
    for role in FILMS_OF_KIND[kind]:
        rows = _join_films(rows, folder, kind, role, drops)
    for role in FILMS_OF_KIND[kind]:
        rows = _join_latents(rows, folder, kind, role)
        rows = _join_labels(rows, folder, role)
        rows = _join_attributes(rows, folder, role)
    if kind != "image":
        rows = _join_windows(rows, folder, kind)
    if kind == "pair":
        changes = _read_described(folder, "change", "pair_id", "changes", CHANGE_ATTRIBUTES)
        rows = rows.join(changes, left_on="key", right_on="pair_id", how="left")
    if kind == "stay":
        rows = _join_generation(rows, folder)
        phenotypes = _read_described(folder, "phenotype", "hadm_id", "phenotypes", PHENOTYPES)
        rows = rows.join(phenotypes, on="hadm_id", how="left").with_columns(
            phenotypes=pl.when("has_phenotypes").then("phenotypes")
        )
    if kind != "image":
        rows = rows.join(_read_history(folder, kind), on="key", how="left")
    return rows.sort("key"), drops


def read_table(path: Path) -> pl.DataFrame:
    """A stage's Parquet file, or a ContractError that names the stage to run."""
    if not path.exists():
        stage = path.parent.name
        raise ContractError(f"{path}: no such file; run `cxrfuture {stage}` first")
    return pl.read_parquet(path)


def _image_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns named as of other kinds; and ``static``, a list with NaN for what is not known.

    It is null where the recipe has no static values: an age alone, which every film has, is none.
    """
    has_static = any(rows[name].count() for name in STATIC if name != "age")
    values = pl.concat_list(pl.col(STATIC).cast(pl.Float64).fill_null(float("nan")))
    static = values if has_static else pl.lit(None, dtype=pl.List(pl.Float64))
    names = {name: f"image_{name}" for name in ("study_id", "dicom_id", "view")}
    no_id = pl.lit(None, dtype=pl.Int64)
    return rows.with_columns(static=static, hadm_id=no_id, stay_id=no_id).rename(
        names | {"taken_at": "image_at"}
    )


def _join_films(
    rows: pl.DataFrame, folder: Path, kind: str, role: str, drops: list[Drop]
) -> pl.DataFrame:
    """Where each film lies; samples whose film failed go, counted by outcome."""
    films = read_table(folder / "image" / "film.parquet").select(
        pl.col("dicom_id").alias(f"{role}_dicom_id"),
        pl.col("outcome"),
        pl.col("sha256").alias(f"{role}_sha256"),
    )
    rows = rows.join(films, on=f"{role}_dicom_id", how="left")
    problem = f"{kind} samples name a {role} film that image never tried"
    _require(_with_film(rows, role), "outcome", problem, "image")
    for outcome in sorted(set(rows["outcome"].drop_nulls()) - {"ok"}):
        before = rows.height
        rows = rows.filter(pl.col("outcome").ne_missing(outcome))
        reason = f"{role} film {outcome}"
        drops.append(Drop("shard", kind, reason, before, before - rows.height))
    return rows.drop("outcome")


def _join_latents(rows: pl.DataFrame, folder: Path, kind: str, role: str) -> pl.DataFrame:
    latents = read_table(folder / "latent" / "latent.parquet").select(
        pl.col("dicom_id").alias(f"{role}_dicom_id"), pl.col("sha256").alias("encoded")
    )
    rows = rows.join(latents, on=f"{role}_dicom_id", how="left")
    problem = f"{kind} samples have no latent of the {role}"
    _require(_with_film(rows, role), "encoded", problem, "latent")
    return rows.drop("encoded")


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


def _join_generation(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The windows that films are generated from; null of a recipe that generates none."""
    windows = read_table(folder / "window" / "window.parquet")
    named = [pl.col(name).alias(f"generation_{name}") for name in GENERATION_COLUMNS]
    of_generation = windows.filter(pl.col("kind") == "generation").select("key", *named)
    rows = rows.join(of_generation, on="key", how="left")
    generated = rows.filter(pl.col("generation_start_at").is_not_null())
    _require(generated, "generation_hours", "stay samples have no generation window", "window")
    return rows


def _join_attributes(rows: pl.DataFrame, folder: Path, role: str) -> pl.DataFrame:
    """Chest ImaGenome's attributes of the film; null where it does not describe the film."""
    attributes = _read_described(folder, "attribute", "dicom_id", f"{role}_attributes", ATTRIBUTES)
    return rows.join(attributes, left_on=f"{role}_dicom_id", right_on="dicom_id", how="left")


def _read_described(
    folder: Path, table: str, key: str, name: str, columns: Sequence[str]
) -> pl.DataFrame:
    """The key of a cohort table and its other columns as one struct, for rows that say something;
    no row without the table."""
    path = folder / "cohort" / f"{table}.parquet"
    if not path.exists():
        types = {key: pl.Int64 if key == "hadm_id" else pl.String, name: pl.Null}
        return pl.DataFrame(schema=types)
    found = pl.read_parquet(path)
    if found[key].n_unique() != found.height:
        raise ContractError(f"{path}: a {key} occurs twice; run `cxrfuture cohort` again")
    chosen = list(columns)
    says_something = pl.any_horizontal(pl.col(chosen).is_not_null())
    values = pl.col(chosen) if table == "change" else pl.col(chosen).cast(pl.Int8)
    return found.filter(says_something).select(key, pl.struct(values).alias(name))


def _read_history(folder: Path, kind: str) -> pl.DataFrame:
    """``history`` by key, comorbidities as 0 and 1; no row of a recipe that has none."""
    path = folder / "cohort" / "history.parquet"
    if not path.exists():
        return pl.DataFrame(schema={"key": pl.String, "history": pl.Null})
    flags = [
        pl.col("comorbidities").list.contains(name).cast(pl.Int8).alias(name)
        for name in COMORBIDITIES
    ]
    known = ("bmi", "earlier_admissions", pl.struct(flags).alias("comorbidities"))
    rows = pl.read_parquet(path).filter(pl.col("kind") == kind)
    return rows.select("key", history=pl.struct(*known))


def _with_film(rows: pl.DataFrame, role: str) -> pl.DataFrame:
    """Those that name a film; a stay may have none."""
    return rows.filter(pl.col(f"{role}_dicom_id").is_not_null())


def _require(rows: pl.DataFrame, column: str, problem: str, stage: str) -> None:
    missing = rows[column].null_count()
    if missing:
        raise ContractError(f"shard: {missing} {problem}; run `cxrfuture {stage}` again")
