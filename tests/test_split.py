"""The two published split rules."""

from collections import Counter

import numpy as np
import pytest

from cxrfuture_data.schema import ContractError
from etl.recipe import BenchmarkSplitRule, SplitRule
from etl.split import (
    assign_split,
    cut_cumulative_pairs,
    fill_empty,
    read_official,
    shuffle_patients,
)

SHUFFLED = SplitRule(method="shuffled_patients", seed=1, valid=1 / 7, test=0.2)
CUMULATIVE = SplitRule(method="cumulative_pairs", seed=42, valid=0.05, test=0.05)


def test_6619_patients_split_24_to_4_to_7():
    # The sizes DDL-CXR publishes: ceil(0.2 x 6619) = 1324, then ceil(5295 / 7) = 757.
    sizes = Counter(shuffle_patients(range(10, 10 + 6619), SHUFFLED).values())
    assert sizes == {"train": 4538, "valid": 757, "test": 1324}


@pytest.mark.parametrize("count", [0, 1, 2, 7, 64])
def test_every_patient_is_in_exactly_one_split(count):
    subjects = [10 * number for number in range(count)]
    assert sorted(shuffle_patients(subjects, SHUFFLED)) == subjects
    assert sorted(cut_cumulative_pairs(dict.fromkeys(subjects, 3), CUMULATIVE)) == subjects


def test_shuffling_does_not_depend_on_the_order_given():
    subjects = list(range(100, 135))
    assert shuffle_patients(subjects[::-1], SHUFFLED) == shuffle_patients(subjects, SHUFFLED)


def test_ten_patients_as_sklearn_splits_them():
    # train_test_split(range(10), test_size=0.2, random_state=1) tests on [2, 9] and leaves
    # [6, 4, 0, 3, 1, 7, 8, 5] in this order (the documented RandomState(1).permutation(10));
    # of those the same seed takes ceil(8 / 7) = 2, at positions RandomState(1).permutation(8)[:2].
    split = shuffle_patients(range(10), SHUFFLED)
    assert {subject for subject, name in split.items() if name == "test"} == {2, 9}
    rest = [6, 4, 0, 3, 1, 7, 8, 5]
    first, second = np.random.RandomState(1).permutation(8)[:2]
    assert {subject for subject, name in split.items() if name == "valid"} == {
        rest[first],
        rest[second],
    }


def test_pairs_add_up_to_the_cuts():
    pairs = {subject: 1 + subject % 9 for subject in range(1000)}
    total = sum(pairs.values())
    split = cut_cumulative_pairs(pairs, CUMULATIVE)
    held = Counter()
    for subject, name in split.items():
        held[name] += pairs[subject]
    # Strictly below each cut, and short of it by less than one patient's pairs.
    assert int(0.05 * total) - 9 <= held["test"] < int(0.05 * total)
    assert int(0.1 * total) - 9 <= held["test"] + held["valid"] < int(0.1 * total)


def test_a_patient_who_reaches_the_cut_is_past_it():
    # Of 40 pairs the first cut is at 2 and the second at 4; four patients of ten pairs pass both.
    split = cut_cumulative_pairs(dict.fromkeys(range(4), 10), CUMULATIVE)
    assert set(split.values()) == {"train"}


def test_patients_are_dealt_in_the_order_pandas_samples_them():
    # Series(1, index=range(20)).sample(frac=1, random_state=42) begins with rows 0, 17, 15, 1:
    # RandomState(42).permutation(20). At 20 % each, tests are three (running sum below 4).
    rule = CUMULATIVE.model_copy(update={"test": 0.2, "valid": 0.2})
    split = cut_cumulative_pairs(dict.fromkeys(range(20), 1), rule)
    assert {subject for subject, name in split.items() if name == "test"} == {0, 17, 15}


def test_splits_a_small_cohort_leaves_empty_get_the_patient_with_the_fewest_pairs():
    everyone = dict.fromkeys((1, 2, 3, 4), "train")
    filled = fill_empty(everyone, {1: 9, 2: 3, 3: 5})  # patient 4 has no pair
    assert filled == {1: "train", 2: "test", 3: "valid", 4: "train"}


def test_splits_that_hold_someone_stay_as_the_rule_drew_them():
    drawn = {1: "train", 2: "test", 3: "valid"}
    assert fill_empty(drawn, dict.fromkeys(drawn, 1)) == drawn


def test_train_keeps_its_last_patient():
    assert fill_empty({1: "train"}, {1: 4}) == {1: "train"}
    assert fill_empty({1: "train", 2: "train"}, {1: 4, 2: 5}) == {1: "test", 2: "train"}


OFFICIAL = CUMULATIVE.model_copy(update={"method": "official", "test": 0.2, "valid": 1 / 7})


def test_patients_the_official_split_names_keep_it_and_the_rest_is_dealt():
    named = {subject: "valid" for subject in range(0, 100, 10)} | {999: "test"}
    split = assign_split(OFFICIAL, range(100), {}, named)
    rest = [subject for subject in range(100) if subject % 10]
    assert {subject for subject in split if subject in named} == set(range(0, 100, 10))
    assert all(split[subject] == "valid" for subject in range(0, 100, 10))
    assert {subject: split[subject] for subject in rest} == shuffle_patients(rest, OFFICIAL)


def test_the_official_names_are_ours_in_other_words():
    rows = [(1, "train"), (2, "validate"), (3, "test")]
    assert read_official(rows) == {1: "train", 2: "valid", 3: "test"}


def test_an_unknown_official_split_is_refused():
    with pytest.raises(ContractError, match=r"cxr_split: split 'dev'; known are train, validate"):
        read_official([(1, "dev")])


LISTED = BenchmarkSplitRule(method="benchmark_patients", seed=1, valid=0.1, test=0.2, lists="")


def test_the_authors_lists_decide_where_they_are_given(tmp_path):
    # Ids are compared as numbers, whatever the lists' spaces; 4 is in neither list, 9 in no cohort.
    (tmp_path / "testset_iv.csv").write_text("1,1\n2,0\n3, 0\n9,1\n")
    (tmp_path / "valset_iv.csv").write_text("2,0\n3,1\n1,1\n")
    rule = LISTED.model_copy(update={"lists": str(tmp_path)})
    split = assign_split(rule, [4, 3, 2, 1], {}, {})
    assert split == {1: "test", 2: "train", 3: "valid", 4: "train"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"split.lists: .*valset_iv.csv: no such file; copy it from MedFuse's repository"),
        ("subject_id,test\n", r"valset_iv.csv: line 1 is not a subject_id and 0 or 1"),
        ("7,1\n8\n", r"valset_iv.csv: line 2 is not"),
    ],
)
def test_lists_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / "testset_iv.csv").write_text("1,1\n")
    if text is not None:
        (tmp_path / "valset_iv.csv").write_text(text)
    with pytest.raises(ContractError, match=message):
        assign_split(LISTED.model_copy(update={"lists": str(tmp_path)}), [1], {}, {})
