"""What all ways of the loader's bench share: the batch that each must give, and how it is timed.

A way is a module with ``main(open_batches, prepare)``: ``prepare`` writes its own format from the
arrays of etl/bench_loader_data.py, untimed; ``open_batches`` makes the dataset and gives, for the
number of an epoch, its batches in a new random order.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

FIRST = 64  # samples whose shards are counted: the quality of the shuffle
LOOK_AT = 32  # batches, after which the memory is looked at
FACTS = "result: "  # before the line that holds them; libraries print lines of their own

# samples of an item: latents (4, C, h, w), hours (T, 17), labels (14,), gap, shard
Item = Mapping[str, Any]
Tensors = dict[str, torch.Tensor]
Epochs = Callable[[int], Iterator[Tensors]]


@dataclass(frozen=True)
class Options:
    """``source``: a folder or URL. ``prepared``: the same as a folder, to count shards from.
    ``cache``: an empty folder for what is fetched from a URL."""

    source: str
    prepared: str
    cache: str
    batch_size: int
    workers: int
    seed: int
    epochs: int


def collate(items: Sequence[Item]) -> Tensors:
    """The batch: hours as measured, padded to the longest window, with flags of what is real."""
    hours = [np.asarray(item["hours"]) for item in items]
    lengths = np.array([len(one) for one in hours])
    is_hour = np.arange(lengths.max())[None, :] < lengths[:, None]
    padded = np.zeros((*is_hour.shape, hours[0].shape[1]), np.float32)
    padded[is_hour] = np.concatenate(hours)
    latents = [np.asarray(item["latents"]) for item in items]
    return {
        "previous": torch.from_numpy(np.stack([one[:2] for one in latents])),
        "target": torch.from_numpy(np.stack([one[2:] for one in latents])),
        "hours": torch.from_numpy(padded),
        "is_hour": torch.from_numpy(is_hour),
        "labels": torch.from_numpy(np.stack([np.asarray(item["labels"]) for item in items])),
        "gap": torch.tensor([float(item["gap"]) for item in items]),
        "shard": torch.tensor([int(item["shard"]) for item in items]),
    }


class Arrays:
    """The samples as items, from the arrays' folder; memory-mapped, or held in memory."""

    def __init__(self, folder: Path, *, in_memory: bool = False) -> None:
        mode: Any = None if in_memory else "r"
        names = ("latents", "hours", "labels", "gap", "lengths")
        found = {name: np.load(folder / f"{name}.npy", mmap_mode=mode) for name in names}
        self._found = found
        self._ends = np.cumsum(found["lengths"])

    def __len__(self) -> int:
        return len(self._ends)

    def item(self, number: int, shard: int) -> dict[str, Any]:
        end = int(self._ends[number])
        start = end - int(self._found["lengths"][number])
        found = {name: self._found[name][number] for name in ("latents", "labels", "gap")}
        return found | {"hours": self._found["hours"][start:end], "shard": shard}


def main(
    open_batches: Callable[[Options], Epochs], prepare: Callable[[Path, Path], None] | None = None
) -> None:
    """``prepare ARRAYS FOLDER``, or ``read SOURCE`` with options, which prints a line of JSON."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("prepare")
    writing.add_argument("arrays", type=Path)
    writing.add_argument("folder", type=Path)
    reading = commands.add_parser("read")
    reading.add_argument("source")
    reading.add_argument("prepared")
    reading.add_argument("--cache", default="")
    for name, value in {"batch-size": 64, "workers": 0, "seed": 0, "epochs": 2}.items():
        reading.add_argument(f"--{name}", type=int, default=value)
    given = vars(parser.parse_args())
    if given.pop("command") == "prepare":
        if prepare is not None:
            prepare(given["arrays"], given["folder"])
        return
    print(FACTS + json.dumps(measure(open_batches, Options(**given))), flush=True)


def measure(open_batches: Callable[[Options], Epochs], options: Options) -> dict[str, Any]:
    """Read ``epochs`` whole epochs. The first begins with the making of the dataset, and has a
    pause to look at the memory, which is not counted."""
    torch.set_num_threads(1)
    facts: dict[str, Any] = {"start_seconds": seconds_of_process(), "epochs": []}
    began = time.perf_counter()
    epochs = open_batches(options)
    for number in range(options.epochs):
        began = began if number == 0 else time.perf_counter()
        pause, samples = 0.0, 0
        shards: list[int] = []
        for batch in epochs(number):
            if samples == 0:
                first = time.perf_counter() - began
            samples += len(batch["labels"])
            if len(shards) < FIRST:
                shards += batch["shard"].tolist()
            if "memory" not in facts and samples >= LOOK_AT * options.batch_size:
                looked = time.perf_counter()
                facts["memory"] = memory_of_processes(options.workers)
                pause = time.perf_counter() - looked
        seconds = time.perf_counter() - began - pause
        facts["epochs"].append({"samples": samples, "seconds": seconds, "first_batch": first})
        if number == 0:
            facts["shards"] = len(set(shards[:FIRST]))
            facts.setdefault("memory", memory_of_processes(options.workers))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return facts | {"peak_mb": usage.ru_maxrss / 1024}


def seconds_of_process() -> float:
    """Since this process began: Python's start and the imports."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def memory_of_processes(workers: int) -> dict[str, Any]:
    """Megabytes in use now: a page that processes share is split between them (PSS). Of the
    processes started from here the largest are the workers; others keep watch, or are curl."""
    found = sorted(_pss(pid) for pid in _descendants(os.getpid()))
    return {"process_mb": _pss(os.getpid()), "worker_mb": found[-workers:] if workers else []}


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return children + [one for child in children for one in _descendants(child)]


def _pss(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
