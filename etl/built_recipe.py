"""The record of the recipe that a cohort was built by: cohort/recipe.json, written last."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import SCHEMA_VERSION, ContractError
from etl.recipe import Recipe

RECORD = "recipe.json"


@dataclass(frozen=True)
class BuiltRecipe:
    """What a built cohort says of itself."""

    schema_version: int
    recipe: dict[str, Any]

    @property
    def rules(self) -> str:
        return str(self.recipe["rules"])


def write_built(folder: Path, recipe: Recipe) -> None:
    """Write the record of the cohort in ``folder``."""
    write_json(folder / RECORD, asdict(_built_by(recipe)))


def is_built_by(build: Path, recipe: Recipe) -> bool:
    """Whether the cohort in ``build`` is finished, and of this very recipe and this schema."""
    return (build / "cohort" / RECORD).is_file() and read_built(build) == _built_by(recipe)


def read_built(build: Path) -> BuiltRecipe:
    """The record of ``build``, a folder build/<recipe>; without it the cohort is not finished."""
    path = build / "cohort" / RECORD
    try:
        value = json.loads(path.read_text())
        return BuiltRecipe(value["schema_version"], value["recipe"])
    except FileNotFoundError:
        raise ContractError(
            f"{path}: no such file, so the cohort is unfinished or older than this record;"
            f" run `cxrfuture cohort --recipe {build.name}` again"
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ContractError(
            f"{path}: not a record of a recipe; run `cxrfuture cohort --recipe {build.name}` again"
        ) from None


def _built_by(recipe: Recipe) -> BuiltRecipe:
    return BuiltRecipe(SCHEMA_VERSION, recipe.model_dump(mode="json"))
