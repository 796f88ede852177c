"""The numbers that papers give of their cohorts: etl/papers/<recipe or rules>.yaml.

A table of a file has rows and columns as the paper has. The number in a row and column is of the
measure named by the table's pattern, ``{row}`` and ``{column}`` filled in; the measures are listed
in etl/reproduction_values.py. Where ``of`` is given, it is that number divided by the column's
entry. ``when`` holds settings of the recipe's cohort without which a table is of another cohort.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from cxrfuture_data.settings import Settings, read_settings
from etl.recipe import Recipe

NotNegative = Annotated[float, Field(ge=0)]
VARIANTS = ("_published", "_corrected", "_event", "_known")


class Elsewhere(Settings):
    """What to expect of other releases than the paper's."""

    tolerance: NotNegative  # relative
    reason: str


class PaperTable(Settings):
    source: str
    section: str  # of the specification
    measure: str
    columns: list[str]
    rows: dict[str, list[float]]
    of: list[float]
    when: dict[str, str | int | float | bool]
    tolerance: NotNegative  # relative, on the paper's own releases and by the published rules
    rounding: NotNegative  # of the printed number, absolute
    reason: str  # why ours may differ even there, or when corrected

    @model_validator(mode="after")
    def _has_whole_rows(self) -> "PaperTable":
        lengths = {len(row) for row in self.rows.values()} | {len(self.of or self.columns)}
        if lengths != {len(self.columns)}:
            raise ValueError(f"a row of {self.source} has not one number a column")
        return self


@dataclass(frozen=True)
class PaperNumber:
    """One number of a paper."""

    measure: str
    value: float
    table: PaperTable


class Paper(Settings):
    paper: str
    mimic_iv: list[str]
    mimic_cxr_jpg: list[str]
    elsewhere: Elsewhere
    tables: list[PaperTable]

    def numbers(self, recipe: Recipe) -> list[PaperNumber]:
        """Every number that is about this recipe's cohort."""
        settings = recipe.cohort.model_dump()
        return [
            PaperNumber(table.measure.format(row=row, column=column), value / divisor, table)
            for table in self.tables
            if all(settings.get(key) == value for key, value in table.when.items())
            for row, values in table.rows.items()
            for column, value, divisor in zip(
                table.columns, values, table.of or [1.0] * len(values), strict=True
            )
        ]


def paper_of(recipe: Recipe) -> Paper | None:
    """The paper of a recipe, whichever its fidelity and availability; None if it has none."""
    stem = recipe.name
    for variant in VARIANTS:
        stem = stem.replace(variant, "")
    folder = Path(str(files("etl").joinpath("papers")))
    for name in (stem, recipe.rules):
        path = folder / f"{name}.yaml"
        if path.exists():
            return read_settings(Paper, path)
    return None
