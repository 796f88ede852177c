"""What the commands of all parts share: options that many take, and imports that wait."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from cxrfuture_data.schema import ContractError

ParamsFile = Annotated[Path, typer.Option("--params", help="The settings of every stage.")]
RecipeName = Annotated[str, typer.Option("--recipe", help="A recipe's name, or a path to a .yaml.")]
Fidelity = Annotated[
    str | None,
    typer.Option("--fidelity", help="corrected or published. Default: that of the recipe."),
]
Availability = Annotated[
    str | None,
    typer.Option("--availability", help="event or known. Default: that of the recipe."),
]
GivenRecipe = Annotated[str, typer.Argument(help="A recipe's name, or a path to a .yaml.")]
Dataset = Annotated[Path, typer.Argument(help="A dataset folder: build/<recipe>/shard.")]
DEFAULT_PARAMS = Path("params.yaml")
OWN_PACKAGES = ("etl", "train", "cxrfuture_data")


def import_part(name: str, extra: str) -> Any:
    """Import a part of the distribution; a missing dependency names the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in OWN_PACKAGES:
            raise
        raise ContractError(
            f"{error.name} is not installed; run: pip install 'cxrfuture[{extra}]'"
        ) from None
