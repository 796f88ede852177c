"""The 25 phenotypes of a stay, from the diagnoses of its admission (specs ddl-cxr 4.2, appendix A).

By the benchmark's own lists of codes, or, under the correction ``full_ccs``, by every code of the
CCS categories that those lists stand for. Diagnoses are coded at discharge: these are outcomes, and
no input of a model.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection
from rich.console import Console
from rich.table import Table

from cxrfuture_data.publish import publish, write_json
from etl.ccs import CcsMap, categories_of, read_ccs_maps
from etl.params import Params
from etl.recipe import Recipe
from etl.sqlfile import bind_tables, create_table, open_sql, read_sql, write_parquet

DIFFERENCE = "phenotype_difference"
COLUMNS = ("phenotype", "benchmark", "full_ccs", "both", "only_benchmark", "only_full_ccs")
HEADINGS = ("lists", "full", "both", "only lists", "only full")  # of the counts, short


def write_phenotypes(connection: DuckDBPyConnection, recipe: Recipe, folder: Path) -> None:
    """Write phenotype.parquet (stay_id, hadm_id, 25 booleans) and phenotype.json, which says by
    what codes; no row where the recipe has none of the benchmark's stays.

    Reads the table ``diagnoses_icd`` and ``folder``/all_stay.parquet.
    """
    is_full = bool(recipe.parameters["full_ccs"]) and "stay" in recipe.kinds
    maps = read_ccs_maps() if is_full else ()
    _create_codes(connection, folder, maps)
    create_table(connection, "stay_phenotype", "label/stay_phenotype", {"full_ccs": is_full})
    write_parquet(connection, folder / "phenotype.parquet", "label/phenotype")
    record: dict[str, object] = {"codes": "benchmark"}
    if is_full:
        record = {
            "codes": "full_ccs",
            "maps": [ccs_map.source for ccs_map in maps],
            "diagnoses": _count_diagnoses(connection),
        }
    write_json(folder / "phenotype.json", record)


def print_difference(params: Params, recipe: Recipe, console: Console) -> None:
    """Print, and write beside the cohort as csv and json, what full CCS coverage changes."""
    folder = params.build(recipe.name, "cohort")
    with open_sql(params.sql, folder / ".spill") as connection:
        diagnoses = params.build("ingest", "diagnoses_icd.parquet")
        bind_tables(connection, {"diagnoses_icd": diagnoses})
        rows = phenotype_difference(connection, folder)
    with publish(folder / f"{DIFFERENCE}.csv") as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_json(folder / f"{DIFFERENCE}.json", rows)
    table = Table(
        "phenotype", title=f"{recipe.name}: stays by the benchmark's lists and by full CCS"
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(str(row[column]) for column in COLUMNS))
    console.print(table)


def phenotype_difference(
    connection: DuckDBPyConnection, folder: Path
) -> list[dict[str, str | int]]:
    """Per phenotype, alphabetically: stays that have it by the benchmark's lists, by full CCS, by
    both, by one alone (COLUMNS). Reads what ``write_phenotypes`` reads."""
    _create_codes(connection, folder, read_ccs_maps())
    for table, is_full in (("by_benchmark", False), ("by_full_ccs", True)):
        create_table(connection, table, "label/stay_phenotype", {"full_ccs": is_full})
    sql = read_sql("label/phenotype_difference")
    rows = connection.execute(f"{sql.body}\nORDER BY {sql.order}").fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def _create_codes(connection: DuckDBPyConnection, folder: Path, maps: Sequence[CcsMap]) -> None:
    """Tables of the benchmark's lists and of the category of each code that the diagnoses spell."""
    bind_tables(connection, {"kept_stay": folder / "all_stay.parquet"})
    for table in ("benchmark_phenotype", "ccs_phenotype"):
        create_table(connection, table, f"label/{table}")
    connection.execute(
        "CREATE TEMP TABLE ccs_code (icd_version BIGINT, icd_code VARCHAR, ccs INTEGER)"
    )
    for ccs_map in maps:
        rows = connection.execute(
            "SELECT DISTINCT icd_code FROM diagnoses_icd"
            " WHERE icd_version = $version AND icd_code IS NOT NULL",
            {"version": ccs_map.icd_version},
        )
        found = categories_of([code for (code,) in rows.fetchall()], ccs_map)
        connection.execute(
            "INSERT INTO ccs_code SELECT $version, UNNEST($codes), UNNEST($categories)",
            {
                "version": ccs_map.icd_version,
                "codes": list(found.keys()),
                "categories": list(found.values()),
            },
        )


def _count_diagnoses(connection: DuckDBPyConnection) -> list[dict[str, int]]:
    sql = read_sql("label/diagnosis_count")
    rows = connection.execute(f"{sql.body}\nORDER BY {sql.order}").fetchall()
    names = ("icd_version", "diagnoses", "without_category")
    return [dict(zip(names, row, strict=True)) for row in rows]
