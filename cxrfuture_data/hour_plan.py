"""What a rule does to each variable of the hourly record, as arrays for a whole batch.

Shapes: V variables of the record, C of them categorical.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.hourly import (
    AGE_HIGH,
    AGE_LOW,
    COLUMNS,
    DEFAULT_AGE,
    DEFAULT_SEX,
    HourlyInput,
    bounds_of,
    scaled_columns,
)
from cxrfuture_data.schema import VARIABLES
from cxrfuture_data.wide import WideInput

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_CATEGORIES = np.array([len(variable.categories) for variable in VARIABLES])
_WIDTHS = np.maximum(_CATEGORIES, 1)
_FIRST_COLUMNS = np.cumsum(_WIDTHS) - _WIDTHS  # ddl-cxr 3.5
_CONTINUOUS = np.flatnonzero(_CATEGORIES == 0)
_CATEGORICAL = np.flatnonzero(_CATEGORIES)
# As 32 bits hold them: clipping before rounding to them, or after, is the same.
_AGE_LOW, _AGE_HIGH = float(np.float32(AGE_LOW)), float(np.float32(AGE_HIGH))


@dataclass(frozen=True, eq=False)
class PatientPlan:
    """Sex and age: F, M and years, in three columns from ``column``."""

    column: int
    mean: float
    std: float
    limit: float
    from_first_hour: bool

    def rows(self, age: Doubles, is_male: Flags) -> Floats:
        """(B + 1, 3), scaled; the last is the patient of whom nothing is known."""
        rows = np.empty((len(age) + 1, 3), np.float32)
        rows[:-1, 1], rows[-1, 1] = is_male, DEFAULT_SEX == "M"
        np.subtract(1, rows[:, 1], out=rows[:, 0])
        rows[:-1, 2], rows[-1, 2] = age, DEFAULT_AGE  # in the record's precision
        years = rows[:, 2].astype(np.float64)
        np.maximum(years, _AGE_LOW, out=years)
        np.minimum(years, _AGE_HIGH, out=years)
        years -= self.mean
        years /= self.std
        rows[:, 2] = years
        if np.isfinite(self.limit):
            rows[np.abs(rows) > self.limit] = 0
        return rows


@dataclass(frozen=True, kw_only=True, eq=False)
class HourPlan:
    """Bounds and moments are what changes nothing where a variable is not clipped or scaled."""

    columns: int
    mean: Doubles  # (V,)
    std: Doubles  # (V,)
    low: Floats  # (V,) scaled
    high: Floats  # (V,) scaled
    # (V,) scaled: what it is until it is measured; where is_zero, in every hour without a
    # measurement.
    filling: Floats
    is_zero: Flags  # (V,)
    limit: Floats  # (V,) a larger scaled value becomes 0
    has_limit: bool  # any has
    flag: float  # of what is so: 1, or 0 where that is beyond the limit too
    runs: list[tuple[slice, slice]]  # variables, and the columns of their values
    categorical: Numbers  # (C,) variables
    first_columns: Numbers  # (C,)
    categories: npt.NDArray[np.uint64]  # (C, 1)
    patient: PatientPlan | None  # None: sex and age are not read


def plan_hours(rule: HourlyInput | WideInput) -> HourPlan:
    return _plan_wide(rule) if isinstance(rule, WideInput) else _plan_hourly(rule)


def _plan_hourly(rule: HourlyInput) -> HourPlan:
    count, moments = len(VARIABLES), rule.moments
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    mean, std, limit = np.zeros(count), np.ones(count), np.full(count, np.inf, np.float32)
    mean[_CONTINUOUS] = moments.mean[: len(_CONTINUOUS)]
    std[_CONTINUOUS] = moments.std[: len(_CONTINUOUS)]
    limit[_CONTINUOUS] = rule.zero_beyond
    if rule.columns == COLUMNS:  # 76 are not clipped
        bounds = bounds_of(VARIABLES)
        # In the record's own precision.
        low, high = bounds.low.astype(np.float32), bounds.high.astype(np.float32)
    default = np.array([variable.default for variable in VARIABLES], np.float32)
    before = _scaled(default, mean, std)
    return HourPlan(
        columns=rule.columns,
        mean=mean,
        std=std,
        low=_scaled(low, mean, std),
        high=_scaled(high, mean, std),
        filling=np.where(np.abs(before) > limit, np.float32(0), before),
        is_zero=np.zeros(count, np.bool_),
        limit=limit,
        has_limit=bool(np.isfinite(rule.zero_beyond)),
        flag=0.0 if rule.zero_beyond < 1 else 1.0,
        runs=_runs(_CONTINUOUS, _FIRST_COLUMNS[_CONTINUOUS]),
        categorical=_CATEGORICAL,
        first_columns=_FIRST_COLUMNS[_CATEGORICAL],
        categories=_CATEGORIES[_CATEGORICAL, None].astype(np.uint64),
        patient=_plan_patient(rule) if rule.columns == COLUMNS else None,
    )


def _plan_patient(rule: HourlyInput) -> PatientPlan:
    return PatientPlan(
        column=int(scaled_columns(COLUMNS)[-1]) - 2,
        mean=float(rule.moments.mean[-1]),
        std=float(rule.moments.std[-1]),
        limit=rule.zero_beyond,
        from_first_hour=rule.from_first_hour,
    )


def _plan_wide(rule: WideInput) -> HourPlan:
    count = len(rule.mean)
    none = np.zeros(0, np.int64)
    return HourPlan(
        columns=rule.columns,
        mean=rule.mean,
        std=rule.std,
        low=_scaled(rule.bounds.low, rule.mean, rule.std),
        high=_scaled(rule.bounds.high, rule.mean, rule.std),
        filling=np.where(
            rule.is_zero, _scaled(np.zeros(count), rule.mean, rule.std), np.float32(0)
        ),
        is_zero=rule.is_zero,
        limit=np.full(count, np.inf, np.float32),
        has_limit=False,
        flag=1.0,
        runs=[(slice(0, count), slice(0, count))],
        categorical=none,
        first_columns=none,
        categories=none[:, None].astype(np.uint64),
        patient=None,
    )


def _scaled(values: npt.NDArray[Any], mean: Doubles, std: Doubles) -> Floats:
    return ((values - mean) / std).astype(np.float32)


def _runs(variables: Numbers, columns: Numbers) -> list[tuple[slice, slice]]:
    """Variables whose values are neighbours in both, together."""
    is_cut = (np.diff(variables) != 1) | (np.diff(columns) != 1)
    cuts = [0, *(np.flatnonzero(is_cut) + 1).tolist(), len(variables)]
    return [
        (_span(variables[start:end]), _span(columns[start:end])) for start, end in pairwise(cuts)
    ]


def _span(numbers: Numbers) -> slice:
    return slice(int(numbers[0]), int(numbers[-1]) + 1)
