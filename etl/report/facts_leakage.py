"""The leakage audit: what could have told a model more than it may know."""

import json
from collections.abc import Iterator, Sequence

import polars as pl

from cxrfuture_data.manifest import WindowStatistics
from cxrfuture_data.schema import EVENT_TABLES, FILMS_OF_KIND
from etl.check import CHECK_FILE
from etl.report.facts import Counts, Numbers, Section
from etl.report.material import KIND_WORDS, WINDOWED, Material, WindowFacts
from etl.report.tally import Draft

MICROSECONDS = 3_600_000_000  # of an hour
MARGINS = ("event_margin", "known_margin")
MOMENTS = {
    "earlier": "over 1 h before the end",
    "last_hour": "in the last hour",
    "at_end": "at the end",
    "after_end": "after the end",
}
TRAIN = "train"
GENERATION = "generation"
LOOK = "Look for marked numbers: each is worth a look at its sample."
WITH_END = f"Windows of this recipe include their very end, so events at it are right. {LOOK}"
WITHOUT_END = f"Windows of this recipe leave out their very end, so none may be at it. {LOOK}"


def describe_leakage(material: Material, found: WindowFacts) -> Section | None:
    recipe = material.recipe
    draft = Draft(
        "leakage",
        "Leakage audit",
        [
            _says_of_availability(material),
            WITH_END if recipe.parameters["includes_end"] else WITHOUT_END,
            "Patients and films in two splits must be 0. Statistics that scale a model's inputs"
            " must come from training patients alone, which their counts show.",
        ],
    )
    as_known = recipe.availability == "known"
    if found.latest.height:
        _add_latest(draft, material, found.latest)
    if found.times.height:
        _add_events(draft, found, as_known=as_known)
    draft.add(_shared(material))
    statistics = _statistics(material)
    if statistics.rows:
        draft.add(statistics)
    draft.add(_checks(material))
    return draft.finish()


def _says_of_availability(material: Material) -> str:
    if material.recipe.availability == "known":
        return (
            "What is in a window must have been known before the window's end, not only have"
            " happened before it: a result counts from when it was stored. So no event may be known"
            " after the end."
        )
    return (
        "This recipe takes events by when they happened, as the paper does. Some were charted or"
        " stored only later, even after the window's end: how many is the price of that rule, shown"
        " below as known after the end. Nothing may have happened after the end."
    )


def _add_latest(draft: Draft, material: Material, latest: pl.DataFrame) -> None:
    rows = [_name_contents(material, kind) for kind in latest["kind"]]
    as_known = material.recipe.availability == "known"
    draft.draw(
        _moments("latest_known", "Windows by when the last thing in them was known", rows, latest),
        "shares",
        "Windows by when the last value or event in them was known, against their end. Look for the"
        " share known after the end: such a window could not have been read in time.",
    )
    draft.add(_margins("latest_margin", rows, latest, as_known=as_known))


def _name_contents(material: Material, kind: str) -> str:
    """Of a generation window, which has no events of its own, too."""
    rule = material.recipe.window
    contents = ["hourly values"] if rule.hourly else []
    if kind == GENERATION:
        return f"{' '.join(contents)} of generation windows"
    if rule.events:
        contents.append("events")
    return f"{' and '.join(contents)} of {KIND_WORDS[kind]}"


def _add_events(draft: Draft, found: WindowFacts, *, as_known: bool) -> None:
    sums = [pl.col(name).sum() for name in MOMENTS]
    of_tables = found.times.group_by("event_table")
    windows = found.coverage.group_by("event_table").agg(pl.col("windows").sum())
    tables = (
        of_tables.agg(*sums, *(pl.col(name).min() for name in MARGINS))
        .join(windows, on="event_table")
        .sort("event_table")
    )
    rows = [EVENT_TABLES[table] for table in tables["event_table"]]
    draft.draw(
        _moments("event_known", "Events by when they were known", rows, tables, "events"),
        "shares",
        "Events of each table by when they were known, against the end of their window. Look for"
        " the share known after the end.",
    )
    draft.add(_margins("event_margin", rows, tables, as_known=as_known))


