"""A report as files: JSON that is read back, and a CSV a table for DVC's plots."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import ContractError
from etl.report.facts import Counts, Flow, Item, Numbers, Report, Spread, Words

REPORT_FILE = "report.json"
PLOTS = "plots"
COLUMNS = ("row", "column", "value", "share")
IS = "is"  # which kind of item it is
KINDS: Mapping[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Counts, Spread, Numbers, Flow, Words)
}
_REPORT = TypeAdapter(Report)


def write_record(report: Report, path: Path) -> None:
    """Publish the report as JSON; the same report gives the same bytes."""
    value = asdict(report)
    for section, written in zip(report.sections, value["sections"], strict=True):
        for item, facts in zip(section.items, written["items"], strict=True):
            facts[IS] = type(item).__name__
    write_json(path, value)


def read_report(path: Path) -> Report:
    """What ``write_record`` wrote."""
    try:
        value = json.loads(path.read_text())
        for section in value["sections"]:
            section["items"] = [_read_item(facts) for facts in section["items"]]
        return _REPORT.validate_python(value)
    except FileNotFoundError:
        raise ContractError(
            f"{path}: no such file; run `cxrfuture report --recipe {path.parent.parent.name}` first"
        ) from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise ContractError(
            f"{path}: not a report; run `cxrfuture report --recipe {path.parent.parent.name}` again"
        ) from None


def _read_item(facts: dict[str, Any]) -> Item:
    return KINDS[facts.pop(IS)].validate_python(facts)


def write_plots(report: Report, folder: Path) -> None:
    """``<key>.csv`` of every table of counts and numbers."""
    for section in report.sections:
        for item in section.items:
            if isinstance(item, Counts | Numbers):
                with publish(folder / f"{item.key}.csv") as part, part.open("w", newline="") as out:
                    lines = csv.writer(out, lineterminator="\n")
                    lines.writerow(COLUMNS)
                    lines.writerows(_cells(item))


def _cells(item: Counts | Numbers) -> Iterator[tuple[object, ...]]:
    for at, (row, values) in enumerate(zip(item.rows, item.values, strict=True)):
        for number, (column, value) in enumerate(zip(item.columns, values, strict=True)):
            yield row, column, value, _share(item, at, number)


def _share(item: Counts | Numbers, row: int, column: int) -> str:
    """Of what a count is a share of; "" of nothing."""
    if isinstance(item, Numbers) or item.of is None or not item.of[row][column]:
        return ""
    return f"{item.values[row][column] / item.of[row][column]:.6f}"
