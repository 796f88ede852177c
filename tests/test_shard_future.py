"""A dataset of `future`: what its samples say that no other recipe's do."""

from dataclasses import replace

import numpy as np
from tiny_build import build_dataset, key_of

from cxrfuture_data import open_dataset
from cxrfuture_data.collate import collate, hour_columns
from cxrfuture_data.labels import FINDING_CHANGES
from cxrfuture_data.manifest import Simulated
from cxrfuture_data.picture import draw
from cxrfuture_data.schema import COMORBIDITIES, EVENT_TABLES, FINDINGS, WIDE_VARIABLES

NAMES = [variable.name for variable in WIDE_VARIABLES]


def test_samples_of_future(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    stays = {
        stay.subject_id: stay
        for split in ("train", "valid", "test")
        for stay in dataset.split(split, "stay")
    }
    assert [stays[s].remaining_hours for s in (1, 2, 4)] == [10.5, None, 42.0]
    assert [stays[s].icu_transfer for s in (1, 2, 3)] == [False, None, True]
    assert [stays[s].readmitted for s in (1, 2, 3)] == [False, True, None]
    assert stays[5].label == 5.0
    assert (stays[1].race, stays[2].race) == ("WHITE", None)
    assert (stays[1].history.bmi, stays[3].history.bmi) == (21.0, None)
    found = {name for name in COMORBIDITIES if stays[1].history.comorbidities[name]}
    assert found == {"dementia", "renal disease"}
    assert not any(stays[2].history.comorbidities.values())


def test_the_window_of_future_has_its_own_variables_and_ends(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    (pair,) = [
        pair
        for pair in dataset.split("train", "pair")
        if pair.key == key_of("pair", "dicom-1-0", "dicom-1-1")
    ]
    assert pair.window.variables == "wide"
    assert pair.window.hourly.shape == (10, len(NAMES))
    assert pair.window.hourly[1, NAMES.index("Heart Rate")] == 81.0
    assert np.isnan(pair.window.hourly).sum() == 10 * len(NAMES) - 2
    ends = pair.window.event_end_hours
    assert (np.isnan(ends[0]), ends[1], ends[2]) == (True, 2.5, np.inf)
    assert pair.history.earlier_admissions == 1
    assert set(dataset.statistics.pair.variables) == set(NAMES)
    moments = dataset.statistics.pair.variables["Heart Rate"]
    # Eight training patients, two pairs each; the pair that ends in a lost film is gone.
    values = [base + s for s in range(1, 9) for base in (80, 90) for _ in range(1 if s == 3 else 2)]
    assert (moments.count, moments.mean) == (len(values), np.mean(values))


def test_a_batch_of_future_has_a_value_and_a_flag_of_each_variable(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    for kind in ("pair", "stay"):
        sample = dataset.split("train", kind)[0]
        batch = collate([sample], dataset)
        assert batch.hours.shape == (1, len(sample.window.hourly), 2 * len(NAMES))
        assert batch.hours.shape[2] == hour_columns(dataset, kind) == 142
        assert batch.hours.dtype == np.float32
        column = NAMES.index("Heart Rate")
        flags = batch.hours[0, :, len(NAMES) + column]
        assert np.flatnonzero(flags).tolist() == [1, 3]
        values = batch.hours[0, :, column]
        assert values[0] == 0  # before the first: the training mean
        assert values[1] == values[2] < values[3] == values[4]


def test_the_picture_has_a_lane_for_any_table_and_a_line_for_what_runs(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    pair = dataset.split("train", "pair")[0]
    tables = np.arange(len(EVENT_TABLES), dtype=np.uint8)
    hours = np.full(len(tables), -2, np.float32)
    simulated = Simulated(tables=True, films=True)
    pictures = []
    for end in (np.nan, np.inf):
        events = {
            "event_row": np.zeros(len(tables), np.int32),
            "event_table": tables,
            "event_hours": hours,
            "event_end_hours": np.full(len(tables), end, np.float32),
        }
        window = replace(pair.window, **events)
        pictures.append(np.asarray(draw(replace(pair, window=window), simulated)))
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any()


def test_other_recipes_say_nothing_of_it(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "ddl_cxr", shard={"workers": 1}))
    stay = dataset.split("train", "stay")[0]
    assert (stay.remaining_hours, stay.icu_transfer, stay.readmitted, stay.label) == (None,) * 4
    assert stay.history is None
    assert stay.window.variables == "benchmark"
    assert np.isnan(stay.window.event_end_hours).all()


def test_a_batch_of_future(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    stays = sorted(dataset.split("train", "stay"), key=lambda stay: stay.subject_id)
    batch = collate(stays, dataset)  # patients 1 to 8
    assert batch.hours.shape == (8, 48, 2 * len(NAMES))
    assert batch.remaining_hours[:2].tolist() == [10.5, 0.0]
    assert batch.remaining_known[:2].tolist() == [True, False]
    assert batch.icu_transfer[:3].tolist() == [False, False, True]
    assert batch.icu_transfer_known[:3].tolist() == [True, False, True]
    assert batch.readmitted_known[:3].tolist() == [True, True, False]
    assert batch.event_end_hours[0, :3].tolist() == [1.0, 2.5, 48.0]
    assert batch.event_runs[0, :3].tolist() == [False, False, True]
    assert batch.has_history[:2].tolist() == [True, False]
    assert batch.comorbidities[0].nonzero()[0].tolist() == [4, 12]
    assert batch.bmi[:3].tolist() == [21.0, 22.0, 0.0]
    assert batch.bmi_known[:3].tolist() == [True, True, False]


def test_changes_of_a_batch_come_from_both_films_and_the_report(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    pairs = list(dataset.split("train", "pair"))
    batch = collate(pairs, dataset)
    for row, pair in enumerate(pairs):
        for column, finding in enumerate(FINDINGS):
            before, after = pair.previous.labels[finding], pair.target.labels[finding]
            expected = {(0, 1): "new", (1, 0): "resolved", (0, 0): "unchanged"}.get((before, after))
            if (before, after) == (1, 1) and finding == "Pneumonia" and pair.changes:
                expected = {"worsened": "worse"}[pair.changes["pneumonia"]]
            assert batch.changes_known[row, column] == (expected is not None)
            if expected:
                assert FINDING_CHANGES[batch.changes[row, column]] == expected
