"""A MIMIC-IV tree that exists (the open demo, or the release): its stays, and courses for them.

The tables stay as they are. What the simulator adds is a hidden course for every admission, whose
treatments are those on record (diuretics, antibiotics, vasopressors, ventilators, lines, fluid) and
whose lungs follow the charted need of oxygen, so that films can be taken of it.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from cxrfuture_data.schema import ContractError
from etl.mimic_schema import TABLES
from etl.simulate.course import Given, run_course
from etl.simulate.draw import Array, Draw
from etl.simulate.hospital import Hospital, Ids, make_cases
from etl.simulate.people import (
    DAY,
    HEART_FAILURE,
    HOUR,
    OTHER,
    PNEUMONIA,
    SEPSIS,
    Admissions,
    People,
    Stays,
)
from etl.sources import find_release

_NEEDED = ("patients", "admissions", "icustays")
# Items that tell of a treatment, in the ICU tables.
_DIURETICS = (221794, 228340, 229639)
_PRESSORS = (221906, 221289, 221749, 222315, 221662)
_VENTILATION = (225792,)
_LINES = (224263, 225752, 224264, 224267, 224560)
_SATURATION, _OXYGEN = 220277, 223835


_FORESIGHT = 12  # hours
_ANTIBIOTIC = "ordercategoryname LIKE '%Antibiotics%'"


@dataclass(frozen=True)
class Tree:
    """Tables of an existing tree, read through DuckDB."""

    files: dict[str, Path]
    subjects: tuple[int, ...]
    simulated: bool

    def read(self, table: str, columns: str, condition: str, *others: str) -> list[Array]:
        """Columns of the rows of our subjects, in order of all of them; empty without the table.

        Timestamps become seconds since 1970; nulls become -1, or NaN among fractions. ``others``:
        columns that only the condition needs.
        """
        names = columns.split()
        if table not in self.files:
            return [np.array([]) for _ in names]
        with duckdb.connect() as connection:
            source = _open_table(connection, table, self.files[table], (*names, *others))
            mine = f"subject_id IN ({', '.join(map(str, self.subjects))}) AND ({condition})"
            found = source.filter(mine).project(", ".join(names)).order(", ".join(names)).pl()
        return [_seconds(column) for column in found.iter_columns()]


def open_existing(root: Path, patients: int) -> Tree:
    """The tree, and at most ``patients`` of those with ICU stays: the first in order of a hash."""
    release = find_release("mimic_iv", root)
    files = release.tables
    for name in _NEEDED:
        if name not in files:
            raise ContractError(
                f"{root}: no table {name}; films need patients, admissions, icustays"
            )
    with duckdb.connect() as connection:
        source = _open_table(connection, "icustays", files["icustays"], ())
        found = source.project("subject_id").distinct().pl()
    subjects = np.sort(found["subject_id"].to_numpy())
    order = np.argsort(Draw(0).bits("filmed subjects", subjects), kind="stable")
    chosen = sorted(int(subject) for subject in subjects[order][:patients])
    return Tree(files, tuple(chosen), release.simulated)


def build_existing(tree: Tree, draw: Draw, ids: Ids) -> Hospital:
    """The tree's patients as a hospital whose courses follow the events on record."""
    people = _people(tree, draw)
    admissions = _admissions(tree, people, draw)
    stays = _stays(tree, admissions)
    cases = make_cases(people, admissions, stays)
    grid = _Grid(admissions.hadm_id, cases.start_at, cases.icu.shape)
    recorded = _recorded(tree, grid)
    given = Given(
        recorded=recorded,
        oxygen_debt=_debt(tree, grid),
        expected={
            "edema": _before(recorded["furosemide"] > 0, _FORESIGHT, 0.6),
            "consolidation": _before(recorded["antibiotic"], _FORESIGHT, 0.45),
        },
        may_die=False,
    )
    course = run_course(cases, draw, given)
    return Hospital(draw, ids, people, admissions, stays, cases, course)


