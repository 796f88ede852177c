"""Films -> square grey images in the cache, and a table with the outcome of every attempt."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from cxrfuture_data.cache_rows import STAGE_RECORD
from cxrfuture_data.console import say
from cxrfuture_data.object_store import ObjectStore, is_url
from cxrfuture_data.publish import digest, publish, read_done, write_done
from cxrfuture_data.schema import ContractError
from etl.cache import open_cache, stage_rows
from etl.film_quality import find_near_duplicates
from etl.film_reader import MISSING, OUTCOMES, Preprocessing
from etl.film_remote import RemoteFilm, RemoteTree, list_remote_films
from etl.film_task import Attempt, Film, installed_decoders
from etl.film_tree import (
    FilmTree,
    Located,
    choose_films,
    describe_films,
    facts_of_films,
    find_films,
    measure_films,
    require_large_enough,
)
from etl.image_demand import find_demand, read_demand, rules_of
from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.recipe import ImageRule, Recipe

FILM_COLUMNS = {
    "dicom_id": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "bits": pl.Int32,
    "sha256": pl.String,
    "mean": pl.Float64,
    "deviation": pl.Float64,
    "black": pl.Float64,
    "white": pl.Float64,
    "likeness": pl.Float64,
    "inverted": pl.Boolean,
    "spine": pl.Float64,
    "view_suspected": pl.Boolean,
    "dhash": pl.String,
}


def run(params: Params, recipe: Recipe) -> None:
    """Read every film of the cohort that the cache does not hold; files are known by size and
    time, so a second run opens none."""
    root = read_film_root(params)
    films = read_cohort(params.build(recipe.name, "cohort"))
    folder = params.build(recipe.name, "image")
    tree = list_remote_films(root) if isinstance(root, ObjectStore) else find_films(root)
    located = locate_films(films, tree)
    listed = list_files(located, tree)
    cache, decoders = open_cache(params), installed_decoders()
    rule = preprocessing(recipe.image_rule)
    seen = cache.ledger.files(str(tree.folder))
    demands = [find_demand(cache, listed, seen, one, decoders) for one in rules_of(params, rule)]
    spaces = [demand.space.digest for demand in demands]
    made_from = digest([vars(film) for film in listed], films["split"].to_list(), decoders)
    made_from = digest(made_from, str(tree.folder), spaces)
    is_whole = not any(demand.left for demand in demands)
    if is_whole and read_done(folder / STAGE_RECORD, made_from) is not None:
        say(f"image: {len(listed):,} films, all read before")
        return
    sizes = measure_films(choose_films(located), read_shapes(params, located))
    for demand in demands:
        require_large_enough(tree, sizes, demand.rule.size)
    say(f"image: {describe_films(tree, located, sizes)}")
    (folder / STAGE_RECORD).unlink(missing_ok=True)
    attempts, *_ = [read_demand(params, cache, tree, one, decoders) for one in demands]
    table = list_attempts(listed, attempts, films)
    counts = Counter(table["outcome"].to_list())
    _refuse_nothing(counts, root)
    with publish(folder / "film.parquet") as part_file:
        table.write_parquet(part_file)
    write_ledger(folder, count_drops(counts))
    facts = {
        "preprocessing": rule.facts(),
        "outcomes": {name: counts[name] for name in OUTCOMES},
        "films": facts_of_films(tree, located, sizes),
        **stage_rows(cache, demands[0].space, folder),
        # What shard keeps of a film: the same images, or larger ones for levels.
        "kept": stage_rows(cache, demands[-1].space, folder),
    }
    write_done(folder / STAGE_RECORD, made_from, facts)
    say(f"image: {counts['ok']:,} of {len(listed):,} films are ok")


def _refuse_nothing(counts: Counter[str], root: Path | ObjectStore) -> None:
    if not counts or counts["ok"]:
        return
    found = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])
    raise ContractError(
        f"{root}: none of {counts.total()} films can be used ({found}); set paths.mimic_cxr_jpg "
        "(or MIMIC_CXR_JPG_DIR) to the folder that holds files/p10, or paths.films (or "
        "MIMIC_CXR_FILMS_DIR) to that of films that lie elsewhere"
    )


def preprocessing(rule: ImageRule) -> Preprocessing:
    """The recipe's image rule as the reader takes it."""
    return Preprocessing(**rule.model_dump())


