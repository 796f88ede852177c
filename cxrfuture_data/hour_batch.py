"""The hourly records of a whole batch as a model reads them, in few passes of numpy.

To the last bit what ``hourly.vector`` or ``wide.wide_vector`` gives of each sample. Shapes: B
samples; N hours of all their windows, one window after the other; T hours of the batch; V
variables; C of them categorical; F columns.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxrfuture_data.hour_plan import HourPlan, plan_hours
from cxrfuture_data.hourly import HourlyInput
from cxrfuture_data.schema import VARIABLES, ContractError
from cxrfuture_data.wide import WideInput

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

# Hours that one inner loop of numpy passes over: one hour has too few variables to be fast.
HOURS_IN_LOOP = 8


@dataclass(frozen=True, eq=False)
class Patients:
    age: npt.NDArray[np.float64]  # (B,) years
    is_male: Flags  # (B,)


class HourFiller:
    """Fills batches by one rule. Its scratch memory is used again: one filler, one thread."""

    def __init__(self, rule: HourlyInput | WideInput) -> None:
        self._plan = plan_hours(rule)
        self._scratch = _Scratch(self._plan, 0)

    def fill(
        self, out: Floats, is_hour: Flags, record: Floats, lengths: Numbers, patients: Patients
    ) -> None:
        """out: (B, T, F), is_hour: (B, T), both wholly written, 0 and False beyond a window;
        record: (N, V), NaN where not measured; lengths: (B,), hours of each window."""
        windows = _Windows(lengths, np.cumsum(lengths) - lengths, int(lengths.max(initial=0)))
        if lengths.sum() != len(record) or windows.longest > out.shape[1]:
            raise ValueError(f"{len(record)} hours for {out.shape}, windows of {lengths.tolist()}")
        rows = self._rows(record, windows, patients)
        hour = np.arange(out.shape[1])
        np.less(hour, lengths[:, None], out=is_hour)
        row = np.where(is_hour, windows.starts[:, None] + hour, len(record))
        np.take(rows, row, axis=0, out=out, mode="clip")

    def _rows(self, record: Floats, windows: "_Windows", patients: Patients) -> Floats:
        """(N + 1, F): every hour, and a last row of 0."""
        plan, count = self._plan, len(record)
        if count > len(self._scratch.known):
            self._scratch = _Scratch(plan, count + count // 4)
        rows = self._scratch.rows[: count + 1]
        rows.fill(0)
        known = np.equal(record, record, out=self._scratch.known[:count])
        scaled = _scale(record, plan, self._scratch)
        values = _carry(scaled, known, windows, plan, self._scratch)
        for variables, columns in plan.runs:
            rows[:-1, columns] = values[:, variables]
        if plan.flag:
            rows[:-1, -known.shape[1] :] = known
        if plan.patient is not None:
            whose = np.repeat(np.arange(len(windows.lengths)), windows.lengths)
            if plan.patient.from_first_hour:
                whose[_has_not_begun(known, windows)] = len(windows.lengths)
            columns = slice(plan.patient.column, plan.patient.column + 3)
            found = plan.patient.rows(patients.age, patients.is_male)
            rows[:-1, columns] = found.take(whose, axis=0)
        if len(plan.categorical):
            places = _categories(values, windows, plan)
            places += self._scratch.places[:, :count]
            rows.reshape(-1)[places.reshape(-1)] = plan.flag
        return rows


@dataclass(frozen=True, eq=False)
class _Windows:
    lengths: Numbers  # (B,)
    starts: Numbers  # (B,) the hour that is the first, in a window that has one
    longest: int


class _Scratch:
    """Arrays for up to ``hours`` hours: some are written each time, some hold constants."""

    def __init__(self, plan: HourPlan, hours: int) -> None:
        whole = -(-hours // HOURS_IN_LOOP) * HOURS_IN_LOOP
        shape = (whole, len(plan.mean))
        self.known = np.empty(shape, np.bool_)
        self.doubles = np.empty(shape)
        self.singles = np.empty(shape, np.float32)
        self.latest = np.empty((2, *shape), np.int32)
        self.index = np.empty(shape, np.int64)
        self.values = np.empty(shape, np.float32)
        self.rows = np.empty((whole + 1, plan.columns), np.float32)
        self.cell = np.arange(self.known.size, dtype=np.int32).reshape(shape)
        self.places = plan.first_columns[:, None] + np.arange(whole) * plan.columns  # (C, hours)
        self.mean, self.std = np.tile(plan.mean, HOURS_IN_LOOP), np.tile(plan.std, HOURS_IN_LOOP)
        self.low, self.high = np.tile(plan.low, HOURS_IN_LOOP), np.tile(plan.high, HOURS_IN_LOOP)


def _scale(record: Floats, plan: HourPlan, scratch: _Scratch) -> Floats:
    """(N, V). Scaling keeps the order of numbers, so to clip after it is to clip before it."""
    count = len(record)
    whole = -(-count // HOURS_IN_LOOP) * HOURS_IN_LOOP
    scratch.doubles[:count] = record
    scratch.doubles[count:whole] = np.nan
    doubles = scratch.doubles[:whole].reshape(-1, len(scratch.mean))
    singles = scratch.singles[:whole].reshape(doubles.shape)
    np.subtract(doubles, scratch.mean, out=doubles)
    np.divide(doubles, scratch.std, out=doubles)
    np.copyto(singles, doubles, casting="same_kind")
    np.maximum(singles, scratch.low, out=singles)
    np.minimum(singles, scratch.high, out=singles)
    scaled = scratch.singles[:count]
    if plan.has_limit:
        scaled[np.abs(scaled) > plan.limit] = 0
    return scaled


def _carry(
    scaled: Floats, known: Flags, windows: _Windows, plan: HourPlan, scratch: _Scratch
) -> Floats:
    """(N, V): the latest value so far in the window; changes ``scaled``.

    A cell is an hour of a variable. The first hour's cells are given a value, so that no later one
    finds its latest in the window before.
    """
    has_value = known
    if plan.has_zero:
        has_value = known | plan.is_zero
        np.copyto(scaled, plan.between, where=known != has_value)
    first = windows.starts[windows.lengths > 0]
    scaled[first] = np.where(has_value[first], scaled[first], plan.before)
    cell = scratch.cell[: len(scaled)]
    latest, spare = scratch.latest[:, : len(scaled)]
    np.multiply(cell, has_value, out=latest)
    latest[first] = cell[first]
    # The largest number so far. Passes that look 1, 2, 4, ... hours back are several times faster
    # than np.maximum.accumulate, which takes one cell after the other.
    back = 1
    while back < windows.longest:
        spare[:back] = latest[:back]
        np.maximum(latest[back:], latest[:-back], out=spare[back:])
        latest, spare = spare, latest
        back *= 2
    index = scratch.index[: len(scaled)]
    np.copyto(index, latest)
    return np.take(scaled.reshape(-1), index, out=scratch.values[: len(scaled)], mode="clip")


def _has_not_begun(known: Flags, windows: _Windows) -> Flags:
    """(N,): hours before the first measurement of their window."""
    cells = np.append(np.flatnonzero(known), known.size)
    first = cells[np.searchsorted(cells, windows.starts * known.shape[1])] // known.shape[1]
    return np.arange(len(known)) < np.repeat(first, windows.lengths)


def _categories(values: Floats, windows: _Windows, plan: HourPlan) -> Numbers:
    """(C, N); of the first sample with an unknown one, the first variable is named."""
    found = values.T[plan.categorical].astype(np.int64)
    # Without a sign, numbers below 0 are large.
    is_unknown = found.view(np.uint64) >= plan.categories
    if is_unknown.any():
        variable, hour = np.nonzero(is_unknown)
        sample = np.repeat(np.arange(len(windows.lengths)), windows.lengths)[hour]
        name = VARIABLES[plan.categorical[variable[np.lexsort((variable, sample))[0]]]].name
        raise ContractError(f"{name}: a category that schema.py lacks")
    return found
