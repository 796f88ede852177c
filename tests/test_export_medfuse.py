"""The files that MedFuse's and DrFuse's code reads, cell by cell."""

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_stages import (
    HADM,
    STAY,
    SUBJECT,
    Built,
    admission,
    at,
    build,
    chart,
    film,
    icu_stay,
    lab,
    patient,
)

from cxrfuture_data.schema import PHENOTYPES
from etl.export_medfuse import export

SECOND = 1 / 3600
OTHER = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 2}
CHARTED = [
    chart(220045, 0, 80),  # hour 0 belongs
    chart(220739, 1.5, 3, value="To Speech"),
    chart(223901, 1.5, 6, value="Obeys Commands"),
    chart(226730, -3, 170),  # height of the ward, carried
    chart(220045, 48, 90),
    chart(220045, 48 + SECOND, 99),
    chart(220045, 1, 70, hadm_id=HADM + 1, stay_id=STAY + 1, charttime=at(301)),
    chart(220045, 1, 60, **OTHER, stay_id=STAY + 2),
]


def exported(tmp_path: Path, recipe: str, **changes: Any) -> tuple[Built, Path]:
    """Two stays of one patient, the earlier one with the higher id, and one of another."""
    tables: dict[str, Any] = {
        "patients": [patient(), patient(SUBJECT + 1, dod="2150-01-05")],
        "admissions": [
            admission(),
            admission(HADM + 1, admittime=at(290), dischtime=at(500)),
            admission(**OTHER, deathtime=at(90)),
        ],
        "icustays": [
            icu_stay(),
            icu_stay(STAY + 1, hadm_id=HADM + 1, intime=at(300), outtime=at(372.5), los=72.5 / 24),
            icu_stay(STAY + 2, **OTHER),
        ],
        "chartevents": CHARTED,
        "labevents": [lab(50931, 1.5, 120.5)],
        "cxr_metadata": [
            film("one", 5, 1),
            film("old", -500, 2, subject_id=SUBJECT + 1),
            film("stranger", 5, 3, subject_id=77),
        ],
    }
    tables["patients"].append(patient(77))
    built = build(tmp_path, recipe, tables, **changes)
    groups = [{"stay_id": STAY, **dict.fromkeys(PHENOTYPES, 0), PHENOTYPES[-1]: 1}]
    path = built.params.build(built.recipe.name, "cohort", "phenotype.parquet")
    pl.DataFrame(groups).write_parquet(path)
    out = tmp_path / "out"
    paths = export(built.params, built.recipe, out)
    assert sorted(paths) == sorted(path for path in out.rglob("*") if path.is_file())
    return built, out


def read(path: Path) -> list[list[str]]:
    """As their readers split a line: at every comma."""
    return [line.split(",") for line in path.read_text().splitlines()]


def listed(out: Path, pattern: str) -> dict[str, list[str]]:
    """Every listed series, whatever its part."""
    rows: dict[str, list[str]] = {}
    for path in sorted(out.glob(pattern)):
        header, *samples = read(path)
        assert header[:3] == ["stay", "period_length", "stay_id"]
        rows |= {sample[0]: sample[1:] for sample in samples}
    return rows


def series(out: Path, name: str) -> list[dict[str, str]]:
    """What each row of a series holds, blanks left out."""
    (path,) = out.rglob(name)
    with path.open() as handle:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(handle)]


FIRST = f"{SUBJECT}_episode1_timeseries.csv"
SECOND_STAY = f"{SUBJECT}_episode2_timeseries.csv"
ANOTHER = f"{SUBJECT + 1}_episode1_timeseries.csv"


