"""What films and stays are labelled with, each from its own source, beside the cohort.

label: the recipe's labeler (CheXpert or NegBio). radiologist_label: the test set that one
radiologist read. attribute, change, gold_patient: Chest ImaGenome. phenotype: diagnoses.
"""

from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.imagenome import write_imagenome
from etl.ledger import Drop
from etl.mimic_schema import TABLES, output_name
from etl.params import Params
from etl.phenotype import write_phenotypes
from etl.recipe import Recipe
from etl.sqlfile import bind_tables, write_parquet

RADIOLOGIST = "cxr_radiologist"


def write_labels(
    connection: DuckDBPyConnection, params: Params, recipe: Recipe, folder: Path
) -> list[Drop]:
    """Write every table of labels for the cohort in ``folder``; returns what was dropped.

    Reads the tables ``cxr_finding``, ``cxr_metadata`` and ``diagnoses_icd``, and the cohort's
    film, pair and all_stay.parquet.
    """
    bind_tables(connection, {name: folder / f"{name}.parquet" for name in ("film", "pair")})
    write_parquet(connection, folder / "label.parquet", "cohort/label")
    _bind_radiologist(connection, params.build("ingest", f"{RADIOLOGIST}.parquet"))
    write_parquet(connection, folder / "radiologist_label.parquet", "label/radiologist_label")
    write_phenotypes(connection, recipe, folder)
    return write_imagenome(connection, params.paths.chest_imagenome, folder)


def _bind_radiologist(connection: DuckDBPyConnection, path: Path) -> None:
    """The radiologist's labels; no row where the release (before 2.1.0) has none."""
    if path.exists():
        bind_tables(connection, {RADIOLOGIST: path})
        return
    columns = TABLES[RADIOLOGIST].columns.items()
    selected = ", ".join(f'CAST(NULL AS {kind}) AS "{output_name(name)}"' for name, kind in columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {RADIOLOGIST} AS SELECT {selected} WHERE FALSE"
    )
