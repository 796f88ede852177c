"""A cohort and its windows as the files that others' code reads; from tables and metadata alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cxrfuture_data.console import say
from cxrfuture_data.schema import ContractError
from etl import (
    export_ddl_cxr,
    export_diff3m,
    export_ehrxdiff,
    export_medfuse,
    export_meds,
    export_npz,
)
from etl.params import Params
from etl.prepare import prepare, prepare_cohort
from etl.recipe import Recipe

Exporter = Callable[[Params, Recipe, Path], list[Path]]

# Format -> what writes it, and the rules of the recipes it can hold.
FORMATS: dict[str, tuple[Exporter, tuple[str, ...]]] = {
    "npz": (export_npz.export, ("ddl_cxr", "medfuse")),
    "ddl-cxr": (export_ddl_cxr.export, ("ddl_cxr",)),
    "medfuse": (export_medfuse.export, ("medfuse",)),
    "ehrxdiff": (export_ehrxdiff.export, ("ehrxdiff",)),
    "diff3m": (export_diff3m.export, ("diff3m",)),
    "meds": (export_meds.export, ("future",)),
}
WITHOUT_WINDOWS = ("meds",)  # formats that hold the tables' own rows


def run(
    params: Params,
    recipe: Recipe,
    kind: str,
    out: Path | None = None,
    normaliser: str | None = None,
) -> None:
    """Make cohort and windows where out of date, then write ``kind`` below ``out``.

    Without ``out`` below build/<recipe>/export. ``normaliser`` is one of npz alone.
    """
    export, rules = FORMATS[require_format(kind)]
    if normaliser is not None:
        if kind != "npz" or normaliser != "training":
            raise ContractError(f"--normaliser {normaliser}: only `training`, of --format npz")
        export = partial(export_npz.export, normaliser="training")
    if recipe.rules not in rules:
        raise ContractError(
            f"--format {kind} holds recipes by the rules of {' or '.join(rules)};"
            f" {recipe.name} is by those of {recipe.rules}"
        )
    make = prepare_cohort if kind in WITHOUT_WINDOWS else prepare
    folder = make(params, recipe)
    target = out or folder / "export" / kind
    paths = export(params, recipe, target)
    say(f"export: {recipe.name}: {len(paths):,} files of the {kind} format in {target}")


def require_format(kind: str) -> str:
    """The name of a format, or a ContractError that lists them."""
    if kind not in FORMATS:
        raise ContractError(f"--format {kind!r}; known are {', '.join(FORMATS)}")
    return kind
