"""Samples in the order of their scores: sorted once, then scored for any numbers of copies of them.

Shapes: N samples; R of them that count, P of these with the label; D draws.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cxrfuture_data.schema import ContractError

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]

FEW = 16  # draws that numpy's own running sum is best at
CELLS_AT_ONCE = 400_000  # of (R, D): what a cache holds


class Ranked(NamedTuple):
    """(D,) each. ``auroc`` is NaN where one class is missing, ``auprc`` where the label is."""

    auroc: Floats
    auprc: Floats
    samples: Floats


@dataclass(frozen=True, eq=False)
class Ranking:
    """The highest score first."""

    rows: Rows  # (R,) among the N
    present: Rows  # (P,) among the R
    # (P,) of the run of equal scores that holds each: among the R its first and its last, among
    # the P likewise.
    first: Rows
    last: Rows
    first_present: Rows
    last_present: Rows

    @property
    def has_ties(self) -> bool:
        """Whether one with the label scores as high as another."""
        return bool((self.first != self.last).any())

    @classmethod
    def of(cls, scores: Floats, is_present: Flags, chosen: Flags) -> "Ranking":
        """Of (N,) each; those ``chosen`` count."""
        rows = np.flatnonzero(chosen)
        values = np.asarray(scores, np.float64)[rows]
        if not np.isfinite(values).all():
            raise ContractError("AUROC: a score is not finite; the model that gave it has diverged")
        order = np.argsort(-values, kind="stable")
        rows, values = rows[order], values[order]
        present = np.flatnonzero(is_present[rows])
        falling, found = -values, -values[present]
        return cls(
            rows=rows,
            present=present,
            first=np.searchsorted(falling, found, side="left"),
            last=np.searchsorted(falling, found, side="right") - 1,
            first_present=np.searchsorted(found, found, side="left"),
            last_present=np.searchsorted(found, found, side="right") - 1,
        )

    def score(self, copies: Floats) -> Ranked:
        """copies: (N, D), how often each sample counts in each draw."""
        step = max(CELLS_AT_ONCE // max(len(self.rows), 1), 1)
        parts = [
            self._score(copies[:, start : start + step])
            for start in range(0, max(copies.shape[1], 1), step)
        ]
        return Ranked(*(np.concatenate(found) for found in zip(*parts, strict=True)))

    def _score(self, copies: Floats) -> Ranked:
        everyone = _running_sum(copies, self.rows)  # (R, D) who scores as high
        own = copies[self.rows[self.present]]  # (P, D)
        found = _running_sum(copies, self.rows[self.present])  # (P, D)
        samples, present = _last(everyone).copy(), _last(found).copy()
        absent = samples - present

        by_end = everyone[self.last]
        if self.has_ties:
            before = everyone[self.first] - copies[self.rows[self.first]]
            found_before = (found - own)[self.first_present]
            found = found[self.last_present]
        # Of those without the label: all who score higher, and half of those who score as high.
        rivals = by_end - found
        if self.has_ties:
            rivals = (rivals + (before - found_before)) / 2
        np.subtract(absent, rivals, out=rivals)
        won = np.einsum("pd,pd->d", own, rivals)
        found /= np.maximum(by_end, 1, out=by_end)
        precision = np.einsum("pd,pd->d", own, found)
        with np.errstate(invalid="ignore"):
            return Ranked(won / (present * absent), precision / present, samples)


def _running_sum(copies: Floats, rows: Rows) -> Floats:
    """(N, D) -> (R, D): of the rows up to each. Within blocks and then over them, because numpy's
    own of many columns at once takes ten times as long."""
    count, draws = len(rows), copies.shape[1]
    if draws < FEW:
        return np.cumsum(copies[rows], axis=0)
    width = math.isqrt(count) + 1
    blocks = -(-count // width)
    sums = np.zeros((blocks, width, draws), copies.dtype)
    flat = sums.reshape(blocks * width, draws)
    flat[:count] = copies[rows]
    for within in range(1, width):
        sums[:, within] += sums[:, within - 1]
    for block in range(1, blocks):
        sums[block] += sums[block - 1, -1]
    return flat[:count]


def _last(sums: Floats) -> Floats:
    """(R, D) -> (D,)"""
    return sums[-1] if len(sums) else np.zeros(sums.shape[1], sums.dtype)
