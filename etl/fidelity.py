"""What each correction of a recipe changes on the data at hand.

Cohort and windows are built by the published rules, then with one correction at a time, then with
all. What fidelity ``corrected`` does without a name in the recipe's file is a row of its own, and
no part of the others: the splits of a cohort of a few patients are filled (etl/split.py).
"""

import csv
import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from cxrfuture_data.console import progress, silence
from cxrfuture_data.publish import publish, write_json
from etl import ingest
from etl.build_change import ROWS, Change, compare_builds, count_hours_before_first
from etl.params import Params
from etl.prepare import prepare_ingested
from etl.recipe import NOT_LISTED, Recipe
from etl.sqlfile import open_sql

FOLDER = "fidelity"
PUBLISHED, UNNAMED, ALL = "published", "unnamed", "corrected"

# Corrections that no table shows, because they act where films or samples are read.
NOT_IN_TABLES = {
    "age_and_sex_in_every_hour": "in the loader",
    "films_from_originals": "in the films",
    "films_smoothed": "in the films",
    "training_normaliser": "in the loader: moments",
}
HOURS_BEFORE_FIRST = "age_and_sex_in_every_hour"
OUTCOMES, PERSON, SPLIT = ("died_in_hospital",), ("age", "sex"), ("split",)
WINDOWED = ("hourly", "event")
COUNTS = ("before", "after", "gained", "lost", "changed", "touched")


@dataclass(frozen=True)
class Effect:
    """What one correction changes. ``changes``: each table's rows, and each column's values."""

    correction: str
    section: str
    note: str
    changes: list[Change]

    def total(self, table: str, columns: Collection[str] | None = None) -> Change:
        """The changes of some columns of a table added up; of all but its rows, if None."""
        chosen = [
            change
            for change in self.changes
            if change.table == table
            and (change.column != ROWS if columns is None else change.column in columns)
        ]
        sums = (sum(getattr(change, name) for change in chosen) for name in COUNTS)
        return Change(table, " ".join(columns or ()), *sums)

    def touched(self, table: str) -> int:
        """Windows that any hourly value or event that differs belongs to."""
        return self.total(table, (ROWS,)).touched


def run_fidelity(
    params: Params, recipe: Recipe, only: Sequence[str], *, keep: bool, as_json: bool
) -> None:
    """Measure, write fidelity.csv and fidelity.json in build/fidelity/<recipe>, and print."""
    effects = measure_effects(params, recipe, only, keep=keep)
    folder = params.build(FOLDER, recipe.name)
    write_json(folder / "fidelity.json", [asdict(effect) for effect in effects])
    write_effects(folder / "fidelity.csv", effects)
    if as_json:
        print(json.dumps([asdict(effect) for effect in effects], indent=1))
    else:
        Console().print(effects_table(recipe, effects))


def measure_effects(
    params: Params, recipe: Recipe, only: Sequence[str] = (), *, keep: bool = False
) -> list[Effect]:
    """``only`` names corrections: no others are tried, nor all together. The builds, one folder a
    correction in build/fidelity/<recipe>, are removed unless ``keep``."""
    names = tuple(dict.fromkeys(only)) or recipe.known_corrections
    recipes = _recipes(recipe, names, together=not only)
    ingest.run(params)
    changes: dict[str, list[Change]] = {}
    built: dict[str, Path] = {}
    try:
        with progress("fidelity", len(recipes), "builds") as advance, silence():
            for name, chosen in recipes.items():
                built[name] = params.build(chosen.name)
                prepare_ingested(params, chosen)
                if name != PUBLISHED:
                    base = PUBLISHED if name in (UNNAMED, ALL) else UNNAMED
                    changes[name] = _compare(params, built[base], built[name])
                if not (keep or name in (PUBLISHED, UNNAMED)):
                    shutil.rmtree(built[name])
                advance(1, name)
        if HOURS_BEFORE_FIRST in names:
            with open_sql(params.sql, built[UNNAMED] / ".spill") as connection:
                change = count_hours_before_first(connection, built[UNNAMED])
            changes[HOURS_BEFORE_FIRST] = [change]
    finally:
        if not keep:
            for folder in built.values():
                shutil.rmtree(folder, ignore_errors=True)
    rows = [UNNAMED, *names, *([] if only else [ALL])]
    return [_effect(recipe, name, changes.get(name, [])) for name in rows]


