import datetime
import gzip
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_mimic import (
    chart,
    read_ingested,
    read_notes,
    rewrite,
    tiny_params,
    write_tree,
)

from cxrfuture_data.schema import ContractError
from etl import ingest


def test_columns_are_read_by_name_and_a_new_order_is_noted(tmp_path):
    params = write_tree(tmp_path, {})
    path = tmp_path / "mimic-iv" / "hosp" / "patients.csv.gz"
    rewrite(path, "DOD,gender,anchor_age,anchor_year,anchor_year_group,subject_id\n,F,50,2180,,7\n")
    ingest.run(params)
    patient = read_ingested(params, "patients").row(0, named=True)
    assert (patient["subject_id"], patient["anchor_age"], patient["dod"]) == (7, 50, None)
    assert read_notes(params, "patients") == {"columns reordered": 1}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("itemid,label,fluid", r"d_labitems: no column 'category' in .*d_labitems\.csv\.gz"),
        ("itemid,label,fluid,category,loinc_code", "unknown column 'loinc_code'"),  # of 1.0
        ("itemid,label,label,fluid,category", "column 'label' stands twice"),
        ("", "empty, not even a header"),
    ],
)
def test_a_header_that_is_not_the_release_s_is_refused_before_anything_is_read(
    tmp_path, header, message
):
    params = write_tree(tmp_path, {})
    rewrite(tmp_path / "mimic-iv" / "hosp" / "d_labitems.csv.gz", header and header + "\n")
    with pytest.raises(ContractError, match=message):
        ingest.run(params)
    assert not params.build("ingest").exists()


BAD_LINES = {
    "wrong number of fields": "1,2,3",
    "not a whole number": "1,,,,2180-01-02 01:00:00,,12.5,x,,,",
    "not a number": "1,,,,2180-01-02 01:00:00,,220045,x,high,,",
    "not a time": "1,,,,2180-13-02 01:00:00,,220045,x,,,",
    "empty": ",,,,2180-01-02 01:00:00,,220045,x,,,",
}


def with_bad_lines(tmp_path, lines):
    params = write_tree(tmp_path, {"chartevents": [chart(1, 1, "kept"), chart(1, 2, "too")]})
    path = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz"
    head, first, *rest = gzip.decompress(path.read_bytes()).decode().splitlines()
    rewrite(path, "\n".join([head, first, *lines, *rest]) + "\n")
    return params


@pytest.mark.parametrize("kind", BAD_LINES)
def test_an_unreadable_row_stops_the_stage_and_is_named(tmp_path, kind):
    params = with_bad_lines(tmp_path, [BAD_LINES[kind]])
    with pytest.raises(ContractError, match=rf"chartevents: unreadable rows \(1 {kind}\).*row 2"):
        ingest.run(params)


def test_unreadable_rows_within_the_limit_are_left_out_and_counted(tmp_path):
    with_bad_lines(tmp_path, BAD_LINES.values())
    params = tiny_params(tmp_path, ingest={"max_rejects": 5})
    ingest.run(params)
    assert read_ingested(params, "chartevents")["source_row"].to_list() == [1, 7]
    rejects = pl.read_parquet(params.build("ingest", "rejects", "chartevents.parquet"))
    assert rejects["source_row"].to_list() == [2, 3, 4, 5, 6]
    assert rejects["kind"].to_list() == list(BAD_LINES)
    columns = [None, "itemid", "valuenum", "charttime", "subject_id"]
    assert rejects["column"].to_list() == columns
    metrics = json.loads(params.build("ingest", "metrics.json").read_text())
    assert metrics["tables"]["chartevents"]["rejects"] == 5
    assert metrics["tables"]["chartevents"]["rows"] == 2
    with pytest.raises(ContractError, match="exceed"):  # a lower limit is not met by the old table
        ingest.run(tiny_params(tmp_path, ingest={"max_rejects": 4}))


def test_text_that_is_not_utf8_is_rejected_by_row(tmp_path):
    params = write_tree(tmp_path, {"chartevents": [chart(1, 1, "a"), chart(1, 2, "b~")]})
    path = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"~", b"\xff")))
    with pytest.raises(ContractError, match=r"1 not UTF-8.*row 2, column value"):
        ingest.run(params)


def test_no_message_or_output_of_a_refusal_holds_the_row_s_text(tmp_path, capsys):
    params = with_bad_lines(tmp_path, ["1,,,,2180-01-02 01:00:00,,220045,private,secret,,"])
    with pytest.raises(ContractError) as caught:
        ingest.run(params)
    said = str(caught.value) + "".join(capsys.readouterr())
    assert "private" not in said
    assert "secret" not in said


def test_other_spellings_that_lose_nothing_are_read(tmp_path):
    """As pandas writes them: a whole number as a float, a date as a midnight."""
    patient = {"subject_id": "7.0", "dod": "2181-01-01 00:00:00", "anchor_age": " 50"}
    params = write_tree(tmp_path, {"patients": [patient]})
    ingest.run(params)
    row = read_ingested(params, "patients").row(0, named=True)
    assert (row["subject_id"], str(row["dod"]), row["anchor_age"]) == (7, "2181-01-01", 50)


@pytest.mark.parametrize("moment", ["2181-01-01 10:00:00", "2181-01-01 00:00:00+02"])
def test_a_date_that_would_lose_its_time_is_refused(tmp_path, moment):
    params = write_tree(tmp_path, {"patients": [{"subject_id": 7, "dod": moment}]})
    with pytest.raises(ContractError, match="1 not a date"):
        ingest.run(params)


def with_parquet_of_patients(tmp_path, columns):
    params = write_tree(tmp_path, {}, ".parquet")
    path = tmp_path / "mimic-iv" / "hosp" / "patients.parquet"
    empty = pq.read_table(path).drop_columns(list(columns))
    rows = len(next(iter(columns.values())))
    rest = {name: pa.nulls(rows, empty.schema.field(name).type) for name in empty.column_names}
    pq.write_table(pa.table(columns | rest), path)
    return params


def test_parquet_as_pandas_writes_it_is_read(tmp_path):
    """Ids that became floats, dates that became timestamps, columns in another order."""
    midnight = datetime.datetime(2181, 1, 1)
    columns = {"subject_id": pa.array([7.0, 8.0]), "dod": pa.array([midnight, None])}
    params = with_parquet_of_patients(tmp_path, columns)
    ingest.run(params)
    rows = read_ingested(params, "patients").select("subject_id", "dod").rows()
    assert rows == [(7, midnight.date()), (8, None)]


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"subject_id": pa.array([7.5])}, "1 not a whole number"),
        ({"subject_id": pa.array([7]), "anchor_year": pa.array(["often"])}, "1 not a whole number"),
        ({"subject_id": pa.array([7]), "dod": pa.array([0], pa.timestamp("us", "UTC"))}, "date"),
        (
            {"subject_id": pa.array([7]), "dod": pa.array([36_000], pa.timestamp("s"))},
            "1 not a date",
        ),
    ],
)
def test_parquet_cells_that_would_change_are_refused(tmp_path, columns, kind):
    params = with_parquet_of_patients(tmp_path, columns)
    with pytest.raises(ContractError, match=kind):
        ingest.run(params)


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_cut_parquet_is_refused(tmp_path, kept):
    params = write_tree(tmp_path, {"patients": [{"subject_id": 7}]}, ".parquet")
    path = tmp_path / "mimic-iv" / "hosp" / "patients.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ContractError, match=r"patients\.parquet: not a readable Parquet file"):
        ingest.run(params)
