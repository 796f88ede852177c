"""The hourly record as a model reads it: clipped, filled, one-hot, normalised. Pure numpy.

A dataset stores what was measured and NaN elsewhere; everything below happens on reading, in the
precision of the record. Plain section numbers are those of the DDL-CXR specification, whose 79
columns these are (3.5); "fusion" ones are those of the fusion baselines, which read 76.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cxrfuture_data.manifest import WindowStatistics
from cxrfuture_data.schema import VARIABLES, ContractError, Variable

# (T, 17) in the order of VARIABLES, or (T, 79 or 76); float32, or float64 to the last bit.
Hourly = npt.NDArray[np.floating[Any]]
Columns = Literal[79, 76]

AGE_LOW, AGE_HIGH = 18.0, 111.29  # 3.4, row 18
DEFAULT_SEX, DEFAULT_AGE = "F", 65.0  # 3.4, rows 17 and 18
SMALLEST_STD = 1e-7  # 3.8; below it a column is constant, and is centred but not scaled

_WIDTHS = [len(variable.categories) or 1 for variable in VARIABLES]
_STARTS = np.cumsum([0, *_WIDTHS[:-1]])  # first column of each variable, 3.5
_CONTINUOUS = np.array([not variable.categories for variable in VARIABLES])
_CATEGORICAL = np.flatnonzero(~_CONTINUOUS)
_SEX_COLUMN = sum(_WIDTHS)  # two columns, F then M; in 76 columns the flags begin here
_AGE_COLUMN = _SEX_COLUMN + 2
COLUMNS: Columns = 79
CONTINUOUS_NAMES = tuple(variable.name for variable in VARIABLES if not variable.categories)
SCALED_NAMES = (*CONTINUOUS_NAMES, "Age")
_SCALED = np.array([*_STARTS[_CONTINUOUS], _AGE_COLUMN])

_DEFAULT = np.array([variable.default for variable in VARIABLES])


def column_names(columns: Columns = COLUMNS) -> tuple[str, ...]:
    """The names of the columns: ``channel``, ``channel->value`` and ``mask->channel`` (3.5)."""
    values = [
        f"{variable.name}->{category}" if category else variable.name
        for variable in VARIABLES
        for category in variable.categories or ("",)
    ]
    patient = ["Gender->0.0", "Gender->1.0", "Age"] if columns == COLUMNS else []
    return (*values, *patient, *(f"mask->{variable.name}" for variable in VARIABLES))


COLUMN_NAMES = column_names()


@dataclass(frozen=True, eq=False)
class ColumnMoments:
    """mean, std: float64 of the scaled columns, in the order of SCALED_NAMES.

    13 numbers each for 79 columns; 12, without age, for 76.
    """

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]

    def named(self) -> dict[str, dict[str, float]]:
        """The moments by the name of their column."""
        names = SCALED_NAMES[: len(self.mean)]
        pairs = zip(names, self.mean.tolist(), self.std.tolist(), strict=True)
        return {name: {"mean": mean, "std": std} for name, mean, std in pairs}


@dataclass(frozen=True, eq=False)
class HourlyInput:
    """How a model reads a record. ``from_first_hour``: see ``raw_vector``; ``zero_beyond``: scaled
    values larger than that become 0 (DrFuse; fusion 12.1)."""

    columns: Columns
    from_first_hour: bool
    moments: ColumnMoments
    zero_beyond: float = np.inf


@dataclass(frozen=True, eq=False)
class Bounds:
    """low, high: (V,) float64, infinite where a variable has none."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def bounds_of(variables: Sequence[Variable]) -> Bounds:
    return Bounds(
        low=np.array([-np.inf if v.low is None else v.low for v in variables]),
        high=np.array([np.inf if v.high is None else v.high for v in variables]),
    )


_BOUNDS = bounds_of(VARIABLES)


def clip(hourly: Hourly, bounds: Bounds = _BOUNDS) -> Hourly:
    """Values outside a variable's bounds become the bound; none is dropped (3.4). NaN stays."""
    low, high = bounds.low.astype(hourly.dtype), bounds.high.astype(hourly.dtype)
    return np.clip(hourly, low, high)


