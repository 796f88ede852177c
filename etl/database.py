"""MIMIC-IV in PostgreSQL as mimic-code builds it: which tables are there, and how they are made.

Only the catalogue is read here, by SQLAlchemy; the rows come through etl/database_rows.py.
"""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from cxrfuture_data.schema import ContractError
from etl.database_url import SETTING, libpq_url, read_url, reason_of, show_url
from etl.mimic_schema import TABLES, Module
from etl.sources import UNKNOWN, Source

CONNECT_SECONDS = 15
MODULES: tuple[Module, ...] = ("hosp", "icu")
SIMULATED_COMMENT = "SIMULATED"  # a schema's comment starts so where its tables are simulated
KINDS = {"v": "a view", "f": "a foreign table", "p": "a partitioned table"}

_SCHEMAS = """
SELECT nspname::text, coalesce(obj_description(oid, 'pg_namespace'), '')
FROM pg_namespace WHERE nspname ~* '^mimic' ORDER BY 1
"""
_CATALOGUE = """
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind
    , c.oid::bigint AS oid, c.relfilenode::bigint AS filenode, c.reltuples::bigint AS rows
    , CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) ELSE 0 END AS bytes
    , coalesce(s.n_tup_ins, 0) AS inserted, coalesce(s.n_tup_upd, 0) AS updated
    , coalesce(s.n_tup_del, 0) AS deleted
    , array_agg(a.attname::text ORDER BY a.attnum) AS columns
    , array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum) AS types
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm', 'v', 'f', 'p') AND n.nspname = ANY(:schemas)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""


@dataclass(frozen=True)
class DatabaseTable:
    """One table, as the catalogue describes it."""

    url: str = field(repr=False)
    """As libpq takes it, password included: never shown or written."""
    schema: str
    name: str
    columns: tuple[str, ...]
    """As the database spells them, in its order."""
    types: tuple[str, ...]
    """PostgreSQL's names of their types, without lengths."""
    bytes: int
    """Of its rows on the server's disk."""
    estimated_rows: int
    """By the last ANALYZE or VACUUM; -1 where there was none."""
    state: tuple[int, ...]
    """oid, file node, and rows inserted, updated and deleted since the statistics began."""

    def __str__(self) -> str:
        return f"{self.file_name} of {show_url(self.url)}"

    @property
    def file_name(self) -> str:
        """What stands for a file's name in records."""
        return f"{self.schema}.{self.name}"

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells whether its rows may have changed; docs/sources.md says what it rests on.

        The estimate of rows is no part of it: ANALYZE alters that and no row.
        """
        where = (show_url(self.url), self.file_name)
        return (*where, self.bytes, self.state, self.columns, self.types)


@dataclass(frozen=True)
class Database:
    """A MIMIC-IV database. What it shares with a release on disk is named as there."""

    root: str
    """The URL without password and options."""
    tables: dict[str, DatabaseTable]
    """Table name -> table, for every known table that is there."""
    schemas: Mapping[Module, str]
    simulated: bool
    source: Source = "mimic_iv"
    version: str = UNKNOWN
    """A database says nothing of it; ingest tells it by its rows."""


def find_database(url: str) -> Database:
    """Connect and look up MIMIC-IV's tables. One line says why it cannot be."""
    shown = show_url(url)
    with _connect(url) as connection:
        comments = {name: comment for name, comment in connection.execute(text(_SCHEMAS))}
        schemas = {module: _schema_of(module, list(comments), shown) for module in MODULES}
        chosen = {"schemas": list(schemas.values())}
        rows = connection.execute(text(_CATALOGUE), chosen).mappings().all()
    there = {(row["schema"], row["name"]): row for row in rows}
    tables = {}
    for name, table in TABLES.items():
        row = there.get((schemas.get(table.module), table.stem))
        if row is not None:
            tables[name] = _describe(libpq_url(url), row)
    marks = [comments[schema].startswith(SIMULATED_COMMENT) for schema in schemas.values()]
    return Database(shown, tables, schemas, simulated=any(marks))


def require_driver(module: str) -> ModuleType:
    """Import a driver, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ContractError(
            f"{module} is not installed, and a database is read with it; run:"
            " pip install 'cxrfuture[etl,postgres]'"
        ) from None


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    shown = show_url(url)
    require_driver("psycopg")
    engine = create_engine(
        read_url(url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise ContractError(f"{shown}: {_explain(reason_of(error, url))}") from None
    try:
        with connection:
            yield connection
    except DBAPIError as error:
        raise ContractError(
            f"{shown}: its catalogue cannot be read ({reason_of(error, url)}); see that the server"
            " runs, then run `cxrfuture ingest` again"
        ) from None


def _explain(said: str) -> str:
    """What a refused connection means, and the next step. The server's own words stand beside."""
    if re.search(r"no password supplied|fe_sendauth", said):
        next_step = "no password; put it into ~/.pgpass or PGPASSWORD"
    elif "password authentication failed" in said:
        next_step = "wrong user or password; mend ~/.pgpass or PGPASSWORD"
    elif re.search(r'database ".*" does not exist', said):
        next_step = f"no such database; list them with `psql -l`, then set {SETTING}"
    elif re.search(r'role ".*" does not exist', said):
        next_step = f"no such user; set {SETTING} to postgresql://user@host/database"
    else:
        next_step = f"no connection; start the server, or set {SETTING}"
    return f"{next_step} ({said})"


def _schema_of(module: Module, found: Sequence[str], shown: str) -> str:
    """mimiciv_hosp; else the one schema of another build whose name says MIMIC and the module."""
    usual = f"mimiciv_{module}"
    if usual in found:
        return usual
    others = [name for name in found if re.search(rf"_{module}($|_)", name, re.IGNORECASE)]
    if len(others) == 1:
        return others[0]
    if others:
        raise ContractError(
            f"{shown}: {len(others)} schemas may be {usual} ({', '.join(others)}); rename the one"
            f" to read: ALTER SCHEMA {others[0]} RENAME TO {usual}"
        )
    raise ContractError(
        f"{shown}: no schema {usual} (nor mimic*_{module}); build it with mimic-code"
        f" (mimic-iv/buildmimic/postgres), or set {SETTING} to the database that has it"
    )


def _describe(url: str, row: Mapping[Any, Any]) -> DatabaseTable:
    table = DatabaseTable(
        url,
        row["schema"],
        row["name"],
        tuple(row["columns"]),
        tuple(row["types"]),
        row["bytes"],
        row["rows"],
        tuple(row[key] for key in ("oid", "filenode", "inserted", "updated", "deleted")),
    )
    if row["kind"] in KINDS:
        raise ContractError(
            f"{table}: is {KINDS[row['kind']]}, whose rows lie in no order of their own; load the"
            " csv into a plain table, as mimic-code does"
        )
    return table
