"""Every file of sql/ keeps the rules that let it be counted, run and rebuilt."""

import re
from pathlib import Path

import duckdb
import pytest

from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError
from etl.params import SqlParams
from etl.sqlfile import (
    Counted,
    bind_tables,
    check_names,
    count_drops,
    create_table,
    offending_rows,
    open_sql,
    read_sql,
    write_parquet,
    write_unsorted,
)

SQL = Path(__file__).resolve().parent.parent / "sql"
NAMES = sorted(str(path.relative_to(SQL))[:-4] for path in SQL.rglob("*.sql"))
WINDOW = {"includes_end": True, "availability": "event", "rules": "ehrxdiff"}


@pytest.fixture
def connection(tmp_path):
    with open_sql(SqlParams(memory_limit="1GB", threads=2), tmp_path / "spill") as opened:
        yield opened


def write_rows(path: Path, select: str) -> Path:
    duckdb.sql(select).write_parquet(str(path))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_one_select_with_its_grain_and_an_order(name):
    text = (SQL / f"{name}.sql").read_text()
    statements = duckdb.extract_statements(text)
    assert len(statements) == 1
    assert statements[0].type == duckdb.StatementType.SELECT
    assert text.startswith("-- Grain: ")
    # Bare output columns: the order is put behind the kept rows of the file.
    column = r"\w+( NULLS FIRST)?"
    assert re.fullmatch(f"{column}(, {column})*", read_sql(name).order)


@pytest.mark.parametrize("name", NAMES)
def test_reasons_are_numbered_in_the_order_of_the_rules(name):
    numbers = [int(reason[:2]) for reason in read_sql(name).reasons]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_parameter_nobody_set_is_named(connection):
    with pytest.raises(ContractError, match=r"cohort_admission.sql reads 'minimum_age'"):
        create_table(connection, "t", "cohort/ehrxdiff/cohort_admission", {"maximum_gap_hours": 48})


def test_a_missing_table_names_the_stage_to_run(connection, tmp_path):
    with pytest.raises(ContractError, match=r"no such table; run the stage `ingest` first"):
        bind_tables(connection, {"patients": tmp_path / "ingest" / "patients.parquet"})


def test_too_little_memory_names_the_setting(tmp_path):
    few = SqlParams(memory_limit="20MB", threads=1)
    with (
        pytest.raises(ContractError, match=r"sql.memory_limit: 20MB is not enough"),
        open_sql(few, tmp_path / "spill") as small,
    ):
        small.execute("SELECT ARRAY_AGG(REPEAT('x', 100) || i) FROM RANGE(10000000) r (i)")
    assert not (tmp_path / "spill").exists()


def test_drops_chain_and_list_reasons_that_removed_nothing(connection):
    connection.execute(
        "CREATE TABLE taken_film AS SELECT * FROM (VALUES"
        " ('a', 1, 9, 'AP', NULL), ('b', 1, 9, 'PA', NULL), ('c', 1, 9, 'AP', '01 x'))"
        " t (dicom_id, subject_id, study_id, view, drop_reason)"
    )
    connection.execute("ALTER TABLE taken_film ADD COLUMN taken_at TIMESTAMP")
    connection.execute("ALTER TABLE taken_film ADD COLUMN source_row BIGINT")
    drops = count_drops(connection, Counted("cohort", "film"), "cohort/ddl_cxr/ap_film")
    assert [(drop.reason, drop.before, drop.removed, drop.after) for drop in drops] == [
        ("view is not AP", 2, 1, 1)
    ]


