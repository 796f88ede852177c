"""A shell for the commands of the docs: parses every one, and runs one in this process.

Nothing is mocked. What is made smaller is listed here: a model is trained in the size of its
`-tiny` configuration for two steps, a sweep is of one run, a slow command that pages share is run
once, and `dvc repro` runs the commands of its stages that have not run, without DVC's own processes
(tests/test_pipeline.py has those).
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import click
import pytest
import typer
import yaml
from doc_blocks import ROOT, Command, pages, read_blocks, without_brackets
from typer.testing import CliRunner

import cxrfuture

# Words in capitals, and places of the reader's machine, and what stands for them here.
STANDS_FOR = {
    "hospital/mimic-iv": "build/simulate/mimic-iv",
    "hospital/mimic-cxr-jpg": "build/simulate/mimic-cxr-jpg",
    "/data/physionet.org/files/mimiciv/3.1": "build/simulate/mimic-iv",
    "/data/physionet.org/files/mimic-cxr-jpg/2.1.0": "build/simulate/mimic-cxr-jpg",
    "/data/physionet.org/files/chest-imagenome/1.0.0": "",  # none
    "BUILD_A": "build/ddl_cxr",
    "BUILD_B": "build/ddl_cxr",
    "RECIPE": "ddl_cxr",
    "FORMAT": "npz",
    "RUN": "build/study/fusion/mmtm/phenotypes/3",
    "NAME": "hour_zero",
    "FILE": "file.csv",
    "DIR": "out",
    "N": "2",
}
SHORT_TRAINING = {
    "length": "{epochs: null, steps: 2}",
    "checkpoint_steps": "2",
    "valid_steps": "2",
    "valid_samples": "2",
    "batch_size": "2",
}
SHORTER = {
    ("simulate",): ["--patients", "1", "--image-size", "64"],
    ("fidelity",): ["--only", "hour_zero"],
    ("evaluate",): ["--seeds", "1", "--draws", "20"],
}
ONCE = {"evaluate", "fidelity", "report"}  # slow, and the same words find the same build
SHELL = {"cd", "cp", "ls", "mkdir", "source", "sed", "cat", "head"}
RAN_ELSEWHERE = {
    *("aria2c", "git", "make", "pip", "ray", "rsync", "sbatch", "sphinx-build", "srun"),
    *("tensorboard", "wget"),
}


@dataclass
class Shell:
    """``home``: the workspace. ``seen``: commands of ONCE that have run in it, on any page."""

    home: Path
    monkeypatch: pytest.MonkeyPatch
    seen: set[tuple[str, ...]]
    output: str = ""
    python: dict[str, object] = field(default_factory=dict)
    clone: Path | None = None

    def run(self, command: Command) -> None:
        """Run a command; it must end well."""
        if self.clone is not None and command.text.startswith("cxrfuture"):
            return self._run_in_clone(shlex.split(command.text)[1:])
        text = without_brackets(command, is_kept=False).text
        if text.split()[0] in SHELL - {"cd"}:
            subprocess.run(["bash", "-c", text], check=True, cwd=Path.cwd())
            return None
        for part in _parts(text):
            words = [_stand_in(word) for word in part]
            while words and re.match(r"[A-Z_]+=", words[0]):
                self._set(words.pop(0))
            if words[:1] == ["export"]:
                for word in words[1:]:
                    self._set(word)
            elif words[:1] == ["cd"]:
                self.monkeypatch.chdir(words[1])
            elif words[:1] == ["cxrfuture"]:
                self._run_cxrfuture(_expand(words[1:]))
            elif words[:3] == ["python", "-m", "cxrfuture"]:
                self._run_cxrfuture(_expand(words[3:]))
            elif words[:2] == ["dvc", "repro"]:
                self._repro([word for word in words[2:] if not word.startswith("-")])
            elif words:
                raise AssertionError(f"{command.page}:{command.line}: who runs {words[0]!r}?")
        return None

    def apply(self, patch: str) -> None:
        """Change a copy of the project, in which the page's commands then run."""
        if self.clone is None:
            self.clone = copy_project(self.home)
            self.monkeypatch.chdir(self.clone)
        command = ["git", "apply", "--whitespace=nowarn", "-"]
        subprocess.run(command, input=patch, text=True, check=True, cwd=self.clone)

    def _run_in_clone(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "cxrfuture", *words]
        environment = os.environ | {"PYTHONPATH": str(self.clone)}
        done = subprocess.run(
            command, cwd=self.clone, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr[-3000:]}"

    def run_python(self, code: str, name: str) -> None:
        exec(compile(code, name, "exec"), self.python)

    def _set(self, word: str) -> None:
        name, _, value = word.partition("=")
        path = Path(value)
        self.monkeypatch.setenv(name, str(path.absolute()) if value and path.exists() else value)

    def _run_cxrfuture(self, words: list[str]) -> None:
        _forget_accelerator()
        words = _shorten(words)
        if tuple(words) in self.seen:
            return
        if words and words[0] in ONCE:
            self.seen.add(tuple(words))
        done = CliRunner().invoke(cxrfuture.app, words)
        self.output = done.output
        told = f"cxrfuture {shlex.join(words)}\n{done.exception!r}\n{done.output[-3000:]}"
        assert done.exit_code == 0, told

    def _repro(self, targets: list[str]) -> None:
        pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        for target in targets or ["fit_diffusion", "check@ddl_cxr"]:
            stage, _, recipe = target.partition("@")
            if not (Path("build") / recipe / stage).exists() or stage in ("check", "ingest"):
                words = shlex.split(pipeline[stage]["cmd"].replace("${item.recipe}", recipe))
                if stage != "fit_diffusion":  # a training run: `cxrfuture train` has it
                    self._run_cxrfuture(words[1:])


