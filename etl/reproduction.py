"""A paper's own numbers beside ours: which agree, and the known reason where they do not."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import ContractError
from etl.papers import Paper, PaperNumber, paper_of
from etl.params import Params
from etl.recipe import Recipe
from etl.reproduction_values import measure
from etl.shard_facts import read_json

METRICS_FILE = "reproduction.json"
TABLE_FILE = "reproduction.csv"
PREVALENCE_FILE = "prevalence.csv"
NAMES = {"mimic_iv": "MIMIC-IV", "mimic_cxr_jpg": "MIMIC-CXR-JPG"}
# Whole releases: only of these can counts be near a paper's.
WHOLE = {
    "mimic_iv": {"1.0", "2.0", "2.1", "2.2", "3.0", "3.1"},
    "mimic_cxr_jpg": {"2.0.0", "2.1.0"},
}
FLOAT_ERROR = 1e-9


@dataclass(frozen=True)
class Release:
    """What was ingested, as far as it decides which counts to expect."""

    is_own: bool  # the paper's releases
    is_whole: bool  # whole releases, the paper's or others
    found: str


@dataclass(frozen=True)
class Comparison:
    """A number of a paper and ours. ``ours`` is None where this build does not hold it; ``within``
    where nothing can be expected of it."""

    measure: str
    source: str
    section: str
    paper: float
    ours: float | None
    ratio: float | None
    tolerance: float | None
    within: bool | None
    reason: str


def run_reproduction(params: Params, recipe: Recipe, *, strict: bool, as_json: bool) -> None:
    """Print the table. ``strict`` stops with an error where the paper's own releases disagree."""
    paper = paper_of(recipe)
    if paper is None:
        raise ContractError(f"{recipe.name}: no paper gives numbers of it (etl/papers)")
    release = describe_release(paper, read_json(params.build("ingest", "source.json")))
    rows = compare(params, recipe)
    if as_json:
        head = {"note": note(paper, recipe, release)}
        print(json.dumps(head | {"numbers": [asdict(row) for row in rows]}, indent=1))
    else:
        Console().print(note(paper, recipe, release), markup=False)
        Console().print(reproduction_table(recipe.name, rows))
    outside = [row for row in rows if row.within is False]
    if strict and release.is_own and outside:
        raise ContractError(
            f"{recipe.name}: {len(outside)} of {len(rows)} numbers are out of tolerance,"
            f" first {outside[0].measure}: {outside[0].ours:g}, the paper has {outside[0].paper:g}"
        )


def compare(params: Params, recipe: Recipe) -> list[Comparison]:
    """Every number of the recipe's paper that is about its cohort; none if it has no paper."""
    paper = paper_of(recipe)
    if paper is None:
        return []
    release = describe_release(paper, read_json(params.build("ingest", "source.json")))
    values = measure(params, recipe)
    return [
        compare_number(number, values.get(number.measure), expectation)
        for number in paper.numbers(recipe)
        for expectation in [expect(paper, recipe, release, number)]
    ]


def expect(paper: Paper, recipe: Recipe, release: Release, number: PaperNumber) -> float | None:
    """How far ours may be off, absolutely; None where nothing can be expected."""
    if not release.is_whole:
        return None
    is_exact = release.is_own and recipe.fidelity == "published"
    relative = number.table.tolerance if is_exact else paper.elsewhere.tolerance
    return number.table.rounding + relative * abs(number.value)


def compare_number(number: PaperNumber, ours: float | None, allowed: float | None) -> Comparison:
    """``allowed``: how far off ours may be, None if that cannot be said."""
    within = None
    if ours is not None and allowed is not None:
        within = abs(ours - number.value) <= allowed + FLOAT_ERROR
    return Comparison(
        measure=number.measure,
        source=number.table.source,
        section=number.table.section,
        paper=number.value,
        ours=ours,
        ratio=None if ours is None else ours / number.value,
        tolerance=allowed,
        within=within,
        reason=number.table.reason,
    )


