"""Chest ImaGenome 1.0.0: what reports say of each frontal film, and of its change since another.

Its silver tables are made from the reports by rules, its gold set was checked by people. The files
are tab-separated text of 100 MB and more, read by DuckDB, only the columns that are used.
"""

import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.console import say
from cxrfuture_data.schema import ContractError
from etl.environment import ENVIRONMENT
from etl.ledger import Drop
from etl.sqlfile import Counted, count_drops, create_table, write_parquet

SETTING = f"paths.chest_imagenome (or {ENVIRONMENT['chest_imagenome']})"
DEEPEST = 4  # physionet.org/files/chest-imagenome/1.0.0
STAGE = "cohort"


@dataclass(frozen=True)
class TextTable:
    """One file below the release, and what we read of it: our column -> expression and type.

    An expression names columns of the file; all of ``needs`` must be in its header.
    """

    path: str
    needs: tuple[str, ...]
    columns: Mapping[str, tuple[str, str]]


# The order of sentences in a report: sent_loc, which some releases of the postprocessing leave out;
# it is the part of row_id ("<study>|<sentence>") after the last bar.
SENTENCE = "SPLIT_PART(row_id, '|', -1)"
TABLES = {
    "imagenome_attribute": TextTable(
        "silver_dataset/scene_tabular/attribute_relations_tabular.txt",
        ("study_id", "image_id", "row_id", "bbox", "categoryID", "label_name", "relation"),
        {
            "study_id": ("study_id", "BIGINT"),
            "image_id": ("image_id", "VARCHAR"),
            "sentence_at": (SENTENCE, "DOUBLE"),
            "bbox": ("bbox", "VARCHAR"),
            "category": ('"categoryID"', "VARCHAR"),
            "label_name": ("label_name", "VARCHAR"),
            "relation": ("TRY_CAST(relation AS DOUBLE)", "TINYINT"),
        },
    ),
    # subject_id and object_id are regions: the film's dicom_id, an underscore, the region's name.
    # The subject is the later film.
    "imagenome_comparison": TextTable(
        "silver_dataset/scene_tabular/comparison_relations_tabular.txt",
        ("subject_id", "object_id", "comparison", "attribute"),
        {
            "target_dicom_id": ("SPLIT_PART(subject_id, '_', 1)", "VARCHAR"),
            "previous_dicom_id": ("SPLIT_PART(object_id, '_', 1)", "VARCHAR"),
            "comparison": ("comparison", "VARCHAR"),
            "attribute": ("attribute", "VARCHAR"),
        },
    ),
    "imagenome_gold": TextTable(
        "gold_dataset/gold_attributes_relations_500pts_500studies1st.txt",
        ("patient_id",),
        {"subject_id": ("patient_id", "BIGINT")},
    ),
}
# Files of sql/label that filter, in order, and what one of their rows is.
FILTERS = {
    "mention": "ImaGenome attribute",
    "comparison": "ImaGenome comparison",
    "pair_change": "compared attribute of a pair",
}


def write_imagenome(connection: DuckDBPyConnection, path: str, folder: Path) -> list[Drop]:
    """Write attribute, change and gold_patient.parquet; without a release, or for a file that it
    lacks, a table of no row. Returns what was dropped.

    ``path``: a folder that holds silver_dataset/, or one above it; "" is none. Reads the tables
    ``cxr_metadata`` and ``pair`` (pair_id, previous_study_id, target_study_id).
    """
    found = find_files(path)
    for name, table in TABLES.items():
        _create(connection, name, table, found.get(name))
    drops = []
    for name, unit in FILTERS.items():
        create_table(connection, name, f"label/{name}")
        if found:
            drops += count_drops(connection, Counted(STAGE, unit), f"label/{name}", table=name)
    for name in ("attribute", "change", "gold_patient"):
        write_parquet(connection, folder / f"{name}.parquet", f"label/{name}")
    return drops


def find_files(path: str) -> dict[str, Path]:
    """Table -> file, for the files that are there, as .txt or .txt.gz; none for the path ""."""
    if not path:
        return {}
    root = _find_root(Path(path).expanduser())
    found = {}
    for name, table in TABLES.items():
        files = (root / f"{table.path}{end}" for end in ("", ".gz"))
        file = next((file for file in files if file.is_file()), None)
        if file is not None:
            found[name] = file
        else:
            say(f"chest_imagenome: no {table.path} in {root}; left empty what it gives")
    if not found:
        raise ContractError(
            f"{root}: holds none of Chest ImaGenome's tables; unpack scene_tabular.zip in"
            " silver_dataset, or make the tables with the release's scenegraph_postprocessing.py"
        )
    return found


def facts_of_files(path: str) -> list[tuple[str, int, int]]:
    """Name, bytes and time of each file that ``write_imagenome`` would read."""
    facts = ((file, file.stat()) for file in find_files(path).values())
    return [(str(file), fact.st_size, fact.st_mtime_ns) for file, fact in facts]


def _find_root(top: Path) -> Path:
    for depth in range(DEEPEST + 1):
        roots = sorted(top.glob("/".join([*["*"] * depth, "silver_dataset"])))
        if len(roots) > 1:
            names = ", ".join(str(root.parent) for root in roots[:3])
            raise ContractError(f"{top}: holds several releases ({names}); set {SETTING} to one")
        if roots:
            return roots[0].parent
    raise ContractError(f"{top}: looked for silver_dataset/, found none; set {SETTING}")


def _create(connection: DuckDBPyConnection, name: str, table: TextTable, file: Path | None) -> None:
    """The columns of a text table, in the order of its rows, which ``source_row`` keeps."""
    columns = ", ".join(f'"{column}" {kind}' for column, (_, kind) in table.columns.items())
    connection.execute(f"CREATE TEMP TABLE {name} ({columns}, source_row BIGINT)")
    if file is None:
        return
    header = _read_header(file)
    for column in table.needs:
        if column not in header:
            raise ContractError(f"{file}: no column {column!r} in its header; copy the file again")
    given = {column: expression for column, (expression, _) in table.columns.items()}
    if "sent_loc" in header and "sentence_at" in given:
        given["sentence_at"] = "sent_loc"
    kinds = {column: kind for column, (_, kind) in table.columns.items()}
    selected = ", ".join(f"TRY_CAST({given[column]} AS {kinds[column]})" for column in kinds)
    names = ", ".join(f"'{column}': 'VARCHAR'" for column in header)
    # A sentence may hold quotes, tabs and line ends; strict mode refuses lone quotes in a text.
    connection.execute(
        f"INSERT INTO {name} SELECT {selected}, ROW_NUMBER() OVER () FROM read_csv($file,"
        " delim = '\t', quote = '\"', escape = '\"', header = true, auto_detect = false,"
        f" strict_mode = false, columns = {{{names}}})",
        {"file": str(file)},
    )


def _read_header(file: Path) -> list[str]:
    with file.open("rb") as raw:
        opened = gzip.open(raw) if file.suffix == ".gz" else raw  # noqa: SIM115 (closed with raw)
        line = opened.readline().decode("utf-8-sig")
    return next(csv.reader([line], delimiter="\t"), [])
