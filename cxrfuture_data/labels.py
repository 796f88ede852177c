"""Raw labels -> training targets, by a policy; nothing is decided before training.

A dataset keeps what the labeler said: 1 present, 0 absent, -1 uncertain, blank not mentioned. What
the last two mean for a loss is the model's choice (specs peers 2.7, 4.2), so it is made here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FINDINGS, ContractError

Uncertain: TypeAlias = Literal["ignore", "zeros", "ones", "multiclass"]
Blank: TypeAlias = Literal["negative", "masked"]

PRESENT, ABSENT, UNCERTAIN = 1, 0, -1
UNCERTAIN_CLASS = 2

# Chest ImaGenome: EHRXDiff's ten attributes, in the order of their vector (specs ehrxdiff 10.1).
ATTRIBUTES = (
    "pleural effusion",
    "enlarged cardiac silhouette",
    "lung opacity",
    "pulmonary edema/hazy opacity",
    "pneumonia",
    "consolidation",
    "vascular congestion",
    "pneumothorax",
    "enlarged hilum",
    "mediastinal widening",
)
# What a report says about an attribute since the previous film, and the attributes it is read for:
# the ten, and the one more that DiPro predicts (specs peers 1.4).
CHANGES = ("improved", "worsened", "no change")
CHANGE_ATTRIBUTES = (*ATTRIBUTES, "atelectasis")


@dataclass(frozen=True)
class LabelPolicy:
    """What -1 and blank become.

    uncertain: ``ignore`` leaves it out of the loss, ``zeros`` and ``ones`` take a side,
    ``multiclass`` makes it a class of its own (2, beside 0 absent and 1 present).
    blank: ``negative`` takes what a report does not mention as absent, ``masked`` leaves it out.
    """

    uncertain: Uncertain
    blank: Blank


# DDL-CXR's: present if and only if the labeler said so (specs ddl-cxr 4.1).
DDL_CXR = LabelPolicy(uncertain="zeros", blank="negative")

_TARGET = {"ignore": 0, "zeros": 0, "ones": 1, "multiclass": UNCERTAIN_CLASS}


def targets(labels: Array, known: Array, policy: LabelPolicy) -> tuple[Array, Array]:
    """Targets (int64, same shape) and their weights in the loss (float32, 1 or 0; target 0 there).

    ``labels`` and ``known``: as in a batch, of any one shape; where ``known`` is False the report
    does not mention the finding, whatever the label says.
    """
    _require_raw(labels, known)
    is_uncertain = known & (labels == UNCERTAIN)
    target = np.where(known & (labels == PRESENT), 1, 0)
    target = np.where(is_uncertain, _TARGET[policy.uncertain], target)
    is_left_out = is_uncertain & (policy.uncertain == "ignore")
    is_left_out |= ~known & (policy.blank == "masked")
    return target.astype(np.int64), (~is_left_out).astype(np.float32)


def ddl_cxr_codes(labels: Array, known: Array) -> Array:
    """How DDL-CXR's tables write a label: uncertain 0, absent 1, present 2, blank 3 (uint8)."""
    _require_raw(labels, known)
    return np.where(known, labels.astype(np.int64) + 1, 3).astype(np.uint8)


def _require_raw(labels: Array, known: Array) -> None:
    if labels.shape != known.shape:
        raise ContractError(f"labels are {labels.shape}, but known is {known.shape}")
    strange = labels[known & ~np.isin(labels, (PRESENT, ABSENT, UNCERTAIN))]
    if strange.size:
        raise ContractError(
            f"label {strange.flat[0]!s} is none of 1, 0, -1; pass raw labels, not targets"
        )


# How a finding changed from the previous film to the target, in the order of their codes.
FINDING_CHANGES = ("new", "worse", "unchanged", "better", "resolved")
Persisting: TypeAlias = Literal["unknown", "unchanged"]

# The finding that each attribute of Chest ImaGenome is about; the others have none of the 14.
FINDING_OF_ATTRIBUTE = {
    "pleural effusion": "Pleural Effusion",
    "enlarged cardiac silhouette": "Cardiomegaly",
    "lung opacity": "Lung Opacity",
    "pulmonary edema/hazy opacity": "Edema",
    "pneumonia": "Pneumonia",
    "consolidation": "Consolidation",
    "pneumothorax": "Pneumothorax",
    "mediastinal widening": "Enlarged Cardiomediastinum",
    "atelectasis": "Atelectasis",
}
_CODE_OF_CHANGE = {"improved": "better", "worsened": "worse", "no change": "unchanged"}
NOT_SAID = -1


def said_changes(changes: Sequence[Mapping[str, str | None]]) -> Array:
    """What the reports say of each finding (pairs' ``changes``): (B, 14) int8, an index in
    FINDING_CHANGES or NOT_SAID."""
    codes = np.full((len(changes), len(FINDINGS)), NOT_SAID, np.int8)
    for row, said in zip(codes, changes, strict=True):
        for attribute, finding in FINDING_OF_ATTRIBUTE.items():
            direction = said.get(attribute)
            if direction is not None:
                row[FINDINGS.index(finding)] = FINDING_CHANGES.index(_CODE_OF_CHANGE[direction])
    return codes


def change_labels(
    previous: tuple[Array, Array],
    target: tuple[Array, Array],
    said: Array,
    persisting: Persisting = "unknown",
) -> tuple[Array, Array]:
    """(codes, known): int8 index in FINDING_CHANGES (0 where not known) and bool, of (B, 14) each.

    ``previous``, ``target``: raw labels and which of them a report mentions. Absent then present is
    new, present then absent resolved, absent twice unchanged. What is present twice is as the
    report compares it (``said_changes``); where that says nothing its severity is not known, or, as
    ``persisting`` asks, unchanged. An uncertain or unmentioned label leaves the change unknown.
    """
    (before, before_known), (after, after_known) = previous, target
    _require_raw(before, before_known)
    _require_raw(after, after_known)
    is_known = before_known & after_known & (before != UNCERTAIN) & (after != UNCERTAIN)
    codes = np.full(before.shape, FINDING_CHANGES.index("unchanged"), np.int8)
    codes[(before == ABSENT) & (after == PRESENT)] = FINDING_CHANGES.index("new")
    codes[(before == PRESENT) & (after == ABSENT)] = FINDING_CHANGES.index("resolved")
    persists = (before == PRESENT) & (after == PRESENT)
    is_said = persists & (said != NOT_SAID)
    codes[is_said] = said[is_said]
    if persisting == "unknown":
        is_known &= ~persists | is_said
    return np.where(is_known, codes, 0).astype(np.int8), is_known
