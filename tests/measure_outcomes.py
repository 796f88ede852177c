"""How long an evaluation of outcomes takes on one core: python tests/measure_outcomes.py

DDL-CXR's test set: 1,483 stays of 1,324 patients, 25 labels, five seeds, 1,000 draws; seven
groupings. Seconds of the processor, of one row.
"""

import time

import numpy as np
from scipy.special import expit

from train.bootstrap import draw_copies
from train.outcome_rows import Answers, Run
from train.outcome_score import Truth, describe_row, rank_labels
from train.predicted import Predicted

STAYS, PATIENTS, LABELS, SEEDS, DRAWS = 1483, 1324, 25, 5, 1000
GROUPINGS = {"gap": 4, "sex": 2, "age": 4, "race": 5, "insurance": 4, "view": 2, "devices": 3}


def make_truth(random: np.random.Generator) -> Truth:
    present = random.random((STAYS, LABELS)) < random.uniform(0.07, 0.5, LABELS)
    groups = {}
    for name, count in GROUPINGS.items():
        at = random.integers(count, size=STAYS)
        groups[name] = {str(group): at == group for group in range(count)}
    patients = np.concatenate(
        [np.arange(PATIENTS), random.integers(PATIENTS, size=STAYS - PATIENTS)]
    )
    return Truth(
        labels=[str(label) for label in range(LABELS)],
        is_present=present,
        is_known=np.ones_like(present),
        copies=draw_copies(patients, seed=0, draws=DRAWS),
        groups=groups,
    )


def make_answers(truth: Truth, random: np.random.Generator) -> Answers:
    logits = truth.is_present + random.normal(size=(SEEDS, STAYS, LABELS))
    nobody = np.zeros(LABELS)
    said = Predicted([], "phenotypes", logits[0], nobody, nobody, None, [], 0, 1, {})
    return Answers([Run(None, said)] * SEEDS, {}, logits, expit(logits), expit(logits), None)


def main() -> None:
    random = np.random.default_rng(0)
    truth = make_truth(random)
    answers = make_answers(truth, random)
    before = time.process_time()
    ranked = rank_labels(answers, truth)
    between = time.process_time()
    describe_row(answers, truth, ranked)
    after = time.process_time()
    print(f"AUROC and AUPRC of all stays: {between - before:.1f} s")
    print(f"calibration, curves, and AUROC and AUPRC of groups: {after - between:.1f} s")


if __name__ == "__main__":
    main()
