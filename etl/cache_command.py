"""`cxrfuture cache ...`: what was made once.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    AsJson,
    ParamsFile,
    example,
    import_part,
)
from etl.command_input import read_settings

cache = typer.Typer(
    help="Images, latents and embeddings that were made once.",
    no_args_is_help=True,
    epilog=example("cxrfuture cache stats"),
)


@cache.command("stats", epilog=example("cxrfuture cache stats", "cxrfuture cache stats --json"))
def cache_stats(
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: AsJson = False,
) -> None:
    """What the cache holds, how it was made, and when it was last used."""
    settings = read_settings(params)
    import_part("etl.cache_print", "etl").print_stats(settings, as_json)


@cache.command("verify", epilog=example("cxrfuture cache verify --repair"))
def cache_verify(
    params: ParamsFile = DEFAULT_PARAMS,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take damaged rows out; stages make them again.")
    ] = False,
) -> None:
    """Check every row against its checksum; exit code 1 where one is damaged."""
    settings = read_settings(params)
    import_part("etl.cache_print", "etl").verify_cache(settings, repair)


@cache.command("gc", epilog=example("cxrfuture cache gc", "cxrfuture cache gc --days 0 --remove"))
def cache_gc(
    params: ParamsFile = DEFAULT_PARAMS,
    build: Annotated[
        list[Path] | None,
        typer.Option(help="Another build that uses the cache. Repeatable. Default: none."),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0, help="Leave what a stage used within so many days.")
    ] = 7,
    remove: Annotated[bool, typer.Option("--remove", help="Remove, not only list.")] = False,
) -> None:
    """Rows that no build uses any more, and what killed writers left."""
    settings = read_settings(params)
    import_part("etl.cache_print", "etl").collect_garbage(settings, build or [], days, remove)
