"""Films, stays and pairs by a recipe's rules, the split of their patients, and the ledger."""

from collections.abc import Mapping
from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.console import numbered
from cxrfuture_data.schema import ContractError
from etl.built_recipe import RECORD, write_built
from etl.dropped import add_dropped, create_dropped, write_dropped
from etl.history import write_history
from etl.ingest import require_table
from etl.label import write_labels
from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.prediction_index import bind_index
from etl.published_hours import create_candidate_edges, create_hours
from etl.recipe import FutureRecipe, Recipe
from etl.split import assign_split, fill_empty, read_official
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

# The files of each cohort, in the order they build on each other; a table has the name of its file.
# A unit names what one row of a file that filters is; None filters nothing.
SHARED = {"cohort/admission": None, "cohort/taken_film": "film"}
RULES: dict[str, dict[str, str | None]] = {
    "ddl_cxr": {
        "cohort/benchmark/all_stay": "stay",
        "cohort/ddl_cxr/stay": "stay",
        "cohort/ddl_cxr/ap_film": "film",
        "cohort/ddl_cxr/study_film": "film",
        "cohort/ddl_cxr/stay_film": "film of a stay",
        "cohort/ddl_cxr/pair_candidate": None,
        "cohort/ddl_cxr/sample_window": None,
        "window/windowed_measurement": None,
        "cohort/ddl_cxr/pair_event_hours": None,
        "cohort/ddl_cxr/pair_sample": "pair",
        "cohort/ddl_cxr/stay_sample": "stay",
        "cohort/ddl_cxr/image_sample": "image",
    },
    "ehrxdiff": {
        "cohort/ehrxdiff/cohort_admission": "admission",
        "cohort/ehrxdiff/frontal_film": "film",
        "cohort/ehrxdiff/admission_film": "film of an admission",
        "cohort/ehrxdiff/pair_candidate": None,
        "cohort/ehrxdiff/pair_event": None,
        "cohort/ehrxdiff/admission_pair": "pair",
        "cohort/ehrxdiff/merged_pair": "pair with events",
        "cohort/ehrxdiff/pair_sample": None,
    },
    "diff3m": {
        "cohort/diff3m/frontal_film": "film",
        "cohort/diff3m/static_name": None,
        "cohort/diff3m/static_range": None,
        "cohort/diff3m/static_value": "outpatient measurement",
        "cohort/diff3m/film_value": None,
        "cohort/diff3m/film_number": None,
        "cohort/diff3m/image_sample": "image",
    },
    "medfuse": {
        "cohort/benchmark/all_stay": "stay",
        "cohort/medfuse/stay": "stay",
        "cohort/ddl_cxr/ap_film": "film",
        "cohort/medfuse/stay_film": "film of a stay",
        "cohort/medfuse/sample_window": None,
        "window/windowed_measurement": None,
        "cohort/medfuse/stay_sample": "stay",
        "cohort/medfuse/filmed_stay": "stay with a film",
        "cohort/medfuse/image_sample": "image",
    },
    "future": {
        "cohort/future/hospital_stay": "admission",
        "cohort/future/all_stay": None,
        "cohort/future/frontal_film": "film",
        "cohort/future/admission_film": "frontal film",
        "cohort/future/study_film": "film of an admission",
        "cohort/future/ordered_film": None,
        "cohort/future/pair_sample": "pair",
        "cohort/future/prediction": None,
        "cohort/future/stay_sample": "prediction",
    },
}
# The table whose kept pairs the split counts, where it is not the samples themselves: EHRXDiff
# counts films of two admissions twice, and adds samples without events after its split.
COUNTED_PAIRS = {"ehrxdiff": "admission_pair"}
PAIR_ADMISSIONS = {"ehrxdiff": "cohort/ehrxdiff/pair_admission"}
# Tables that no SQL makes, and the file that first reads each.
COMPUTED = {
    "cohort/ddl_cxr/sample_window": create_candidate_edges,
    "cohort/ddl_cxr/pair_event_hours": create_hours,
}
INGESTED = ("admissions", "patients", "icustays", "diagnoses_icd", "cxr_metadata")
# Tables that only these rules read, and that not every copy of MIMIC has.
NEEDED = {"diff3m": ("omr",)}
# Rules whose cohort is one of films and stays, whatever happened in between.
WITHOUT_EVENTS = ("future",)
OFFICIAL_SPLIT = "cxr_split"


def run(params: Params, recipe: Recipe) -> None:
    """Write pair, pair_admission, stay, image, film and split.parquet, labels, what was
    dropped, the ledger and the recipe's record."""
    folder = params.build(recipe.name, STAGE)
    (folder / RECORD).unlink(missing_ok=True)
    with open_sql(params.sql, folder / ".spill") as connection:
        tables = source_tables(params, recipe)
        bind_tables(connection, tables)
        drops = apply_rules(connection, recipe)
        write_ledger(folder, drops)
        named = read_official_split(connection) if OFFICIAL_SPLIT in tables else {}
        assign_patients(connection, recipe, folder, named)
        for name in (*SAMPLES, "all_stay", "film", "split"):
            write_parquet(connection, folder / f"{name}.parquet", f"cohort/{name}")
        admissions = PAIR_ADMISSIONS.get(recipe.rules, "cohort/pair_admission")
        path = folder / "pair_admission.parquet"
        write_parquet(connection, path, admissions, recipe.parameters)
        write_dropped(connection, folder)
        drops += write_labels(connection, params, recipe, folder)
        if isinstance(recipe, FutureRecipe):
            write_history(connection, params.build("ingest", "omr.parquet"), folder)
        write_ledger(folder, drops)
    write_built(folder, recipe)  # last: a plan asks for it
    say_rows(folder, (*SAMPLES, "film"))


