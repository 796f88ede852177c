"""Cells as EHRXDiff's reader takes them from a line, and a table read as text."""

import gzip

import duckdb
import pytest

from etl.source_text import TEXT_TABLES, read_cells, write_cells

# What pyspark 3.5 gave for the same cells with its defaults.
CELLS = [
    ("a,b", ["a", "b"]),
    (",", ["", ""]),
    ("a,", ["a", ""]),
    ('""', [""]),
    ('"a, b",c', ["a, b", "c"]),
    ('"a ""b"" c"', ['"a ""b"" c"']),  # a doubled quote makes the cell raw
    ('"a ""b, c"" d"', ['"a ""b', ' c"" d"']),
    (r'"a \"b\" c"', ['a "b" c']),
    (r'"a\nb"', [r"a\nb"]),
    (r'"a\"', ['a"']),
    (r'"a\\"', ["a\\"]),
    (r'"a\, b"', [r"a\, b"]),
    (r"a\b", [r"a\b"]),
    ('5" tube', ['5" tube']),
    ('tube 5"', ['tube 5"']),
    ("  a  ", ["  a  "]),
    ('"  a  "', ["  a  "]),
    (' "a"', [' "a"']),
    ('"a" ', ["a"]),
    ('"a"b', ['"a"b']),
    ('"a" b,c', ['"a" b', "c"]),
    ('""""', ['""']),
    ('"""a"" b"', ['"""a"" b"']),
    ('"b ""a"""', ['"b ""a"""']),
    ('"abc', ["abc"]),
]


@pytest.mark.parametrize(("line", "cells"), CELLS)
def test_cells_of_a_line(line, cells):
    assert read_cells(line) == cells


def read_outputs(tmp_path, text: bytes, suffix=".csv"):
    source = tmp_path / f"outputevents{suffix}"
    source.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else text)
    target = tmp_path / "cell.parquet"
    with duckdb.connect() as connection:
        names = write_cells(connection, TEXT_TABLES[4], source, target)
        return names, connection.execute(f"SELECT * FROM '{target}'").fetchall()


HEADER = b"subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,VALUE,valueuom\n"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_table_keeps_its_spelling_and_loses_ids_and_times(tmp_path, suffix):
    text = HEADER + b"1,2,3,4,2150-01-01 00:00:00,,9,0.50,ml \n"
    assert read_outputs(tmp_path, text, suffix) == (
        ["itemid", "VALUE", "valueuom"],
        [(1, "1", "2", "2150-01-01 00:00:00", None, None, "9", ["9", "0.50", "ml "])],
    )


def test_a_line_is_a_record_whatever_is_quoted_in_it(tmp_path):
    lines = [
        b'1,2,3,4,t,s,9,1,"two\nlines"\n',  # the second line is a record of one cell
        b"1,2,3,4,t,s,9,2,a\r\n",
        b"   \n",
        b"\n",
        b"1,2,3,4,t,s,9,3,a\rb\n",
        b"1,2,3,4,t,s,9\n",  # short
        b'1,2,3,4,t,s,9,"",""\n',
        b"1,2,3,4,t,s,9,\xc2\xb5,\xff,more,cells",
    ]
    _, rows = read_outputs(tmp_path, HEADER + b"".join(lines))
    assert [(row[0], row[-1]) for row in rows] == [
        (1, ["9", "1", "two"]),
        (2, [None, None, None]),
        (3, ["9", "2", "a"]),
        (4, ["9", "3", "a"]),
        (5, [None, None, None]),
        (6, ["9", None, None]),
        (7, ["9", None, None]),
        (8, ["9", "\u00b5", "\ufffd"]),
    ]