def impute(hourly: Hourly) -> tuple[Hourly, npt.NDArray[np.bool_]]:
    """(values, observed), both (T, 17): the last value of an earlier hour of the same window, and
    before the first the variable's normal value (3.6, rule 5)."""
    observed = ~np.isnan(hourly)
    hours = np.where(observed, np.arange(len(hourly))[:, None], -1)  # (T, 17)
    latest = np.maximum.accumulate(hours, axis=0)
    filled = np.take_along_axis(hourly, np.maximum(latest, 0), axis=0)
    return np.where(latest >= 0, filled, _DEFAULT.astype(hourly.dtype)), observed


def raw_vector(
    hourly: Hourly,
    age: float,
    sex: str,
    *,
    from_first_hour: bool,
    columns: Columns = COLUMNS,
) -> Hourly:
    """(T, columns) before normalisation: values, one-hots, sex, age and 17 observed flags.

    79 columns: values are clipped, then imputed (3.4 to 3.6). 76: neither sex nor age, and nothing
    is clipped (fusion 3.2, 2.5). ``from_first_hour``, as published: sex and age belong to the rows
    of measurements, so the hours before the first hour with one say F and 65 (3.6, rule 5).
    """
    values, observed = impute(clip(hourly) if columns == COLUMNS else hourly)
    hours = len(values)
    rows = np.zeros((hours, columns), dtype=hourly.dtype)
    rows[:, _STARTS[_CONTINUOUS]] = values[:, _CONTINUOUS]
    for column in _CATEGORICAL:
        category = values[:, column].astype(np.int64)
        if ((category < 0) | (category >= _WIDTHS[column])).any():
            raise ContractError(f"{VARIABLES[column].name}: a category that schema.py lacks")
        rows[np.arange(hours), _STARTS[column] + category] = 1.0
    if columns == COLUMNS:
        patient = rows[:, _SEX_COLUMN : _AGE_COLUMN + 1]
        patient[:] = _patient(age, sex)
        if from_first_hour:
            has_begun = np.logical_or.accumulate(observed.any(axis=1))
            patient[~has_begun] = _patient(DEFAULT_AGE, DEFAULT_SEX)
    rows[:, -len(VARIABLES) :] = observed
    return rows


def _patient(age: float, sex: str) -> tuple[float, float, float]:
    is_male = ("F", "M").index(sex)
    return 1.0 - is_male, float(is_male), min(max(age, AGE_LOW), AGE_HIGH)


def scaled_columns(columns: int) -> npt.NDArray[np.int64]:
    """The numbers of the columns that are z-scored: 13 of 79, 12 of 76 (3.8; fusion 3.6)."""
    return _SCALED if columns == COLUMNS else _SCALED[:-1]


def normalise(raw: Hourly, moments: ColumnMoments) -> Hourly:
    """The continuous variables and age z-scored; one-hots and flags stay 0 and 1 (3.8)."""
    scaled = raw.copy()
    at = scaled_columns(raw.shape[1])
    scaled[:, at] = (raw[:, at] - moments.mean) / moments.std
    return scaled


def vector(hourly: Hourly, age: float, sex: str, rule: HourlyInput) -> Hourly:
    """(T, 79 or 76) as a model reads it: ``raw_vector``, normalised."""
    raw = raw_vector(hourly, age, sex, from_first_hour=rule.from_first_hour, columns=rule.columns)
    return scale(raw, rule)


def scale(raw: Hourly, rule: HourlyInput) -> Hourly:
    """A raw vector as a model reads it."""
    scaled = normalise(raw, rule.moments)
    scaled[np.abs(scaled) > rule.zero_beyond] = 0
    return scaled


def moments_of(statistics: WindowStatistics) -> ColumnMoments:
    """The moments of a dataset's own training patients; a constant column is only centred."""
    found = [statistics.variables[name] for name in CONTINUOUS_NAMES] + [statistics.age]
    std = np.array([moment.std for moment in found])
    return ColumnMoments(
        mean=np.array([moment.mean for moment in found]),
        std=np.where(std > SMALLEST_STD, std, 1.0),
    )
