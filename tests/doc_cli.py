"""docs/cli.md, made from the commands themselves: python tests/doc_cli.py"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import cxrfuture

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
REST = "Other"
HEAD = """# Commands

Every command, in the order in which you meet them. This page is made from the commands' own help
(`python tests/doc_cli.py`); `cxrfuture COMMAND --help` says the same. `-h` is `--help`.

<!-- all of it needs: context -->
"""


def write_page() -> str:
    """The page as it should be."""
    root: Any = typer.main.get_command(cxrfuture.app)
    groups: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        if not command.hidden:
            title = getattr(command, "rich_help_panel", None) or REST
            groups.setdefault(_plain(title), []).extend(_describe(f"cxrfuture {name}", command))
    parts = [HEAD, *(_plain(part) + "\n" for part in (root.help, root.epilog) if part)]
    for title, texts in groups.items():
        parts += [f"## {title}\n", *texts]
    return "\n".join(parts).rstrip() + "\n"


def _describe(name: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        yield f"### {name}\n\n{_plain(command.help or '')}\n"
        for inner, found in command.commands.items():
            yield from _describe(f"{name} {inner}", found)
        return
    yield f"### {name}\n\n{_plain(command.help or '')}\n"
    lines = [line for line in (command.epilog or "").split("\n") if line.startswith("cxrfuture")]
    if lines:
        code = "\n".join(lines)
        yield f"```bash\n{code}\n```\n"
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        yield "\n".join(["| | default | |", "|---|---|---|", *rows]) + "\n"


def _row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    names = names if is_option else f"`{(parameter.metavar or parameter.name).upper()}`"
    if parameter.required:
        default = "needed"
    elif parameter.default in (None, False, "", ()) or callable(parameter.default):
        default = ""
    else:
        default = f"`{parameter.default}`"
    return f"| {names} | {default} | {_plain(parameter.help or '')} |"


def _plain(text: str) -> str:
    """As one paragraph each, safe in a table and in Markdown."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    joined = "\n\n".join(paragraphs)
    return joined.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(write_page())
