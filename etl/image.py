"""Films -> square grey images: one row an attempt, with its outcome."""

import json
from collections import Counter
from pathlib import Path

import polars as pl

from cxrfuture_data.console import say
from cxrfuture_data.publish import digest, publish, write_done
from cxrfuture_data.schema import ContractError
from etl.film_part import FilmPart, fingerprint, write_part
from etl.film_reader import OUTCOMES, Preprocessing
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
from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.part import each_in_workers, rate_of, remove_parts_from
from etl.recipe import ImageRule, Recipe

FILM_COLUMNS = {
    "dicom_id": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "sha256": pl.String,
    "part": pl.Int32,
    "row": pl.Int32,
}


def run(params: Params, recipe: Recipe) -> None:
    """Read every film of the cohort; parts that are done already are kept."""
    root = read_film_root(params)
    films = read_films(params.build(recipe.name, "cohort"))
    folder = params.build(recipe.name, "image")
    rule = preprocessing(recipe.image)
    tree = find_films(root)
    located = locate_films(films, tree)
    chosen = choose_films(located)
    sizes = measure_films(chosen, read_shapes(params, [dicom_id for dicom_id, _ in chosen]))
    require_large_enough(tree, sizes, rule.size)
    say(f"image: {describe_films(tree, located, sizes)}")
    parts = plan_parts(located, folder, rule, params.image.films_per_part)
    read_parts(parts, params.image.workers, folder / "done.json")
    remove_parts_from(folder, len(parts))

    rows = [row for part in parts for row in part.rows() or []]
    counts = Counter(row["outcome"] for row in rows)
    if rows and not counts["ok"]:
        found = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])
        raise ContractError(
            f"{root}: none of {len(rows)} films can be used ({found}); set paths.mimic_cxr_jpg "
            "(or MIMIC_CXR_JPG_DIR) to the folder that holds files/p10, or paths.films (or "
            "MIMIC_CXR_FILMS_DIR) to that of films that lie elsewhere"
        )
    table = pl.DataFrame(rows, schema=FILM_COLUMNS).with_columns(films["split"])
    with publish(folder / "film.parquet") as part_file:
        table.write_parquet(part_file)
    write_ledger(folder, count_drops(counts))
    made_from = digest([part.made_from for part in parts])
    facts = {
        "preprocessing": rule.facts(),
        "outcomes": {name: counts[name] for name in OUTCOMES},
        "films": facts_of_films(tree, located, sizes),
    }
    write_done(folder / "done.json", made_from, facts)
    say(f"image: {counts['ok']:,} of {len(rows):,} films are ok")


def preprocessing(rule: ImageRule) -> Preprocessing:
    """The recipe's image rule as the reader takes it."""
    return Preprocessing(size=rule.size, fit=rule.fit, resample=rule.resample)


def read_film_root(params: Params) -> Path:
    """The folder to look for films in, as ingest was told it."""
    source = params.build("ingest", "source.json")
    if not source.exists():
        raise ContractError(f"{source}: no such file; run `cxrfuture ingest` first")
    release = json.loads(source.read_text())["mimic_cxr_jpg"]
    root = Path(release.get("films", release["root"]))
    if not root.is_dir():
        raise ContractError(
            f"{root}: no such folder of films; set paths.mimic_cxr_jpg (or MIMIC_CXR_JPG_DIR), or "
            "paths.films (or MIMIC_CXR_FILMS_DIR), and run `cxrfuture ingest` again"
        )
    return root


def read_shapes(params: Params, chosen: list[str]) -> dict[str, tuple[int, int]]:
    """Rows and columns that the metadata give to films, by dicom_id."""
    path = params.build("ingest", "cxr_metadata.parquet")
    if not path.exists():
        return {}
    table = pl.read_parquet(path, columns=["dicom_id", "rows", "columns"]).drop_nulls()
    shapes = table.filter(pl.col("dicom_id").is_in(chosen))
    return {dicom_id: (rows, columns) for dicom_id, rows, columns in shapes.iter_rows()}


def read_films(cohort: Path) -> pl.DataFrame:
    """dicom_id, path and split of the cohort's films, in the cohort's order."""
    path = cohort / "film.parquet"
    if not path.exists():
        raise ContractError(f"{path}: no such file; run `cxrfuture cohort` first")
    splits = pl.read_parquet(cohort / "split.parquet", columns=["subject_id", "split"])
    films = pl.read_parquet(path, columns=["dicom_id", "subject_id", "path"])
    return films.join(splits, on="subject_id", how="left", maintain_order="left").select(
        "dicom_id", "path", "split"
    )


def locate_films(films: pl.DataFrame, tree: FilmTree) -> Located:
    """dicom_id and file of each film, in their order; None where there is no file."""
    rows = films.select("dicom_id", "path").iter_rows()
    return [(dicom_id, tree.locate(path)) for dicom_id, path in rows]


def plan_parts(
    located: Located, folder: Path, rule: Preprocessing, films_per_part: int
) -> list[FilmPart]:
    """Cut the films, in their order, into parts; the cut does not depend on the workers."""
    parts = []
    for number, start in enumerate(range(0, len(located), films_per_part)):
        chosen = tuple(located[start : start + films_per_part])
        made_from = fingerprint(chosen, rule)
        parts.append(
            FilmPart(number=number, folder=folder, films=chosen, rule=rule, made_from=made_from)
        )
    return parts


def read_parts(parts: list[FilmPart], workers: int, record: Path) -> None:
    """Write the parts that are not done. The stage's record goes before its first part changes."""
    left = [part for part in parts if part.rows() is None]
    if not left:
        return
    record.unlink(missing_ok=True)
    count = sum(len(part.films) for part in parts)
    kept = count - sum(len(part.films) for part in left)
    with rate_of("image", count, kept, "films") as advance:
        for films in each_in_workers(write_part, left, workers, "image.workers"):
            advance(films)


def count_drops(counts: Counter[str]) -> list[Drop]:
    """What was lost to each outcome, one after the other."""
    drops: list[Drop] = []
    before = counts.total()
    for outcome in OUTCOMES[1:]:
        drops.append(Drop("image", "film", outcome, before, counts[outcome]))
        before -= counts[outcome]
    return drops
