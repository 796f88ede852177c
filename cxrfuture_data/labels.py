"""Raw labels -> training targets, by a policy; nothing is decided before training.

A dataset keeps what the labeler said: 1 present, 0 absent, -1 uncertain, blank not mentioned. What
the last two mean for a loss is the model's choice (specs peers 2.7, 4.2), so it is made here.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from cxrfuture_data.sample import Array
from cxrfuture_data.schema import ContractError

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
