"""Every version is recognised by what is in it, and gives the same Parquet."""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_mimic import demo_root, rewrite, tiny_params, write_tree

from cxrfuture_data.schema import ContractError
from etl import ingest
from etl.mimic_schema import TABLES
from etl.params import Params
from etl.prepare import prepare
from etl.recipe import read_recipe
from etl.simulate import SimulateOptions, simulate
from etl.version import disagreement, find_stranger, recognise, require_one_version
from etl.version_schema import MIMIC_IV, expected_rows, lacked_columns

VERSIONS = ("2.0", "2.2", "3.0", "3.1")
PATIENTS = 16
# Literal, for one table of each kind.
HEADERS = {
    ("2.0", "icu/outputevents"): "subject_id,hadm_id,stay_id,charttime,storetime,itemid,value,"
    "valueuom",
    ("2.2", "icu/outputevents"): "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,"
    "itemid,value,valueuom",
    ("2.0", "hosp/poe"): "poe_id,poe_seq,subject_id,hadm_id,ordertime,order_type,order_subtype,"
    "transaction_type,discontinue_of_poe_id,discontinued_by_poe_id,order_status",
    ("3.0", "hosp/poe"): "poe_id,poe_seq,subject_id,hadm_id,ordertime,order_type,order_subtype,"
    "transaction_type,discontinue_of_poe_id,discontinued_by_poe_id,order_provider_id,order_status",
}


def make_tree(out: Path, version: str, cxr_version: str = "2.1.0") -> Path:
    simulate(
        SimulateOptions(
            out=out,
            patients=PATIENTS,
            seed=20,
            image_size=64,
            render=False,
            version=version,
            cxr_version=cxr_version,
        )
    )
    return out


def columns_of(version: str, *tables: str) -> dict[str, tuple[str, ...]]:
    return {name: MIMIC_IV[version].header(name) for name in tables}


def rows_of(version: str, *tables: str) -> dict[str, int]:
    return {name: expected_rows("mimic_iv", version)[name] for name in tables}