def copy_project(home: Path) -> Path:
    """A copy of the project beside the workspace's build, in a git tree of its own."""
    clone = home / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    for name in ("etl", "sql", "train", "cxrfuture_data"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "cxrfuture.py", clone)
    for path in home.iterdir():
        if path.suffix in (".yaml", ".parquet") or path.name in ("build", "encoder"):
            (clone / path.name).symlink_to(path)
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    return clone


def parse(command: Command) -> None:
    """Its program, subcommand, options, stages and modules exist, and bash can read it."""
    place = f"{command.page}:{command.line}: {command.text}"
    text = without_brackets(command, is_kept=True).text
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, f"{place}\n{done.stderr}"
    if text.startswith("#!"):
        own = re.findall(r"-m cxrfuture (.*)", text.replace("\\\n", " "))
        assert own, f"{place}: a script without a command of ours"
        for line in own:
            parse_cxrfuture(shlex.split(line))
        return
    for words in _parts(text):
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        try:
            _parse_words(words)
        except (click.ClickException, AssertionError) as error:
            raise AssertionError(f"{place}\n{error}") from None


def _parse_words(words: list[str]) -> None:
    if not words or words[0] == "export" or words[0] in SHELL | RAN_ELSEWHERE:
        if words[:1] == ["make"]:
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(words[1:]) <= set(targets), f"make {words[1:]}: there are {targets}"
    elif words[0] == "cxrfuture":
        parse_cxrfuture(words[1:])
    elif words[0] in ("torchrun", "python"):
        _parse_module(words)
    elif words[0] == "dvc":
        _parse_dvc(words[1:])
    else:
        raise AssertionError(f"{words[0]!r} is no program of the docs")


def parse_cxrfuture(words: list[str]) -> None:
    """Give the words to click, which checks commands, options and how many arguments there are."""
    group: click.Command = typer.main.get_command(cxrfuture.app)
    context = click.Context(group, info_name="cxrfuture")
    names = list(words)
    while hasattr(group, "commands") and names and not names[0].startswith("-"):
        found = group.commands.get(names[0])
        assert found is not None, f"cxrfuture has no command {names[0]!r}"
        context = click.Context(found, parent=context, info_name=names.pop(0))
        group = found
    numbers = [word if word not in ("N", "COUNT") else "2" for word in names]
    if not hasattr(group, "commands"):
        group.make_context(context.info_name, numbers, parent=context.parent)


def _parse_module(words: list[str]) -> None:
    if "-m" in words:
        module = words[words.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None, f"no module {module}"
        if module == "cxrfuture":
            parse_cxrfuture(words[words.index("-m") + 2 :])
    else:
        script = next(word for word in words[1:] if word.endswith(".py"))
        assert (ROOT / script).exists() or script in _written(), f"no file {script}"


@cache
def _written() -> set[str]:
    """The files that blocks of the docs are."""
    return {block.file for path in pages() for block in read_blocks(path) if block.file}


def _parse_dvc(words: list[str]) -> None:
    names: set[str] = set()
    for file in ("dvc.yaml", "train/study/dvc.yaml", "train/experiment/dvc.yaml"):
        names |= set(yaml.safe_load((ROOT / file).read_text())["stages"])
    assert words[0] in ("repro", "metrics", "plots", "status", "dag", "stage"), words
    if words[0] == "repro":
        for target in (word for word in words[1:] if not word.startswith("-")):
            assert target.partition("@")[0] in names, f"no stage {target}"


def _parts(text: str) -> list[list[str]]:
    """The words of the commands of a line, without comments."""
    words = shlex.split(text, comments=True)
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";", "|", ">"):
            parts.append([word])
        else:
            parts[-1].append(word)
    kept = [part for part in parts if part[:1] != [">"]]  # where to is no command
    return [part[1:] if part[:1] in (["&&"], [";"], ["|"]) else part for part in kept]


def _stand_in(word: str) -> str:
    for name, value in STANDS_FOR.items():
        word = re.sub(rf"(?<![\w/]){re.escape(name)}(?!\w)", value, word)
    return word


def _expand(words: list[str]) -> list[str]:
    return [found for word in words for found in _matches(word)]


def _matches(word: str) -> list[str]:
    """As a shell does: what a pattern names, or the word itself."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


def _shorten(words: list[str]) -> list[str]:
    if words[:1] in (["train"], ["sweep"]) and len(words) > 1:
        return _shorten_training(words)
    for start, more in SHORTER.items():
        if tuple(words[: len(start)]) == start:
            return [*words, *more]  # of options that are given twice the last counts
    return words


def _shorten_training(words: list[str]) -> list[str]:
    """The configuration's tiny sibling, for two steps, into the folder of the one named."""
    config = words[1]
    if not config.endswith(".yaml"):
        name = re.sub(r"-(tiny|published|null)$", "", config)
        words = [words[0], f"{name}-tiny", *words[2:]]
    if words[0] == "sweep":
        words = [*words, "--draws", "1"]
    elif "--out" not in words:
        words = [*words, "--out", f"build/train/{Path(config).stem}"]
    changes = [f"{key}={value}" for key, value in SHORT_TRAINING.items()]
    if "fusion" in config:  # a stay of valid has no label of both classes
        changes.append("select_by=loss")
    return [*words, *(part for change in changes for part in ("--set", change))]


def _forget_accelerator() -> None:
    """As in one process a run."""
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
