"""A throw-away PostgreSQL server, and MIMIC's csv.gz loaded into it as mimic-code loads them."""

import gzip
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from etl.mimic_schema import TABLES, Table

USER = "mimic"
PASSWORD = "p@ss/w:rd-unlikely"  # every character that a URL must escape
NOBODY = "nobody"  # initdb refuses root
PLACES = ("/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb")

# mimic-code's narrow types, where they differ from what we read the columns as.
TYPES = {
    "BIGINT": "INTEGER",
    "DOUBLE": "DOUBLE PRECISION",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP(0)",
    "VARCHAR": "TEXT",
}
SPELT = {
    "icd_version": "SMALLINT",
    "warning": "SMALLINT",
    "isopenbag": "SMALLINT",
    "continueinnextdept": "SMALLINT",
    "anchor_age": "SMALLINT",
    "hospital_expire_flag": "SMALLINT",
    "orderid": "BIGINT",
    "linkorderid": "BIGINT",
    "gender": "CHAR(1)",
    "icd_code": "CHAR(7)",
    "los": "NUMERIC",
    "valuenum": "NUMERIC",
    "patientweight": "NUMERIC",
}


@dataclass(frozen=True)
class Server:
    """A running server. Over TCP it wants the password, over its socket it does not."""

    port: int
    folder: Path

    def url(self, database: str, password: str | None = PASSWORD, port: int | None = None) -> str:
        """A loopback URL; no password: none in it."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{USER}{secret}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.url(database), autocommit=True)

    def create(self, database: str, template: str | None = None) -> None:
        """A new database, from a template or empty."""
        named = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
        if template is not None:
            named += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self.connect("postgres") as connection:
            connection.execute(named)


def find_binaries() -> Path | None:
    """The folder of initdb, the newest first; None where there is no server."""
    found = [path for pattern in PLACES for path in Path("/").glob(pattern[1:])]
    if found:
        return max(found, key=lambda path: float(path.parts[-3].rpartition("-")[2])).parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def run_server(binaries: Path) -> Iterator[Server]:
    """Start a server in a temporary folder of its own; stop it and remove the folder."""
    folder = Path(tempfile.mkdtemp(prefix="cxrfuture-postgres-", dir="/tmp"))
    as_user = ["runuser", "-u", NOBODY, "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, NOBODY)
    data, password = folder / "data", folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(binaries / program), *arguments]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=False, check=False,
            stdout=(folder / "said").open("a"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError((folder / "said").read_text())

    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run("initdb", "-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync",
            "--auth-host=scram-sha-256", "--auth-local=trust", f"--pwfile={password}")  # fmt: skip
        run("pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield Server(port, folder)
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_tree(connection: psycopg.Connection, root: Path, in_order: bool = True) -> None:
    """Create mimiciv_hosp and mimiciv_icu and COPY every csv.gz below ``root`` into them.

    ``in_order``: create and load a table in one transaction, so that COPY only appends.
    """
    for schema in ("mimiciv_hosp", "mimiciv_icu"):
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"COMMENT ON SCHEMA {schema} IS 'SIMULATED by cxrfuture'")
    for table in TABLES.values():
        path = root / table.module / f"{table.stem}.csv.gz"
        if table.module != "cxr" and path.is_file():
            with connection.transaction() if in_order else nullcontext():
                connection.execute(create_statement(table))
                _copy(connection, table, path)
    connection.execute("ANALYZE")


def create_statement(table: Table) -> str:
    """The DDL of a table, columns in the order of its csv."""
    columns = [
        f'"{name.lower()}" {SPELT.get(name.lower(), TYPES.get(kind, kind))}'
        for name, kind in table.columns.items()
    ]
    return f"CREATE TABLE mimiciv_{table.module}.{table.stem} ({', '.join(columns)})"


def _copy(connection: psycopg.Connection, table: Table, path: Path) -> None:
    statement = f"COPY mimiciv_{table.module}.{table.stem} FROM STDIN (FORMAT csv, HEADER, NULL '')"
    with gzip.open(path) as text, connection.cursor().copy(statement) as copy:
        while part := text.read(1 << 20):
            copy.write(part)
