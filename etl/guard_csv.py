"""Tables as text (csv, tsv): what stands in the columns that MIMIC names so."""

import csv
import re
from collections.abc import Iterator
from itertools import islice

from etl.guard_hit import Hit
from etl.guard_id import CLASSES, is_id

ROWS_READ = 1000
LONGEST_HEADER = 100_000
DELIMITERS = ",\t;|"

_TABLES = re.compile(r".*\.(?:csv|tsv|tab|psv)", re.I | re.S)


def is_table(name: str) -> bool:
    """By the file's name."""
    return bool(_TABLES.fullmatch(name))


def find_in_table(text: bytes, allowed: frozenset[str]) -> Iterator[Hit]:
    """A hit if a column whose name ends as an id's does holds such numbers."""
    header = text[:LONGEST_HEADER].partition(b"\n")[0].decode("utf-8", "replace")
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.strip(" \"'\r\ufeff").lower() for name in header.split(delimiter)]
    wanted = {
        index: first
        for index, name in enumerate(names)
        for first, ending in CLASSES.items()
        if name.endswith(ending)
    }
    lines = islice(text.split(b"\n", ROWS_READ + 1)[1:], ROWS_READ) if wanted else ()
    rows = csv.reader((_decoded(line) for line in lines), delimiter=delimiter)
    found: dict[int, int] = {}  # column -> line
    try:
        for line, row in enumerate(rows, start=2):
            for index, first in wanted.items():
                value = row[index].strip().removesuffix(".0") if index < len(row) else ""
                if value.startswith(str(first)) and is_id(value, allowed):
                    found.setdefault(index, line)
    except csv.Error:
        pass  # a cell of a megabyte: what was read before it counts
    if found:
        columns = ", ".join(names[index] for index in sorted(found))
        yield Hit(kind="id", what=f"a table with ids in {columns}", line=min(found.values()))


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "replace").replace("\0", "").rstrip("\r")
