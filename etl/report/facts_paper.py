"""A paper's own numbers beside those of this build, as `check` compared them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etl.report.facts import Numbers, Section
from etl.report.material import Material
from etl.report.tally import Heading
from etl.reproduction import TABLE_FILE

PREVALENCE = "/prevalence/"


@dataclass(frozen=True)
class PaperRow:
    """A line of check/reproduction.csv."""

    measure: str
    source: str
    paper: float
    ours: float | None
    within: str


def read_paper(material: Material) -> list[PaperRow]:
    with material.path("check", TABLE_FILE).open(newline="") as handle:
        return [
            PaperRow(
                line["measure"],
                line["source"],
                float(line["paper"]),
                float(line["ours"]) if line["ours"] else None,
                line["within"],
            )
            for line in csv.DictReader(handle)
        ]


def describe_prevalences(material: Material) -> Numbers | None:
    rows = [row for row in read_paper(material) if PREVALENCE in row.measure]
    caption = "Share of stays with an outcome: the paper's and ours"
    return _numbers(material, Heading("paper_prevalence", caption, "outcome"), rows)


def describe_paper(material: Material) -> Section | None:
    """What else a paper says of its cohort."""
    rows = [row for row in read_paper(material) if PREVALENCE not in row.measure]
    heading = Heading("paper", "The paper's numbers and ours", "number")
    numbers = _numbers(material, heading, rows)
    if numbers is None:
        return None
    return Section(
        "paper",
        "Beside the paper",
        [
            f"What {material.recipe.paper} says of its cohort, and what this build has. Marked is"
            " what is outside the tolerance; of simulated data, or a part of a release, none can be"
            " expected to agree, and nothing is marked.",
            "`cxrfuture reproduction` gives the section and the known reason of every difference.",
        ],
        [numbers],
    )


def _numbers(material: Material, heading: Heading, rows: Sequence[PaperRow]) -> Numbers | None:
    """Paper, ours, and ours less the paper's; None of nothing. A number of this build rests on the
    least of all of one table, for the others of a table may tell it."""
    known = [row for row in rows if row.ours is not None]
    if not known:
        return None
    least = _least_of_sources(material, read_paper(material))
    return Numbers(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        rows=[row.measure.replace("/", " ").replace("prevalence ", "") for row in known],
        columns=["paper", "ours", "difference"],
        values=[
            [_whole(value) for value in (row.paper, row.ours, row.ours - row.paper)]
            for row in known
            if row.ours is not None
        ],
        rests_on=[least[row.source] for row in known],
        digits=3,
        marked=[(at, 1) for at, row in enumerate(known) if row.within == "False"],
    )


def _least_of_sources(material: Material, rows: Sequence[PaperRow]) -> Mapping[str, int]:
    """Of each table of the paper, the fewest samples that a number of it, or its complement, is
    of."""
    least: dict[str, int] = {}
    for row in rows:
        if row.ours is not None:
            found = _rests_on(material, row)
            least[row.source] = min(found, least.get(row.source, found))
    return least


def _rests_on(material: Material, row: PaperRow) -> int:
    ours = row.ours or 0.0
    parts = row.measure.split("/")
    splits = material.splits if "total" in parts else parts[1:2]
    known = parts[0] in material.kinds and set(splits) <= set(material.splits)
    samples = sum(material.dataset.columns(s, parts[0]).samples for s in splits) if known else 0
    if PREVALENCE in row.measure:
        return min(round(ours * samples), round((1 - ours) * samples))
    is_of_part = parts[-1] in ("deaths", "with film") or parts[-1].startswith("last film")
    if is_of_part:
        return min(int(ours), samples - int(ours))
    is_count = parts[-1] in ("samples", "patients", "admissions", "stays", "before films")
    if is_count:
        return int(ours)
    if parts[-1] == "men percent":
        return min(round(ours * samples / 100), round((100 - ours) * samples / 100))
    return samples


def _whole(value: float) -> float | int:
    """A count is an integer."""
    return int(value) if value == int(value) else value
