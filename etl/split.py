"""Which patients train, validate and test: the published rules, to the last patient.

Those that draw do so from numpy's legacy generator, because the published splits do.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cxrfuture_data.schema import ContractError
from etl.recipe import BenchmarkSplitRule, SplitRule

Split = dict[int, str]


OFFICIAL = {"train": "train", "validate": "valid", "test": "test"}


def assign_split(
    rule: SplitRule,
    subjects: Sequence[int],
    pairs: Mapping[int, int],
    official: Mapping[int, str],
) -> Split:
    """The split of every patient, in the order dealt. ``pairs`` counts each patient's pairs;
    ``official`` is the split that MIMIC-CXR-JPG gives a patient, read by the method of that name.
    """
    if isinstance(rule, BenchmarkSplitRule) and rule.lists:
        return read_lists(Path(rule.lists), subjects)
    if rule.method in ("shuffled_patients", "benchmark_patients"):
        return shuffle_patients(subjects, rule)
    if rule.method == "cumulative_pairs":
        return cut_cumulative_pairs(pairs, rule)
    if rule.method == "hashed_patients":
        return {subject: hash_patient(subject, rule) for subject in subjects}
    named = {subject: official[subject] for subject in subjects if subject in official}
    unnamed = [subject for subject in subjects if subject not in official]
    return named | shuffle_patients(unnamed, rule)


def hash_patient(subject: int, rule: SplitRule) -> str:
    """The split of a patient, whoever else is in the cohort: by SHA-256 of ``seed|subject_id``."""
    drawn = hashlib.sha256(f"{rule.seed}|{subject}".encode()).digest()
    share = int.from_bytes(drawn[:8]) / 2**64
    if share < rule.test:
        return "test"
    return "valid" if share < rule.test + rule.valid else "train"


def read_official(rows: Iterable[tuple[int, str | None]]) -> Split:
    """The patients of MIMIC-CXR-JPG's split file, from its distinct (patient, split)."""
    split: Split = {}
    for subject, name in rows:
        if name not in OFFICIAL:
            raise ContractError(
                f"cxr_split: split {name!r}; known are {', '.join(OFFICIAL)}; download it again"
            )
        if split.setdefault(subject, OFFICIAL[name]) != OFFICIAL[name]:
            raise ContractError(
                f"cxr_split: patient {subject} is in {split[subject]} and {OFFICIAL[name]};"
                " download the file again, or set the recipe's split.method: shuffled_patients"
            )
    return split


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


def read_lists(folder: Path, subjects: Sequence[int]) -> Split:
    """By MedFuse's own lists, ``testset_iv.csv`` and ``valset_iv.csv``: lines of a subject_id and 1
    (in the part) or 0, without a header. Whom they do not name trains, as in the authors' code."""
    test, valid = (_listed(folder / name) for name in ("testset_iv.csv", "valset_iv.csv"))
    return {
        subject: "test" if subject in test else "valid" if subject in valid else "train"
        for subject in sorted(subjects)
    }


def _listed(path: Path) -> set[int]:
    if not path.exists():
        raise ContractError(f"split.lists: {path}: no such file; copy it from MedFuse's repository")
    listed = set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        subject, _, flag = line.partition(",")
        if not subject.strip().isdigit() or flag.strip() not in ("0", "1"):
            # The line itself may name a patient.
            raise ContractError(f"{path}: line {number} is not a subject_id and 0 or 1")
        if flag.strip() == "1":
            listed.add(int(subject))
    return listed


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
