"""`cxrfuture cache ...`: what was made once.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    ParamsFile,
    import_part,
)

cache = typer.Typer(help="Images, latents and embeddings that were made once.")


@cache.command("stats")
def cache_stats(
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """What the cache holds, how it was made, and when it was last used."""
    settings = import_part("etl.params", "etl").read_params(params)
    import_part("etl.cache_print", "etl").print_stats(settings, as_json)


@cache.command("verify")
def cache_verify(
    params: ParamsFile = DEFAULT_PARAMS,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take damaged rows out; stages make them again.")
    ] = False,
) -> None:
    """Check every row against its checksum; exit code 1 where one is damaged."""
    settings = import_part("etl.params", "etl").read_params(params)
    import_part("etl.cache_print", "etl").verify_cache(settings, repair)


@cache.command("gc")
def cache_gc(
    params: ParamsFile = DEFAULT_PARAMS,
    build: Annotated[
        list[Path] | None,
        typer.Option(help="Another build that uses the cache. Repeatable."),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0, help="Leave what a stage used within so many days.")
    ] = 7,
    remove: Annotated[bool, typer.Option("--remove", help="Remove, not only list.")] = False,
) -> None:
    """Rows that no build uses any more, and what killed writers left."""
    settings = import_part("etl.params", "etl").read_params(params)
    import_part("etl.cache_print", "etl").collect_garbage(settings, build or [], days, remove)
