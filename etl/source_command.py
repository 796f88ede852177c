"""The stages of no recipe: the hospital and its tables.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    STAGES,
    ParamsFile,
    example,
    import_part,
)
from cxrfuture_data.completion import complete_from
from cxrfuture_data.schema import ContractError
from etl.command_input import read_settings

sources = typer.Typer()

Version = Annotated[
    str | None,
    typer.Option(
        help="Of MIMIC-IV: 2.0, 2.2, 3.0 or 3.1. Default: of the params.",
        autocompletion=complete_from("2.0", "2.2", "3.0", "3.1"),
    ),
]
CxrVersion = Annotated[
    str | None,
    typer.Option(
        help="Of MIMIC-CXR-JPG: 2.0.0 or 2.1.0. Default: of the params.",
        autocompletion=complete_from("2.0.0", "2.1.0"),
    ),
]
FilmsAs = Annotated[
    str | None,
    typer.Option(
        help="jpg, resized, flat or dicom. Default: that of the params.",
        autocompletion=complete_from("jpg", "resized", "flat", "dicom"),
    ),
]


@sources.command(
    rich_help_panel=STAGES,
    epilog=example("cxrfuture simulate", "cxrfuture simulate --out hospital --patients 8"),
)
def simulate(
    params: ParamsFile = DEFAULT_PARAMS,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write here, and take no folder from the params. Default: build/simulate."
        ),
    ] = None,
    patients: Annotated[int | None, typer.Option(help="Default: that of the params.")] = None,
    seed: Annotated[int | None, typer.Option(help="Default: that of the params.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Shorter side of a film, pixels. Default: of the params.")
    ] = None,
    mimic_iv_from: Annotated[
        Path | None,
        typer.Option(
            help="Film the patients of this tree and make no tables. Default: make tables."
        ),
    ] = None,
    films: Annotated[bool, typer.Option(help="Draw the films, or only list them.")] = True,
    films_as: FilmsAs = None,
    version: Version = None,
    cxr_version: CxrVersion = None,
) -> None:
    """A hospital from a seed, shaped like a version of MIMIC-IV and MIMIC-CXR-JPG."""
    stage = import_part("etl.simulate", "etl")
    settings = read_settings(params)
    options = {"patients": patients, "seed": seed, "image_size": image_size, "films_as": films_as}
    options |= {"version": version, "cxr_version": cxr_version}
    given = {name: value for name, value in options.items() if value is not None}
    if out is None:
        if given or mimic_iv_from is not None or not films:
            raise ContractError("options that change the hospital need --out; or edit params.yaml")
        stage.run(settings)
        return
    chosen = settings.simulate.model_dump() | given
    stage.simulate(
        stage.SimulateOptions(
            out=out,
            mimic_iv_from=mimic_iv_from,
            render=films,
            workers=settings.image.workers,
            **chosen,
        )
    )


@sources.command(
    rich_help_panel=STAGES,
    epilog=example("cxrfuture ingest", "MIMIC_IV_DIR=/data/mimiciv/3.1 cxrfuture ingest"),
)
def ingest(
    params: ParamsFile = DEFAULT_PARAMS,
    again: Annotated[
        bool, typer.Option("--again", help="Read every table again, changed or not.")
    ] = False,
) -> None:
    """MIMIC's tables, from files or PostgreSQL -> one typed, sorted Parquet a table."""
    settings = read_settings(params)
    stage = import_part("etl.ingest", "etl")
    if again:
        stage.forget(settings)
    with import_part("etl.stage_cost", "etl").measured(settings.build(), "ingest"):
        stage.run(settings)
