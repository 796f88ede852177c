"""What the docs say of the code, held to the code: messages, the contract, the commands."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from doc_cli import PAGE, write_page
from doc_messages import error_texts, is_said

from cxrfuture_data.batch import BATCH_OF_KIND
from cxrfuture_data.manifest import Manifest
from cxrfuture_data.record import members_of
from cxrfuture_data.schema import (
    FINDINGS,
    KINDS,
    PHENOTYPES,
    SCHEMA_VERSION,
    STATIC,
    TENSORS_OF_KIND,
    FilmsKept,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text()
CONTRACT = (DOCS / "contract.md").read_text()
QUOTED = re.findall(r"^### `(.*)`$", TROUBLESHOOTING, re.MULTILINE)


@pytest.fixture(scope="module")
def texts():
    return error_texts()


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_message_is_still_said(quoted, texts):
    assert is_said(quoted, texts)


def test_a_message_that_nobody_says_is_found(texts):
    assert not is_said("...: no such folder; build it from bricks", texts)


def test_there_are_as_many_as_are_worth_a_page():
    assert len(QUOTED) >= 40
    assert len(set(QUOTED)) == len(QUOTED)


def rows_of(heading):
    """The cells of the first table below a heading, without its head."""
    section = CONTRACT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def names_in(cell):
    return re.findall(r"`([a-z_.]+)`", cell)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tensors_of_a_kind_are_those_of_the_schema(kind):
    rows = [row for row in rows_of("Tensors") if kind in row[1].split(", ")]
    assert {names_in(row[0])[0]: row[2] for row in rows} == TENSORS_OF_KIND[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_members_of_a_kind_are_those_of_the_schema(kind):
    rows = [row for row in rows_of("Members of a sample") if kind in row[1].split(", ")]
    listed = {name for row in rows for name in names_in(row[0])}
    known = {name for films in get_args(FilmsKept) for name in members_of(kind, films=films)}
    assert listed == known


def test_the_fields_of_batches_are_all_there():
    listed = [name for row in rows_of("A batch") for name in names_in(row[0])]
    known = {field.name for batch in BATCH_OF_KIND.values() for field in fields(batch)}
    assert set(listed) == known
    assert len(listed) == len(known)


def test_the_keys_of_dataset_json_are_all_there():
    listed = [name for row in rows_of("dataset.json") for name in names_in(row[0])]
    assert set(listed) == set(Manifest.model_fields)
    assert f"of version {SCHEMA_VERSION};" in CONTRACT


def test_the_numbers_of_values_are_those_of_the_schema():
    assert f"(B, {len(FINDINGS)})" in CONTRACT
    assert f"(B, {len(PHENOTYPES)})" in CONTRACT
    assert ", ".join(STATIC).replace("height, weight", "height (inch), weight (pound)") in CONTRACT


def test_the_reference_of_commands_is_what_they_say():
    assert PAGE.read_text() == write_page(), "docs/cli.md is stale: python tests/doc_cli.py"
