"""What the commands of all parts share: options that many take, examples, and imports that wait."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from cxrfuture_data.completion import (
    complete_availability,
    complete_dataset,
    complete_fidelity,
    complete_kind,
    complete_recipe,
    complete_split,
)
from cxrfuture_data.schema import ContractError

# Groups of commands in the order in which they are wanted; `--help` shows them so.
LOOK_FIRST = "Look first"
STAGES = "Stages"
DATASETS = "Datasets"
TRAINING = "Training"
EVALUATION = "Evaluation"
CARE = "Care and speed"

ParamsFile = Annotated[Path, typer.Option("--params", help="The settings of every stage.")]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe", help="A recipe's name, or a path to a .yaml.", autocompletion=complete_recipe
    ),
]
Fidelity = Annotated[
    str | None,
    typer.Option(
        "--fidelity",
        help="corrected or published. Default: that of the recipe.",
        autocompletion=complete_fidelity,
    ),
]
Availability = Annotated[
    str | None,
    typer.Option(
        "--availability",
        help="event or known. Default: that of the recipe.",
        autocompletion=complete_availability,
    ),
]
GivenRecipe = Annotated[
    str,
    typer.Argument(help="A recipe's name, or a path to a .yaml.", autocompletion=complete_recipe),
]
Dataset = Annotated[
    Path,
    typer.Argument(help="A dataset folder: build/<recipe>/shard.", autocompletion=complete_dataset),
]
SplitName = Annotated[
    str, typer.Option("--split", help="train, valid or test.", autocompletion=complete_split)
]
KindName = Annotated[
    str, typer.Option("--kind", help="pair, stay or image.", autocompletion=complete_kind)
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
DEFAULT_PARAMS = Path("params.yaml")
OWN_PACKAGES = ("etl", "train", "cxrfuture_data")


def example(*lines: str) -> str:
    """The end of a command's help: commands to copy, one a line (typer joins single lines)."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n\n".join((title, *lines))


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
