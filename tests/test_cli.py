"""The command as a user meets it: help, exit codes, errors of one line."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

import cxrfuture
from etl.recipe import shipped_recipes

ROOT = Path(__file__).resolve().parent.parent
PANELS = ["Look first", "Stages", "Datasets", "Training", "Evaluation", "Care and speed"]


def commands_below(command, names=()):
    """Each command with the words that name it, groups before what is in them."""
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_below(below, (*names, name))


COMMANDS = dict(commands_below(typer.main.get_command(cxrfuture.app)))


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cxrfuture", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def examples():
    """Every line of every help that is to be copied."""
    for names, command in COMMANDS.items():
        if names:
            title, *lines = (command.epilog or "").split("\n\n")
            assert title in ("Example:", "Examples:"), names
            yield from ((names, line) for line in lines)


def words_of(line):
    """What follows `cxrfuture` in a line of a shell, also of torchrun and after variables."""
    words = shlex.split(line)
    return words[words.index("cxrfuture") + 1 :] if "cxrfuture" in words else None


def find_command(words):
    names = ()
    while words and (*names, words[0]) in COMMANDS:
        names, words = (*names, words[0]), words[1:]
    return names, words


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does_and_every_option_its_default(names):
    result = CliRunner().invoke(cxrfuture.app, [*names, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert COMMANDS[names].help
    for option in COMMANDS[names].params:
        if option.name in ("help", "install_completion", "show_completion"):
            continue
        assert option.help, option.name
        if option.param_type_name == "option" and not option.required:
            has_default = option.default is not None and option.show_default
            assert has_default or "efault" in option.help, option.name


@pytest.mark.parametrize(("names", "line"), examples(), ids=lambda value: str(value)[:60])
def test_the_examples_of_a_help_are_understood(names, line):
    words = words_of(line)
    if words is None:
        assert line == "cd train/study && dvc repro"
        return
    found, rest = find_command(words)
    is_of_the_group = found[: len(names)] == names and COMMANDS[found].callback is not None
    assert is_of_the_group or line == "cxrfuture"
    values = COMMANDS[found].make_context("cxrfuture", rest).params
    recipes = values.get("recipe") or []
    for recipe in [recipes] if isinstance(recipes, str) else recipes:
        assert recipe in shipped_recipes()
    if "config" in values and values["config"] is not None:
        assert (ROOT / "train" / "config" / f"{values['config']}.yaml").exists()


def test_help_groups_commands_in_the_order_of_the_flow():
    lines = CliRunner().invoke(cxrfuture.app, ["--help"]).output.splitlines()
    titles = [line.strip("╭╮─ ") for line in lines if line.startswith("╭")]
    assert titles == ["Options", *PANELS]
    shown = [line.split()[1] for line in lines if line.startswith("│ ") and line[2].isalpha()]
    stages = [stage for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]]
    assert [name for name in shown if name in stages] == stages


def test_a_users_mistake_is_one_line_and_exit_code_1(tmp_path):
    result = run("ingest", "--params", "nowhere.yaml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "error: nowhere.yaml: no such file\n")


def test_a_missing_file_system_right_is_one_line(tmp_path, monkeypatch, capsys):
    def refuse(**_) -> None:
        raise PermissionError(13, "Permission denied", "build/ingest")

    monkeypatch.setattr(cxrfuture, "app", refuse)
    with pytest.raises(SystemExit) as stopped:
        cxrfuture.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: [Errno 13] Permission denied: 'build/ingest'")


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def fail(**_) -> None:
        raise KeyError("missing")

    monkeypatch.setattr(cxrfuture, "app", fail)
    with pytest.raises(KeyError):
        cxrfuture.main()


def test_a_misuse_of_the_command_line_is_exit_code_2():
    assert run("ingest", "--no-such-option").returncode == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["shwo"], 2, "Did you mean 'show'?"),
        (["cache", "verfy"], 2, "Did you mean 'verify'?"),
        (["show", "x", "--splti", "test"], 2, "Possible options: --split"),
        (["event", "--recipe", "ddl_cx"], 1, "no recipe 'ddl_cx'; there are ddl_cxr, "),
        (["export", "--format", "csv"], 1, "known are npz, ddl-cxr, "),
        (["show", "nowhere"], 1, "nowhere"),
    ],
)
def test_a_wrong_word_is_answered_by_the_right_ones(words, code, said):
    done = run(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert code == 2 or done.stderr.splitlines()[-1].startswith("error: ")


def test_an_interrupted_command_says_how_to_go_on(tmp_path):
    out = tmp_path / "hospital"
    command = [sys.executable, "-m", "cxrfuture", "simulate", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        while not out.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; run the same command again to go on"


def test_exit_codes_are_in_the_help():
    shown = CliRunner().invoke(cxrfuture.app, ["--help"]).output
    codes = re.search(r"Exit codes: 0 .* 1 .* 2 .* 130 ", " ".join(shown.split()))
    assert codes is not None


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
