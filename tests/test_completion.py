"""What the shell completes, asked as bash, zsh and fish ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cxrfuture_data import completion
from etl.bench_loader_run import WAYS
from etl.export import FORMATS
from etl.recipe import shipped_recipes
from train.table import table_names
from train.unet_checkpoint import FAMILIES as UNET_FAMILIES
from train.vae_checkpoint import FAMILIES as VAE_FAMILIES

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "duckdb", "polars", "pyarrow", "numpy", "rich.progress"}
ASK = f"""
import sys; sys.argv = ['cxrfuture']
import cxrfuture
try: cxrfuture.main()
finally:
    assert not {HEAVY!r} & set(sys.modules), 'slow to complete'
"""


def ask(line, shell="bash", cwd=ROOT):
    """The words that a shell offers at the end of a line."""
    words = line.split(" ")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "_CXRFUTURE_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        environment |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    else:
        environment |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert "slow to complete" not in done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cxrfuture do", ["doctor"]),
        ("cxrfuture cache ", ["gc", "stats", "verify"]),
        ("cxrfuture show x --sp", ["--split"]),
        ("cxrfuture show x --split ", ["test", "train", "valid"]),
        ("cxrfuture show x --kind s", ["stay"]),
        ("cxrfuture event --recipe ehr", ["ehrxdiff", "ehrxdiff_null"]),
        ("cxrfuture attrition fu", ["future"]),
        ("cxrfuture attrition fu --fidelity ", ["corrected", "published"]),
        ("cxrfuture train ddl_cxr-t", ["ddl_cxr-tiny"]),
        ("cxrfuture table ehrxdiff.", ["ehrxdiff.2", "ehrxdiff.3", "ehrxdiff.4"]),
        ("cxrfuture export --format ", sorted(FORMATS)),
        ("cxrfuture import_unet a b --family ", sorted(UNET_FAMILIES)),
        ("cxrfuture import_vae a b --family ", sorted(VAE_FAMILIES)),
    ],
)
def test_bash(line, words):
    assert sorted(ask(line)) == words


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell):
    assert "ddl_cxr-tiny" in " ".join(ask("cxrfuture train ddl_cxr-t", shell))


def test_datasets_runs_and_files_of_the_reader_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("build/mine/shard", "build/half/shard", "build/train/clip", "recipes"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "build/mine/shard/dataset.json").write_text("{}")
    (tmp_path / "recipes/mine.yaml").write_text("")
    (tmp_path / "mine.yaml").write_text("")
    assert ask("cxrfuture verify b", cwd=tmp_path) == ["build/mine/shard"]
    assert completion.complete_run("build/tr") == ["build/train/clip"]
    assert completion.complete_recipe("recipes/") == ["recipes/mine.yaml"]
    assert completion.complete_recipe("mi") == ["mine.yaml"]


def test_every_shipped_name_is_offered():
    assert set(shipped_recipes()) <= set(completion.complete_recipe(""))
    assert sorted(table_names()) == completion.complete_table("")
    configs = {path.stem for path in (ROOT / "train" / "config").glob("*.yaml")}
    assert configs <= set(completion.complete_config(""))
    assert completion.complete_vae_config("ti") == ["tiny"]
    assert set(ask("cxrfuture bench loader --way ")) <= set(WAYS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(shell):
    done = subprocess.run(
        [sys.executable, "-m", "cxrfuture", "--show-completion", shell],
        cwd=ROOT,
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "_CXRFUTURE_COMPLETE" in done.stdout
