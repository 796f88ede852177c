import json

import pytest
from tiny_mimic import write_table

from cxrfuture_data.schema import ContractError
from etl.sources import find_release, read_checksums

PATIENT = [{"subject_id": 1, "gender": "F"}]
FILM = [{"dicom_id": "a", "subject_id": 1, "study_id": 1}]


@pytest.mark.parametrize(
    ("below", "version"),
    [
        ("", "unknown"),
        ("physionet.org/files/mimiciv/3.1", "3.1"),
        ("mimic-iv-3.1", "3.1"),
        ("mimic-iv-clinical-database-demo-2.2", "demo-2.2"),
    ],
)
def test_mimic_iv_is_found_at_any_depth(tmp_path, below, version):
    top = tmp_path / "data"
    path = write_table(top / below, "patients", PATIENT)
    write_table(top / below, "icustays", [])
    release = find_release("mimic_iv", top)
    assert release.root == top / below
    assert release.version == version
    assert release.tables["patients"] == path
    assert set(release.tables) == {"patients", "icustays"}
    assert not release.simulated


@pytest.mark.parametrize("below", ["", "physionet.org/files/mimic-cxr-jpg/2.1.0"])
def test_mimic_cxr_jpg_is_found_by_its_csvs_or_its_films(tmp_path, below):
    by_csv, by_film = tmp_path / "csv", tmp_path / "film"
    path = write_table(by_csv / below, "cxr_metadata", FILM)
    assert find_release("mimic_cxr_jpg", by_csv).tables == {"cxr_metadata": path}
    (by_film / below / "files" / "p10" / "p10000032").mkdir(parents=True)
    assert find_release("mimic_cxr_jpg", by_film).root == by_film / below


def test_films_are_not_searched(tmp_path):
    """A csv lost among the films does not make a second release."""
    write_table(tmp_path, "cxr_metadata", FILM)
    write_table(tmp_path / "files" / "p10" / "p10000032", "cxr_metadata", FILM)
    assert find_release("mimic_cxr_jpg", tmp_path).root == tmp_path


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([".csv", ".csv.gz", ".parquet"], ".csv.gz"),  # the release's own file
        ([".parquet", ".csv"], ".csv"),
        ([".parquet"], ".parquet"),
    ],
)
def test_of_several_files_of_a_table_the_release_s_own_is_read(tmp_path, written, read):
    for extension in written:
        write_table(tmp_path, "patients", PATIENT, extension)
    assert find_release("mimic_iv", tmp_path).tables["patients"].name == f"patients{read}"


def test_symlinks_and_read_only_folders_are_read(tmp_path):
    real = tmp_path / "disk" / "3.1"
    write_table(real, "patients", PATIENT)
    (real / "hosp").chmod(0o555)
    (tmp_path / "link").symlink_to(real)
    assert find_release("mimic_iv", tmp_path / "link").root == real


@pytest.mark.parametrize("marked", ["tree", "tree/mimic-iv"])
def test_a_marker_says_that_a_tree_is_simulated(tmp_path, marked):
    write_table(tmp_path / "tree" / "mimic-iv", "patients", PATIENT)
    (tmp_path / marked / "SIMULATED.json").write_text(json.dumps({"seed": 1, "version": "3.1"}))
    release = find_release("mimic_iv", tmp_path / "tree")
    assert release.simulated
    assert release.version == "3.1"


def test_a_marker_that_is_not_json_is_refused(tmp_path):
    write_table(tmp_path, "patients", PATIENT)
    (tmp_path / "SIMULATED.json").write_text("yes")
    with pytest.raises(ContractError, match="not JSON"):
        find_release("mimic_iv", tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"nowhere: no such folder; set paths.mimic_iv"):
        find_release("mimic_iv", tmp_path / "nowhere")


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"hosp/ and icu/.*MIMIC_IV_DIR"):
        find_release("mimic_iv", tmp_path)
    with pytest.raises(ContractError, match=r"files/p10.*MIMIC_CXR_JPG_DIR"):
        find_release("mimic_cxr_jpg", tmp_path)


def test_two_releases_below_one_folder_are_refused(tmp_path):
    write_table(tmp_path / "2.2", "patients", PATIENT)
    write_table(tmp_path / "3.1", "patients", PATIENT)
    with pytest.raises(ContractError, match=r"holds 2 releases .*2\.2.*3\.1"):
        find_release("mimic_iv", tmp_path)


def test_checksums_are_those_of_tables_in_either_spelling(tmp_path):
    (tmp_path / "SHA256SUMS.txt").write_text(
        "AB12 hosp/patients.csv.gz\ncd34  ./icu/icustays.csv.gz\nef56 LICENSE.txt\n"
    )
    assert read_checksums(tmp_path) == {
        "hosp/patients.csv.gz": "ab12",
        "icu/icustays.csv.gz": "cd34",
    }
