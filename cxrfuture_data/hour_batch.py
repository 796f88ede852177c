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


@dataclass(frozen=True, eq=False)
class Patients:
    age: npt.NDArray[np.float64]  # (B,) years
    is_male: Flags  # (B,)


class HourFiller:
    """Fills batches by one rule. Its scratch memory is used again: one filler, one thread."""

    def __init__(self, rule: HourlyInput | WideInput) -> None:
        self._plan = plan_hours(rule)
        self._scratch = np.empty((0, self._plan.columns), np.float32)

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
        if count >= len(self._scratch):
            self._scratch = np.empty((count + count // 4 + 1, plan.columns), np.float32)
        rows = self._scratch[: count + 1]
        rows.fill(0)
        known = np.equal(record, record)  # not of NaN
        values = _carry(record, known, windows, plan)
        for variables, columns in plan.runs:
            rows[:-1, columns] = values[variables].T
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
            places += plan.first_columns[:, None]
            places += np.arange(count) * plan.columns
            rows.reshape(-1)[places.reshape(-1)] = plan.flag
        return rows


@dataclass(frozen=True, eq=False)
class _Windows:
    lengths: Numbers  # (B,)
    starts: Numbers  # (B,) the hour that is the first, in a window that has one
    longest: int


def _carry(record: Floats, known: Flags, windows: _Windows, plan: HourPlan) -> Floats:
    """(V, N): the latest value so far in the window, scaled.

    Few cells hold a value: those alone are scaled, variable by variable in the order of hours, and
    each is then repeated up to the next. The first hour of every window has a value of its own, so
    that none is carried into the next window. Scaling keeps the order of numbers, so to clip after
    it is to clip before it.
    """
    count, variables = record.shape
    has_value = np.empty((variables, count), np.bool_)
    np.logical_or(known.T, plan.is_zero[:, None], out=has_value)
    has_value[:, windows.starts[windows.lengths > 0]] = True
    cells = np.flatnonzero(has_value)
    variable = np.repeat(np.arange(variables), has_value.sum(axis=1))
    hour = cells - variable * count
    raw = record.take(hour * variables + variable)
    scaled = ((raw - plan.mean[variable]) / plan.std[variable]).astype(np.float32)
    np.maximum(scaled, plan.low[variable], out=scaled)
    np.minimum(scaled, plan.high[variable], out=scaled)
    if plan.has_limit:
        scaled[np.abs(scaled) > plan.limit[variable]] = 0
    is_filled = np.isnan(raw)
    scaled[is_filled] = plan.filling[variable[is_filled]]
    until = np.diff(cells, append=has_value.size)
    return np.repeat(scaled, until).reshape(variables, count)


def _has_not_begun(known: Flags, windows: _Windows) -> Flags:
    """(N,): hours before the first measurement of their window."""
    cells = np.append(np.flatnonzero(known), known.size)
    first = cells[np.searchsorted(cells, windows.starts * known.shape[1])] // known.shape[1]
    return np.arange(len(known)) < np.repeat(first, windows.lengths)


def _categories(values: Floats, windows: _Windows, plan: HourPlan) -> Numbers:
    """(C, N); of the first sample with an unknown one, the first variable is named."""
    found = values[plan.categorical].astype(np.int64)
    # Without a sign, numbers below 0 are large.
    is_unknown = found.view(np.uint64) >= plan.categories
    if is_unknown.any():
        variable, hour = np.nonzero(is_unknown)
        sample = np.repeat(np.arange(len(windows.lengths)), windows.lengths)[hour]
        name = VARIABLES[plan.categorical[variable[np.lexsort((variable, sample))[0]]]].name
        raise ContractError(f"{name}: a category that schema.py lacks")
    return found