def test_kept_rows_have_the_same_bytes_on_one_thread_and_on_three(tmp_path):
    tables = {
        "outputevents": "SELECT i % 997 AS subject_id, i % 97 AS hadm_id, 5 AS itemid"
        ", i / 2 AS value, TIMESTAMP '2150-01-01' + TO_SECONDS(i % 7) AS charttime"
        ", NULL::TIMESTAMP AS storetime"
        ", 'ml' AS valueuom, i AS source_row FROM RANGE(300000) r (i)",
        "d_items": "SELECT 5 AS itemid, 'Foley' AS label",
        "filmed_admission": "SELECT i AS hadm_id FROM RANGE(97) r (i)",
        "admission_time": "SELECT 0 AS subject_id, 0 AS hadm_id, NULL::TIMESTAMP AS from_at"
        ", NULL::TIMESTAMP AS until_at LIMIT 0",
    }
    files = {
        name: write_rows(tmp_path / f"{name}.parquet", query) for name, query in tables.items()
    }
    hashes = set()
    for threads in (1, 3):
        out = tmp_path / f"{threads}.parquet"
        limits = SqlParams(memory_limit="1GB", threads=threads)
        with open_sql(limits, tmp_path / "spill") as opened:
            bind_tables(opened, files)
            write_unsorted(opened, tmp_path / "kept.parquet", "event/text/outputevents")
            query = f"SELECT *, HASH(text) AS text_id FROM '{tmp_path / 'kept.parquet'}'"
            opened.execute(f"CREATE TEMP VIEW kept AS {query}")
            write_parquet(opened, out, "event/event")
            write_parquet(opened, tmp_path / "text.parquet", "event/parted_text")
        hashes.add((file_sha256(out), file_sha256(tmp_path / "text.parquet")))
    assert len(hashes) == 1


def test_a_failed_query_leaves_no_file(connection, tmp_path):
    out = tmp_path / "out.parquet"
    with pytest.raises(duckdb.Error):
        write_parquet(connection, out, "cohort/split")
    assert list(tmp_path.glob("out*")) == []


OFFENCES = {
    "subject_in_two_splits": {
        "split": "SELECT UNNEST([1, 1, 2]) AS subject_id"
        ", UNNEST(['train', 'test', 'test']) AS split"
    },
    "pair_out_of_order": {
        "pair": "SELECT 'k' AS pair_id, TIMESTAMP '2150-01-02' AS previous_at"
        ", TIMESTAMP '2150-01-01' AS target_at, 1 AS previous_study_id, 2 AS target_study_id"
        ", 'a' AS previous_dicom_id, 'b' AS target_dicom_id, FALSE AS is_null_event"
        ", TIMESTAMP '2150-01-02' AS window_start_at, TIMESTAMP '2150-01-01' AS window_end_at"
    },
    "pair_repeated": {
        "pair": "SELECT 1 AS hadm_id, 2 AS stay_id, 'a' AS previous_dicom_id"
        ", 'b' AS target_dicom_id, UNNEST([FALSE, FALSE, TRUE]) AS is_null_event"
    },
    "null_event_with_events": {
        "pair": "SELECT UNNEST(['a', 'b', 'c']) AS pair_id"
        ", UNNEST([TRUE, TRUE, FALSE]) AS is_null_event",
        "window": "SELECT 'pair' AS kind, UNNEST(['a', 'b', 'c']) AS key, 0 AS hours"
        ", UNNEST([0, 1, 1]) AS events, TIMESTAMP '2150-01-01' AS window_start_at"
        ", TIMESTAMP '2150-01-01' AS window_end_at",
    },
    "label_of_unknown_study": {
        "label": "SELECT UNNEST([1, 2]) AS study_id",
        "film": "SELECT 1 AS study_id",
    },
    "label_value_unknown": {
        "label": "SELECT UNNEST([1, 2]) AS study_id, UNNEST([1, 2]) AS a, UNNEST([NULL, 0]) AS b"
    },
    "window_repeated": {"window": "SELECT 'pair' AS kind, UNNEST(['a', 'a', 'b']) AS key"},
    "window_event_repeated": {
        "window_event": "SELECT 'pair' AS kind, 'a' AS key, 0 AS event_table"
        ", UNNEST([7, 7, 8]) AS source_row"
    },
    "film_repeated": {"film": "SELECT UNNEST(['a', 'a', 'b']) AS dicom_id"},
}


@pytest.mark.parametrize("name", OFFENCES)
def test_a_check_finds_its_offence(connection, tmp_path, name):
    tables = {
        table: write_rows(tmp_path / f"{table}.parquet", select)
        for table, select in OFFENCES[name].items()
    }
    assert f"check/{name}" in check_names()
    assert offending_rows(connection, f"check/{name}", tables, WINDOW) == 1


