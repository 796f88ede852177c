"""The stages of a recipe, from its events to its report.

What a command runs is imported when it runs, so `--help` is quick."""

from typing import Annotated, Any

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    STAGES,
    Availability,
    Fidelity,
    ParamsFile,
    RecipeName,
    example,
    import_part,
)
from etl.command_input import read_input

stages = typer.Typer()


def _run(stage: str, settings: Any, recipe: Any) -> None:
    run = import_part(f"etl.{stage}", "etl").run
    with import_part("etl.stage_cost", "etl").measured(settings.build(recipe.name), stage):
        run(settings, recipe)


def _add_stage(stage: str, purpose: str) -> None:
    """The command of a stage that has no option of its own."""

    @stages.command(
        stage,
        help=purpose,
        rich_help_panel=STAGES,
        epilog=example(f"cxrfuture {stage} --recipe ddl_cxr"),
    )
    def run_stage(
        recipe: RecipeName,
        params: ParamsFile = DEFAULT_PARAMS,
        fidelity: Fidelity = None,
        availability: Availability = None,
    ) -> None:
        _run(stage, *read_input(params, recipe, fidelity, availability))


_add_stage("event", "Tables -> measurements in one unit each, and events as text.")
_add_stage("cohort", "Films, stays and pairs by the recipe's rules; splits by patient; the ledger.")
_add_stage("window", "What was measured and what happened between the films, per pair and stay.")
_add_stage(
    "image",
    "Films -> square grey images, one row an attempt. The first stage that needs the films.",
)


@stages.command(
    rich_help_panel=STAGES,
    epilog=example(
        "cxrfuture embed --recipe ehrxdiff", "cxrfuture embed --recipe ehrxdiff --dry-run"
    ),
)
def embed(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take; send and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Of --dry-run, as JSON.")] = False,
) -> None:
    """Distinct event texts -> one fp16 vector each."""
    settings, chosen = read_input(params, recipe, fidelity, availability)
    if dry_run:
        import_part("etl.embed", "etl").run_dry(settings, chosen, as_json)
        return
    _run("embed", settings, chosen)


@stages.command(
    "fit_vae",
    rich_help_panel=STAGES,
    epilog=example("cxrfuture fit_vae --recipe ddl_cxr"),
)
def fit_vae(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Fit the autoencoder on the films of training patients."""
    settings, chosen = read_input(params, recipe, fidelity, availability)
    configs = import_part("train.settings", "train")
    config = configs.read_config(configs.VaeConfig, "fit_vae", settings.fit_vae.config)
    stage = import_part("train.fit_vae", "train")
    inputs = stage.VaeInputs(
        settings.build(chosen.name, "image"),
        settings.build(chosen.name, "cohort"),
        settings.fit_vae.perceptual_weights,
    )
    stage.fit_vae(inputs, settings.build(chosen.name, "fit_vae"), config, settings.fit_vae.seed)


_add_stage("latent", "Images -> mean and log-variance of the autoencoder's posterior, once a film.")
_add_stage("shard", "Everything -> WebDataset tars, sample indexes and dataset.json.")
_add_stage(
    "check", "Prove the dataset: patients, windows, members, hashes. Fails on the first offence."
)


@stages.command(
    rich_help_panel=STAGES,
    epilog=example(
        "cxrfuture report --recipe ddl_cxr", "cxrfuture report --recipe ddl_cxr --shareable"
    ),
)
def report(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    shareable: Annotated[
        bool,
        typer.Option(
            "--shareable",
            help="Of a report there is: a page without films, rows, dates and small cells.",
        ),
    ] = False,
) -> None:
    """The dataset as one page to read: who is in it, what was left out, what could leak."""
    settings, chosen = read_input(params, recipe, fidelity, availability)
    if shareable:
        import_part("etl.report", "etl").run_shareable(settings, chosen)
        return
    _run("report", settings, chosen)
