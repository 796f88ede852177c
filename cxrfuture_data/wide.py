"""The hourly record of the set wide as a model reads it: filled, clipped, z-scored. Pure numpy.

A dataset stores what was measured and NaN elsewhere; everything below happens on reading. Shapes: T
hours of a window, V variables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxrfuture_data.hourly import SMALLEST_STD, Bounds, bounds_of, clip
from cxrfuture_data.manifest import WindowStatistics
from cxrfuture_data.schema import WIDE_VARIABLES, Variable

Record = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WideInput:
    """How a model reads a record. mean, std: (V,) float64, of training windows' observed hours;
    is_zero: (V,) bool, an hour without a value is 0."""

    bounds: Bounds
    is_zero: npt.NDArray[np.bool_]
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]

    @property
    def columns(self) -> int:
        return 2 * len(self.mean)


def wide_input(
    statistics: WindowStatistics, variables: Sequence[Variable] = WIDE_VARIABLES
) -> WideInput:
    """By a dataset's own statistics. A variable that is constant in training is only centred."""
    found = [statistics.variables[variable.name] for variable in variables]
    std = np.array([moments.std for moments in found])
    return WideInput(
        bounds=bounds_of(variables),
        is_zero=np.array([variable.fill == "zero" for variable in variables]),
        mean=np.array([moments.mean for moments in found]),
        std=np.where(std > SMALLEST_STD, std, 1.0),
    )


def wide_names(variables: Sequence[Variable] = WIDE_VARIABLES) -> tuple[str, ...]:
    """The names of the columns of ``wide_vector``."""
    names = [variable.name for variable in variables]
    return (*names, *(f"mask->{name}" for name in names))


def wide_vector(hourly: Record, rule: WideInput) -> Record:
    """(T, V) as stored -> (T, 2 V) float32: z-scored values, then flags, 1 where measured."""
    filled, observed = fill_wide(hourly, rule)
    scaled = (filled - rule.mean) / rule.std
    return np.concatenate([scaled, observed], axis=1).astype(np.float32)


def fill_wide(
    hourly: Record, rule: WideInput
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(values, observed), (T, V) both, in the variables' units.

    Values are clipped to their bounds. An hour without one takes the last of an earlier hour, or 0
    in its unit, by the variable's ``fill``; before the first of the window it is the training mean,
    0 when scaled.
    """
    observed = ~np.isnan(hourly)
    values = clip(hourly.astype(np.float64), rule.bounds)
    hours = np.where(observed, np.arange(len(hourly))[:, None], -1)  # (T, V)
    latest = np.maximum.accumulate(hours, axis=0)
    carried = np.take_along_axis(values, np.maximum(latest, 0), axis=0)
    carried = np.where(latest >= 0, carried, rule.mean)
    return np.where(rule.is_zero, np.where(observed, values, 0.0), carried), observed
