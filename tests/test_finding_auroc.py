"""Records and subsets of findings, and AUROC equal to scikit-learn's."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrfuture_data.columns import Columns
from cxrfuture_data.schema import ContractError
from train.finding_auroc import FindingScores, Records, read_records


def pairs(target, previous):
    """Columns of pairs whose ten attributes are unknown but for the first ones given."""
    stored = {}
    for role, rows in (("target", target), ("previous", previous)):
        attributes = np.full((len(rows), 10), -1, np.int8)
        attributes[:, : len(rows[0])] = rows
        stored[f"{role}.attributes"] = attributes
    return Columns((), (), stored)


# One attribute of five pairs: same, appeared, resolved, unknown before, not mentioned.
FIVE = pairs([[1], [1], [0], [1], [-1]], [[1], [0], [1], [-1], [1]])


@pytest.mark.parametrize(
    ("fidelity", "subset", "members"),
    [
        ("corrected", "all", [0, 1, 2, 3]),
        ("corrected", "diff", [1, 2]),
        ("corrected", "same", [0]),
        ("published", "all", [0, 1, 2, 3]),
        ("published", "diff", [1, 2, 3]),  # unknown before counts as absent
        ("published", "same", [0]),
    ],
)
def test_subsets_by_hand(fidelity, subset, members):
    found = read_records(FIVE).subset(subset, fidelity)
    assert np.flatnonzero(found[:, 0]).tolist() == members
    assert not found[:, 1:].any()


def test_findings_stand_in_where_no_attribute_is_known():
    labels = np.zeros((4, 14), np.int8)
    labels[:, 0] = [1, 0, -1, 1]
    is_mentioned = np.zeros((4, 14), bool)
    is_mentioned[:3, 0] = True
    stored = {}
    for role in ("target", "previous"):
        stored |= {f"{role}.labels": labels, f"{role}.label_known": is_mentioned}
        stored[f"{role}.attributes"] = np.full((4, 10), -1, np.int8)
    records = read_records(Columns((), (), stored))
    assert records.label_set == "findings"
    assert len(records.names) == 14
    assert records.is_known[:, 0].tolist() == [True, True, False, False]  # -1 is uncertain
    assert records.is_present[:, 0].tolist() == [True, False, False, False]


def random_records(samples=60, labels=4, seed=0):
    random = np.random.default_rng(seed)
    flags = [random.random((samples, labels)) < share for share in (0.3, 0.8, 0.4, 0.7)]
    is_present, is_known, was_present, was_known = flags
    return Records(
        "attributes", is_present & is_known, is_known, was_present & was_known, was_known
    )


@pytest.mark.parametrize("subset", ["all", "diff", "same"])
@pytest.mark.parametrize("fidelity", ["corrected", "published"])
@pytest.mark.parametrize("levels", [3, 1000])  # of scores: with ties and without
def test_weighted_macro_auroc_is_scikit_learns(subset, fidelity, levels):
    records = random_records()
    random = np.random.default_rng(5)
    scores = random.integers(levels, size=(60, 4)) / levels
    rows = random.integers(60, size=60)  # with repeats, as a bootstrap draws them
    for chosen in (np.arange(60), rows):
        kept = records.subset(subset, fidelity)[chosen]
        values, weights = [], []
        for label in range(4):
            truth = records.is_present[chosen, label][kept[:, label]]
            if 0 < truth.sum() < len(truth):
                given = scores[chosen, label][kept[:, label]]
                values.append(roc_auc_score(truth, given))
                weights.append(len(truth))
        found = FindingScores(scores, records, fidelity).auroc(subset, chosen)
        assert found == pytest.approx(np.average(values, weights=weights), abs=1e-12)


def test_a_label_of_one_class_is_left_out():
    """Two labels of two records each; the second is present in both."""
    flags = np.ones((2, 2), bool)
    is_present = np.array([[True, True], [False, True]])
    records = Records("attributes", is_present, flags, is_present, flags)
    scores = FindingScores(np.array([[0.9, 0.1], [0.2, 0.8]]), records, "corrected")
    assert scores.auroc("all") == 1.0
    assert math.isnan(scores.auroc("all", np.array([0, 0])))
    assert math.isnan(scores.auroc("diff"))  # no record at all


def test_the_mean_is_weighted_by_records():
    """Of 2 records, all in order: 1. Of 4 records, all out of order: 0. Weighted: 2 / 6."""
    is_known, is_present = np.zeros((2, 4, 10), bool)
    is_known[:2, 0] = is_known[:, 1] = True
    is_present[0, 0] = is_present[:2, 1] = True
    records = Records("attributes", is_present, is_known, is_present, is_known)
    scores = np.zeros((4, 10))
    scores[0, 0] = scores[2, 1] = scores[3, 1] = 1.0
    found = FindingScores(scores, records, "corrected")
    assert found.auroc("all") == pytest.approx(2 / 6)
    assert found.by_label("all")["pleural effusion"] == (1.0, 2)
    assert found.by_label("all")["enlarged cardiac silhouette"] == (0.0, 4)


def test_the_previous_label_is_never_right_where_it_changed():
    """What a row that repeats the previous label must give, by construction (10.4)."""
    records = random_records(samples=200)
    scores = FindingScores(records.was_present.astype(float), records, "published")
    assert scores.auroc("diff") == 0.0
    assert scores.auroc("same") == 1.0
    assert 0.0 < scores.auroc("all") < 1.0


def test_strange_scores_are_refused():
    records = random_records()
    with pytest.raises(ContractError, match="not finite"):
        FindingScores(np.full((60, 4), np.nan), records, "corrected")
    with pytest.raises(ContractError, match=r"scores of \(60, 3\)"):
        FindingScores(np.zeros((60, 3)), records, "corrected")
