"""The command `cxrfuture`: every stage, the reader's tools and the trainers behind one word each.

Commands import what they run only when they run, so `--help` is quick and a light install can
still `show` and `verify`.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cxrfuture_data.schema import ContractError

app = typer.Typer(
    help="MIMIC-IV and MIMIC-CXR to sharded datasets, and models trained on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench = typer.Typer(help="Speed, as ratios taken in one run, with peak memory.")
app.add_typer(bench, name="bench")

ParamsFile = Annotated[Path, typer.Option("--params", help="The settings of every stage.")]
RecipeName = Annotated[str, typer.Option("--recipe", help="A recipe's name, or a path to a .yaml.")]
Dataset = Annotated[Path, typer.Argument(help="A dataset folder: build/<recipe>/shard.")]
DEFAULT_PARAMS = Path("params.yaml")


def _module(name: str, extra: str) -> Any:
    """Import a part of the distribution; a missing dependency names the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        own = (error.name or "").split(".")[0] in {"etl", "train", "cxrfuture_data"}
        if own:
            raise
        raise ContractError(
            f"{error.name} is not installed; run: pip install 'cxrfuture[{extra}]'"
        ) from None


def _run_stage(stage: str, params_file: Path, recipe: str | None = None) -> None:
    params = _module("etl.params", "etl").read_params(params_file)
    module = _module(f"etl.{stage}", "etl")
    if recipe is None:
        module.run(params)
    else:
        module.run(params, _module("etl.recipe", "etl").read_recipe(recipe))


@app.command()
def ingest(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """MIMIC's csv.gz, csv or Parquet tables -> one typed, sorted Parquet a table."""
    _run_stage("ingest", params)


@app.command()
def event(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Tables -> measurements in one unit each, and events as text."""
    _run_stage("event", params, recipe)


@app.command()
def cohort(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Films, stays and pairs by the recipe's rules; splits by patient; the ledger."""
    _run_stage("cohort", params, recipe)


@app.command()
def window(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """What was measured and what happened between the films, per pair and stay."""
    _run_stage("window", params, recipe)


@app.command()
def image(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Films -> square grey images, one row an attempt. The first stage that needs the films."""
    _run_stage("image", params, recipe)


@app.command()
def embed(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Distinct event texts -> one fp16 vector each."""
    _run_stage("embed", params, recipe)


@app.command()
def latent(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Images -> mean and log-variance of the autoencoder's posterior, once a film."""
    _run_stage("latent", params, recipe)


@app.command()
def shard(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Everything -> WebDataset tars, sample indexes and dataset.json."""
    _run_stage("shard", params, recipe)


@app.command()
def check(recipe: RecipeName, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Prove the dataset: patients, windows, members, hashes. Fails on the first offence."""
    _run_stage("check", params, recipe)


def main() -> None:
    """Run a command. The only place that prints an error; a user's mistake is one line."""
    os.umask(0o077)  # outputs are for the user alone (MIMIC's terms)
    try:
        app()
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
