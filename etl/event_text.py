"""Rows of the event tables -> events, and each of their distinct texts once.

A text is 50 to 300 bytes and repeats; so an event carries the text's id, a hash, from here on, and
text.parquet says what it reads.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyConnection
from duckdb.func import ARROW

from cxrfuture_data.console import say
from cxrfuture_data.schema import EHRXDIFF_TABLES, EVENT_TABLES, ContractError
from etl import ingest
from etl.database_url import is_database, show_url
from etl.ingest import require_table
from etl.ledger import Drop
from etl.mimic_schema import OPTIONAL_TABLES, RECIPE_TABLES
from etl.params import Params
from etl.radiology_report import write_reports
from etl.recipe import FutureRecipe, Recipe, Value
from etl.source_text import TEXT_TABLES, UNIT, write_cells
from etl.sqlfile import (
    Counted,
    bind_tables,
    count_drops,
    count_rows,
    create_table,
    write_filtered,
    write_parquet,
    write_unsorted,
)
from etl.word_piece import WordPieces, write_word_pieces

STAGE = "event"
TEXT_LISTS = ("drug", "chart_category", "specimen", "procedure_category")
# Corrections that decide what a text says. A recipe whose rules do not know them has them all.
TEXT_CORRECTIONS = (
    "amounts_left_out",
    "clean_text",
    "durations_left_out",
    "event_time_with_fraction",
    "results_by_time",
    "results_when_stored",
)
PLAIN = "plain"  # texts as they read; anything else is a folder
NUMBER_WITH_DOT = re.compile(r"\d*\.\d+")
DECIMALS = 4


@dataclass(frozen=True)
class TextSource:
    """One table's rows as events: the SQL file that gives them, and what it reads."""

    table: str
    sql: str
    parameters: Mapping[str, Value]
    drops: Sequence[Drop] = ()  # what went before the file


def text_tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The ingested tables that become texts, and their dictionaries, by name. Of those a recipe
    names OPTIONAL_TABLES may be missing."""
    if not recipe.window.events:
        return {}
    names = [*EHRXDIFF_TABLES, "d_items", "d_labitems"]
    if isinstance(recipe, FutureRecipe):
        names = [*recipe.needed_tables, "d_items", "d_labitems"]
    tables = {name: params.build("ingest", f"{name}.parquet") for name in names}
    return {
        name: path for name, path in tables.items() if name not in OPTIONAL_TABLES or path.exists()
    }


def require_text_tables(params: Params, recipe: Recipe) -> None:
    """Refuse a recipe whose own tables are not ingested."""
    for name in recipe.needed_tables:
        if name not in (*RECIPE_TABLES, *OPTIONAL_TABLES):
            require_table(params, recipe.name, name)


def write_events(connection: DuckDBPyConnection, params: Params, recipe: Recipe) -> list[Drop]:
    """Write event.parquet and text.parquet; both are empty if the recipe asks for no events."""
    folder = params.build(recipe.name, STAGE)
    work = folder / ".text"
    pieces = None
    if recipe.window.text != PLAIN:
        pieces = WordPieces(Path(recipe.window.text))
    drops = []
    kept = {"no_event": work / "no_event.parquet"}
    write_unsorted(connection, kept["no_event"], "event/no_event")
    for source in _sources(connection, params, recipe, work) if recipe.window.events else ():
        kept[source.table] = work / f"{source.table}.parquet"
        write_unsorted(connection, kept[source.table], source.sql, source.parameters)
        counted = Counted(STAGE, f"{source.table} row")
        drops += count_drops(connection, counted, source.sql, parameters=source.parameters)
        (work / "cell.parquet").unlink(missing_ok=True)
        drops += source.drops
    _create_kept(connection, list(kept.values()))
    write_parquet(connection, work / "parted_text.parquet", "event/parted_text")
    bind_tables(connection, {"parted_text": work / "parted_text.parquet"})
    _require_one_text_an_id(connection)
    texts = (work if isinstance(recipe, FutureRecipe) else folder) / "text.parquet"
    if pieces:
        write_word_pieces(work / "parted_text.parquet", texts, pieces)
    else:
        write_parquet(connection, texts, "event/text", text_parameters(recipe))
    if isinstance(recipe, FutureRecipe):
        drops += _write_fitting(connection, recipe, texts, folder)
    else:
        write_parquet(connection, folder / "event.parquet", "event/event")
    for path in work.iterdir():
        path.unlink()
    work.rmdir()
    return drops


def text_parameters(recipe: Recipe) -> dict[str, Value]:
    """What the SQL of event texts may read."""
    return dict.fromkeys(TEXT_CORRECTIONS, True) | recipe.parameters


def round_numbers(texts: pa.ChunkedArray) -> pa.Array:
    """Every number with a dot to 4 decimals as Python spells it: ``7.3500001`` 7.35, ``.5`` 0.5.

    (N,) texts to (N,) texts; a text is asked once however often it stands there.
    """
    found = texts.combine_chunks().dictionary_encode()
    rounded = pa.array([_round_numbers(text) for text in found.dictionary.to_pylist()], pa.string())
    return rounded.take(found.indices)


def _round_numbers(text: str) -> str:
    return NUMBER_WITH_DOT.sub(lambda found: str(round(float(found[0]), DECIMALS)), text)


def _sources(
    connection: DuckDBPyConnection, params: Params, recipe: Recipe, work: Path
) -> Iterator[TextSource]:
    for name in TEXT_LISTS:
        create_table(connection, name, f"event/text/{name}")
    parameters = text_parameters(recipe)
    if isinstance(recipe, FutureRecipe):
        create_table(connection, "admission_time", "event/admission_time", parameters)
        yield from _future_sources(connection, params, recipe, work)
    elif parameters["clean_text"]:
        create_table(connection, "admission_time", "event/admission_time", parameters)
        for table in EHRXDIFF_TABLES:
            yield TextSource(table, f"event/text/{table}", parameters)
    else:
        yield from _spelt_sources(connection, params, recipe, work)


def _future_sources(
    connection: DuckDBPyConnection, params: Params, recipe: FutureRecipe, work: Path
) -> Iterator[TextSource]:
    """The tables that the recipe names, in their order in EVENT_TABLES."""
    parameters = text_parameters(recipe)
    found = text_tables(params, recipe)
    for table in sorted(recipe.events.tables, key=EVENT_TABLES.index):
        drops: list[Drop] = []
        if table == "report":
            path = work / "found_report.parquet"
            drops.append(write_reports(connection, params, recipe, path, STAGE))
            bind_tables(connection, {"report": path})
        elif table not in found:
            say(f"{STAGE}: {recipe.name}: no {table} in paths.mimic_iv, so no texts of it")
            drops.append(Drop(STAGE, f"{table} row", "table not in this release", 0, 0))
            yield TextSource(table, "event/no_event", {}, drops)
            continue
        yield TextSource(table, f"event/text/{table}", parameters, drops)


def _write_fitting(
    connection: DuckDBPyConnection, recipe: FutureRecipe, texts: Path, folder: Path
) -> list[Drop]:
    """Write the events whose texts are within the recipe's lengths, and those texts."""
    bind_tables(connection, {"whole_text": texts})
    name, parameters = "event/future/event", recipe.parameters
    write_filtered(connection, folder / "event.parquet", name, parameters)
    write_parquet(connection, folder / "text.parquet", "event/future/text", parameters)
    counted = Counted(STAGE, "event text")
    return count_drops(connection, counted, name, parameters=parameters)


