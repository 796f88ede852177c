"""`cxrfuture` alone: the stages as a table, why what is not built is not, and what comes next."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etl.flow import Flow, find_root, next_command, read_flow
from etl.flow_state import SIMULATED, Standing

STYLES = {
    "built": "green",
    "stale": "yellow",
    "unrecorded": "yellow",
    "running": "cyan",
    "partial": "magenta",
    "missing": "dim",
}
COLUMN = 16  # characters of a recipe
FIRST_COLUMNS = 32  # of the stage's name, and of stages of no recipe
MOST_REASONS = 3
MINUTE, HOUR = 60, 3600
BEGIN = """\
No project here: {folder} and the folders above hold no dvc.yaml and params.yaml.
Begin in a checkout of CXRFuture (the folder with its Makefile), there:
  make demo                        a small simulated hospital, every stage, in minutes
  export MIMIC_IV_DIR=/data/...    or your MIMIC; then: cxrfuture doctor; dvc repro
All commands: cxrfuture --help"""


def run_flow(params: Path, as_json: bool = False) -> None:
    """Print the flow of the project that the working directory lies in."""
    folder = Path.cwd()
    root = find_root(folder)
    if root is None:
        begin = BEGIN.format(folder=folder)
        print(json.dumps({"root": None, "next": "make demo"}) if as_json else begin)
        return
    flow = read_flow(root, params)
    if as_json:
        print(json.dumps(facts_of(flow), indent=1))
        return
    print_flow(flow, folder, Console())


def facts_of(flow: Flow) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "root": str(flow.root),
        "sources": flow.sources,
        "warning": flow.warning,
        "stages": [
            {
                "stage": standing.stage.name,
                "recipe": standing.stage.recipe,
                "state": standing.state,
                "reasons": standing.reasons,
                "seconds": standing.seconds,
                "samples": standing.samples,
                "rows_written": standing.rows,
            }
            for standing in flow.standings
        ],
        "next": next_command(flow)[0],
    }


def print_flow(flow: Flow, folder: Path, console: Console) -> None:
    """The table, reasons, what was looked at, and the next command."""
    console.print(_describe_sources(flow), highlight=False, soft_wrap=True)
    recipes = list(dict.fromkeys(s.stage.recipe for s in flow.standings if s.stage.recipe))
    fitting = max(1, (console.width - FIRST_COLUMNS) // COLUMN)
    for start in range(0, max(1, len(recipes)), fitting):
        console.print(_table(flow, recipes[start : start + fitting], is_first=start == 0))
    _print_reasons(flow, console)
    if flow.warning:
        console.print(f"[red]warning[/red] {flow.warning}", highlight=False, soft_wrap=True)
    megabytes = flow.hashed_bytes / 1e6
    console.print(
        f"[dim]Looked at dvc.yaml, dvc.lock, params.yaml, {megabytes:.1f} MB of code (hashed), and"
        " what lies in the build (not hashed: `dvc status` does).[/dim]",
        highlight=False,
        soft_wrap=True,
    )
    command, purpose = next_command(flow)
    place = "" if folder == flow.root else f"cd {flow.root} && "
    console.print(
        f"\nNext:  [bold]{place}{command}[/bold]   {purpose}", highlight=False, soft_wrap=True
    )
    console.print("All commands: cxrfuture --help", highlight=False)


def _describe_sources(flow: Flow) -> str:
    words = []
    for key, name in (("mimic_iv", "tables"), ("mimic_cxr_jpg", "films")):
        path = flow.sources[key]
        words.append(f"{name} SIMULATED" if path == SIMULATED else f"{name} of {path}")
    return f"{flow.root}: {', '.join(words)}"


def _table(flow: Flow, recipes: Sequence[str], is_first: bool) -> Table:
    """Stages down, recipes across; those of no recipe in the first table alone."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    table.add_column("stage", no_wrap=True)
    if is_first:
        table.add_column("once")
    for recipe in recipes:
        table.add_column(recipe, overflow="fold")
    of = {(s.stage.word, s.stage.recipe): s for s in flow.standings}
    for word in dict.fromkeys(standing.stage.word for standing in flow.standings):
        names = ("", *recipes) if is_first else recipes
        found = [of.get((word, recipe)) for recipe in names]
        if any(found):
            table.add_row(word, *(_cell(standing) for standing in found))
    return table


def _cell(standing: Standing | None) -> Text:
    if standing is None:
        return Text()
    cell = Text(standing.state, style=STYLES[standing.state])
    if standing.seconds is not None:
        cell.append(f" {_duration(standing.seconds)}", style="dim")
    for kind, count in standing.samples.items():
        cell.append(f"\n{count:,} {kind}", style="default")
    return cell


def _print_reasons(flow: Flow, console: Console) -> None:
    """A line a stage that changed itself; those that only follow from it are counted."""
    following = 0
    for standing in flow.of_state("running", "partial", "stale", "unrecorded"):
        if standing.follows:
            following += 1
            continue
        reasons = list(standing.reasons[:MOST_REASONS])
        if len(standing.reasons) > MOST_REASONS:
            reasons.append(f"{len(standing.reasons) - MOST_REASONS} more")
        line = Text(f"{standing.state} ", style=STYLES[standing.state])
        line.append(f"{standing.stage.name}: {'; '.join(reasons)}", style="default")
        console.print(line, soft_wrap=True)
    if following:
        noun = "stage follows" if following == 1 else "stages follow"
        console.print(f"[yellow]stale[/yellow] {following} more {noun} from these", highlight=False)


def _duration(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"