def read_source(params: Params, source: str = "mimic_iv") -> str:
    return json.loads(params.build("ingest", "source.json").read_text())[source]["version"]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The same patients in every version; 2.0 goes with MIMIC-CXR-JPG 2.0.0."""
    made = {}
    for version in VERSIONS:
        cxr_version = "2.0.0" if version == "2.0" else "2.1.0"
        made[version] = make_tree(tmp_path_factory.mktemp("tree"), version, cxr_version)
    return made


@pytest.fixture(scope="module")
def prepared(trees: Mapping[str, Path]) -> Mapping[str, Mapping[str, str]]:
    """Version -> Parquet of event, cohort and window, of both recipes -> digest of its values."""
    found = {}
    for version, root in trees.items():
        params = tiny_params(root)
        digests = {}
        for recipe in ("ddl_cxr", "ehrxdiff"):
            folder = prepare(params, read_recipe(recipe))
            for path in sorted(folder.rglob("*.parquet")):
                name = path.relative_to(params.paths.build).as_posix()
                digests[name] = digest_values(path)
        found[version] = digests
    return found


def digest_values(path: Path) -> str:
    """Without insurance, of which 2.x knows fewer kinds."""
    table = pq.read_table(path)
    if "insurance" in table.column_names:
        table = table.drop_columns(["insurance"])
    text = repr((table.schema.names, [str(t) for t in table.schema.types], table.to_pylist()))
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("version", ["2.0", "2.2", "3.0"])
def test_every_version_gives_the_same_events_cohort_and_windows(prepared, version):
    assert {name.split("/")[1] for name in prepared["3.1"]} >= {"event", "cohort", "window"}
    differing = {name for name, at in prepared[version].items() if prepared["3.1"][name] != at}
    assert prepared[version].keys() == prepared["3.1"].keys()
    # MIMIC-CXR-JPG 2.0.0, which goes with 2.0 here, has no radiologist's labels.
    read = {f"{recipe}/cohort/radiologist_label.parquet" for recipe in ("ddl_cxr", "ehrxdiff")}
    assert differing == (read if version == "2.0" else set())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stages_had_something_to_compare(prepared, trees, version):
    params = tiny_params(trees[version])
    for recipe in ("ddl_cxr", "ehrxdiff"):
        assert pq.read_table(params.build(recipe, "cohort", "pair.parquet")).num_rows > 0


@pytest.mark.parametrize("version", VERSIONS)
def test_ingested_tables_have_one_schema(prepared, trees, version):
    newest = tiny_params(trees["3.1"])
    params = tiny_params(trees[version])
    for name in ("chartevents", "labevents", "admissions", "procedureevents"):
        path = params.build("ingest", f"{name}.parquet")
        assert pq.read_schema(path) == pq.read_schema(newest.build("ingest", f"{name}.parquet"))
        empty = [c for c in lacked_columns(name) if is_empty(path, c)]
        assert empty == (sorted(lacked_columns(name)) if version == "2.0" else [])


def is_empty(path: Path, column: str) -> bool:
    values = pq.read_table(path, columns=[column])[column]
    return values.null_count == len(values)


@pytest.mark.parametrize(("version", "table"), HEADERS)
def test_simulated_headers_are_those_of_the_version(trees, version, table):
    with gzip.open(trees[version] / "mimic-iv" / f"{table}.csv.gz", "rt") as file:
        assert file.readline() == HEADERS[version, table] + "\n"


@pytest.mark.parametrize(
    ("version", "ends"),
    [("2.0", "ORIGINALRATE\n"), ("2.2", "ORIGINALRATE\n"), ("3.0", "originalrate\n")],
)
def test_2_x_spells_two_columns_in_capitals(trees, version, ends):
    with gzip.open(trees[version] / "mimic-iv/icu/procedureevents.csv.gz", "rt") as file:
        assert file.readline().endswith(ends)


@pytest.mark.parametrize("version", VERSIONS)
def test_words_and_tables_are_those_of_the_version(trees, version):
    root = trees[version] / "mimic-iv"
    with gzip.open(root / "hosp" / "admissions.csv.gz", "rt") as file:
        header, *rows = [line.rstrip("\n").split(",") for line in file]
    languages = {row[header.index("language")] for row in rows}
    insurances = {row[header.index("insurance")] for row in rows}
    if version.startswith("2"):
        assert languages == {"ENGLISH", "?"}
        assert insurances == {"Medicare", "Medicaid", "Other"}
    else:
        assert {"English", "Spanish"} <= languages
        assert {"Private", "Other"} < insurances
    assert (root / "icu" / "caregiver.csv.gz").exists() == (version != "2.0")
    assert (root / "hosp" / "provider.csv.gz").exists() == (version != "2.0")


def test_a_tree_made_again_as_2_0_keeps_nothing_of_another(tmp_path):
    make_tree(tmp_path, "3.1")
    cxr = tmp_path / "mimic-cxr-jpg"
    name = (cxr / "IMAGE_FILENAMES").read_text().splitlines()[0]
    assert name.startswith("files/p1")
    assert name.endswith(".jpg")
    test_set = cxr / "mimic-cxr-2.1.0-test-set-labeled.csv"
    header = test_set.read_text().splitlines()[0].split(",")
    assert header == list(TABLES["cxr_radiologist"].columns)
    make_tree(tmp_path, "2.0", "2.0.0")
    assert not (tmp_path / "mimic-iv" / "icu" / "caregiver.csv.gz").exists()
    assert not (cxr / "IMAGE_FILENAMES").exists()
    assert not test_set.exists()


def test_an_unknown_version_is_not_simulated(tmp_path):
    with pytest.raises(ContractError, match=r"version is one of 2.0, 2.2, 3.0, 3.1, found '1.0'"):
        make_tree(tmp_path, "1.0")


@pytest.mark.parametrize(
    ("version", "title", "cxr"),
    [
        ("2.0", "2.0 or 2.1, a subset: 16 patients", "2.0.0"),
        ("2.2", "2.2, a subset: 16 patients", "2.1.0"),
        ("3.0", "3.x, a subset: 16 patients", "2.1.0"),
        ("3.1", "3.x, a subset: 16 patients", "2.1.0"),
    ],
)
def test_a_part_says_which_columns_it_has(trees, tmp_path, version, title, cxr):
    """A simulated tree that does not say so; its folder's name lies."""
    root = tmp_path / "mimic-iv-1.0"
    root.symlink_to(trees[version] / "mimic-iv")
    params = tiny_params(tmp_path)
    release = ingest.find_release("mimic_iv", root)
    jobs = ingest.plan_jobs(params, [release])
    headers = {job.name: job.layout.header for job in jobs}
    found = recognise("mimic_iv", headers, {"patients": PATIENTS})
    assert found.title == title
    assert not found.certain
    assert not found.is_demo
    assert read_source(tiny_params(trees[version]), "mimic_cxr_jpg") == cxr
    assert read_source(tiny_params(trees[version])) == version  # as SIMULATED.json says