def _spelt_sources(
    connection: DuckDBPyConnection, params: Params, recipe: Recipe, work: Path
) -> Iterator[TextSource]:
    """Texts in the spelling of the source files. ``cell`` is one table after the other."""
    files = _files_of_texts(params, recipe)
    for name in ("used_code", "item_label"):
        create_table(connection, name, f"event/spelt/{name}")
    connection.create_function("round_numbers", round_numbers, ["VARCHAR"], "VARCHAR", type=ARROW)
    for number, table in enumerate(TEXT_TABLES):
        cells = work / "cell.parquet"
        columns = write_cells(connection, table, files[table.name], cells)
        bind_tables(connection, {"cell": cells})
        here: dict[str, Value] = {
            "table": table.name,
            "event_table": number,
            "columns": UNIT.join(columns),
            "item_place": columns.index("itemid") + 1 if "itemid" in columns else 0,
            "has_code": table.code is not None,
        }
        yield TextSource(table.name, "event/spelt/event", text_parameters(recipe) | here)
    connection.remove_function("round_numbers")


def _files_of_texts(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The csvs of the seven tables: nothing else has kept how their cells were spelt."""
    if is_database(params.paths.mimic_iv):
        raise ContractError(_refusal(recipe, f"the database {show_url(params.paths.mimic_iv)}"))
    files = ingest.find_source(params, "mimic_iv").tables
    for table in TEXT_TABLES:
        if files[table.name].suffix == ".parquet":
            raise ContractError(_refusal(recipe, str(files[table.name])))
    return files


def _refusal(recipe: Recipe, source: str) -> str:
    return (
        f"recipe {recipe.name}: texts as published spell numbers as MIMIC's csv files do, which"
        f" {source} has not kept; set paths.mimic_iv to the csv.gz files, or build with"
        " --fidelity corrected"
    )


def _create_kept(connection: DuckDBPyConnection, paths: Sequence[Path]) -> None:
    """The kept rows of every table as the view ``kept``, and the id of each row's text."""
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    connection.execute(
        "CREATE TEMP VIEW kept AS"
        f" SELECT *, HASH(text) AS text_id FROM read_parquet([{quoted}], union_by_name = true)"
    )


def _require_one_text_an_id(connection: DuckDBPyConnection) -> None:
    texts = count_rows(connection, "parted_text")
    ids = connection.execute("SELECT COUNT(DISTINCT text_id) FROM parted_text").fetchall()[0][0]
    if ids != texts:
        raise ContractError(
            f"event: {texts - ids} event texts share their 64-bit hash with another text;"
            " take fewer patients, or widen text_id in etl/event_text.py"
        )