def _moments(
    key: str, caption: str, rows: Sequence[str], found: pl.DataFrame, unit: str = "windows"
) -> Counts:
    values = [list(row) for row in found.select(list(MOMENTS)).iter_rows()]
    return Counts(
        key=key,
        caption=caption,
        corner="window" if unit == "windows" else "table",
        unit=unit,
        rows=rows,
        columns=list(MOMENTS.values()),
        values=values,
        of=[[sum(row)] * len(MOMENTS) for row in values],
        rows_add_up=False,
    )


def _margins(key: str, rows: Sequence[str], found: pl.DataFrame, *, as_known: bool) -> Numbers:
    """Hours from the latest of all to its window's end. Only a time that the recipe's rule is about
    is marked if it is after the end."""
    values = [
        [None if margin is None else margin / MICROSECONDS for margin in row]
        for row in found.select(list(MARGINS)).iter_rows()
    ]
    ruled = len(MARGINS) if as_known else 1
    return Numbers(
        key=key,
        caption="Smallest margin before a window's end, hours; negative is after it",
        corner="of",
        rows=rows,
        columns=["happened", "known"],
        values=values,
        rests_on=found["windows"].to_list(),
        digits=3,
        marked=[
            (row, column)
            for row, margins in enumerate(values)
            for column, margin in enumerate(margins[:ruled])
            if margin is not None and margin < 0
        ],
    )


def _shared(material: Material) -> Numbers:
    """Rests on all patients of the two splits: that nobody is in both says nothing of anyone."""
    rows, values, rests_on = [], [], []
    splits = material.splits
    patients = {split: material.patients(split) for split in splits}
    films = {split: material.films(split) for split in splits}
    for at, one in enumerate(splits):
        for other in splits[at + 1 :]:
            rows.append(f"{one} and {other}")
            values.append([len(found[one] & found[other]) for found in (patients, films)])
            rests_on.append(len(patients[one] | patients[other]))
    return Numbers(
        key="shared",
        caption="In two splits",
        corner="splits",
        rows=rows,
        columns=["patients", "films"],
        values=values,
        rests_on=rests_on,
        digits=0,
        marked=[(r, c) for r, row in enumerate(values) for c, count in enumerate(row) if count],
    )


def _statistics(material: Material) -> Numbers:
    """What the dataset's statistics say they were counted over, beside what training has."""
    found = list(_counted(material))
    return Numbers(
        key="statistics",
        caption="What the statistics come from",
        corner="statistics",
        rows=[name for name, _, _ in found],
        columns=["counted", "in training", "training patients"],
        values=[[counted, samples, patients] for _, (counted, samples), patients in found],
        rests_on=[min(counted, patients) for _, (counted, _), patients in found],
        digits=0,
        marked=[
            (row, 0) for row, (_, (counted, samples), _) in enumerate(found) if counted != samples
        ],
    )


def _counted(material: Material) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Name; samples or films counted, and how many training has; training patients."""
    if TRAIN not in material.splits:
        return
    patients = len(material.patients(TRAIN))
    for kind in WINDOWED:
        if kind in material.kinds:
            columns = material.dataset.columns(TRAIN, kind)
            statistics: WindowStatistics = getattr(material.dataset.statistics, kind)
            of_kind = len(set(columns["subject_id"].tolist()))
            yield (
                f"age and hourly values: {KIND_WORDS[kind]}",
                (
                    statistics.age.count,
                    columns.samples,
                ),
                of_kind,
            )
    films = sum(
        int(material.dataset.columns(TRAIN, kind)[f"{role}.has"].sum())
        for kind in material.kinds
        for role in FILMS_OF_KIND[kind]
    )
    yield (
        "latents: films of samples",
        (
            material.dataset.statistics.latent.films,
            films,
        ),
        patients,
    )


def _checks(material: Material) -> Counts:
    """Every check held, or there would be no check.json."""
    checks = json.loads(material.path("check", CHECK_FILE).read_text())
    return Counts(
        key="checks",
        caption="Checks that held, and the rows they read",
        corner="check",
        unit="rows",
        rows=[check["check"].removeprefix("check/").replace("_", " ") for check in checks],
        columns=["rows read"],
        values=[[check["rows"]] for check in checks],
        rows_add_up=False,
        columns_add_up=False,
    )