def source_tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The files that the stage reads, by the names the SQL knows them by."""
    tables = {name: params.build("ingest", f"{name}.parquet") for name in INGESTED}
    for name in () if recipe.rules in WITHOUT_EVENTS else ("measurement", "event"):
        tables[name] = params.build(recipe.name, "event", f"{name}.parquet")
    for name in NEEDED.get(recipe.rules, ()):
        tables[name] = require_table(params, recipe.name, name)
    official = params.build("ingest", f"{OFFICIAL_SPLIT}.parquet")
    if recipe.split.method == "official" and official.exists():
        tables[OFFICIAL_SPLIT] = official
    labeler = f"cxr_{recipe.labels.findings}"
    tables["cxr_finding"] = require_table(params, recipe.name, labeler)
    return tables


def apply_rules(
    connection: DuckDBPyConnection, recipe: Recipe, stand_ins: Mapping[str, str] | None = None
) -> list[Drop]:
    """Make the tables of the recipe's rules; returns what they dropped.

    ``stand_ins``: file -> the file to run instead (etl/plan_cohort.py).
    """
    if isinstance(recipe, FutureRecipe):
        bind_index(connection, recipe.cohort.index)
    files = SHARED | RULES[recipe.rules]
    tables = {name: name.rsplit("/", 1)[1] for name in files}
    if "image" not in recipe.kinds:  # no file builds on image samples
        tables = {name: table for name, table in tables.items() if table != "image_sample"}
    missing = {f"{kind}_sample" for kind in SAMPLES if kind not in recipe.kinds} | {"all_stay"}
    tables |= {f"cohort/no_{table}": table for table in missing - set(tables.values())}
    drops = []
    create_dropped(connection)
    for number, (name, table) in enumerate(tables.items(), start=1):
        if name in COMPUTED:
            COMPUTED[name](connection, recipe)
        with numbered(STAGE, number, len(tables)):
            create_table(connection, table, (stand_ins or {}).get(name, name), recipe.parameters)
        unit = files.get(name)
        if unit:
            drops += count_drops(connection, Counted(STAGE, unit), name, table=table)
            add_dropped(connection, table, unit, SAMPLES)
    return drops


def assign_patients(
    connection: DuckDBPyConnection, recipe: Recipe, folder: Path, named: Mapping[int, str]
) -> None:
    """Give every patient of a kept sample a split, as the table ``assigned``. ``named`` holds the
    patients whose split is official."""
    counts = {kind: _samples_of(connection, f"{kind}_sample") for kind in SAMPLES}
    # Beside pairs, image samples are those of patients with pairs: no patient of their own.
    patients = counts["pair"] | counts["stay"] or counts["image"]
    pairs = _samples_of(connection, COUNTED_PAIRS.get(recipe.rules, "pair_sample")) or patients
    if not patients:
        raise ContractError(
            f"recipe {recipe.name}: no sample is left; {folder / 'ledger.json'} says why"
        )
    of_benchmark = recipe.split.method == "benchmark_patients"
    dealt = _samples_of(connection, "all_stay") if of_benchmark else patients
    if not dealt:
        raise ContractError(
            f"recipe {recipe.name}: split.method is benchmark_patients, but the rules of"
            f" {recipe.rules} take no stay of the benchmark; use shuffled_patients"
        )
    split = assign_split(recipe.split, sorted(dealt), pairs, named)
    # Of those dealt a patient may have no sample, or films only; other patients' films train.
    everyone = patients.keys() | counts["image"].keys()
    split = {subject: name for subject, name in split.items() if subject in everyone}
    split |= dict.fromkeys(sorted(everyone - split.keys()), "train")
    if recipe.fidelity == "corrected":
        sampled = {subject: name for subject, name in split.items() if subject in patients}
        split |= fill_empty(sampled, pairs)
    connection.execute(
        "CREATE TEMP TABLE assigned (subject_id BIGINT, split VARCHAR, position BIGINT)"
    )
    connection.execute(
        "INSERT INTO assigned SELECT UNNEST($subjects), UNNEST($splits)"
        ", UNNEST(RANGE(LEN($subjects)))",
        {"subjects": list(split.keys()), "splits": list(split.values())},
    )


def read_official_split(connection: DuckDBPyConnection) -> dict[int, str]:
    """Patient -> split, by MIMIC-CXR-JPG's own file."""
    rows = connection.execute(
        f"SELECT DISTINCT subject_id, split FROM {OFFICIAL_SPLIT} ORDER BY subject_id, split"
    )
    return read_official(rows.fetchall())


def _samples_of(connection: DuckDBPyConnection, table: str) -> dict[int, int]:
    """Kept samples per patient."""
    rows = connection.execute(
        f"SELECT subject_id, COUNT(*) FROM {table} WHERE drop_reason IS NULL GROUP BY subject_id"
    )
    return dict(rows.fetchall())
