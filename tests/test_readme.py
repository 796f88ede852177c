"""The README is true: its commands exist, its Python runs, its tables name what there is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tiny_build import build_dataset
from typer.testing import CliRunner

import cxrfuture

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_it_is_short():
    assert README.count("\n") <= 160


@pytest.mark.parametrize("line", re.findall(r"^    (cxrfuture [a-z_]+.*)$", README, re.MULTILINE))
def test_every_command_and_option_exists(line):
    words = line.split("#")[0].replace("[", "").replace("]", "").split()[1:]
    names = [word for word in words if re.fullmatch(r"[a-z_]+", word)]
    command = names[:2] if names[0] == "bench" else names[:1]
    help_text = CliRunner().invoke(cxrfuture.app, [*command, "--help"])
    assert help_text.exit_code == 0, line
    for option in (word for word in words if word.startswith("--")):
        assert option in help_text.output, option


def test_the_stage_table_is_the_pipeline():
    named = re.findall(r"^\| `([a-z_]+)` \| .* \| `.*$", README, re.MULTILINE)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert set(stages) == set(named)


def test_every_recipe_is_in_the_table():
    for path in (ROOT / "etl" / "recipes").glob("*.yaml"):
        assert f"| `{path.stem}` |" in README


def test_every_make_target_exists():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^    |`)make ([a-z]+)", README, re.MULTILINE):
        assert target in targets


def test_its_python_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 6
    dataset = build_dataset(tmp_path, "ddl_cxr", shard={"workers": 1})
    monkeypatch.chdir(dataset.parents[2])
    exec(compile(code.replace("batch_size=8", "batch_size=1"), "README.md", "exec"), {})


def test_nothing_is_committed_that_git_should_ignore():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert listed.stdout == ""