SIZES = ("patients", "admissions", "icustays")


@pytest.mark.parametrize(
    ("of", "columns", "counted", "title", "certain"),
    [
        ("2.0", "2.0", SIZES, "2.0", True),
        ("2.1", "2.0", SIZES, "2.1", True),
        ("2.2", "2.2", SIZES, "2.2", True),
        ("3.1", "3.1", SIZES, "3.1", False),  # 3.0 has as many
        ("3.1", "3.1", (*SIZES, "labevents", "d_labitems"), "3.1", True),
        ("3.1", "2.2", (*SIZES, "labevents"), "3.1", True),  # capitals decide nothing
        ("demo-2.2", "2.2", SIZES, "2.2 demo", True),
        ("3.1", "2.0", (*SIZES, "labevents"), "3.1", False),  # rows of one, columns of another
    ],
)
def test_a_whole_release_is_told_by_its_rows(of, columns, counted, title, certain):
    headers = columns_of(columns, "chartevents", "procedureevents")
    version = recognise("mimic_iv", headers, rows_of(of, *counted))
    assert (version.title, version.certain) == (title, certain)
    assert version.release_rows == of


def test_3_0_is_3_1_with_other_labs_and_warns():
    rows = rows_of("3.1", *SIZES, "labevents", "d_labitems") | {"d_labitems": 1_630}
    version = recognise("mimic_iv", columns_of("3.1", "labevents"), rows)
    assert (version.name, version.certain) == ("3.0", False)
    assert "lab itemids" in version.warning
    assert "\n" not in version.warning
    same = recognise("mimic_iv", columns_of("3.1", "labevents"), rows_of("3.1", *SIZES))
    assert same.warning is None


def test_a_table_with_the_rows_of_another_version_is_named():
    rows = rows_of("2.2", *SIZES) | rows_of("2.1", "outputevents")
    version = recognise("mimic_iv", columns_of("2.2", "outputevents"), rows)
    assert (version.name, version.certain) == ("2.2", False)
    assert "; but outputevents has 4,234,697, as in 2.1" in version.evidence


@pytest.mark.parametrize(
    ("dictionaries", "patients", "title"),
    [
        ({"d_items": 4014, "d_labitems": 1622}, 50, "2.2 demo"),
        ({"d_items": 4014, "d_labitems": 1622}, 100, "2.2 demo"),
        ({"d_items": 4014, "d_labitems": 1622}, 101, "2.2, a subset: 101 patients"),
        ({"d_items": 4095, "d_labitems": 1650}, 50, "3.1, a subset: 50 patients"),
        ({"d_labitems": 7}, 50, "2.2 or later, a subset: 50 patients"),
        ({}, 1, "2.2 or later, a subset: 1 patient"),
    ],
)
def test_a_part_is_told_by_dictionaries_that_it_has_whole(dictionaries, patients, title):
    rows = {"patients": patients, **dictionaries}
    version = recognise("mimic_iv", columns_of("2.2", "chartevents"), rows)
    assert version.title == title


@pytest.mark.parametrize(
    ("beside", "rows", "title", "certain"),
    [
        (["IMAGE_FILENAMES"], 377_110, "2.1.0", True),
        (["mimic-cxr-2.1.0-test-set-labeled.csv"], 12, "2.1.0, a subset: 12 films", True),
        (["SHA256SUMS.txt"], 377_110, "2.0.0", True),
        ([], 377_110, "2.0.0", False),  # or 2.1.0 without these two
    ],
)
def test_mimic_cxr_jpg_is_told_by_two_files(beside, rows, title, certain):
    columns = {"cxr_metadata": list(TABLES["cxr_metadata"].columns)}
    version = recognise("mimic_cxr_jpg", columns, {"cxr_metadata": rows}, beside)
    assert (version.title, version.certain) == (title, certain)


