"""MIMIC-IV from a real PostgreSQL server: the Parquet of csv.gz, and all that may go wrong."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest
from postgres_server import PASSWORD, Server, find_binaries, load_tree, run_server
from tiny_mimic import REPOSITORY, chart, read_ingested, read_notes, tiny_params, write_tree

from cxrfuture_data.cache_rows import Space
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError
from etl import event, ingest, prepare
from etl.cache import Cache
from etl.cache_ledger import FileSeen, Ledger
from etl.database import find_database
from etl.database_rows import DISORDER, DatabaseRows
from etl.database_url import is_database, show_url
from etl.doctor import examine
from etl.metadata import find_releases
from etl.params import Params, read_params
from etl.plan import plan_cohort
from etl.recipe import read_recipe
from etl.simulate import SimulateOptions, simulate
from etl.sources import find_release

BINARIES = find_binaries()
needs_server = pytest.mark.skipif(
    BINARIES is None, reason="no PostgreSQL server here; on Debian: apt-get install postgresql"
)
RECIPES = ["ddl_cxr", "ehrxdiff"]  # the tiny trees hold what these need
TINY = {
    "patients": [
        {"subject_id": 1, "gender": "F", "anchor_age": 60, "dod": "2180-01-05"},
        {"subject_id": 2, "gender": "M", "anchor_age": 91},
    ],
    "diagnoses_icd": [{"subject_id": 1, "seq_num": 1, "icd_code": "4019", "icd_version": 9}],
    "chartevents": [
        chart(1, 3, "b", valuenum="0.1"),  # one time for both: the order of the file decides
        chart(1, 3, "a", valuenum="98.60000000000001"),
        chart(2, 0, 'say "no"', warning=1),
    ],
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    assert BINARIES is not None
    with run_server(BINARIES) as running:
        yield running


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """Twelve simulated patients as csv.gz, loaded into the database ``hospital``."""
    root = tmp_path_factory.mktemp("hospital")
    simulate(SimulateOptions(out=root, patients=12, seed=20, image_size=64, render=False))
    server.create("hospital")
    with server.connect("hospital") as connection:
        load_tree(connection, root / "mimic-iv")
    return root


@pytest.fixture(scope="module")
def from_csv(hospital: Path) -> Params:
    """Every table of the hospital, ingested from its files."""
    params = params_of(hospital, str(hospital / "mimic-iv"), hospital / "csv")
    ingest.run(params)
    return params


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """The few rows of TINY, loaded into the database ``tiny``."""
    root = tmp_path_factory.mktemp("tiny")
    write_tree(root, TINY)
    server.create("tiny")
    with server.connect("tiny") as connection:
        load_tree(connection, root / "mimic-iv")
    return root


@pytest.fixture(scope="module")
def from_database(hospital: Path, server: Server) -> Params:
    """The same from the database."""
    params = params_of(hospital, server.url("hospital"), hospital / "database")
    ingest.run(params)
    return params


def params_of(root: Path, mimic_iv: str, build: Path, tables: str = "all") -> Params:
    paths = {"mimic_iv": mimic_iv, "build": str(build)}
    params = tiny_params(root, paths=paths, ingest={"tables": tables})
    return params.model_copy(update={"recipes": RECIPES})


def changed_copy(server: Server, name: str, *statements: str) -> str:
    """The URL of a copy of the tiny database after these statements."""
    server.create(name, template="tiny")
    with server.connect(name) as connection:
        for statement in statements:
            connection.execute(statement)
    return server.url(name)


def parquets_of(folder: Path) -> dict[str, str]:
    return {str(at.relative_to(folder)): file_sha256(at) for at in folder.rglob("*.parquet")}


@needs_server
def test_every_table_comes_out_as_from_csv_gz_byte_for_byte(from_csv, from_database):
    expected = parquets_of(from_csv.build("ingest"))
    assert parquets_of(from_database.build("ingest")) == expected
    assert len(expected) == 36
    assert read_ingested(from_database, "chartevents")["source_row"].max() > 15_000


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddl_cxr", "ehrxdiff"])
def test_event_cohort_and_window_are_those_of_csv_gz(from_csv, from_database, name):
    made = []
    for params in (from_csv, from_database):
        folder = prepare.prepare_ingested(params, read_recipe(name))
        paths = sorted(folder.rglob("*.parquet"))
        made.append({str(path.relative_to(folder)): pl.read_parquet(path) for path in paths})
    one, other = made
    assert one.keys() == other.keys()
    assert sum(table.height for table in one.values()) > 1_000
    for table in one:
        assert one[table].equals(other[table]), table


@needs_server
def test_rows_that_copy_put_into_gaps_keep_their_values_and_are_told_of(
    hospital, server, from_csv, from_database, tmp_path
):
    server.create("loose")
    with server.connect("loose") as connection:
        load_tree(connection, hospital / "mimic-iv", in_order=False)
    params = params_of(hospital, server.url("loose"), tmp_path, "recipe")
    ingest.run(params)
    one, other = (read_ingested(each, "labevents") for each in (from_csv, params))
    assert not one["source_row"].equals(other["source_row"])
    values = [table.drop("source_row").sort("labevent_id") for table in (one, other)]
    assert values[0].equals(values[1])
    assert read_notes(params, "labevents")[DISORDER] > 0
    assert DISORDER not in read_notes(from_database, "labevents")


@needs_server
def test_types_of_the_database_are_brought_to_ours(server, tiny, tmp_path):
    params = params_of(tiny, server.url("tiny"), tmp_path)
    ingest.run(params)
    chart_rows = read_ingested(params, "chartevents")
    assert chart_rows["source_row"].to_list() == [1, 2, 3]
    assert chart_rows["value"].to_list() == ["b", "a", 'say "no"']
    assert chart_rows["valuenum"].to_list() == [0.1, 98.60000000000001, None]
    assert chart_rows["warning"].to_list() == [None, None, 1]
    assert read_ingested(params, "diagnoses_icd")["icd_code"].to_list() == ["4019"]  # CHAR(7)


@needs_server
def test_other_types_lose_nothing_or_are_refused(server, tiny, tmp_path):
    patients, charts = "mimiciv_hosp.patients", "mimiciv_icu.chartevents"
    url = changed_copy(
        server,
        "other_types",
        f"ALTER TABLE {patients} ALTER dod TYPE timestamp, ALTER anchor_age TYPE numeric",
        f"ALTER TABLE {charts} ALTER valuenum TYPE real, ALTER itemid TYPE varchar(10)",
        f"UPDATE {charts} SET value = '' WHERE value = 'b'",
    )
    params = params_of(tiny, url, tmp_path)
    ingest.run(params)
    assert str(read_ingested(params, "patients")["dod"][0]) == "2180-01-05"
    assert read_ingested(params, "patients")["anchor_age"].to_list() == [60, 91]
    assert read_ingested(params, "chartevents")["valuenum"].to_list() == [98.6, 0.1, None]
    assert read_ingested(params, "chartevents")["value"].to_list() == ["a", None, 'say "no"']
    with server.connect("other_types") as connection:
        connection.execute(f"UPDATE {patients} SET dod = '2180-01-05 00:00:01'")
    with pytest.raises(ContractError, match=r"patients: unreadable rows \(2 not a date\)"):
        ingest.run(params)


@needs_server
def test_only_a_changed_table_is_read_again(server, tiny, tmp_path, monkeypatch):
    url = changed_copy(server, "changing")
    params = params_of(tiny, url, tmp_path, tables="recipe")
    ingest.run(params)
    read = []
    blocks = DatabaseRows.blocks

    def note(self, layout):
        read.append(layout.name)
        return blocks(self, layout)

    monkeypatch.setattr(DatabaseRows, "blocks", note)
    with server.connect("changing") as connection:
        connection.execute("ANALYZE")
    ingest.run(params)
    assert read == []
    with server.connect("changing") as connection:
        connection.execute("UPDATE mimiciv_hosp.patients SET gender = 'M' WHERE subject_id = 1")
    ingest.run(params)
    assert read == ["patients"]
    assert read_ingested(params, "patients")["gender"].to_list() == ["M", "M"]
    read.clear()
    ingest.forget(params)
    ingest.run(params)
    assert {"patients", "chartevents", "d_items"} < set(read)


class Proxy:
    """Passes bytes on until the server has sent more than ``limit`` on one connection."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.limit: int | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.target))
            for one, other, is_counted in ((client, upstream, False), (upstream, client, True)):
                arguments = (one, other, self.limit if is_counted else None)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, limit: int | None) -> None:
        sent = 0
        try:
            while part := one.recv(1 << 14):
                sent += len(part)
                if limit is not None and sent > limit:
                    break
                other.sendall(part)
        except OSError:
            pass
        for end in (one, other):
            with suppress_os_error():
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def suppress_os_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


