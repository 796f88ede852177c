"""Which patients train, validate and test: the two published rules, to the last patient.

Both draw from numpy's legacy generator, because the published splits do.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from etl.recipe import SplitRule

Split = dict[int, str]


def assign_split(rule: SplitRule, subjects: Sequence[int], pairs: Mapping[int, int]) -> Split:
    """The split of every patient, in the order dealt. ``pairs`` counts each patient's pairs."""
    if rule.method == "shuffled_patients":
        return shuffle_patients(subjects, rule)
    return cut_cumulative_pairs(pairs, rule)


def fill_empty(split: Split, pairs: Mapping[int, int]) -> Split:
    """A cohort of a few patients may leave test or valid empty; each then gets one from train.

    It is the patient with the fewest pairs, of those that have any, and train keeps one at least.
    No cohort of the published sizes is touched.
    """
    filled = dict(split)
    for name in ("test", "valid"):
        if name in filled.values():
            continue
        train = [subject for subject, held in filled.items() if held == "train"]
        able = sorted(train, key=lambda subject: (not pairs.get(subject), pairs.get(subject, 0)))
        if len(able) > 1:
            filled[able[0]] = name
    return filled


def shuffle_patients(subjects: Sequence[int], rule: SplitRule) -> Split:
    """sklearn's train_test_split for the test patients, and again on the rest for the valid ones.

    Each call permutes what it is given and takes the first ceil(share x n); the rest keeps its
    permuted order for the second call, which starts from the same seed.
    """
    rest, test = _take_share(sorted(subjects), rule.test, rule.seed)
    train, valid = _take_share(rest, rule.valid, rule.seed)
    named = {"train": train, "valid": valid, "test": test}
    return {subject: name for name, members in named.items() for subject in members}


def cut_cumulative_pairs(pairs: Mapping[int, int], rule: SplitRule) -> Split:
    """pandas' sample(frac=1) of the patients in ascending order, cut where their pairs add up.

    A patient is in test while the running sum, its own pairs included, is below test x N, then in
    valid while it is below (test + valid) x N; both products are cut to whole pairs.
    """
    subjects = sorted(pairs)
    order = np.random.RandomState(rule.seed).choice(len(subjects), len(subjects), replace=False)
    total = sum(pairs.values())
    test_end = int(total * rule.test)
    valid_end = int(total * (rule.test + rule.valid))
    split: Split = {}
    running = 0
    for index in order:
        subject = subjects[index]
        running += pairs[subject]
        split[subject] = (
            "test" if running < test_end else "valid" if running < valid_end else "train"
        )
    return split


def _take_share(members: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """(rest, taken), both in permuted order."""
    order = np.random.RandomState(seed).permutation(len(members))
    taken = math.ceil(share * len(members))
    return [members[i] for i in order[taken:]], [members[i] for i in order[:taken]]
