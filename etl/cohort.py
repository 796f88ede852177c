"""Films, stays and pairs by a recipe's rules, the split of their patients, and the ledger."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.schema import ContractError
from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.recipe import Recipe
from etl.split import assign_split
from etl.sqlfile import (
    Counted,
    bind_tables,
    count_drops,
    create_table,
    open_sql,
    say_rows,
    write_parquet,
)

STAGE = "cohort"
SAMPLES = ("pair", "stay", "image")

# The files of each cohort below sql/cohort, in the order they build on each other; a table has the
# name of its file. A unit names what one row of a file that filters is; None filters nothing.
SHARED = {"admission": None, "taken_film": "film"}
RULES: dict[str, dict[str, str | None]] = {
    "ddl_cxr": {
        "ddl_cxr/stay": "stay",
        "ddl_cxr/ap_film": "film",
        "ddl_cxr/study_film": "film",
        "ddl_cxr/stay_film": "film of a stay",
        "ddl_cxr/pair_candidate": None,
        "ddl_cxr/pair_event_hours": None,
        "ddl_cxr/pair_sample": "pair",
        "ddl_cxr/stay_sample": "stay",
        "ddl_cxr/image_sample": "image",
    },
    "ehrxdiff": {
        "ehrxdiff/cohort_admission": "admission",
        "ehrxdiff/frontal_film": "film",
        "ehrxdiff/admission_film": "film of an admission",
        "ehrxdiff/pair_candidate": None,
        "ehrxdiff/pair_event": None,
        "ehrxdiff/admission_pair": "pair",
        "ehrxdiff/merged_pair": "pair with events",
        "ehrxdiff/pair_sample": None,
    },
}
# The table whose kept pairs the split counts, where it is not the samples themselves: EHRXDiff
# counts films of two admissions twice, and adds samples without events after its split.
COUNTED_PAIRS = {"ehrxdiff": "admission_pair"}
PAIR_ADMISSIONS = {"ehrxdiff": "cohort/ehrxdiff/pair_admission"}
INGESTED = ("admissions", "patients", "icustays", "cxr_metadata", "cxr_chexpert")


def run(params: Params, recipe: Recipe) -> None:
    """Write pair, pair_admission, stay, image, film, label and split.parquet, and ledger.json."""
    folder = params.build(recipe.name, STAGE)
    tables = {name: params.build("ingest", f"{name}.parquet") for name in INGESTED}
    for name in ("measurement", "event"):
        tables[name] = params.build(recipe.name, "event", f"{name}.parquet")
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, tables)
        drops = _apply_rules(connection, recipe)
        write_ledger(folder, drops)
        _assign(connection, recipe, folder)
        for name in (*SAMPLES, "film", "split"):
            write_parquet(connection, folder / f"{name}.parquet", f"cohort/{name}")
        admissions = PAIR_ADMISSIONS.get(recipe.rules, "cohort/pair_admission")
        path = folder / "pair_admission.parquet"
        write_parquet(connection, path, admissions, recipe.parameters)
        bind_tables(connection, {"film": folder / "film.parquet"})
        write_parquet(connection, folder / "label.parquet", "cohort/label")
    say_rows(folder, (*SAMPLES, "film"))


def _apply_rules(connection: DuckDBPyConnection, recipe: Recipe) -> list[Drop]:
    chosen = SHARED | RULES[recipe.rules]
    files = {f"cohort/{path}": unit for path, unit in chosen.items()}
    files |= {f"cohort/no_{kind}": None for kind in SAMPLES if kind not in recipe.kinds}
    drops = []
    for name, unit in files.items():
        table = name.rsplit("/", 1)[1]
        if table.startswith("no_"):
            table = f"{table.removeprefix('no_')}_sample"
        create_table(connection, table, name, recipe.parameters)
        if unit:
            drops += count_drops(connection, Counted(STAGE, unit), name, table=table)
    return drops


def _assign(connection: DuckDBPyConnection, recipe: Recipe, folder: Path) -> None:
    """Give every patient of a kept sample a split, as the table ``assigned``."""
    pairs = _samples_of(connection, COUNTED_PAIRS.get(recipe.rules, "pair_sample"))
    # Image samples are those of patients with pairs, so they bring no patient of their own.
    patients = _samples_of(connection, "stay_sample") or pairs
    if not patients:
        raise ContractError(
            f"recipe {recipe.name}: no sample is left; {folder / 'ledger.json'} says why"
        )
    split = assign_split(recipe.split, sorted(patients), pairs)
    connection.execute("CREATE TEMP TABLE assigned (subject_id BIGINT, split VARCHAR)")
    connection.execute(
        "INSERT INTO assigned SELECT UNNEST($subjects), UNNEST($splits)",
        {"subjects": list(split.keys()), "splits": list(split.values())},
    )


def _samples_of(connection: DuckDBPyConnection, table: str) -> dict[int, int]:
    """Kept samples per patient."""
    rows = connection.execute(
        f"SELECT subject_id, COUNT(*) FROM {table} WHERE drop_reason IS NULL GROUP BY subject_id"
    )
    return dict(rows.fetchall())
