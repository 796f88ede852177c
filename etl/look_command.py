"""The commands to begin with: where a build stands, what data is here, what a run would take.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    LOOK_FIRST,
    AsJson,
    Availability,
    Fidelity,
    ParamsFile,
    example,
    import_part,
)
from cxrfuture_data.completion import complete_from, complete_recipe
from etl.command_input import read_settings

look = typer.Typer()


@look.command(
    rich_help_panel=LOOK_FIRST,
    epilog=example("cxrfuture", "cxrfuture flow --json"),
)
def flow(
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: AsJson = False,
) -> None:
    """The stages and where you are in them; the same as `cxrfuture` alone."""
    import_part("etl.flow_print", "etl").run_flow(params, as_json=as_json)


@look.command(
    "doctor",
    rich_help_panel=LOOK_FIRST,
    epilog=example("cxrfuture doctor", "cxrfuture doctor --deep sizes --json"),
)
def examine(
    deep: Annotated[
        str,
        typer.Option(
            help="none; sizes: every film too; sums: and every table's checksum.",
            autocompletion=complete_from("none", "sizes", "sums"),
        ),
    ] = "none",
    all_films: Annotated[
        bool, typer.Option("--all-films", help="All films needed, not a sample of 256.")
    ] = False,
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: AsJson = False,
) -> None:
    """What is here, which version, what is wrong with it, and whether a run would go through."""
    settings = read_settings(params)
    doctor = import_part("etl.doctor", "etl")
    if not doctor.run_doctor(settings, deep=deep, all_films=all_films, as_json=as_json):
        raise typer.Exit(1)


@look.command(
    "plan",
    rich_help_panel=LOOK_FIRST,
    epilog=example("cxrfuture plan", "cxrfuture plan --recipe ddl_cxr --rate 5"),
)
def plan_downloads(
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable. Default: the recipes of the params.", autocompletion=complete_recipe
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: build/plan.")] = None,
    rate: Annotated[float, typer.Option(help="MB a second of a download.")] = 0.6,
    exact: Annotated[
        bool, typer.Option("--exact", help="Make the cohorts first; reads the event tables.")
    ] = False,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    as_json: AsJson = False,
) -> None:
    """Samples, films, GB and hours before anything is downloaded; lists of films to fetch."""
    settings = read_settings(params)
    recipes = import_part("etl.recipe", "etl")
    chosen = [
        recipes.read_recipe(name, fidelity, availability) for name in recipe or settings.recipes
    ]
    plan = import_part("etl.plan", "etl")
    plan.run_plan(settings, chosen, out=out, rate=rate, exact=exact, as_json=as_json)
