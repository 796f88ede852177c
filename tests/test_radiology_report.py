"""Reports: which sections are taken, where files may lie, and what becomes of those that do not."""

import re
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_mimic import tiny_params
from tiny_stages import HADM, SUBJECT, Built, at, build, film

from cxrfuture_data.schema import ContractError
from etl.radiology_report import open_reports, read_sections, report_path
from etl.recipe import read_recipe
from etl.simulate.report import SENTENCES, report_text, write_report_tree

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough  // eval for infection

 WET READ: ___ ___ 8:00 AM
 Nothing new.

 FINDINGS:

 The heart is normal at 3:15.  There is
 no effusion ___.

 IMPRESSION:
 1. No pneumonia.
"""
READ = {"findings": "The heart is normal at 3:15. There is no effusion ___."}
READ |= {"impression": "1. No pneumonia."}
TEXT = f"report findings {READ['findings']} impression 1. No pneumonia."
FILMS = [film("a", 0, 1), film("b", 30, 2), film("c", 31, 2, viewposition="LATERAL")]


@pytest.mark.parametrize(
    ("report", "sections"),
    [
        (REPORT, READ),
        ("FINDINGS AND IMPRESSION: clear\nADDENDUM: not so", {"findings": "clear"}),
        ("IMPRESSION: b\nFINDINGS: a", {"findings": "a", "impression": "b"}),
        ("CONCLUSION: clear", {"impression": "clear"}),
        ("FINDINGS: a\nNOTIFICATION: ___\nFINDINGS: b", {"findings": "a b"}),
        ("FINDINGS:\n\nIMPRESSION: x", {"impression": "x"}),
        ("AP chest\n\nno headings at all", {}),
        ("", {}),
    ],
)
def test_findings_and_impression_are_what_stands_under_their_headings(report, sections):
    assert read_sections(report) == sections
    assert list(read_sections(report)) == list(sections)


def put(root: Path, study: int, text: str | bytes) -> None:
    path = root / "mimic-cxr-reports" / report_path(SUBJECT, study)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def reported(root: Path, films: Any = FILMS, **events: Any) -> Built:
    recipe = read_recipe("future")
    rule = recipe.events.model_copy(update={"tables": ["report"], **events})
    window = recipe.window.model_copy(update={"hourly": False})
    tables = {"cxr_metadata": films}
    return build(root, "future", tables, until="event", events=rule, window=window)


def test_a_report_is_known_some_time_after_the_last_film_of_its_study(tmp_path):
    put(tmp_path, 1, REPORT)
    put(tmp_path, 2, "IMPRESSION: worse")
    built = reported(tmp_path, report_after_hours=1.5)
    assert built.texts() == [TEXT, "report impression worse"]
    rows = built.rows(
        "event", "event", "hadm_id, event_at::VARCHAR, known_at::VARCHAR, ends_at, source_row"
    )
    assert rows == [
        (HADM, at(0), at(1.5), None, 1),
        (HADM, at(31), at(32.5), None, 2),
    ]


def test_what_has_no_report_is_counted_and_no_other_study_is_read(tmp_path):
    films = [film(name, hours, study) for study, (name, hours) in enumerate(
        [("a", 0), ("b", 10), ("c", 20), ("d", 30), ("e", 300)]
    )]  # fmt: skip
    put(tmp_path, 0, REPORT)
    put(tmp_path, 1, b"FINDINGS: \xff\xfe")
    put(tmp_path, 2, "no headings")
    put(tmp_path, 4, REPORT)  # after discharge
    built = reported(tmp_path, films)
    assert built.texts() == [TEXT]
    assert built.removed("event", "report row") == {
        "no file of the report": 1,
        "file that cannot be read": 1,
        "neither findings nor impression": 1,
    }
    drops = [drop for drop in built.drops("event") if drop.unit == "report row"]
    assert (drops[0].before, drops[-1].after) == (4, 1)


def test_a_long_report_is_cut_and_the_characters_counted(tmp_path):
    put(tmp_path, 1, REPORT)
    put(tmp_path, 2, REPORT)
    built = reported(tmp_path, maximum_length=len(TEXT) - 10)
    assert built.texts() == [TEXT[:-10].rstrip()] * 2
    assert built.removed("event", "character of a report") == {"beyond maximum_length": 20}
    assert built.removed("event", "event text") == {}


@pytest.mark.parametrize("prefix", ["", "mimic-cxr-reports/"])
def test_the_zip_of_the_release_is_read_in_place(tmp_path, prefix):
    folder = tmp_path / "mimic-cxr-reports"
    folder.mkdir()
    with zipfile.ZipFile(folder / "mimic-cxr-reports.zip", "w") as packed:
        packed.writestr(f"{prefix}files/p10/index.html", "no report")
        packed.writestr(prefix + report_path(SUBJECT, 1), REPORT)
    built = reported(tmp_path)
    assert built.texts() == [TEXT]
    assert built.removed("event", "report row") == {"no file of the report": 1}
    assert [path.name for path in folder.iterdir()] == ["mimic-cxr-reports.zip"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no files/p10 ... and no mimic-cxr-reports.zip; set paths.mimic_cxr"),
        (
            lambda folder: (folder / "mimic-cxr-reports.zip").write_bytes(b"PK cut"),
            "not a whole zip; download it again",
        ),
    ],
)
def test_a_folder_without_reports_is_refused_in_one_line(tmp_path, make, words):
    (tmp_path / "mimic-cxr-reports").mkdir()
    make(tmp_path / "mimic-cxr-reports")
    with pytest.raises(ContractError, match=words) as error:
        reported(tmp_path)
    assert "\n" not in str(error.value)


def test_the_report_of_the_target_is_never_in_its_window(tmp_path):
    """Known at once, and the target is the study's earlier film: still too late."""
    put(tmp_path, 1, REPORT)
    put(tmp_path, 2, "IMPRESSION: the target")
    films = [film("a", 0, 1), film("b", 30, 2), film("c", 29.9, 2, viewposition="PA")]
    built = reported(tmp_path, films, report_after_hours=0)
    known = dict(built.rows("event", "event", "source_row, known_at::VARCHAR"))
    assert known == {1: at(0), 2: at(30)}