@needs_server
def test_a_connection_that_drops_leaves_no_half_table_and_the_next_run_goes_on(
    hospital, server, from_csv, tmp_path
):
    proxy = Proxy(server.port)
    params = params_of(hospital, server.url("hospital", port=proxy.port), tmp_path)
    proxy.limit = 750_000
    with pytest.raises(
        ContractError, match=r"reading stopped after .*run `cxrfuture ingest`"
    ) as at:
        ingest.run(params)
    folder = params.build("ingest")
    broken = str(at.value).partition(" of ")[0].rpartition(".")[2]
    assert PASSWORD not in str(at.value)
    assert not list(folder.rglob("*.part"))
    assert not (folder / f"{broken}.parquet").exists()
    assert not (folder / "done" / f"{broken}.json").exists()
    kept = {at.name: at.stat().st_mtime_ns for at in folder.glob("*.parquet")}
    assert "patients.parquet" in kept or "admissions.parquet" in kept
    proxy.limit = None
    ingest.run(params)
    proxy.listener.close()
    assert parquets_of(folder) == parquets_of(from_csv.build("ingest"))
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept


@needs_server
@pytest.mark.parametrize(
    ("name", "statements", "message"),
    [
        ("no_hosp", ["DROP SCHEMA mimiciv_hosp CASCADE"], "no schema mimiciv_hosp .*mimic-code"),
        ("no_icu", ["ALTER SCHEMA mimiciv_icu RENAME TO icu"], "no schema mimiciv_icu "),
        (
            "two_hosp",
            ["ALTER SCHEMA mimiciv_hosp RENAME TO mimic_hosp", "CREATE SCHEMA mimic3_hosp"],
            r"2 schemas may be mimiciv_hosp \(mimic3_hosp, mimic_hosp\); rename",
        ),
        (
            "no_table",
            ["DROP TABLE mimiciv_icu.icustays"],
            "icustays: no table mimiciv_icu.icustays in postgresql://mimic@.*/no_table; load it",
        ),
        (
            "no_column",
            ["ALTER TABLE mimiciv_icu.chartevents DROP valuenum"],
            "chartevents: no column 'valuenum' in mimiciv_icu.chartevents of postgresql://mimic@",
        ),
        (
            "a_view",
            [
                "ALTER TABLE mimiciv_icu.d_items RENAME TO d_item",
                "CREATE VIEW mimiciv_icu.d_items AS SELECT * FROM mimiciv_icu.d_item",
            ],
            "mimiciv_icu.d_items of .* is a view, .*load the csv into a plain table",
        ),
    ],
)
def test_a_database_that_is_not_mimic_is_refused_in_one_line(
    server, tiny, tmp_path, name, statements, message
):
    params = params_of(tiny, changed_copy(server, name, *statements), tmp_path)
    with pytest.raises(ContractError, match=message) as refused:
        ingest.run(params)
    assert_one_line_without_password(str(refused.value))


