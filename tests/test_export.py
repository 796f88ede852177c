"""Exports of a tiny cohort: the arrays and files that others' code reads, cell by cell."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
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
    heart_rates,
    icu_stay,
    patient,
)

from cxrfuture_data.published import DDL_CXR_STAY
from cxrfuture_data.schema import ContractError
from etl import export
from etl.export_npz import write_npz

FILMS = [film("a", 0, 2), film("b", 20, 1)]
ROWS = [*heart_rates(1, 2, 3, 4, 5, 6), chart(220739, 2, 4, value="Spontaneously")]
COLUMN_OF_HEART_RATE, COLUMN_OF_SEX, COLUMN_OF_AGE = 50, 59, 61


def exported(tmp_path: Path, kind: str, fidelity: str = "published", **how: str) -> Path:
    tables = {"cxr_metadata": FILMS, "chartevents": ROWS}
    built: Built = build(tmp_path, "ddl_cxr", tables, fidelity=fidelity)
    export.run(built.params, built.recipe, kind, tmp_path / "out", **how)
    return tmp_path / "out"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as handle:
        return list(csv.DictReader(handle))


def test_matrices_are_keyed_by_stay_before_and_after_normalisation(tmp_path):
    out = exported(tmp_path, "npz")
    raw, scaled = (np.load(out / f"stay_{name}.npz") for name in ("raw", "normalised"))
    names = (out / "columns.txt").read_text().splitlines()
    assert raw.files == scaled.files == ["30000001"]
    assert raw["30000001"].shape == (48, 79)
    assert raw["30000001"].dtype == np.float64
    assert names[COLUMN_OF_HEART_RATE] == "Heart Rate"
    assert raw["30000001"][:, COLUMN_OF_HEART_RATE].tolist() == [80.0] * 48
    mean, std = DDL_CXR_STAY["Heart Rate"]
    assert scaled["30000001"][0, COLUMN_OF_HEART_RATE] == (80 - mean) / std
    assert json.loads((out / "normaliser.json").read_text())["stay"]["Heart Rate"]["std"] == std


@pytest.mark.parametrize(("fidelity", "age"), [("published", 65.0), ("corrected", 62.0)])
def test_published_hours_before_the_first_measurement_say_female_65(tmp_path, fidelity, age):
    tables = {"cxr_metadata": FILMS, "chartevents": heart_rates(3, 4, 5, 6, 7, 8)}
    built = build(tmp_path, "ddl_cxr", tables, fidelity=fidelity)
    export.run(built.params, built.recipe, "npz", tmp_path / "out")
    matrix = np.load(tmp_path / "out" / "stay_raw.npz")["30000001"]
    assert matrix[:3, COLUMN_OF_AGE].tolist() == [age, age, 60.0 if fidelity != "corrected" else 62]


def test_a_pair_and_its_generation_window_have_matrices_too(tmp_path):
    out = exported(tmp_path, "npz")
    (pair,) = rows_of(out / "pair.csv")
    assert (pair["previous_dicom_id"], pair["target_dicom_id"]) == ("a", "b")
    assert np.load(out / "pair_raw.npz")[pair["key"]].shape == (5, 79)  # from hour 1 to hour 6
    assert np.load(out / "generation_raw.npz")["30000001"].shape == (0, 79)  # nothing after hour 20


def test_the_moments_can_be_those_of_the_training_windows(tmp_path):
    # Six patients: two test, one validates, three train. All hours are counted, imputed ones too.
    own = [{"subject_id": SUBJECT + n, "hadm_id": HADM + n} for n in range(6)]
    tables = {
        "patients": [patient(ids["subject_id"]) for ids in own],
        "admissions": [admission(**ids) for ids in own],
        "icustays": [icu_stay(STAY + n, **ids) for n, ids in enumerate(own)],
        "cxr_metadata": [
            film(f"{n}", 20, n, subject_id=ids["subject_id"]) for n, ids in enumerate(own)
        ],
        "chartevents": [
            chart(220045, 24, 100, stay_id=STAY + n, **ids) for n, ids in enumerate(own)
        ],
    }
    built = build(tmp_path, "ddl_cxr", tables, fidelity="published")
    export.run(built.params, built.recipe, "npz", tmp_path / "out", normaliser="training")
    moments = json.loads((tmp_path / "out" / "normaliser.json").read_text())["stay"]
    # 23 hours of the normal 86, then 25 of 100.
    assert moments["Heart Rate"]["mean"] == pytest.approx((23 * 86 + 25 * 100) / 48)
    with pytest.raises(ContractError, match="only `training`, of --format npz"):
        export.run(built.params, built.recipe, "ddl-cxr", normaliser="training")


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    arrays = [("a", np.arange(3.0)), ("b", np.zeros((0, 79)))]
    first, second = (write_npz(tmp_path / f"{n}.npz", arrays).read_bytes() for n in (1, 2))
    assert first == second
    assert np.load(tmp_path / "1.npz")["b"].shape == (0, 79)


def test_the_files_of_ddl_cxr(tmp_path):
    out = exported(tmp_path, "ddl-cxr")
    (stay,) = rows_of(out / "all_stays.csv")
    assert (stay["age"], stay["los"], stay["mortality_inhospital"]) == ("60", "4.0", "0")
    # One patient: ceil(0.2 x 1) = 1 is a test patient.
    (predicted,) = rows_of(out / "test_pred.csv")
    assert rows_of(out / "train_pred.csv") == []
    assert (predicted["dicom_id"], predicted["cha"], predicted["Gender"]) == ("b", "28.0", "0")
    (pair,) = rows_of(out / "test_dm_labels.csv")
    assert (pair["x0_dicom_id"], pair["x1_dicom_id"], pair["ehr_len"]) == ("a", "b", "6.0")
    assert (pair["left_time"], pair["right_time"]) == ("0.0", "20.0")
    # Edema is 1 of both studies: positive is coded 2, what is not mentioned 3.
    assert (pair["Edema_l0"], pair["Edema_l1"], pair["No Finding_l1"]) == ("2.0", "2.0", "3.0")
    images = rows_of(out / "test_autoencoder_augmented_label.csv")
    assert [image["dicom_id"] for image in images] == ["a", "b"]
    episode = rows_of(out / str(SUBJECT) / "episode30000001_timeseries.csv")
    assert [row["Hours"] for row in episode] == ["1.0", "2.0", "3.0", "4.0", "5.0", "6.0"]
    assert episode[1]["Glascow coma scale eye opening"] == "Spontaneously"
    assert episode[1]["Heart Rate"] == "80.0"


def test_a_format_that_is_not_known_or_does_not_hold_the_recipe_is_refused(tmp_path):
    built = build(tmp_path, "ddl_cxr", {"cxr_metadata": FILMS, "chartevents": ROWS})
    with pytest.raises(ContractError, match=r"--format 'h5'; known are npz, ddl-cxr"):
        export.run(built.params, built.recipe, "h5")
    with pytest.raises(ContractError, match=r"--format medfuse holds recipes by the rules of"):
        export.run(built.params, built.recipe, "medfuse")


def events_of_ehrxdiff(tmp_path: Path) -> Built:
    """Two films of a patient, and three outputs between them, two of which read alike."""
    outputs = [
        {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(hour), "itemid": 9, "value": value}
        for hour, value in ((1, 50), (2, 7.25), (3, 50))
    ]
    tables = {"cxr_metadata": FILMS, "outputevents": outputs}
    return build(tmp_path, "ehrxdiff", tables, fidelity="published")


def test_the_events_of_ehrxdiff_before_its_tokenizer(tmp_path):
    built = events_of_ehrxdiff(tmp_path)
    export.run(built.params, built.recipe, "ehrxdiff", tmp_path / "out")
    events = pl.read_parquet(tmp_path / "out" / "event.parquet")
    assert events["dicom_id"].unique().to_list() == ["b_a"]  # the target first
    assert events["TIME"].to_list() == [60.0, 120.0, 180.0]
    assert events["text"][1] == "outputevents value 7.25"
    assert events["text_split"][1] == "outputevents value  7  .  2  5 "
    (counted,) = rows_of(tmp_path / "out" / "event_count.csv")
    assert counted == {"dicom_id": "b_a", "events": "3", "events_kept": "3"}
    split = json.loads((tmp_path / "out" / "dataset_split.json").read_text())
    assert sorted(key for keys in split.values() for key in keys) == ["b_a"]
    assert not list((tmp_path / "out").glob("*.h5"))


def test_embeddings_go_to_one_h5_a_split_in_the_order_of_events(tmp_path):
    built = events_of_ehrxdiff(tmp_path)
    folder = built.params.build("ehrxdiff")
    texts = pl.read_parquet(folder / "event" / "text.parquet").sort("text")
    (folder / "embed").mkdir()
    texts.select("text_id", pl.int_range(pl.len(), dtype=pl.Int32).alias("row")).write_parquet(
        folder / "embed" / "text_row.parquet"
    )
    # "value 50" sorts before "value 7.25": rows 0 and 1.
    np.save(folder / "embed" / "table.npy", np.array([[0.5, 0], [7.25, 1]], np.float16))
    (folder / "embed" / "done.json").write_text("{}")
    export.run(built.params, built.recipe, "ehrxdiff", tmp_path / "out")
    found = {}
    for path in (tmp_path / "out").glob("mimiciv-cxr-filtered_*_openai.h5"):
        with h5py.File(path) as file:
            found |= {key: dataset[:].tolist() for key, dataset in file["ehr"].items()}
    assert found == {"b_a": [[0.5, 0], [7.25, 1], [0.5, 0]]}
