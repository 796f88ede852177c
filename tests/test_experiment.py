"""The experiment's arithmetic: subsets, AUROC over records, and who gets whose window."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from train.experiment.pairs import other_patients
from train.experiment.probe import fit_probe, judge
from train.experiment.score import Records, by_finding, interval, score


def records_of(samples=60, findings=3, seed=0):
    random = np.random.default_rng(seed)
    previous, target, known = random.random((3, samples, findings)) < 0.5
    return Records.of(previous, target, known | True, np.arange(samples) // 4), previous


def test_a_record_is_of_diff_or_of_same():
    records, _ = records_of()
    diff, same, all_ = (records.subsets[name] for name in ("diff", "same", "all"))
    assert (diff ^ same).all()
    assert ((diff | same) == all_).all()


def test_an_unknown_record_is_of_no_subset():
    yes, no = np.ones((2, 1), bool), np.zeros((2, 1), bool)
    records = Records.of(yes, no, np.array([[True], [False]]), np.arange(2))
    assert [int(records.subsets[name].sum()) for name in ("diff", "same", "all")] == [1, 0, 1]


@pytest.mark.parametrize("subset", ["diff", "same", "all"])
def test_auroc_is_the_mean_weighted_by_records(subset):
    records, _ = records_of()
    answers = np.random.default_rng(1).integers(0, 5, (60, 3)) / 4.0  # with ties
    chosen = records.subsets[subset]
    values = [
        roc_auc_score(records.is_present[chosen[:, i], i], answers[chosen[:, i], i])
        for i in range(3)
    ]
    expected = np.average(values, weights=chosen.sum(0))
    assert score(answers, records, subset).value == pytest.approx(expected)
    found = by_finding(answers, records, subset)
    assert [value for value, _, _ in found] == pytest.approx(values)
    assert [count for _, count, _ in found] == chosen.sum(0).tolist()


def test_the_previous_label_is_always_wrong_where_it_changed():
    records, previous = records_of()
    answers = previous.astype(float)
    assert score(answers, records, "diff").value == 0
    assert score(answers, records, "same").value == 1
    assert score(np.zeros_like(answers), records, "diff").value == 0.5


def test_a_finding_of_one_class_does_not_count():
    records, _ = records_of(findings=2)
    records.is_present[:, 1] = True
    answers = records.is_present.astype(float)
    assert score(answers, records, "all").value == 1
    assert by_finding(answers, records, "all")[1] == (None, 60, 60)


def test_patients_are_drawn_whole_and_alike_for_every_row():
    records, _ = records_of()
    times = records.draws.reshape(1000, 15, 4)
    assert (times == times[:, :, :1]).all()
    assert (times[:, :, 0].sum(1) == 15).all()
    answers = np.random.default_rng(1).random((60, 3))
    one, again = (score(answers, records, "all") for _ in range(2))
    assert interval(one.draws - again.draws) == (0, 0)
    low, high = one.interval
    assert low < one.value < high


def test_a_window_comes_from_another_patient_and_each_once():
    patients = np.array([3, 1, 1, 3, 2, 2, 2, 9, 8, 8])
    order = other_patients(patients)
    assert sorted(order.tolist()) == list(range(10))
    assert (patients[order] != patients).all()


def test_the_judge_learns_what_can_be_seen():
    """A finding is a bright corner of the latent."""
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(300, 2, 8, 8, generator=random) / 3
    is_present = torch.rand(300, 1, generator=random) < 0.5
    latents[:, 0, :3, :3] += is_present[:, :, None] * 1.0
    probe = fit_probe(latents[:200], is_present[:200].numpy(), seed=0, steps=30)
    found = judge(probe, latents[200:])
    assert roc_auc_score(is_present[200:, 0].numpy(), found[:, 0]) > 0.9
