"""A dataset of `future`: what its samples say that no other recipe's do."""

import numpy as np
from tiny_build import build_dataset, key_of

from cxrfuture_data import open_dataset
from cxrfuture_data.schema import COMORBIDITIES, WIDE_VARIABLES

NAMES = [variable.name for variable in WIDE_VARIABLES]


def test_samples_of_future(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    stays = {
        stay.subject_id: stay
        for split in ("train", "valid", "test")
        for stay in dataset.samples(split, "stay")
    }
    assert [stays[s].remaining_hours for s in (1, 2, 4)] == [10.5, None, 42.0]
    assert [stays[s].icu_transfer for s in (1, 2, 3)] == [False, None, True]
    assert [stays[s].readmitted for s in (1, 2, 3)] == [False, True, None]
    assert stays[5].label == 5.0
    assert (stays[1].history.race, stays[2].history.race) == ("WHITE", None)
    assert (stays[1].history.bmi, stays[3].history.bmi) == (21.0, None)
    found = {name for name in COMORBIDITIES if stays[1].history.comorbidities[name]}
    assert found == {"dementia", "renal disease"}
    assert not any(stays[2].history.comorbidities.values())


def test_the_window_of_future_has_its_own_variables_and_ends(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "future", shard={"workers": 1}))
    (pair,) = [
        pair
        for pair in dataset.samples("train", "pair")
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


def test_other_recipes_say_nothing_of_it(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "ddl_cxr", shard={"workers": 1}))
    stay = dataset.samples("train", "stay")[0]
    assert (stay.remaining_hours, stay.icu_transfer, stay.readmitted, stay.label) == (None,) * 4
    assert stay.history is None
    assert stay.window.variables == "benchmark"
    assert np.isnan(stay.window.event_end_hours).all()
