"""What can be asked of built cohorts: counts, papers' numbers, corrections, differences, exports.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DATASETS,
    DEFAULT_PARAMS,
    AsJson,
    Availability,
    Fidelity,
    GivenRecipe,
    ParamsFile,
    RecipeName,
    example,
    import_part,
)
from cxrfuture_data.completion import complete_from, complete_recipe
from etl.command_input import read_input, read_settings

reports = typer.Typer()


@reports.command(
    rich_help_panel=DATASETS,
    epilog=example("cxrfuture attrition ddl_cxr", "cxrfuture attrition ddl_cxr --csv lost.csv"),
)
def attrition(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the rows here too. Default: print only.")
    ] = None,
) -> None:
    """What each filter of a recipe removed, and why, as far as it has been built."""
    settings, chosen = read_input(params, recipe, fidelity, availability)
    import_part("etl.attrition", "etl").run_attrition(settings, chosen, csv)


@reports.command(
    rich_help_panel=DATASETS,
    epilog=example("cxrfuture reproduction ddl_cxr", "cxrfuture reproduction ddl_cxr --json"),
)
def reproduction(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if the paper's own releases disagree.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The paper's own numbers beside those of a built cohort, and the known reasons."""
    settings, chosen = read_input(params, recipe, fidelity, availability)
    report = import_part("etl.reproduction", "etl")
    report.run_reproduction(settings, chosen, strict=strict, as_json=as_json)


@reports.command(
    rich_help_panel=DATASETS,
    epilog=example("cxrfuture fidelity ddl_cxr", "cxrfuture fidelity ddl_cxr --only exact_hours"),
)
def fidelity(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    availability: Availability = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Try this correction alone; repeatable. Default: each, and all."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the compared builds.")] = False,
    as_json: AsJson = False,
) -> None:
    """What each correction of a recipe changes on the data at hand, one at a time and all."""
    settings, chosen = read_input(params, recipe, None, availability)
    report = import_part("etl.fidelity", "etl")
    report.run_fidelity(settings, chosen, only or [], keep=keep, as_json=as_json)


@reports.command(
    rich_help_panel=DATASETS,
    epilog=example("cxrfuture phenotypes --recipe medfuse_phenotyping"),
)
def phenotypes(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """What full CCS coverage changes of the 25 phenotypes, on the cohort at hand."""
    from rich.console import Console

    settings, chosen = read_input(params, recipe, fidelity, availability)
    import_part("etl.prepare", "etl").prepare(settings, chosen)
    import_part("etl.phenotype", "etl").print_difference(settings, chosen, Console())


@reports.command(
    rich_help_panel=DATASETS,
    epilog=example("cxrfuture diff old/build build", "cxrfuture diff old/build build --strict"),
)
def diff(
    build_a: Annotated[Path, typer.Argument(help="A build folder, or a recipe's folder in one.")],
    build_b: Annotated[Path, typer.Argument(help="The one it became.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="Default: every recipe in both.", autocompletion=complete_recipe),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write every line here too. Default: print only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything differs.")] = False,
) -> None:
    """What a version, a setting or other code changed: samples, labels, windows, and by what."""
    from rich.console import Console

    report = import_part("etl.diff_report", "etl")
    settings = read_settings(params)
    diffs = report.run_diff(settings, (build_a, build_b), recipe, csv)
    if as_json:
        report.print_json(diffs)
    else:
        for found in diffs:
            report.print_diff(found, Console())
    if strict and not all(found.is_none for found in diffs):
        raise typer.Exit(1)


@reports.command(
    "export",
    rich_help_panel=DATASETS,
    epilog=example(
        "cxrfuture export --format npz --recipe ddl_cxr --fidelity published",
        "cxrfuture export --format meds",
    ),
)
def export_cohort(
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="npz, ddl-cxr, medfuse, ehrxdiff, diff3m or meds.",
            autocompletion=complete_from("npz", "ddl-cxr", "medfuse", "ehrxdiff", "diff3m", "meds"),
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Default: the one that the format is named after.", autocompletion=complete_recipe
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Default: build/<recipe>/export/<format>.")
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    none_text: Annotated[
        str | None,
        typer.Option(
            help="published only: the text None of eye opening, lost or kept."
            " Default: that of the recipe.",
            autocompletion=complete_from("lost", "kept"),
        ),
    ] = None,
    normaliser: Annotated[
        str | None,
        typer.Option(
            help="npz only: training, for moments of the training windows at hand."
            " Default: those of the recipe.",
            autocompletion=complete_from("training"),
        ),
    ] = None,
) -> None:
    """A cohort and its windows as others' code reads them; needs tables and metadata, no film."""
    module = import_part("etl.export", "etl")
    default = {"npz": "ddl_cxr", "meds": "future"}.get(kind)
    default = default or module.require_format(kind).replace("-", "_")
    chosen = import_part("etl.recipe", "etl").read_recipe(
        recipe or default, fidelity, availability, none_text
    )
    settings = read_settings(params)
    module.run(settings, chosen, kind, out, normaliser)
