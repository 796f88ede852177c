"""A report of invented numbers with every kind of item and figure."""

import numpy as np

from etl.ledger import Drop
from etl.report.facts import (
    Counts,
    Figure,
    Flow,
    Numbers,
    Report,
    Section,
    Spread,
    Summary,
    Words,
)

SPLITS = ("train", "valid", "test")


def make_counts(key, rows, columns=SPLITS, seed=0, top=400, **more):
    """Of samples, larger to the left."""
    random = np.random.default_rng(seed)
    scale = top / (1 + 3 * np.arange(len(columns)))
    values = random.integers(0, scale, (len(rows), len(columns))).tolist()
    caption = more.pop("caption", f"Samples by {key}")
    corner = more.pop("corner", key.capitalize())
    return Counts(key, caption, corner, more.pop("unit", "samples"), rows, columns, values, **more)


def make_flow(key, unit, removed, before=88_629, stage="event"):
    """Filters that remove so many, in order."""
    filters = []
    for reason, count in removed:
        filters.append(Drop(stage, unit, reason, before, count))
        before -= count
    return Flow(key, unit, filters)


def make_report(secrets=("10000032",)) -> Report:
    """71 variables, 25 phenotypes, 17 tables, and little ones; ``secrets`` are not to be shared."""
    return Report(
        "future",
        "all SIMULATED",
        True,
        [("pairs", 12_405), ("patients", 3_120), ("films", 24_810), ("events", 1_234_567)],
        [_flows(), _patients(), _windows(), _labels(), _leakage(), _origin(secrets)],
    )


def _flows() -> Section:
    chart = make_flow(
        "flow-chartevents",
        "chartevents rows",
        [
            ("item not used", 39_059),
            ("admission without the films a sample needs", 1_722),
            ("no time", 0),
            ("no number, or a text without points", 527),
            ("outside the plausible range", 0),
        ],
    )
    film = make_flow(
        "flow-film",
        "films",
        [
            ("repeats a dicom_id", 0),
            ("no such date or time", 0),
            ("not a frontal film", 134),
            ("taken during no admission of the cohort", 43),
            ("another film of its study has the usual view of the admission", 2),
            ("another film of its study comes first by a hash of dicom_id, so that which one is"
             " kept depends on nothing that a patient or a hospital could have chosen", 50),
        ],
        719,
        "cohort",
    )  # fmt: skip
    image = make_flow("flow-film", "films", [("unreadable", 3), ("constant", 0)], 486, "image")
    both = Flow("flow-film", "films", [*film.filters, *image.filters])
    return Section(
        "attrition",
        "Attrition",
        ["What each filter of the recipe removed, in the order in which they ran."],
        [both, chart],
        [Figure("flow-film", "bars", "Look for a filter that removes much more than you expect.")],
    )


def _patients() -> Section:
    totals = (900, 120, 130)
    sex = Counts(
        "sex", "Sex", "Sex", "samples", ("female", "male"), SPLITS,
        [[444, 57, 70], [456, 63, 60]], of=[totals, totals],
    )  # fmt: skip
    summary = [Summary(900 - i, i, 63.2 + i, 16.4, 64.0, 52.25, 75.5) for i in range(3)]
    empty = Summary(0, 120, None, None, None, None, None)
    ages = Spread(
        "age",
        "Age and stay",
        "Of a sample",
        ("Age, years", "Length of stay, days", "Nothing known"),
        SPLITS,
        [summary, summary, [empty] * 3],
    )
    bins = [f"{6 * i}\N{EN DASH}{6 * i + 6} h" for i in range(16)]
    views = make_counts(
        "views", ("AP", "PA", "AP lateral", "PA lateral"), ("AP", "PA", "LL"), top=900,
        caption="View of the previous film (rows) and of the target (columns)",
    )  # fmt: skip
    gap = make_counts("gap", bins, seed=3, corner="Hours between the films")
    race = make_counts("race", ("White", "Black", "Asian", "Hispanic", "unknown"), seed=5)
    return Section(
        "patients",
        "Patients",
        ["Who is in the samples, by split. A split by patient keeps the films of one together."],
        [sex, ages, race, gap, views],
        [
            Figure("race", "shares", "Rows should look alike."),
            Figure("gap", "histogram", "The three lines should lie upon one another."),
            Figure("views", "heat", "Most pairs keep their view."),
        ],
    )


def _windows() -> Section:
    names = [f"Variable {i} of the chart" for i in range(69)]
    names += ["A variable whose name is so long that it does not fit", "Heart rate"]
    hours = Numbers(
        "missing", "Hours without a value, percent", "Variable", names, SPLITS,
        [[float(97 * (i * 37 % 71) / 71), float(i), None if i % 5 else float(i / 2)]
         for i in range(71)],
        [500] * 71,
    )  # fmt: skip
    tables = [f"table_{i}_events" for i in range(17)]
    of = [[1000, 300, 200]] * 17
    coverage = make_counts("coverage", tables, seed=1, top=900, of=of, rows_add_up=False)
    by_hour = make_counts("hours", tables, tuple(str(h) for h in range(24)), seed=2, top=90_000)
    stored = Counts(
        "bytes", "Storage", "Folder", "bytes", ("shard", "cache", "image"), ("on disk",),
        [[123_456_789], [4_567], [12]], is_private=False,
    )  # fmt: skip
    return Section(
        "windows",
        "Windows",
        [],
        [coverage, by_hour, hours, stored],
        [
            Figure("coverage", "points", "Tables that few samples have."),
            Figure("hours", "heat", "Night and day."),
            Figure("missing", "points", "Variables that are hardly ever measured."),
            Figure("bytes", "bars", "What takes the room.", logarithmic=True),
        ],
        folded=["bytes"],
    )


def _labels() -> Section:
    names = [f"Phenotype {i}, a condition or disease" for i in range(25)]
    labels = make_counts("labels", names, seed=7, top=800, rows_add_up=False)
    change = make_counts("change", ("Edema", "Effusion", "No finding"),
                         ("gone", "same", "new", "unknown"), seed=9)  # fmt: skip
    return Section(
        "labels",
        "Labels",
        ["Labels of the target."],
        [labels, change],
        [Figure("labels", "bars", "Rare labels."), Figure("change", "bars", "Change is rare.")],
    )


def _leakage() -> Section:
    audit = Numbers(
        "margin", "Smallest margin, in hours, between the end of a window and what it holds",
        "Table", ("labevents", "chartevents", "emar"), ("margin", "at the edge", "where"),
        [[0.25, 12, "valid"], [-0.5, 0, "test"], [None, 3, "train"]], [400, 40, 4],
        marked=[(1, 0)],
    )  # fmt: skip
    return Section("leakage", "Leakage", ["◆ marks what should be looked at."], [audit])


def _origin(secrets) -> Section:
    lines = [("secret", f"of {secret}") for secret in secrets]
    made = Words("made", "Made from", [("commit", "0123abc"), ("version", "3.1"), *lines])
    own = Words("own", "On this machine", [("folder", "/home/someone/build")], False)
    return Section("origin", "Origin", [], [made, own], folded=["own"])
