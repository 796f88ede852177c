"""The hourly record as a model reads it: clipped, filled, one-hot, normalised. Pure numpy.

A dataset stores what was measured and NaN elsewhere; everything below happens on reading.
Section numbers are those of the DDL-CXR specification, whose 79 columns this is (3.5).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.manifest import Moments, WindowStatistics
from cxrfuture_data.schema import VARIABLES, ContractError

Hourly = npt.NDArray[np.float32]  # (T, 17), in the order of VARIABLES

AGE_LOW, AGE_HIGH = 18.0, 111.29  # 3.4, row 18
SMALLEST_STD = 1e-7  # 3.8; below it a column is constant, and is centred but not scaled

_WIDTHS = [len(variable.categories) or 1 for variable in VARIABLES]
_STARTS = np.cumsum([0, *_WIDTHS[:-1]])  # first column of each variable, 3.5
_CONTINUOUS = np.array([not variable.categories for variable in VARIABLES])
_CATEGORICAL = np.flatnonzero(~_CONTINUOUS)
_SEX_COLUMN = sum(_WIDTHS)  # two columns, F then M
_AGE_COLUMN = _SEX_COLUMN + 2
_OBSERVED_COLUMN = _AGE_COLUMN + 1
COLUMNS = _OBSERVED_COLUMN + len(VARIABLES)
CONTINUOUS_NAMES = tuple(variable.name for variable in VARIABLES if not variable.categories)

_DEFAULT = np.array([variable.default for variable in VARIABLES], dtype=np.float32)
_LOW = np.array([-np.inf if v.low is None else v.low for v in VARIABLES], dtype=np.float32)
_HIGH = np.array([np.inf if v.high is None else v.high for v in VARIABLES], dtype=np.float32)


def clip(hourly: Hourly) -> Hourly:
    """Values outside a variable's bounds become the bound; none is dropped (3.4). NaN stays."""
    return np.clip(hourly, _LOW, _HIGH)


def impute(hourly: Hourly) -> tuple[Hourly, npt.NDArray[np.bool_]]:
    """(values, observed), both (T, 17): the last value of an earlier hour of the same window, and
    before the first the variable's normal value (3.6, rule 5)."""
    observed = ~np.isnan(hourly)
    hours = np.where(observed, np.arange(len(hourly))[:, None], -1)  # (T, 17)
    latest = np.maximum.accumulate(hours, axis=0)
    filled = np.take_along_axis(hourly, np.maximum(latest, 0), axis=0)
    return np.where(latest >= 0, filled, _DEFAULT), observed


def vector(hourly: Hourly, age: float, sex: str, statistics: WindowStatistics) -> Hourly:
    """(T, 79): 62 values and 17 observed flags (3.5).

    Clipped, then imputed; the 12 continuous variables and age are z-scored with the statistics of
    the training patients (3.8); one-hots and flags stay 0 and 1.
    """
    values, observed = impute(clip(hourly))
    hours = len(values)
    mean, scale = _scales(statistics)
    row = np.zeros((hours, COLUMNS), dtype=np.float32)
    row[:, _STARTS[_CONTINUOUS]] = (values[:, _CONTINUOUS] - mean[:-1]) * scale[:-1]
    for column in _CATEGORICAL:
        category = values[:, column].astype(np.int64)
        if ((category < 0) | (category >= _WIDTHS[column])).any():
            raise ContractError(f"{VARIABLES[column].name}: a category that schema.py lacks")
        row[np.arange(hours), _STARTS[column] + category] = 1.0
    row[:, _SEX_COLUMN + ("F", "M").index(sex)] = 1.0
    row[:, _AGE_COLUMN] = (min(max(age, AGE_LOW), AGE_HIGH) - mean[-1]) * scale[-1]
    row[:, _OBSERVED_COLUMN:] = observed
    return row


def _scales(statistics: WindowStatistics) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean and 1 / std of the continuous variables, then of age."""
    moments = [statistics.variables[name] for name in CONTINUOUS_NAMES] + [statistics.age]
    return (
        np.array([moment.mean for moment in moments], dtype=np.float32),
        np.array([_inverse(moment) for moment in moments], dtype=np.float32),
    )


def _inverse(moment: Moments) -> float:
    return 1.0 / moment.std if moment.std > SMALLEST_STD else 1.0