def describe_release(paper: Paper, source: Mapping[str, Any]) -> Release:
    """``source``: build/ingest/source.json."""
    own, whole, found = [], [], []
    for key, wanted in {"mimic_iv": paper.mimic_iv, "mimic_cxr_jpg": paper.mimic_cxr_jpg}.items():
        version, simulated = source[key]["version"], source[key]["simulated"]
        own.append(version in wanted and not simulated)
        whole.append(version in WHOLE[key] and not simulated)
        found.append(f"{'simulated ' if simulated else ''}{NAMES[key]} {version}")
    return Release(all(own), all(whole), " + ".join(found))


def note(paper: Paper, recipe: Recipe, release: Release) -> str:
    """The line on top of the table."""
    wanted = f"MIMIC-IV {paper.mimic_iv[0]} + MIMIC-CXR-JPG {paper.mimic_cxr_jpg[0]}"
    if not release.is_whole:
        return f"This is {release.found}, not {wanted}: the counts cannot agree."
    if not release.is_own:
        return f"This is {release.found}, not {wanted}: {paper.elsewhere.reason}."
    if recipe.fidelity == "corrected":
        return (
            f"This is {release.found}, as in the paper, with its errors corrected:"
            f" `cxrfuture fidelity` says what that changes, --fidelity published has none of it."
        )
    return f"This is {release.found}, as in the paper."


def write_reproduction(params: Params, recipe: Recipe) -> None:
    """Files for DVC in build/<recipe>/check: metrics, the table, and prevalences to plot."""
    folder = params.build(recipe.name, "check")
    rows = compare(params, recipe)
    write_json(folder / METRICS_FILE, metrics(rows))
    _write_csv(folder / TABLE_FILE, [asdict(row) for row in rows], list(Comparison.__annotations__))
    prevalences = []
    for row in rows:
        if "/prevalence/" in row.measure and row.ours is not None:
            _, split, _, label = row.measure.split("/", 3)
            prevalences.append(
                {"label": label, "split": split, "paper": row.paper, "ours": row.ours}
            )
    _write_csv(folder / PREVALENCE_FILE, prevalences, ["label", "split", "paper", "ours"])


def metrics(rows: Sequence[Comparison]) -> dict[str, Any]:
    """How many numbers agree, and ours over the paper's of each count."""
    ratios = {
        row.measure.replace("/", " "): row.ratio
        for row in rows
        if row.ratio is not None and row.measure.count("/") < 3
    }
    return {
        "numbers": len(rows),
        "in this build": sum(row.ours is not None for row in rows),
        "within tolerance": sum(row.within is True for row in rows),
        "out of tolerance": sum(row.within is False for row in rows),
        "ratio": ratios,
    }


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> None:
    with publish(path) as part, part.open("w", newline="") as handle:
        lines = csv.DictWriter(handle, names, lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)


def reproduction_table(title: str, rows: Sequence[Comparison]) -> Table:
    """A number a line; a table of the paper is named at its first, known reasons are below."""
    reasons = dict.fromkeys(f"{row.source}: {row.reason}" for row in rows if row.reason)
    table = Table(
        title=f"{title}: the paper's numbers and ours",
        caption="\n".join(("Known reasons for a difference:", *reasons)) if reasons else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("source", "section", "number"):
        table.add_column(name)
    for name in ("paper", "ours", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("within")
    shown = None
    for row in rows:
        is_first = shown != (row.source, row.section)
        shown = (row.source, row.section)
        if is_first:
            table.add_section()
        table.add_row(
            *(shown if is_first else ("", "")),
            row.measure.replace("/", " "),
            _number(row.paper),
            "not here" if row.ours is None else _number(row.ours),
            "" if row.ratio is None else f"{row.ratio:.3f}",
            {None: "", True: "yes", False: "no"}[row.within],
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.4g}"
