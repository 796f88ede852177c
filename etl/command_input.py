"""What commands of the ETL begin with: the settings, and the recipe that is asked for.

Both are imported when a command runs, so `--help` is quick."""

from pathlib import Path
from typing import Any

from cxrfuture_data.command import import_part


def read_settings(params: Path) -> Any:
    """The Params of a file."""
    return import_part("etl.params", "etl").read_params(params)


def read_input(params: Path, *recipe: str | None) -> tuple[Any, Any]:
    """Params and Recipe. ``recipe``: its name, and another fidelity and availability than its own
    (etl.recipe.read_recipe)."""
    return read_settings(params), import_part("etl.recipe", "etl").read_recipe(*recipe)