def test_mortality(tmp_path):
    built, out = exported(tmp_path, "medfuse")
    assert listed(out, "in-hospital-mortality/*_listfile.csv") == {
        FIRST: ["0", str(STAY), "0"],
        SECOND_STAY: ["0", str(STAY + 1), "0"],
        ANOTHER: ["0", str(STAY + 2), "1"],
    }
    assert series(out, FIRST) == [
        {"Hours": "0.0", "Heart Rate": "80.0", "Height": "170.0"},
        {
            "Hours": "1.5",
            "Glascow coma scale eye opening": "To Speech",
            "Glascow coma scale motor response": "Obeys Commands",
            "Glucose": "120.5",
        },
        {"Hours": "48.0", "Heart Rate": "90.0"},
    ]
    assert series(out, SECOND_STAY) == [{"Hours": "1.0", "Heart Rate": "70.0"}]
    assert read(out / "root/all_stays.csv")[:2] == [
        ["subject_id", "hadm_id", "stay_id", "intime", "outtime"],
        [str(SUBJECT), str(HADM), str(STAY), at(0), at(96)],
    ]
    # Films of a patient without a stay train; those of a patient of valid never do.
    splits = {row[0]: row[3] for row in read(out / "mimic-cxr-ehr-split.csv")[1:]}
    spelled = {"train": "train", "valid": "validate", "test": "test"}
    of = dict(built.rows("cohort", "split", "subject_id, split"))
    assert splits == {
        "one": spelled[of[SUBJECT]],
        "old": spelled[of[SUBJECT + 1]],
        "stranger": "train",
    }


def test_columns_are_in_the_order_that_their_reader_takes_for_granted(tmp_path):
    _, out = exported(tmp_path, "medfuse")
    (path,) = out.rglob(FIRST)
    header = read(path)[0]
    assert header[0] == "Hours"
    assert header[1:] == sorted(header[1:])
    assert len(header) == 18
    assert all(len(row) == 18 for row in read(path))


def test_series_lie_where_the_lists_of_their_part_look(tmp_path):
    _, out = exported(tmp_path, "medfuse")
    task = out / "in-hospital-mortality"
    for part, folder in {"train": "train", "val": "train", "test": "test"}.items():
        for name, *_ in read(task / f"{part}_listfile.csv")[1:]:
            assert (task / folder / name).is_file()


def test_phenotyping_lists_the_length_of_each_stay(tmp_path):
    _, out = exported(tmp_path, "medfuse_phenotyping")
    rows = listed(out, "phenotyping/*_listfile.csv")
    assert {name: row[:2] for name, row in rows.items()} == {
        FIRST: ["96.0", str(STAY)],
        SECOND_STAY: ["72.5", str(STAY + 1)],
        ANOTHER: ["96.0", str(STAY + 2)],
    }
    assert rows[FIRST][2:] == ["0"] * 24 + ["1"]
    # A stay without a row has none of the groups.
    assert rows[ANOTHER][2:] == ["0"] * 25
    assert series(out, FIRST)[-1]["Heart Rate"] == "99.0"
    assert tuple(read(out / "phenotyping/test_listfile.csv")[0][3:]) == PHENOTYPES


def test_drfuse_reads_the_first_48_hours_and_a_list_of_films(tmp_path):
    _, out = exported(tmp_path, "drfuse")
    rows = listed(out, "ehr/ehr_list_phenotyping_48h_*.csv")
    assert {name: row[0] for name, row in rows.items()} == dict.fromkeys(
        (FIRST, SECOND_STAY, ANOTHER), "48.0"
    )
    assert series(out / "ehr", FIRST)[-1] == {"Hours": "48.0", "Heart Rate": "90.0"}
    films = [
        row
        for part in ("train", "val", "test")
        for row in read(out / f"metas_with_labels_phenotyping_first_48h_{part}.csv")[1:]
    ]
    assert films == [[str(SUBJECT), str(STAY), FIRST, "1", "one"]]


@pytest.mark.parametrize("fidelity", ["published", "corrected"])
def test_of_values_at_one_time_the_one_that_wins_in_the_hourly_record_is_written(
    tmp_path, fidelity
):
    rates = [chart(220210, 1, 9), chart(224690, 1, 10), chart(220045, 0.76666667, 80)]
    tables = {"chartevents": rates, "cxr_metadata": [film("one", 5, 1)]}
    built = build(tmp_path, "medfuse", tables, fidelity=fidelity)
    export(built.params, built.recipe, tmp_path / "out")
    # As texts 9 beats 10.
    rate = {"published": "9.0", "corrected": "10.0"}[fidelity]
    assert series(tmp_path / "out", FIRST) == [
        # 46 minutes as the authors divide them: 2760 / 60 / 60.
        {"Hours": "0.7666666666666667", "Heart Rate": "80.0"},
        {"Hours": "1.0", "Respiratory rate": rate},
    ]
    hourly = built.rows("window", "hourly", '"Respiratory rate"')
    assert hourly == [(float(rate),)]
