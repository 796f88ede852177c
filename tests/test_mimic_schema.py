import csv
import gzip

import pytest
from tiny_mimic import demo_root

from cxrfuture_data.schema import FINDINGS
from etl.mimic_schema import OPTIONAL_TABLES, RECIPE_TABLES, TABLES, output_name


def test_every_module_has_its_tables():
    modules = [table.module for table in TABLES.values()]
    assert (modules.count("hosp"), modules.count("icu"), modules.count("cxr")) == (22, 9, 5)


@pytest.mark.parametrize("name", TABLES)
def test_order_and_key_are_columns_of_the_table(name):
    table = TABLES[name]
    assert set(table.order + table.key) <= set(table.names)
    assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_patients_are_ordered_by_patient_first(name):
    table = TABLES[name]
    assert table.has_source_row == (table.order[0] == "subject_id")


def test_recipes_read_declared_tables():
    assert {*RECIPE_TABLES, *OPTIONAL_TABLES} <= set(TABLES)
    assert not {*RECIPE_TABLES} & {*OPTIONAL_TABLES}


def test_findings_keep_their_names_and_everything_else_is_lower_case():
    assert output_name("StudyDate") == "studydate"
    assert TABLES["cxr_chexpert"].names == ("subject_id", "study_id", *FINDINGS)


def test_doses_with_ranges_are_text():
    assert TABLES["prescriptions"].columns["dose_val_rx"] == "VARCHAR"  # "1-2" is a dose


@pytest.mark.demo
def test_headers_of_the_open_demo_are_the_declared_ones():
    for path in sorted(demo_root().glob("*/*.csv.gz")):
        table = TABLES[path.name.removesuffix(".csv.gz")]
        with gzip.open(path, "rt") as lines:
            header = next(csv.reader(lines))
        # 2.2 spells procedureevents' last two columns in capitals.
        assert [column.lower() for column in header] == list(table.names)
        assert path.parent.name == table.module
