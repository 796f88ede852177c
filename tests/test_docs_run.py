"""Every command and snippet of README.md and docs/ runs, or says what it needs and is parsed."""

import ast
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_blocks import NEEDS, PROSE, ROOT, Block, pages, read_blocks
from doc_run import Shell, parse
from doc_workspace import build_workspace

PAGES = {path.stem: read_blocks(path) for path in pages()}
GENERATED = "docs/cli.md"  # its examples are parsed, and run where pages have them
OTHERS = ("repos", "files", "values")  # of pre-commit and the guard
BLOCKS = [block for blocks in PAGES.values() for block in blocks]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A clone's folder after `dvc repro` on a small simulated hospital, and what need not run."""
    before = Path.cwd()
    kept = os.environ.get("CXRFUTURE_DOCS_WORKSPACE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("docs")
    umask = os.umask(0o077)
    yield folder, build_workspace(folder)
    os.umask(umask)
    os.chdir(before)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads(name):
    for block in PAGES[name]:
        assert not block.needs or block.needs in NEEDS, f"{block.page}:{block.line}"
        if block.language == "bash":
            for command in block.commands():
                assert not command.needs or command.needs in NEEDS, command
                parse(command)
        elif block.language == "python":
            ast.parse(block.code, f"{block.page}:{block.line}")
        elif block.language == "diff":
            subprocess.run(
                ["git", "apply", "--check", "-"], input=block.code, text=True, check=True, cwd=ROOT
            )
        elif block.language == "yaml" and block.file is None:
            check_settings(block)
        else:
            assert block.language in (*PROSE, "sql", "{toctree}", "{note}"), block


def check_settings(block: Block) -> None:
    """What a page shows of params.yaml or of a recipe are keys that they have."""
    known: dict[str, Any] = {}
    for path in (ROOT / "params.yaml", *(ROOT / "etl" / "recipes").glob("*.yaml")):
        for key, value in yaml.safe_load(path.read_text()).items():
            both = isinstance(value, dict) and isinstance(known.get(key), dict)
            known[key] = known[key] | value if both else value
    for name, value in yaml.safe_load(block.code).items():
        above = known
        for key in (names := name.split("."))[:-1]:
            above = above[key]
        assert names[-1] in above or name in OTHERS, f"{block.page}:{block.line}: {name}"
        inner = above.get(names[-1])
        if isinstance(value, dict) and isinstance(inner, dict):
            assert set(value) <= set(inner), f"{block.page}:{block.line}: {name}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs(name, workspace, monkeypatch):
    folder, seen = workspace
    monkeypatch.chdir(folder)
    shell = Shell(folder, monkeypatch, seen)
    for block in PAGES[name]:
        if block.file is not None and not block.needs:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.code)
        elif block.language == "diff":
            shell.apply(block.code)
        elif block.language == "bash":
            for command in block.commands():
                if not command.needs:
                    shell.run(command)
        elif block.language == "python" and not block.needs:
            shell.run_python(block.code, f"{block.page}:{block.line}")


def count_blocks(blocks: list[Block]) -> Counter[str]:
    """How many commands and snippets run, and how many are parsed only, by what they need."""
    counted: Counter[str] = Counter()
    for block in blocks:
        if block.language == "bash":
            counted.update(command.needs or "runs" for command in block.commands())
        elif block.language == "python":
            counted[block.needs or "runs"] += 1
    return counted


def test_most_of_the_docs_runs():
    counted = count_blocks([block for block in BLOCKS if block.page != GENERATED])
    print(dict(counted))
    assert counted["runs"] >= 60
    assert counted["runs"] >= 0.6 * counted.total()


def test_every_page_is_in_the_index():
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} == set(PAGES) - {
        "README"
    }


if __name__ == "__main__":
    print(dict(count_blocks(BLOCKS)))