@needs_server
def test_schemas_of_another_build_are_found(server, tiny, tmp_path):
    renamed = [f"ALTER SCHEMA mimiciv_{m} RENAME TO mimic_{m}_v31" for m in ("hosp", "icu")]
    database = find_database(changed_copy(server, "older", *renamed))
    assert database.schemas == {"hosp": "mimic_hosp_v31", "icu": "mimic_icu_v31"}
    assert database.simulated
    assert PASSWORD not in str(database.tables["patients"])
    assert PASSWORD not in repr(database)


@needs_server
def test_a_server_a_password_and_a_database_that_are_not_there(server, tiny):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unused = free.getsockname()[1]
    for url, message in (
        (server.url("tiny", port=unused), "no connection; start the server, or set paths.mimic_iv"),
        (server.url("tiny", password="not-" + PASSWORD), "wrong user or password; mend ~/.pgpass"),
        (server.url("nowhere"), "no such database; list them with `psql -l`"),
    ):
        with pytest.raises(ContractError, match=message) as refused:
            find_database(url)
        assert_one_line_without_password(str(refused.value))


@needs_server
def test_a_table_that_may_not_be_read_names_the_grant(server, tiny, tmp_path):
    changed_copy(
        server,
        "granted",
        "CREATE ROLE guest LOGIN PASSWORD 'guest-secret'",
        "GRANT USAGE ON SCHEMA mimiciv_hosp, mimiciv_icu TO guest",
    )
    url = f"postgresql://guest:guest-secret@127.0.0.1:{server.port}/granted"
    with pytest.raises(ContractError, match=r"may not be read .* GRANT SELECT ON mimiciv_hosp\."):
        ingest.run(params_of(tiny, url, tmp_path))


