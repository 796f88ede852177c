"""What of outcomes.json may be shown to others (cxrfuture_data/page/shareable.py has the rule)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cxrfuture_data.page.shareable import (
    HIDDEN,
    SMALL,
    SMALLEST,
    Count,
    choose_hidden,
    hide_count,
    round_count,
)

OF_LABELS = ("curves", "reliability", "reliability_uncalibrated", "decision")

Json = dict[str, Any]


def hide_small(result: Mapping[str, Any]) -> Json:
    """outcomes.json without what is small; hidden counts are words and hidden scores null."""
    outcomes, rows = result["outcomes"], result["rows"]
    groups = _hidden_groups(outcomes)
    labels = {outcome: _hidden_labels(rows, outcome) for outcome in outcomes}
    gone = {name for name, found in outcomes.items() if labels[name] >= set(found["labels"])}
    return {
        "data": _hide_totals(result),
        "scored": result["scored"],
        "outcomes": {
            name: {
                "labels": found["labels"],
                "groups": {
                    grouping: {
                        group: _hide_count(
                            _count(of, found), is_hidden=name in gone or group in hidden
                        )
                        for group, of in all_groups.items()
                    }
                    for grouping, all_groups in found["groups"].items()
                    for hidden in [groups[grouping]]
                },
            }
            for name, found in outcomes.items()
        },
        "rows": {
            row: {
                name: _hide_row(
                    found, _Hidden(labels[name], groups, name in gone, _stays(result, name))
                )
                for name, found in of.items()
            }
            for row, of in rows.items()
        },
        "compared": [found for found in result["compared"] if found["outcome"] not in gone],
        "ranks": {name: of for name, of in result["ranks"].items() if name not in gone},
    }


def _hidden_groups(outcomes: Mapping[str, Any]) -> dict[str, set[str]]:
    """By grouping. The groups of all outcomes are of the same stays: what one hides, all do."""
    groupings = {grouping for found in outcomes.values() for grouping in found["groups"]}
    return {
        grouping: choose_hidden(
            [
                {name: _count(of, found) for name, of in found["groups"].get(grouping, {}).items()}
                for found in outcomes.values()
            ]
        )
        for grouping in sorted(groupings)
    }


def _count(of: Mapping[str, int], outcome: Mapping[str, Any]) -> Count:
    return Count(of["stays"], of["positives"] if len(outcome["labels"]) == 1 else None)


def _hidden_labels(rows: Mapping[str, Any], outcome: str) -> set[str]:
    """Labels add up to no total of stays, but their scores do to the mean over labels."""
    found = next(of[outcome] for of in rows.values() if outcome in of)
    counts = {name: Count(of["stays"], of["positives"]) for name, of in found["labels"].items()}
    return choose_hidden([counts], is_partition=False)


def _hide_totals(result: Mapping[str, Any]) -> Json:
    """Totals, without the digest that names the dataset."""
    data = result["data"]
    shown: Json = {name: data[name] for name in ("origin", "recipe", "split")}
    shown |= {name: hide_count(data[name]) for name in ("stays", "patients")}
    shown["training"] = {name: hide_count(value) for name, value in data["training"].items()}
    left_out = [found.get("left_out", 0) for found in result["outcomes"].values()]
    if any(0 < count < SMALLEST for count in left_out):
        # The stays left out are all less those of the groups.
        shown["stays"] = round_count(data["stays"])
    return shown


def _hide_count(count: Count, *, is_hidden: bool) -> Json:
    """Stays and positives; of hidden ones only which of the two is small."""
    return {
        name: value if not is_hidden or value is None else HIDDEN if value >= SMALLEST else SMALL
        for name, value in count._asdict().items()
    }


@dataclass(frozen=True)
class _Hidden:
    """Of an outcome: labels, groups by grouping, or all; ``stays`` it has."""

    labels: set[str]
    groups: Mapping[str, set[str]]
    is_gone: bool
    stays: int


def _stays(result: Mapping[str, Any], outcome: str) -> int:
    return int(result["data"]["stays"] - result["outcomes"][outcome].get("left_out", 0))


def _hide_row(found: Mapping[str, Any], hidden: _Hidden) -> Json:
    is_gone = hidden.is_gone
    shown: Json = {
        "runs": [{"seed": run["seed"], "steps": run["steps"]} for run in found["runs"]],
        "cells": {name: None if is_gone else cell for name, cell in found["cells"].items()},
        "labels": {name: _hide_label(of, name, hidden) for name, of in found["labels"].items()},
        "groups": {
            grouping: {
                name: dict.fromkeys(of) if is_gone or name in hidden.groups[grouping] else of
                for name, of in all_groups.items()
            }
            for grouping, all_groups in found["groups"].items()
        },
        "attention": None if is_gone else found["attention"],
    }
    for name in OF_LABELS:
        kept = {label: of for label, of in found[name].items() if label not in hidden.labels}
        is_bins = name.startswith("reliability")
        shown[name] = {label: hide_bins(of) for label, of in kept.items()} if is_bins else kept
    return shown


def _hide_label(of: Mapping[str, Any], name: str, hidden: _Hidden) -> Json:
    """How many of the stays are not known to have it or not is a count too."""
    if name not in hidden.labels:
        is_few = 0 < hidden.stays - of["stays"] < SMALLEST
        return dict(of) | ({"stays": round_count(of["stays"])} if is_few else {})
    return dict.fromkeys(of) | _hide_count(Count(of["stays"], of["positives"]), is_hidden=True)


def hide_bins(bins: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Bins of predictions: those that are small are empty."""
    counts = {
        str(i): Count(one["stays"], round(one["stays"] * one["observed"]))
        for i, one in enumerate(bins)
        if one["stays"]
    }
    hidden = choose_hidden([counts])
    empty = {"stays": 0, "predicted": None, "observed": None}
    return [dict(one) | (empty if str(i) in hidden else {}) for i, one in enumerate(bins)]
