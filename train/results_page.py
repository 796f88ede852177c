"""The results of a study as one HTML file: nothing is fetched, nothing runs, it opens from disk.

    cxrfuture results build/study/outcomes/outcomes.json --out results.html [--shareable]

A shareable page holds no film and no cell that is small (train/results_shareable.py). The same
outcomes.json gives the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cxrfuture_data.console import say
from cxrfuture_data.page.shareable import SMALLEST
from cxrfuture_data.page.table import Table
from cxrfuture_data.page.write import render, write_page
from cxrfuture_data.schema import ContractError
from train import results_plot as plot
from train import results_plot_probability as probability
from train import results_table as table
from train.results_cell import GAP, RANKED, groupings_of
from train.results_film import Example, Source
from train.results_shareable import hide_small
from train.results_text import METRICS, name_outcome, spell_count

TEMPLATES = Path(__file__).parent / "templates"
PARTS = ("data", "scored", "outcomes", "rows", "compared", "ranks")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class OutcomeView:
    """What the page shows of an outcome; figures are SVGs, None where there is nothing to draw."""

    title: str
    labels: int
    label_tables: Sequence[Table]
    label_figures: Sequence[Markup]
    curves: Markup | None
    gap: Markup | None
    gap_tables: Sequence[Table]
    groups: Markup | None
    group_tables: Mapping[str, Sequence[Table]]  # by metric's name
    compared: Sequence[Table]
    calibration: Table
    reliability: Markup | None
    decision: Markup | None
    attention: Markup | None


def write_results(
    outcomes: Path, out: Path, *, is_shareable: bool = False, source: Source | None = None
) -> None:
    """Publish the page; readable by its owner alone unless it is shareable."""
    if is_shareable and source is not None:
        raise ContractError("results: a shareable page shows no stay; leave --dataset out")
    result = read_outcomes(outcomes)
    examples: Sequence[Example] = ()
    if source is not None:
        # It loads torch and diffusers, which a page of numbers needs not wait for.
        from train.results_example import read_examples

        examples = read_examples(source, result["data"]["split"], result["data"]["made_from"])
    page = render_page(result, is_shareable=is_shareable, examples=examples)
    write_page(page, out, is_shareable=is_shareable)
    say(f"results: {len(page) / 1e6:.1f} MB in {out}")


def read_outcomes(path: Path) -> dict[str, Any]:
    """What `cxrfuture outcomes` wrote."""
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ContractError(f"{path}: cannot be read; give an outcomes.json") from None
    missing = [name for name in PARTS if not isinstance(result, dict) or name not in result]
    if missing:
        raise ContractError(f"{path}: no {missing[0]} in it; give an outcomes.json")
    if not result["outcomes"]:
        raise ContractError(f"{path}: no outcome in it; run `cxrfuture outcomes` on runs")
    return dict(result)


def render_page(
    result: Json, *, is_shareable: bool = False, examples: Sequence[Example] = ()
) -> str:
    """The page's text."""
    if is_shareable:
        result = hide_small(result)
    data, scored = result["data"], result["scored"]
    return render(
        TEMPLATES,
        "results.html",
        data=data,
        scored=scored,
        is_shareable=is_shareable,
        is_simulated="simulated" in data["origin"].lower(),
        smallest=SMALLEST,
        facts=_facts(result),
        data_table=table.data_table(result),
        overview=Markup(plot.plot_overview(result)),
        overview_table=table.overview_table(result),
        rank_table=table.rank_table(result) if result["ranks"] else None,
        runs_table=table.runs_table(result),
        outcomes=[_view(result, outcome) for outcome in result["outcomes"]],
        examples=examples,
        markup=Markup,
    )


def _facts(result: Json) -> list[tuple[str, str]]:
    """Name and number of what the page begins with."""
    data, scored = result["data"], result["scored"]
    seeds = scored["seeds"]
    return [
        (f"{data['split']} stays", spell_count(data["stays"])),
        (f"{data['split']} patients", spell_count(data["patients"])),
        ("training stays", spell_count(data["training"]["stays"])),
        ("training patients", spell_count(data["training"]["patients"])),
        ("models", str(len(result["rows"]))),
        ("seeds", f"{len(seeds)}"),
    ]


def _view(result: Json, outcome: str) -> OutcomeView:
    labels = len(result["outcomes"][outcome]["labels"])
    groups = {metric: _group_tables(result, outcome, metric) for metric in ("auroc", "auprc")}
    compared = [table.compared_table(result, outcome, metric) for metric in RANKED]
    gaps = [table.group_table(result, outcome, GAP, metric) for metric in RANKED]
    curves = [plot.plot_label_curves(result, outcome, kind) for kind in ("roc", "pr")]
    return OutcomeView(
        title=name_outcome(outcome),
        labels=labels,
        label_tables=[table.label_table(result, outcome, m) for m in RANKED] if labels > 1 else [],
        label_figures=[Markup(svg) for svg in curves if svg is not None],
        curves=_mark(plot.plot_curves(result, outcome)),
        gap=_mark(plot.plot_gap(result, outcome)),
        gap_tables=[found for found in gaps if found is not None],
        groups=_mark(plot.plot_groups(result, outcome)),
        group_tables={METRICS[metric]: found for metric, found in groups.items()},
        compared=[found for found in compared if found is not None],
        calibration=table.calibration_table(result, outcome),
        reliability=_mark(probability.plot_reliability(result, outcome)),
        decision=_mark(probability.plot_decision(result, outcome)),
        attention=_mark(probability.plot_attention(result, outcome)),
    )


def _group_tables(result: Json, outcome: str, metric: str) -> list[Table]:
    found = [table.group_table(result, outcome, g, metric) for g in groupings_of(result, outcome)]
    return [one for one in found if one is not None]


def _mark(svg: str | None) -> Markup | None:
    """An SVG that we drew, not to be escaped."""
    return None if svg is None else Markup(svg)
