"""A diagnosis in tables of at most 80 columns."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def print_doctor(facts: Mapping[str, Any], console: Console) -> None:
    """``facts``: as the JSON has them."""
    for source, release in facts["sources"].items():
        _print_release(source, release, console)
    _print_films(facts, console)
    if facts["anomalies"]:
        console.print(_anomalies(facts["anomalies"]))
    console.print(_recipes(facts))
    console.print(_needs(facts))
    machine = facts["machine"]
    _say(
        console,
        f"Here: {machine['cores']} cores, {machine['memory'] / 1e9:.1f} GB of memory,"
        f" {machine['disk'] / 1e9:.1f} GB of disk free for the build. Estimates, by rates measured"
        " on simulated data. Not estimated: embedding texts, latents and training, which depend on"
        " the GPU.\n",
    )
    _print_problems(facts, console)


def _print_release(source: str, release: Mapping[str, Any], console: Console) -> None:
    shown = [row for row in release["tables"] if row["is_needed"] or row["state"] == "damaged"]
    others = [row for row in release["tables"] if row not in shown and row["state"] != "missing"]
    called = "SIMULATED, shaped like " if release["simulated"] else ""
    _say(console, f"{source}: {called}{release['version']} ({release['basis']})")
    _say(console, f"  {release['root']}")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("table", no_wrap=True)
    for column in ("MB", "rows", "expected"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("looked at")
    for row in shown:
        table.add_row(
            row["name"],
            f"{row['size'] / 1e6:,.2f}" if row["size"] else "",
            "not counted" if row["rows"] is None else f"{row['rows']:,}",
            "" if row["expected"] is None else f"{row['expected']:,}",
            row["state"],
            row["checked"],
        )
    console.print(table)
    if others:
        _say(console, f"  and {len(others)} tables that no recipe reads\n")


def _print_films(facts: Mapping[str, Any], console: Console) -> None:
    films = facts["films"]
    if films is None:
        return
    hashed = f"; {films['altered']:,} of {films['hashed']:,} altered" if films["hashed"] else ""
    _say(
        console,
        f"films: the recipes of the params need {films['needed']:,} at most; of"
        f" {films['looked_for']:,} looked for, {films['found']:,} are whole,"
        f" {films['cut']:,} cut short{hashed}\n",
    )


def _anomalies(anomalies: list[Mapping[str, Any]]) -> Table:
    table = Table(title="Known anomalies", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("what", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("what a build does")
    for anomaly in anomalies:
        count = anomaly["count"]
        name = anomaly["name"].replace("_", " ")
        counted = f"not counted: {anomaly['waits_for']}" if count is None else f"{count:,}"
        table.add_row(name, counted, anomaly["treatment"])
    return table


def _recipes(facts: Mapping[str, Any]) -> Table:
    cohorts = {cohort["recipe"]: cohort for cohort in facts["cohorts"]}
    table = Table(title="Recipes", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("recipe", no_wrap=True)
    for column in ("samples", "films"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("tables it lacks")
    for name, lacking in facts["recipes"].items():
        cohort = cohorts.get(name)
        at_most = "" if cohort is None or cohort["exact"] else "<= "
        counts = (
            [f"{at_most}{cohort[key]:,}" for key in ("samples", "films")] if cohort else ["", ""]
        )
        table.add_row(name, *counts, ", ".join(lacking) or "none")
    return table


def _needs(facts: Mapping[str, Any]) -> Table:
    table = Table(title="A run needs", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("work", no_wrap=True)
    for column in ("GB", "minutes"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("reckoned from")
    for need in facts["needs"]:
        minutes = f"{need['seconds'] / 60:,.1f}"
        table.add_row(need["work"], f"{need['disk'] / 1e9:,.2f}", minutes, need["basis"])
    return table


def _print_problems(facts: Mapping[str, Any], console: Console) -> None:
    for problem in facts["problems"]:
        mark = "FAILS" if problem["level"] == "fails" else "warning"
        line = f"{mark}: {problem['what']}: {problem['found']}; {problem['next_step']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if facts["would_run"]:
        _say(console, "Nothing found that would stop a run of the recipes in the params.")
    else:
        count = sum(problem["level"] == "fails" for problem in facts["problems"])
        _say(
            console, f"A run of the recipes in the params would fail: {count} lines above say why."
        )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)
