"""How one stage stands: what it was last made from, beside what is there now."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from etl.database_url import is_database
from etl.environment import ENVIRONMENT
from etl.flow_pipeline import PARAMS, PIPELINE, Stage, Sums, measure, value_of

State = Literal["built", "stale", "unrecorded", "running", "partial", "missing"]
SIMULATED = "simulate"
MOST_FILES = 20_000  # of a stage, to count; beyond, only that they are there
MOST_BYTES = 1 << 20  # of a file of the build, to hash
MOST_TEXT = 40  # characters of a setting that is shown
LOCKS_OF_DVC = Path(".dvc", "tmp", "rwlock")
ENDS = ("simulation.json", "metrics.json")  # of stages without a record of their cost


@dataclass(frozen=True)
class Standing:
    """One stage. ``reasons``: why it is not built. ``follows``: only because one before it is not.

    ``seconds`` and ``rows``: of the last run. ``samples``: of a dataset, by kind.
    """

    stage: Stage
    state: State
    reasons: tuple[str, ...] = ()
    follows: bool = False
    seconds: float | None = None
    rows: int = 0
    samples: dict[str, int] = field(default_factory=dict)


@dataclass
class Judge:
    """``busy``: outputs that are being written -> the process. ``sources``: MIMIC's folders."""

    root: Path
    params: Mapping[str, Any]
    lock: Mapping[str, Mapping[str, Any]]
    busy: Mapping[str, int]
    sums: Sums
    stages: Sequence[Stage]
    sources: Mapping[str, str]
    known: dict[str, Standing] = field(default_factory=dict)

    def judge(self, stage: Stage) -> Standing:
        """How a stage stands, and the stages before it, each once."""
        if stage.name not in self.known:
            before = [self.judge(other) for other in self._before(stage)]
            late = [s.stage.name for s in before if s.state not in ("built", "unrecorded")]
            state, reasons = self._state(stage)
            follows = bool(late) and state in ("built", "unrecorded")
            if follows:
                state, reasons = "stale", (f"after {', '.join(late)}",)
            is_made = state not in ("missing", "partial")
            cost = _read_json(self._cost_file(stage)) if is_made else {}
            self.known[stage.name] = Standing(
                stage,
                state,
                reasons,
                follows,
                cost.get("seconds"),
                cost.get("rows_written") or 0,
                self._samples(stage) if is_made else {},
            )
        return self.known[stage.name]

    def _before(self, stage: Stage) -> list[Stage]:
        return [
            other
            for other in self.stages
            if other is not stage
            and any(_lies_in(dep, out) for dep in stage.deps for out in other.outs)
        ]

    def _state(self, stage: Stage) -> tuple[State, tuple[str, ...]]:
        outs = [self.root / out for out in stage.outs]
        for out in outs:
            process = self.busy.get(str(out.resolve()))
            if process is not None:
                return "running", (f"process {process} of dvc repro",)
        left = [path for out in outs for path in _left_by_killed(out)]
        if left:
            return "partial", (f"stopped midway: {left[0].relative_to(self.root)}",)
        if not all(out.exists() for out in outs):
            return "missing", ()
        entry = self.lock.get(stage.name)
        if entry is None:
            if not self._has_ended(stage):
                return "partial", ("begun, without a record of its end",)
            return "unrecorded", ("not made by dvc repro, which would ask it again",)
        reasons = tuple(self._changes(stage, entry))
        return ("stale", reasons) if reasons else ("built", ())

    def _changes(self, stage: Stage, entry: Mapping[str, Any]) -> Iterator[str]:
        """What is other than when the stage was last made."""
        if entry.get("cmd") != stage.command:
            yield f"its command in {PIPELINE}"
        made_with = (entry.get("params") or {}).get(PARAMS) or {}
        for key in stage.params:
            was, now = made_with.get(key), value_of(self.params, key)
            if was != now:
                yield from _differences(key, was, now)
        recorded = {dep["path"]: dep for dep in entry.get("deps") or ()}
        for dep in stage.deps:
            said = self._change_of(dep, recorded.get(dep, {}).get("md5"))
            if said:
                yield said
        if stage.word == "ingest":
            yield from self._other_sources(stage)
        for out in entry.get("outs") or ():
            recorded_files = out.get("nfiles", 1)
            if recorded_files > MOST_FILES:
                continue
            files, size = measure(self.root / out["path"])
            if (files, size) != (recorded_files, out.get("size")):
                yield f"{out['path']} is not what DVC recorded: {files:,} files of {size:,} bytes"

    def _change_of(self, dep: str, was: str | None) -> str:
        if was is None:
            return f"{dep} is new to it"
        for stage in self.stages:
            for out in self.lock.get(stage.name, {}).get("outs") or ():
                if out["path"] == dep:
                    return "" if out.get("md5") == was else f"{dep} was made again since"
        path = self.root / dep
        is_built = any(_lies_in(dep, out) for stage in self.stages for out in stage.outs)
        if is_built and (not path.is_file() or path.stat().st_size > MOST_BYTES):
            return ""  # the stage that makes it says more
        if not path.exists():
            return f"{dep} is gone"
        return "" if self.sums.of(dep) == was else f"{dep} changed"

    def _other_sources(self, stage: Stage) -> Iterator[str]:
        """Folders other than those that were read, which only the stage itself would notice."""
        read = _read_json(self.root / stage.outs[0] / "source.json")
        for key, path in self.sources.items():
            source = read.get(key)
            if not isinstance(source, dict) or is_database(path):
                continue
            is_same = (path == SIMULATED) == (source.get("simulated") is True)
            if path != SIMULATED and source.get("simulated") is not True:
                where = Path(path).expanduser()
                is_same = Path(source.get("root", "")).is_relative_to((self.root / where).resolve())
            if not is_same:
                yield f"paths.{key} (or {ENVIRONMENT[key]}) is {path}, and was {_was(source)}"

    def _has_ended(self, stage: Stage) -> bool:
        ends = [self.root / out / name for out in stage.outs for name in ENDS]
        return any(path.exists() for path in (*ends, self._cost_file(stage)))

    def _cost_file(self, stage: Stage) -> Path:
        """Where etl/stage_cost.py writes what the last run took."""
        return (self.root / stage.outs[0]).parent / "metrics" / f"{stage.word}.json"

    def _samples(self, stage: Stage) -> dict[str, int]:
        """Samples by kind, of a dataset."""
        splits = _read_json(self.root / stage.outs[0] / "dataset.json").get("splits", {})
        counts: dict[str, int] = {}
        for kinds in splits.values():
            for kind, entry in kinds.items():
                counts[kind] = counts.get(kind, 0) + entry["samples"]
        return counts


def busy_outputs(root: Path) -> dict[str, int]:
    """Outputs that a live `dvc repro` writes now -> its process, by DVC's own lock file."""
    held = _read_json(root / LOCKS_OF_DVC).get("write", {})
    return {path: holder["pid"] for path, holder in held.items() if _is_alive(holder.get("pid"))}


def _is_alive(process: Any) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, TypeError):
        return False
    return True


def _left_by_killed(out: Path) -> Iterator[Path]:
    """What a killed stage leaves: a folder of work beside its output, files half written in it."""
    for suffix in (".run", ".work"):
        work = out.with_name(out.name + suffix)
        if work.exists():
            yield work
    if out.is_dir():
        yield from sorted(out.glob("*.part"))


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _differences(key: str, was: Any, now: Any) -> Iterator[str]:
    """The settings below a key that differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*was, *now)):
            if was.get(name) != now.get(name):
                yield from _differences(f"{key}.{name}", was.get(name), now.get(name))
        return
    yield f"{key}: {_short(was)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}..."


def _was(source: Mapping[str, Any]) -> str:
    return "simulated" if source.get("simulated") else str(source.get("root"))


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON file as a mapping; empty where there is none, or another hand wrote it."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