@needs_server
def test_the_password_may_come_from_the_environment_or_pgpass(server, tiny, tmp_path, monkeypatch):
    url = server.url("tiny", password=None)
    pgpass = tmp_path / "pgpass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    pgpass.write_text(f"127.0.0.1:*:*:mimic:{escaped}\n")
    pgpass.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(ContractError, match=r"no password; put it into ~/\.pgpass or PGPASSWORD"):
        find_database(url)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ingest.run(params_of(tiny, url, tmp_path / "one", "recipe"))
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(pgpass))
    ingest.run(params_of(tiny, url, tmp_path / "two", "recipe"))


@needs_server
def test_the_command_shows_and_writes_the_url_without_password(server, tiny, tmp_path):
    settings = (REPOSITORY / "params.yaml").read_text()
    settings = settings.replace("ehrxdiff, future]", "ehrxdiff]")
    settings = settings.replace("  build: build", f"  build: {tmp_path / 'build'}")
    settings = re.sub(r"(?m)^recipes: .*$", f"recipes: [{', '.join(RECIPES)}]", settings)
    (tmp_path / "params.yaml").write_text(settings)
    environment = os.environ | {
        "MIMIC_IV_DIR": server.url("tiny"),
        "MIMIC_CXR_JPG_DIR": str(tiny / "mimic-cxr-jpg"),
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "cxrfuture", "ingest", "--again", "--params"]
    done = subprocess.run(
        [*command, str(tmp_path / "params.yaml")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = [at.read_bytes() for at in (tmp_path / "build").rglob("*") if at.is_file()]
    assert f"postgresql://mimic@127.0.0.1:{server.port}/tiny".encode() in b"".join(written)
    for text in (*written, done.stdout.encode(), done.stderr.encode()):
        for spelling in (PASSWORD, quote(PASSWORD, safe="")):
            assert spelling.encode() not in text


def assert_one_line_without_password(message: str) -> None:
    assert "\n" not in message
    for spelling in (PASSWORD, quote(PASSWORD, safe="")):
        assert spelling not in message


def test_a_password_in_params_yaml_is_refused_as_dvc_would_copy_it(tmp_path):
    url = "postgresql://me:hidden@host/mimic?sslmode=require"
    settings = (REPOSITORY / "params.yaml").read_text()
    at = tmp_path / "params.yaml"
    at.write_text(settings.replace("mimic_iv: simulate ", f'mimic_iv: "{url}" '))
    with pytest.raises(ContractError, match=r"dvc\.lock; put it into ~/\.pgpass") as refused:
        read_params(at)
    assert "hidden" not in str(refused.value)
    at.write_text(at.read_text().replace(":hidden", ""))
    assert read_params(at).paths.mimic_iv == "postgresql://me@host/mimic?sslmode=require"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@host:5433/db?password=pw", "postgresql://me@host:5433/db"),
        ("postgres://me:p@w@host/db", "postgres://me@host/db"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
        ("postgresql:/me:pw@host/db", "postgresql://me@host/db"),  # as a Path spells it
    ],
)
def test_a_url_is_shown_without_password(url, shown):
    assert is_database(url)
    assert show_url(url) == shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://me:pw@host:port/db",
            "has not the form postgresql://user@host:5432/database",
        ),
        ("postgresql://me:pw@host", "names no database"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url, message):
    with pytest.raises(ContractError, match=message) as refused:
        find_database(url)
    assert "pw" not in str(refused.value)