def read_film_root(params: Params) -> Path | ObjectStore:
    """Where to look for films, as ingest was told it."""
    source = params.build("ingest", "source.json")
    if not source.exists():
        raise ContractError(f"{source}: no such file; run `cxrfuture ingest` first")
    release = json.loads(source.read_text())["mimic_cxr_jpg"]
    given = release.get("films", release["root"])
    if is_url(given):
        return ObjectStore(given)
    root = Path(given)
    if not root.is_dir():
        raise ContractError(
            f"{root}: no such folder of films; set paths.mimic_cxr_jpg (or MIMIC_CXR_JPG_DIR), or "
            "paths.films (or MIMIC_CXR_FILMS_DIR), and run `cxrfuture ingest` again"
        )
    return root


def read_shapes(params: Params, located: Located) -> dict[str, tuple[int, int]]:
    """Rows and columns that the metadata give to films, by dicom_id."""
    chosen = [dicom_id for dicom_id, _ in located]
    path = params.build("ingest", "cxr_metadata.parquet")
    if not path.exists():
        return {}
    table = pl.read_parquet(path, columns=["dicom_id", "rows", "columns"]).drop_nulls()
    shapes = table.filter(pl.col("dicom_id").is_in(chosen))
    return {dicom_id: (rows, columns) for dicom_id, rows, columns in shapes.iter_rows()}


def read_cohort(cohort: Path) -> pl.DataFrame:
    """dicom_id, study_id, path and split of the cohort's films, in the cohort's order."""
    path = cohort / "film.parquet"
    if not path.exists():
        raise ContractError(f"{path}: no such file; run `cxrfuture cohort` first")
    splits = pl.read_parquet(cohort / "split.parquet", columns=["subject_id", "split"])
    films = pl.read_parquet(path, columns=["dicom_id", "subject_id", "study_id", "path"])
    return films.join(splits, on="subject_id", how="left", maintain_order="left").select(
        "dicom_id", "study_id", "path", "split"
    )


def locate_films(films: pl.DataFrame, tree: FilmTree | RemoteTree) -> Located:
    """dicom_id and file of each film, in their order; None where there is no file."""
    rows = films.select("dicom_id", "path").iter_rows()
    return [(dicom_id, tree.locate(path)) for dicom_id, path in rows]


def list_files(located: Located, tree: FilmTree | RemoteTree) -> list[Film]:
    """Each film's file as it lies there now."""
    films = []
    for dicom_id, path in located:
        if isinstance(path, RemoteFilm):
            films.append(Film(dicom_id, path.name, path.bytes, path.version))
            continue
        try:
            status = path.stat() if path is not None else None
        except OSError:  # gone since it was located, or not ours to see: reading it will say
            status = None
        if path is None or status is None:
            films.append(Film(dicom_id, None if path is None else path.name))
            continue
        name = str(path.relative_to(str(tree.folder)))
        films.append(Film(dicom_id, name, status.st_size, status.st_mtime_ns))
    return films


def list_attempts(
    listed: Sequence[Film], attempts: Mapping[str, Attempt], films: pl.DataFrame
) -> pl.DataFrame:
    """One row a film, in the cohort's order. ``near_duplicate_of``: the first film of its study
    that it looks like."""
    rows = []
    for film in listed:
        attempt = attempts.get(film.name) if film.name is not None else None
        facts = MISSING.columns() if attempt is None else attempt.facts
        rows.append({**facts, "sha256": attempt and attempt.sha256, "dicom_id": film.dicom_id})
    table = pl.DataFrame(rows, schema=FILM_COLUMNS).with_columns(films["split"])
    hashed = zip(films["study_id"], films["dicom_id"], table["dhash"], strict=True)
    pairs = find_near_duplicates(hashed)
    first = {other: one for _, one, other, _ in reversed(pairs)}
    names = pl.Series([first.get(film.dicom_id) for film in listed], dtype=pl.String)
    return table.with_columns(near_duplicate_of=names)


def count_drops(counts: Counter[str]) -> list[Drop]:
    """What was lost to each outcome, one after the other."""
    drops: list[Drop] = []
    before = counts.total()
    for outcome in OUTCOMES[1:]:
        drops.append(Drop("image", "film", outcome, before, counts[outcome]))
        before -= counts[outcome]
    return drops
