"""The command as a user meets it: help, exit codes, errors of one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cxrfuture

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    command.name or command.callback.__name__ for command in cxrfuture.app.registered_commands
]


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cxrfuture", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = CliRunner().invoke(cxrfuture.app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_users_mistake_is_one_line_and_exit_code_1(tmp_path):
    result = run("ingest", "--params", "nowhere.yaml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "error: nowhere.yaml: no such file\n")


def test_a_missing_file_system_right_is_one_line(tmp_path, monkeypatch, capsys):
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "build/ingest")

    monkeypatch.setattr(cxrfuture, "app", refuse)
    with pytest.raises(SystemExit) as stopped:
        cxrfuture.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: [Errno 13] Permission denied: 'build/ingest'")


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def fail() -> None:
        raise KeyError("missing")

    monkeypatch.setattr(cxrfuture, "app", fail)
    with pytest.raises(KeyError):
        cxrfuture.main()


def test_a_misuse_of_the_command_line_is_exit_code_2():
    assert run("ingest", "--no-such-option").returncode == 2


def test_help_loads_neither_torch_nor_duckdb():
    code = (
        "import sys; sys.argv = ['cxrfuture', '--help']\n"
        "import cxrfuture\n"
        "try: cxrfuture.main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'duckdb', 'polars', 'pyarrow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "is_ours"), [("gdcm", False), ("etl.nothing", True)])
def test_a_missing_package_is_one_line_and_a_missing_module_of_ours_is_a_bug(
    monkeypatch, capsys, name, is_ours
):
    def fail(*_, **__):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(cxrfuture, "app", fail)
    if is_ours:
        with pytest.raises(ModuleNotFoundError):
            cxrfuture.main()
        return
    with pytest.raises(SystemExit) as ended:
        cxrfuture.main()
    assert ended.value.code == 1
    assert "gdcm is not installed; run: pip install" in capsys.readouterr().err
