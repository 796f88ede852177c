"""`cxrfuture guard`: what it runs is imported when it runs, so `--help` is quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import CARE, example, import_part
from cxrfuture_data.schema import ContractError

guarding = typer.Typer()


@guarding.command(
    rich_help_panel=CARE,
    epilog=example("cxrfuture guard --staged", "cxrfuture guard --install-hook"),
)
def guard(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: the whole git tree.")
    ] = None,
    staged: Annotated[
        bool, typer.Option("--staged", help="What the next commit would hold, and no more.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Every content of every commit, and the messages.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False,
    install_hook: Annotated[
        bool, typer.Option("--install-hook", help="Run --staged before every commit from now on.")
    ] = False,
) -> None:
    """Ids, films, datasets and passwords that must not be committed. Exit 1: found; 2: error."""
    module = import_part("etl.guard", "etl")
    try:
        if install_hook:
            print(f"{module.install_hook(Path.cwd())}: guards every commit of this repository")
            return
        code = module.run_guard(paths or [], staged=staged, history=history, as_json=as_json)
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    raise typer.Exit(code)