def _recipes(recipe: Recipe, names: Sequence[str], *, together: bool) -> dict[str, Recipe]:
    """The recipe of every build, its name the folder of the build."""
    variants = {
        PUBLISHED: recipe.model_copy(update={"fidelity": "published"}),
        UNNAMED: recipe.with_corrections(()),
    }
    for name in names:
        chosen = recipe.with_corrections([name])
        if name not in NOT_IN_TABLES:
            variants[name] = chosen
    if together:
        variants[ALL] = recipe.with_corrections(recipe.corrections)
    return {
        name: variant.model_copy(update={"name": f"{FOLDER}/{recipe.name}/{name}"})
        for name, variant in variants.items()
    }


def _compare(params: Params, before: Path, after: Path) -> list[Change]:
    with open_sql(params.sql, after / ".spill") as connection:
        return compare_builds(connection, before, after)


def _effect(recipe: Recipe, name: str, changes: list[Change]) -> Effect:
    sections = {UNNAMED: "", ALL: "all"}
    section = sections.get(name, recipe.corrections.get(name, NOT_LISTED))
    return Effect(name, section, NOT_IN_TABLES.get(name, ""), changes)


def write_effects(path: Path, effects: Iterable[Effect]) -> None:
    """One line a table and correction, and one a column whose values differ."""
    with publish(path) as part, part.open("w", newline="") as handle:
        names = ("correction", "section", "table", "column", *COUNTS)
        lines = csv.DictWriter(handle, names, lineterminator="\n")
        lines.writeheader()
        for effect in effects:
            for change in effect.changes:
                if change.column == ROWS or not change.is_none:
                    about = {"correction": effect.correction, "section": effect.section}
                    lines.writerow(about | asdict(change))


def effects_table(recipe: Recipe, effects: Sequence[Effect]) -> Table:
    """A correction a line; how a cell reads is in the caption."""
    columns = _columns(recipe)
    table = Table(
        title=f"{recipe.name}: what each correction changes, one at a time",
        caption="+ gained, - lost, ~ changed. Hourly values and events: of windows in both builds;"
        " in brackets the windows they belong to. All of it: fidelity.csv, fidelity.json",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("correction", no_wrap=True)
    for name in ("section", *columns, ""):
        table.add_column(name, overflow="fold")
    for effect in effects:
        if effect.correction == ALL:
            table.add_section()
        section = effect.section.partition(":")[0]
        cells = [_cell(effect, *place) for place in columns.values()]
        table.add_row(effect.correction, section, *cells, _note(effect))
    return table


def _note(effect: Effect) -> str:
    hours = effect.total("hour")
    if not hours.changed:
        return effect.note
    return f"{effect.note}: {hours.changed:,} hours ({hours.touched:,})"


def _columns(recipe: Recipe) -> dict[str, tuple[tuple[str, ...], tuple[str, ...] | None]]:
    """Heading -> tables and their columns that it adds up."""
    kinds = tuple(recipe.kinds)
    columns: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None]] = {
        f"{kind}s": ((kind,), (ROWS,)) for kind in kinds
    }
    columns |= {"deaths": (kinds, OUTCOMES), "age, sex": (kinds, PERSON), "split": (kinds, SPLIT)}
    if "stay" in kinds:
        columns["phenotypes"] = (("phenotype",), None)
    if recipe.window.hourly:
        columns["hourly values"] = (("hourly",), None)
    if recipe.window.events:
        columns["events"] = (("event",), (ROWS,))
    return columns


def _cell(effect: Effect, tables: Sequence[str], columns: Sequence[str] | None) -> str:
    totals = [effect.total(table, columns) for table in tables]
    counts = {"+": "gained", "-": "lost", "~": "changed"}
    found = {sign: sum(getattr(total, name) for total in totals) for sign, name in counts.items()}
    if columns == (ROWS,) and tables[0] not in WINDOWED:
        del found["~"]  # the columns of a sample are counted for themselves
    text = " ".join(f"{sign}{count:,}" for sign, count in found.items() if count)
    if text and tables[0] in WINDOWED:
        text += f" ({max(effect.touched(table) for table in tables):,})"
    return text