def window_tables(
    tmp_path: Path, event_at: str, known_at: str, end_hours: str = "NULL", hours: float = 0
) -> dict[str, Path]:
    return {
        "window": write_rows(
            tmp_path / "window.parquet",
            "SELECT 'pair' AS kind, 'a' AS key, TIMESTAMP '2150-01-01 00:00:00' AS window_start_at"
            ", TIMESTAMP '2150-01-02 00:00:00' AS window_end_at"
            f", TIMESTAMP '{event_at}' AS latest_event_at"
            f", TIMESTAMP '{known_at}' AS latest_known_at",
        ),
        "window_event": write_rows(
            tmp_path / "window_event.parquet",
            "SELECT 'pair' AS kind, 'a' AS key, 0 AS position"
            f", TIMESTAMP '{event_at}' AS event_at, TIMESTAMP '{known_at}' AS known_at"
            f", {hours} AS hours, CAST({end_hours} AS FLOAT) AS end_hours",
        ),
    }


@pytest.mark.parametrize(
    ("event_at", "includes_end", "offending"),
    [
        ("2149-12-31 23:59:59", True, 1),  # a second before the start
        ("2150-01-01 00:00:00", False, 0),  # the start always belongs to the window
        ("2150-01-02 00:00:00", True, 0),
        ("2150-01-02 00:00:00", False, 1),
        ("2150-01-02 00:00:01", True, 1),
    ],
)
def test_an_event_outside_its_window_offends(
    connection, tmp_path, event_at, includes_end, offending
):
    tables = window_tables(tmp_path, event_at, event_at)
    rule = WINDOW | {"includes_end": includes_end}
    assert offending_rows(connection, "check/event_outside_window", tables, rule) == offending


@pytest.mark.parametrize(("availability", "offending"), [("event", 0), ("known", 1)])
@pytest.mark.parametrize("check", ["event_known_too_late", "window_too_late"])
def test_what_was_known_too_late_offends_only_as_of(
    connection, tmp_path, check, availability, offending
):
    tables = window_tables(tmp_path, "2150-01-01 23:00:00", "2150-01-02 00:00:01")
    rule = WINDOW | {"availability": availability}
    assert offending_rows(connection, f"check/{check}", tables, rule) == offending


@pytest.mark.parametrize(
    ("known_at", "end_hours", "availability", "offending"),
    [
        ("2150-01-01 00:00:00", "NULL", "known", 0),  # known at the start, as a result of before
        ("2149-12-31 23:59:59", "NULL", "known", 1),
        ("2149-12-31 23:59:59", "0.001", "known", 0),  # it ran into the window
        ("2149-12-31 23:59:59", "0", "known", 1),  # it ended at the start
        ("2149-12-31 23:59:59", "'inf'", "known", 0),
        ("2150-01-01 00:00:00", "NULL", "event", 1),  # the time of knowing does not decide
    ],
)
def test_under_future_an_event_of_before_needs_a_reason_to_be_there(
    connection, tmp_path, known_at, end_hours, availability, offending
):
    tables = window_tables(tmp_path, "2149-12-31 23:00:00", known_at, end_hours, hours=-1)
    rule = {"includes_end": False, "availability": availability, "rules": "future"}
    assert offending_rows(connection, "check/event_outside_window", tables, rule) == offending


@pytest.mark.parametrize(
    ("hours", "end_hours", "offending"),
    [
        (1, "NULL", 0),
        (1, "'inf'", 0),
        (1, "23.999", 0),
        (1, "24", 1),  # the window's end
        (1, "25", 1),
        (1, "0.5", 1),  # before it began
        (-5, "-2", 0),
    ],
)
def test_an_end_beyond_the_window_offends_if_it_is_shown(
    connection, tmp_path, hours, end_hours, offending
):
    known_at = "2150-01-01 01:00:00"
    tables = window_tables(tmp_path, known_at, known_at, end_hours, hours)
    assert offending_rows(connection, "check/event_end_shown", tables, WINDOW) == offending