@pytest.mark.parametrize(
    ("claim", "agrees"),
    [("3.1", True), ("3.0", True), ("unknown", True), ("2.2", False), ("demo-2.2", False)],
)
def test_a_folder_s_name_is_held_against_the_evidence(claim, agrees):
    version = recognise("mimic_iv", columns_of("3.1", "procedureevents"), {"patients": 3})
    line = disagreement(claim, version)
    assert (line is None) == agrees
    if line is not None:
        assert f"the folder's name says {claim}, its tables say 3.x, a subset: 3 pat" in line


@pytest.mark.parametrize("odd", ["chartevents", "labevents"])
def test_a_table_of_another_version_is_found(odd):
    columns: dict[str, Sequence[str]] = dict(
        columns_of("2.2", "admissions", "chartevents", "labevents", "outputevents", "patients")
    )
    assert find_stranger("mimic_iv", columns) is None
    columns[odd] = MIMIC_IV["2.0"].header(odd)
    assert recognise("mimic_iv", columns).name == "mixed"
    with pytest.raises(ContractError, match=f"^{odd}: .* of 2.0 or 2.1, .* of 2.2 or 3.0 or 3.1"):
        require_one_version("mimic_iv", columns, "here")


def test_ingest_stops_at_a_table_of_another_version(tmp_path):
    params = write_tree(tmp_path, {}).model_copy(update={"recipes": ["ddl_cxr"]})
    header = ",".join(MIMIC_IV["2.0"].header("outputevents"))
    rewrite(tmp_path / "mimic-iv" / "icu" / "outputevents.csv.gz", header + "\n")
    with pytest.raises(ContractError, match=r"outputevents: its columns .* take all tables from"):
        ingest.run(params)
    assert not params.build("ingest", "patients.parquet").exists()


def test_a_folder_that_lies_and_a_permuted_header(tmp_path, capsys):
    """A table of 2.0 with its columns the other way round, in a folder that claims 3.1."""
    params = write_tree(tmp_path, {}).model_copy(update={"recipes": ["ddl_cxr"]})
    root = tmp_path / "mimic-iv"
    lacking = [name for name in TABLES if lacked_columns(name)]
    for name in lacking:
        path = root / TABLES[name].module / f"{name}.csv.gz"
        if path.exists():
            rewrite(path, ",".join(MIMIC_IV["2.0"].header(name)) + "\n")
    row = {"subject_id": "7", "hadm_id": "8", "itemid": "9", "charttime": "2180-01-02 03:00:00"}
    header = MIMIC_IV["2.0"].header("outputevents")[::-1]
    line = ",".join(row.get(column, "") for column in header)
    rewrite(root / "icu" / "outputevents.csv.gz", f"{','.join(header)}\n{line}\n")
    root.rename(tmp_path / "mimic-iv-3.1")
    paths = params.paths.model_copy(update={"mimic_iv": str(tmp_path / "mimic-iv-3.1")})
    params = params.model_copy(update={"paths": paths})
    ingest.run(params)
    said = capsys.readouterr()
    assert "the folder's name says 3.1, its tables say 2.0 or 2.1" in said.out + said.err
    assert read_source(params) == "2.0 or 2.1, a subset: 0 patients"
    table = pq.read_table(params.build("ingest", "outputevents.parquet"))
    assert table.select(["subject_id", "itemid", "caregiver_id"]).to_pylist() == [
        {"subject_id": 7, "itemid": 9, "caregiver_id": None}
    ]


@pytest.mark.demo
def test_the_open_demo_reports_as_2_2_demo(tmp_path):
    params = tiny_params(tmp_path)
    release = ingest.find_release("mimic_iv", demo_root())
    ingest.ingest_releases(params, [release])
    assert read_source(params) == "2.2 demo"