def test_what_needs_files_says_so_of_a_database():
    with pytest.raises(ContractError, match=r"postgresql://me@host/db: files are needed here"):
        find_release("mimic_iv", "postgresql://me:pw@host/db")


def test_published_texts_are_refused_where_the_spelling_of_the_csv_is_lost(tmp_path):
    recipe = read_recipe("ehrxdiff", "published")
    params = write_tree(tmp_path, {}, ".parquet").model_copy(update={"recipes": RECIPES})
    ingest.run(params)
    with pytest.raises(
        ContractError, match=r"ehrxdiff_published: texts as published .*labevents\.parquet"
    ):
        event.run(params, recipe)
    url = "postgresql://me:pw@host/db"
    paths = params.paths.model_copy(update={"mimic_iv": url})
    with pytest.raises(ContractError, match=r"published .* database postgresql://me@host/db has"):
        event.run(params.model_copy(update={"paths": paths}), recipe)


@needs_server
def test_a_database_is_planned_and_examined_as_its_files_are(
    hospital: Path, server: Server, tmp_path: Path
):
    url, csv = server.url("hospital"), str(hospital / "mimic-iv")
    both = [params_of(hospital, path, tmp_path / path[:5]) for path in (csv, url)]
    for name in RECIPES:
        one, other = (plan_cohort(p, find_releases(p), read_recipe(name)) for p in both)
        assert one == other
        assert one.films
    files, database = (examine(p, deep="none", all_films=False) for p in both)
    assert database.problems.found == files.problems.found
    assert [problem.what for problem in database.problems.found] == ["films"]  # none were drawn
    assert [(a.name, a.count) for a in database.anomalies] == [
        (a.name, a.count) for a in files.anomalies
    ]


@needs_server
def test_several_writers_share_a_ledger_in_postgresql(server, tmp_path):
    """The cache's ledger: claims, notes and counts of eight writers at once."""
    server.create("ledger")
    cache = Cache(tmp_path / "cache", Ledger(server.url("ledger")))
    space = Space("image", {}, (2,), "uint8")

    def write(number: int) -> None:
        cache.ledger.register(space)
        sha256 = f"{number:064d}"
        with cache.write(space) as writer:
            writer.add([f"{number:032d}{number:032d}"], np.full((1, 2), number, np.uint8))
        file = FileSeen(f"{number}.jpg", 1, 2, sha256)
        cache.ledger.record(space, {f"{number:032d}": {"outcome": "ok"}}, "films", [file])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert len(cache.rows(space)) == 24
    assert len(cache.ledger.attempts(space)) == len(cache.ledger.files("films")) == 24
    assert not cache.ledger.open_shards()
    assert list(cache.ledger.spaces()) == [space.name]