def _among(items: tuple[int, ...]) -> str:
    return f"itemid IN ({', '.join(map(str, items))})"


def _open_table(
    connection: duckdb.DuckDBPyConnection, table: str, path: Path, columns: tuple[str, ...]
) -> duckdb.DuckDBPyRelation:
    if path.suffix == ".parquet":
        return connection.read_parquet(str(path))
    kinds = TABLES[table].columns
    types = {name: kinds[name] for name in ("subject_id", *columns)}
    return connection.read_csv(str(path), header=True, dtype=types)


def _seconds(column: pl.Series) -> Array:
    if column.dtype.is_temporal():
        return column.dt.epoch("s").fill_null(-1).to_numpy()
    if column.dtype.is_integer():
        return column.fill_null(-1).to_numpy()
    return column.to_numpy()


def _people(tree: Tree, draw: Draw) -> People:
    subject, gender, age, year = tree.read(
        "patients", "subject_id gender anchor_age anchor_year", "true"
    )
    count = len(subject)
    return People(
        key=subject,
        subject_id=subject,
        is_female=gender == "F",
        anchor_age=age,
        anchor_year=year,
        year_group=np.ones(count, dtype=np.int64),
        visits=np.ones(count, dtype=np.int64),
        heart=np.clip(draw.uniform("heart", subject) ** 2 * (0.4 + age / 90), 0, 0.9),
        lung=draw.uniform("lung", subject) ** 3,
        height=np.full(count, 170.0),
        weight=np.full(count, 80.0),
        has_pacemaker=draw.uniform("pacemaker", subject) < 0.08,
        is_filmed=np.ones(count, dtype=bool),
    )


def _admissions(tree: Tree, people: People, draw: Draw) -> Admissions:
    subject, admit, hadm, discharge, ed, ed_out = tree.read(
        "admissions",
        "subject_id admittime hadm_id dischtime edregtime edouttime",
        "dischtime > admittime",
    )
    person = np.searchsorted(people.subject_id, subject)
    ordinal = np.arange(len(person)) - np.searchsorted(person, person)
    illness = np.full(len(hadm), OTHER)
    ends = _illnesses(tree)
    for kind in (HEART_FAILURE, SEPSIS, PNEUMONIA):
        illness[np.isin(hadm, ends[kind])] = kind
    return Admissions(
        key=hadm.astype(np.int64),
        person=person,
        hadm_id=hadm,
        ordinal=ordinal,
        illness=illness,
        severity=0.2 + 0.8 * draw.uniform("severity", hadm),
        admit_at=admit,
        discharge_at=discharge,
        ed_at=np.where((ed >= 0) & (ed < admit) & (ed > admit - DAY), ed, -1),
        ed_out_at=ed_out,
        is_reversed=np.zeros(len(hadm), dtype=bool),
    )


def _illnesses(tree: Tree) -> dict[int, Array]:
    """Admissions that events on record mark: diuretics, vasopressors, antibiotics."""
    table, column = "inputevents", "hadm_id"
    (heart,) = tree.read(table, column, _among(_DIURETICS), "itemid")
    (shock,) = tree.read(table, column, _among(_PRESSORS), "itemid")
    (infected,) = tree.read(table, column, _ANTIBIOTIC, "ordercategoryname")
    septic = np.intersect1d(shock, infected)
    return {HEART_FAILURE: heart, SEPSIS: septic, PNEUMONIA: np.setdiff1d(infected, septic)}


