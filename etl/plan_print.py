"""A plan as two tables of at most 80 columns, and the commands that a user may run."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from cxrfuture_data.schema import SPLITS


def print_plan(facts: Mapping[str, Any], console: Console) -> None:
    """``facts``: as in plan.json."""
    console.print(_samples(facts))
    if any(plan["exact"] is False for plan in facts["plans"]):
        _say(
            console,
            "at most: from metadata alone, as if every window held enough measurements and events;"
            " its splits are near. --exact reads the event tables and says what a build will hold.",
        )
    console.print(_films(facts))
    together = facts["plans"][-1]
    _say(console, f"Sizes: {together['size_basis']}. Lists: {facts['lists']}/")
    if facts["simulated"]:
        _say(console, "The films are SIMULATED: there is nothing to download.")
    elif together["missing"]:
        _print_commands(facts, console)


def download_command(base: str, root: str, lists: str) -> str:
    """Brings the missing films to their places below ``root``; goes on where it was stopped."""
    return (
        f"wget -c -x -nH --cut-dirs=3 -P {shlex.quote(root)}"
        f' --user "$PHYSIONET_USERNAME" --ask-password --base={base}'
        f" -i {shlex.quote(str(Path(lists) / 'missing.txt'))}"
    )


def _print_commands(facts: Mapping[str, Any], console: Console) -> None:
    _say(console, "To download what is missing (nothing is downloaded here; stop it and run it")
    _say(console, "again as you like):")
    _say(console, f"\n  {download_command(facts['base'], facts['root'], facts['lists'])}\n")
    if facts["checksums"]:
        sums = (Path(facts["lists"]) / "films.sha256").resolve()
        root, listed = shlex.quote(facts["root"]), shlex.quote(str(sums))
        _say(console, f"Then: (cd {root} && sha256sum --quiet -c {listed})")
    else:
        _say(console, f"No SHA256SUMS.txt in {facts['root']}, so there are no checksums.")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=len(text) > 400 or "  " in text)


def _samples(facts: Mapping[str, Any]) -> Table:
    table = Table(title="Samples", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("recipe", overflow="fold")
    for column in ("kind", "level"):
        table.add_column(column)
    for column in ("samples", *SPLITS):
        table.add_column(column, justify="right")
    for plan in facts["plans"]:
        for row, (kind, splits) in enumerate(plan["samples"].items()):
            table.add_row(
                plan["name"] if row == 0 else "",
                kind,
                "exact" if plan["exact"] else "at most",
                f"{sum(splits.values()):,}",
                *(f"{splits[split]:,}" for split in SPLITS),
            )
    return table


def _films(facts: Mapping[str, Any]) -> Table:
    table = Table(title="Films", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("recipe", overflow="fold")
    rates = list(facts["plans"][-1]["hours"])
    headings = ("films", "on disk", "missing", "GB", *(f"h at {rate} MB/s" for rate in rates))
    for column in headings:
        table.add_column(column, justify="right")
    for plan in facts["plans"]:
        if plan["name"] == facts["plans"][-1]["name"]:
            table.add_section()
        table.add_row(
            plan["name"],
            *(f"{plan[key]:,}" for key in ("films", "on_disk", "missing")),
            f"{plan['missing_gb']:,.1f}",
            *(f"{plan['hours'][rate]:,.1f}" for rate in rates),
        )
    return table
