"""Folds and shares of patients: whole patients, every one once, shares within shares."""

import numpy as np
import pytest
from tiny_build import build_dataset

from cxrfuture_data import open_dataset
from train.fold import fold_numbers, in_fold, out_of_fold, share_of
from train.settings import Fold


@pytest.fixture(scope="module")
def train_pairs(tmp_path_factory):
    folder = build_dataset(tmp_path_factory.mktemp("fold"), "ddl_cxr", shard={"workers": 1})
    return open_dataset(folder).split("train", "pair")


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_take_every_sample_once_and_patients_whole(train_pairs, folds):
    parts = [in_fold(train_pairs, Fold(number=n, folds=folds)) for n in range(folds)]
    keys = [key for part in parts for key in part.columns["key"].tolist()]
    assert sorted(keys) == train_pairs.columns["key"].tolist()
    patients = [set(part.columns["subject_id"].tolist()) for part in parts]
    assert sum(map(len, patients)) == len(set().union(*patients))
    for number, part in enumerate(parts):
        rest = out_of_fold(train_pairs, Fold(number=number, folds=folds))
        assert len(rest) + len(part) == len(train_pairs)
        assert not patients[number] & set(rest.columns["subject_id"].tolist())


def test_folds_and_shares_are_about_as_large_as_they_say(train_pairs):
    patients = np.arange(10_000, 20_000)
    counts = np.bincount(fold_numbers(patients, 5))
    assert counts.min() > 1900
    assert counts.max() < 2100
    assert len(out_of_fold(train_pairs, None)) == len(train_pairs) == len(share_of(train_pairs, 1))


def test_a_smaller_share_is_part_of_a_larger_one(train_pairs):
    shares = [set(share_of(train_pairs, s).columns["key"].tolist()) for s in (0.25, 0.5, 0.75)]
    assert shares[0] <= shares[1] <= shares[2]
    assert len(shares[0]) < len(shares[2])
