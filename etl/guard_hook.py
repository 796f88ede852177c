"""The pre-commit hook of a git repository."""

import shlex
import sys
from pathlib import Path

from cxrfuture_data.publish import publish
from cxrfuture_data.schema import ContractError
from etl.guard_git import find_top, git

COMMAND = "cxrfuture guard --staged"


def install_hook(folder: Path) -> Path:
    """Write the hook and return its path. Raises ContractError where another's hook is."""
    top = find_top(folder)
    if top is None:
        raise ContractError(f"{folder}: not in a git repository; run git init first")
    hook = top / git(top, "rev-parse", "--git-path", "hooks/pre-commit").decode().rstrip("\n")
    text = hook_text()
    if hook.exists() or hook.is_symlink():
        if hook.is_file() and "cxrfuture guard" in hook.read_text(errors="replace"):
            if hook.read_text(errors="replace").startswith(_FIRST_LINES):
                _write(hook, text)
            return hook
        raise ContractError(
            f"{hook}: there is another hook; add to it the line: {COMMAND} || exit 1"
        )
    _write(hook, text)
    return hook


def hook_text() -> str:
    """The hook as a script: this Python if it is still there, else the command on the path."""
    python = shlex.quote(sys.executable)
    return (
        f"{_FIRST_LINES}"
        f"if [ -x {python} ]; then exec {python} -P -m {COMMAND}; fi\n"
        f"exec {COMMAND}\n"
    )


_FIRST_LINES = """#!/bin/sh
# cxrfuture guard: refuses a commit that holds ids, films or passwords (docs/guard.md).
"""


def _write(hook: Path, text: str) -> None:
    with publish(hook) as part:
        part.write_text(text)
        part.chmod(0o755)