@dataclass(frozen=True)
class _Grid:
    """Admissions by hours of their courses."""

    hadm_id: Array
    start_at: Array
    shape: tuple[int, int]

    def fill(self, events: list[Array], value: Array | float = 1.0) -> Array:
        """Sum of ``value`` over hours; events are (hadm_id, start, end) in seconds."""
        hadm, start, end = events
        total = np.zeros(self.shape)
        order = np.argsort(self.hadm_id, kind="stable")
        place = np.searchsorted(self.hadm_id[order], hadm)
        place = np.minimum(place, len(order) - 1)
        known = (self.hadm_id[order[place]] == hadm) & (start >= 0)
        amount = np.broadcast_to(np.asarray(value, dtype=np.float64), np.shape(hadm))
        for at in np.flatnonzero(known):
            row = order[place[at]]
            first = max(int(start[at] - self.start_at[row]) // HOUR, 0)
            last = max(int(max(end[at], start[at]) - self.start_at[row]) // HOUR, first)
            total[row, first : last + 1] += amount[at] / (last - first + 1)
        return total


def _recorded(tree: Tree, grid: _Grid) -> dict[str, Array]:
    """Treatments of every hour."""
    span = "hadm_id starttime endtime"

    def present(table: str, items: tuple[int, ...]) -> Array:
        return grid.fill(tree.read(table, span, _among(items), "itemid")) > 0

    *diuresis, dose = tree.read("inputevents", f"{span} amount", _among(_DIURETICS), "itemid")
    *drink, volume = tree.read(
        "inputevents", f"{span} amount", "lower(amountuom) = 'ml' AND amount < 5000", "amountuom"
    )
    doses = tree.read("inputevents", span, _ANTIBIOTIC, "ordercategoryname")
    antibiotic = grid.fill(doses) > 0
    lasting = antibiotic.copy()
    for back in range(1, 12):  # a dose works until the next
        lasting[:, back:] |= antibiotic[:, : antibiotic.shape[1] - back]
    return {
        "furosemide": grid.fill(diuresis, dose),
        "fluid": grid.fill(drink, volume),
        "antibiotic": lasting,
        "pressor": present("inputevents", _PRESSORS),
        "ventilated": present("procedureevents", _VENTILATION),
        "line": present("procedureevents", _LINES),
    }


def _debt(tree: Tree, grid: _Grid) -> Array:
    """What SpO2 and FiO2 say of the lungs, the last reading held for six hours."""
    hadm, at, itemid, value = tree.read(
        "chartevents",
        "hadm_id charttime itemid valuenum",
        f"{_among((_SATURATION, _OXYGEN))} AND valuenum > 20",
    )
    traces = []
    for wanted in (_SATURATION, _OXYGEN):
        rows = itemid == wanted
        where = [hadm[rows], at[rows], at[rows]]
        count = grid.fill(where)
        total = grid.fill(where, value[rows])
        mean = np.divide(total, count, out=np.full(grid.shape, np.nan), where=count > 0)
        traces.append(_hold(mean, 6))
    saturation, oxygen = traces
    oxygen = np.clip(np.where(np.isnan(oxygen), 21, oxygen) / 100, 0.21, 1)
    return np.asarray(np.clip((99 - saturation) / 12.5 + 0.9 * (oxygen - 0.21), 0, 1))


def _before(treated: Array, hours: int, severity: float) -> Array:
    """``severity`` in the untreated hours before a treatment begins, else NaN."""
    soon = np.zeros_like(treated)
    for ahead in range(1, hours + 1):
        soon[:, :-ahead] |= treated[:, ahead:]
    return np.where(soon & ~treated, severity, np.nan)


def _hold(trace: Array, hours: int) -> Array:
    held = trace.copy()
    for back in range(1, hours + 1):
        older = trace[:, : trace.shape[1] - back]
        held[:, back:] = np.where(np.isnan(held[:, back:]), older, held[:, back:])
    return held


def _stays(tree: Tree, admissions: Admissions) -> Stays:
    hadm, start, stay, stop = tree.read("icustays", "hadm_id intime stay_id outtime", "true")
    order = np.argsort(admissions.hadm_id, kind="stable")
    place = np.minimum(np.searchsorted(admissions.hadm_id[order], hadm), len(order) - 1)
    known = (admissions.hadm_id[order[place]] == hadm) & (stop > start)
    row = order[place[known]]
    nothing = np.zeros(len(row), dtype=np.int64)
    by = np.lexsort((start[known], row))
    return Stays(row[by], stay[known][by], start[known][by], stop[known][by], nothing, nothing)
