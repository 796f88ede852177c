"""A recipe: a named cohort, window, label and sample definition in one small YAML file."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings, read_settings

Share = Annotated[float, Field(gt=0, lt=1)]


class SplitRule(Settings):
    """How patients are split. Both orders are those of numpy's legacy generator.

    shuffled_patients: sklearn's train_test_split twice over sorted ids (specs ddl-cxr 5.6).
    cumulative_pairs: shuffled patients, cut where their pairs add up (specs ehrxdiff 2.1).
    """

    method: Literal["shuffled_patients", "cumulative_pairs"]
    seed: int
    valid: Share
    test: Share


class WindowRule(Settings):
    """What a window holds. It starts at the previous film (pair) or at ICU admission (stay)."""

    hourly: bool
    events: bool
    includes_end: bool
    maximum_events: Annotated[int, Field(gt=0)]


class ImageRule(Settings):
    """How a film becomes a square grey image.

    crop: shorter side to ``size``, then the centre. stretch: both sides to ``size``.
    """

    size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)]
    fit: Literal["crop", "stretch"]
    resample: Literal["bilinear", "bicubic", "area", "lanczos"]


class Recipe(Settings):
    name: str
    paper: str
    rules: Literal["ddl_cxr", "ehrxdiff"]  # whose cohort rules: the folder below sql/cohort
    # "published" (the authors' errors included) is not built yet, so it is not accepted.
    fidelity: Literal["corrected"]
    availability: Literal["event", "known"]
    kinds: list[Literal["pair", "stay", "image"]]
    cohort: dict[str, float | int]
    split: SplitRule
    window: WindowRule
    image: ImageRule


def read_recipe(name: str) -> Recipe:
    """A shipped recipe by name, or any file by a path that ends in .yaml."""
    if name.endswith(".yaml"):
        return read_settings(Recipe, Path(name))
    folder = Path(str(files("etl").joinpath("recipes")))
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.yaml")))
        raise ContractError(f"no recipe {name!r}; there are {known}, or give a path to a .yaml")
    recipe = read_settings(Recipe, path)
    if recipe.name != name:
        raise ContractError(f"{path}: name is {recipe.name!r}, but the file is {name}.yaml")
    return recipe
