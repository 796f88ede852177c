"""Events and hourly values: how many samples have any, of which table, and when."""

import polars as pl

from cxrfuture_data.schema import EHRXDIFF_TABLES, EVENT_TABLES, VARIABLE_SETS
from etl.report.facts import Counts, Section
from etl.report.material import KIND_WORDS, Material, WindowFacts
from etl.report.tally import Draft, Heading, count_shares

BIN_HOURS, BINS = 4, 13
BIN_TITLES = [
    *(f"{BIN_HOURS * at}-{BIN_HOURS * (at + 1)} h" for at in range(BINS - 1)),
    f"{BIN_HOURS * (BINS - 1)} h or more",
]


def describe_events(material: Material, found: WindowFacts) -> Section | None:
    times, coverage = found.times, found.coverage
    if not material.recipe.window.events:
        return None
    draft = Draft(
        "events",
        "Event coverage",
        [
            "Which samples have events of which table in their window, and how long before the"
            " window's end the events happened. The end is the target film or the prediction.",
            "Look for tables that few samples have, or none (a table that was not downloaded has"
            " no event), and for events that thin out towards the end where results come late.",
        ],
    )
    for kind in material.windowed:
        of_kind = times.filter(pl.col("kind") == kind)
        tables = _tables(material, of_kind)
        draft.draw(
            _coverage(material, kind, coverage.filter(pl.col("kind") == kind), tables),
            "points",
            f"Share of {KIND_WORDS[kind]} with at least one event of a table, a dot a split.",
        )
        draft.draw(
            _heat(kind, of_kind, tables),
            "heat",
            f"Events of {KIND_WORDS[kind]} by table and hours before the window's end, all splits."
            " Short windows have no early hours, so counts fall to the right.",
        )
    return draft.finish()


def _tables(material: Material, times: pl.DataFrame) -> list[int]:
    """Indices of the tables that the recipe reads, with events or without."""
    rule = getattr(material.recipe, "events", None)
    wanted = EHRXDIFF_TABLES if rule is None else rule.tables
    return sorted({EVENT_TABLES.index(table) for table in wanted} | set(times["event_table"]))


def _coverage(material: Material, kind: str, coverage: pl.DataFrame, tables: list[int]) -> Counts:
    counted = {
        (s, t): n for s, t, n in coverage.select("split", "event_table", "windows").iter_rows()
    }
    samples = [columns.samples for columns in material.columns(kind).values()]
    return count_shares(
        Heading(
            f"{kind}_coverage", f"{KIND_WORDS[kind].capitalize()} with events of a table", "table"
        ),
        [EVENT_TABLES[table] for table in tables],
        material.splits,
        (
            [[counted.get((split, table), 0) for split in material.splits] for table in tables],
            [samples for _ in tables],
        ),
    )


def _heat(kind: str, times: pl.DataFrame, tables: list[int]) -> Counts:
    cells = times.group_by("event_table", "bin").agg(pl.col("events").sum())
    counted = {(table, at): events for table, at, events in cells.iter_rows()}
    return Counts(
        key=f"{kind}_event_hours",
        caption=f"Events of {KIND_WORDS[kind]} by hours before the window's end",
        corner="table",
        unit="events",
        rows=[EVENT_TABLES[table] for table in tables],
        columns=BIN_TITLES,
        values=[[int(counted.get((table, at), 0)) for at in range(BINS)] for table in tables],
    )


def describe_hours(material: Material, found: WindowFacts) -> Section | None:
    if not material.recipe.window.hourly:
        return None
    draft = Draft(
        "hours",
        "Missing hourly values",
        [
            "Of the hours of the windows, how many hold a measured value of each variable; and in"
            " how many samples a variable was measured at all. The rest is filled in by the loader:"
            " from an earlier hour, or with the normal value.",
            "Look for variables that are hardly ever measured: what a model sees of them is mostly"
            " filled in. What is measured often is measured because someone was worried.",
        ],
    )
    measured = found.hours.join(material.samples(), on=["kind", "key"], how="inner")
    names = [variable.name for variable in VARIABLE_SETS[material.recipe.window.variables]]
    for kind in material.windowed:
        of_kind = measured.filter(pl.col("kind") == kind)
        if of_kind.height:
            _add_hours(draft, material, kind, (of_kind, names))
    return draft.finish()


def _add_hours(
    draft: Draft, material: Material, kind: str, measured: tuple[pl.DataFrame, list[str]]
) -> None:
    """``measured``: hours with a value, a row a sample and a column a variable; and the columns."""
    found, names = measured
    parts = [found.filter(pl.col("split") == split).select(names) for split in material.splits]
    hours = [[int(part[name].sum()) for part in parts] for name in names]
    samples = [[int((part[name] > 0).sum()) for part in parts] for name in names]
    columns = list(material.columns(kind).values())
    total_hours = [int(one["hours"].sum()) for one in columns]
    total_samples = [one.samples for one in columns]
    heading = Heading(
        f"{kind}_hours_measured", f"Hours of {KIND_WORDS[kind]} with a value", "variable", "hours"
    )
    draft.draw(
        count_shares(heading, names, material.splits, (hours, [total_hours for _ in names])),
        "points",
        f"Share of the hours of {KIND_WORDS[kind]} with a measured value, a dot a split.",
        is_folded=True,
    )
    heading = Heading(
        f"{kind}_samples_measured", f"{KIND_WORDS[kind].capitalize()} with any value", "variable"
    )
    draft.draw(
        count_shares(heading, names, material.splits, (samples, [total_samples for _ in names])),
        "points",
        f"Share of {KIND_WORDS[kind]} in which a variable was measured at least once.",
        is_folded=True,
    )
