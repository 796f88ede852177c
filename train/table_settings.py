"""What train/tables/*.yaml may say: three kinds of tables, by the ``source`` of our numbers.

``paper``: of a column, the paper's mean, or mean and deviation, or its words.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import model_validator

from cxrfuture_data.settings import Settings

Where: TypeAlias = dict[str, Any]  # settings that a run has, by dotted name


class Column(Settings):
    name: str  # of an evaluation's table: as the evaluation calls it
    title: str
    digits: int


class EvaluationRow(Settings):
    """``row``: of an evaluation, such as previous_film; or ``where``; or neither, where nothing of
    ours can fill it. ``command``: what makes the run; null: `evaluate` alone does."""

    title: str
    row: str | None
    where: Where | None
    command: str | None
    paper: dict[str, list[float]]

    @model_validator(mode="after")
    def _one_source(self) -> "EvaluationRow":
        if self.row is not None and self.where is not None:
            raise ValueError("give row or where, and null for the other")
        return self


class OutcomeColumn(Column):
    """See OutcomeRow."""

    cell: str | None
    where: Where | None
    command: str | None


class OutcomeRow(Settings):
    """Row and column together say ``where``, which model; one of them says which ``cell``.

    A cell is ``mortality.auprc``, ``mortality.auroc.gap.<12`` of a group, or
    ``phenotypes.auprc.label.Shock``. Of a row also: ``phenotypes.auprc.rank``, the average rank
    over the labels of the table, and ``prevalence`` in percent of the column's cell.
    """

    title: str
    cell: str | None
    where: Where | None
    command: str | None
    digits: int | None  # null: the column's
    paper: dict[str, list[float]]


class CohortRow(Settings):
    title: str
    fact: str  # train/cohort_table.py
    digits: int | None
    paper: dict[str, list[float] | str]


class EvaluationTable(Settings):
    source: Literal["evaluations"]
    title: str
    recipes: list[str]  # whose test pairs it is of
    note: str
    missing: str  # what stands where nothing of ours is
    columns: list[Column]
    rows: list[EvaluationRow]


class OutcomeTable(Settings):
    source: Literal["outcomes"]
    title: str
    recipes: list[str]  # whose test stays it is of
    note: str
    missing: str
    columns: list[OutcomeColumn]
    rows: list[OutcomeRow]


class CohortTable(Settings):
    source: Literal["dataset"]
    name: str  # what `cxrfuture table` calls it
    facts: Literal["samples", "mortality", "phenotypes", "cohort"]
    title: str
    recipes: list[str]
    note: str
    missing: str
    columns: list[Column]
    rows: list[CohortRow]


Row: TypeAlias = EvaluationRow | OutcomeRow | CohortRow
AnyTable: TypeAlias = EvaluationTable | OutcomeTable | CohortTable
TABLE_OF_SOURCE: Mapping[str, type[Settings]] = {
    "evaluations": EvaluationTable,
    "outcomes": OutcomeTable,
    "dataset": CohortTable,
}