def test_simulated_reports_say_what_the_films_hide(tmp_path):
    nothing = dict.fromkeys(SENTENCES, 0.0)
    assert read_sections(report_text("AP", nothing))["impression"] == (
        "No acute cardiopulmonary process."
    )
    sick = read_sections(report_text("AP", nothing | {"edema": 0.65, "effusion": 0.4}))
    assert sick["impression"] == (
        "There is severe alveolar pulmonary edema. A moderate pleural effusion is seen."
    )
    assert "There is no pneumothorax." in sick["findings"]
    films = pl.DataFrame(
        [{"subject_id": SUBJECT, "study_id": 50000001, "true_view": "AP"}
         | {f"severity_{name}": 0.0 for name in SENTENCES}] * 2
    )  # fmt: skip
    write_report_tree(tmp_path, films)
    (path,) = tmp_path.rglob("*.txt")
    assert path == tmp_path / "files" / "p10" / f"p{SUBJECT}" / "s50000001.txt"
    write_report_tree(tmp_path, films.with_columns(study_id=pl.lit(50000002)))
    assert [path.stem for path in tmp_path.rglob("*.txt")] == ["s50000002"]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (
            {"mimic_cxr_reports": ""},
            "no reports named; set paths.mimic_cxr_reports (or MIMIC_CXR_R",
        ),
        ({"mimic_cxr_reports": "simulate"}, "reports are simulated with their films alone"),
        (
            {"mimic_cxr_reports": "simulate", "mimic_cxr_jpg": "simulate"},
            "simulate/mimic-cxr-reports: reports are simulated",  # not made yet
        ),
    ],
)
def test_reports_that_nobody_names_are_refused(tmp_path, paths, words):
    params = tiny_params(tmp_path, paths=paths)
    with pytest.raises(ContractError, match=re.escape(words)), open_reports(params):
        pass
