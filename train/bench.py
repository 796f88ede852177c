"""Bench of a training step of DDL-CXR's diffusion model: against the authors' own UNet, and from
cached latents against encoding both films in the loop.

Each way is a child process (train/bench_step.py) that holds a model and one batch; they take turns
of a step each, so all meet the same weather, and the median of the rounds counts. The authors' UNet
is imported from a checkout the user names; ours has its weights, converted by
train/unet_checkpoint.py's own function, and both outputs are compared.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from cxrfuture_data.schema import ContractError
from train.bench_model import AUTHORS, OURS, Order
from train.ddl_cxr import DdlCxrSettings
from train.settings import VaeConfig, read_config
from train.tasks import read_task_settings

AUTHORS_PLAIN = "authors, no checkpointing"  # the same process: less work in more memory
ENCODING = "encoding in the loop"
SMALL = "ddl_cxr-tiny"  # beside the chosen config: what encoding costs a small model


@dataclass(frozen=True)
class TrainBench:
    """What to measure. ``authors``: a checkout of their repository; None: no peer."""

    config: str
    changes: Sequence[str]  # of the config's settings, as --set of `cxrfuture train`
    authors: Path | None
    vae: str  # a shipped config of fit_vae, or a .yaml; its weights are drawn
    batch_size: int
    hours: int
    rounds: int
    small: str | None = SMALL


def run_train_bench(chosen: TrainBench, as_json: bool = False) -> None:
    """Print what ``bench_train`` measures."""
    result = bench_train(chosen)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    console = Console()
    table = Table(
        "", "weights", "seconds, median", "least", "processor seconds", "peak of its process, MB"
    )
    for name, facts in result["ways"].items():
        seconds = (f"{facts[key]:.2f}" for key in ("median", "least", "processor"))
        table.add_row(name, f"{facts['weights']:,}", *seconds, f"{facts['peak_mb']:,.0f}")
    console.print(table)
    console.print(
        f"a step of {result['batch_size']} pairs, latents {result['latent']}, {result['hours']} h,"
        f" float32, {result['threads']} threads; {result['rounds']} rounds in turn, medians"
    )
    for peer, facts in result["peers"].items():
        console.print(
            f"{facts['ratio']:.2f} x as fast as {peer} ({facts['processor_ratio']:.2f} of processor"
            " time)"
        )
    if result["difference"] is not None:
        console.print(f"with equal weights outputs differ by {result['difference']:.1e} at most")
    if not result["peers"]:
        console.print("no peer was measured: give --authors a checkout of the authors' repository")
    for name, facts in result["cached"].items():
        console.print(
            f"{name}: from cached latents {facts['ratio']:.1f} x as fast as encoding both films of"
            f" {result['film_size']} px in the loop ({facts['processor_ratio']:.1f} of processor"
            " time); reading and decoding the films is not counted"
        )


def bench_train(chosen: TrainBench) -> dict[str, Any]:
    """Measure. A ratio above 1: we, or cached latents, are faster."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder, ExitStack() as stack:
        orders = orders_of(chosen, Path(folder))
        children: dict[str, Child] = {}
        for name, order in orders.items():  # the authors' first: ours reads their weights
            children[name] = stack.enter_context(run_child(order, chosen.authors))
        difference = compare(children, Path(folder))
        ways = take_turns(children, chosen.rounds)
        vae = orders[OURS].vae
    side = vae.crop // 2 ** (len(vae.channels) - 1)
    return {
        "batch_size": chosen.batch_size,
        "hours": chosen.hours,
        "rounds": chosen.rounds,
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "latent": f"{vae.latent_channels} x {side} x {side}",
        "film_size": vae.crop,
        "ways": ways,
        "difference": difference,
        "peers": {
            peer: ratios(ways[peer], ways[OURS])
            for peer in (AUTHORS, AUTHORS_PLAIN)
            if peer in ways
        },
        "cached": {
            name: ratios(ways[f"{name}, {ENCODING}"], ways[name])
            for name in children
            if name != AUTHORS
        },
    }


def orders_of(chosen: TrainBench, folder: Path) -> dict[str, Order]:
    """What each child is, by its name."""
    settings = ddl_cxr_settings(chosen.config, chosen.changes)
    vae = read_config(VaeConfig, "fit_vae", chosen.vae)
    orders: dict[str, Order] = {}
    ours = Order(OURS, settings, vae, chosen.batch_size, chosen.hours, None)
    if chosen.authors is not None:
        if not (chosen.authors / "ldm").is_dir():
            raise ContractError(
                f"{chosen.authors}: no folder ldm in it; give --authors a checkout of DDL-CXR's "
                "repository"
            )
        weights = folder / "weights.safetensors"
        ours = replace(ours, weights=weights)
        orders[AUTHORS] = replace(ours, way=AUTHORS)
    orders[OURS] = ours
    if chosen.small is not None:
        small = ddl_cxr_settings(chosen.small, ())
        orders[chosen.small] = replace(ours, settings=small, weights=None)
    return orders


def ddl_cxr_settings(config: str, changes: Sequence[str]) -> DdlCxrSettings:
    """A config of DDL-CXR; another task's has no such peer."""
    settings = read_task_settings(config, changes)
    if not isinstance(settings, DdlCxrSettings):
        raise ContractError(f"{config}: a config of {settings.task}; this bench is of ddl_cxr")
    return settings


class Child:
    """A process that takes steps when told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.weights = int(self._read()["weights"])

    def ask(self, word: str) -> dict[str, Any]:
        """Have it do what a word says (train/bench_step.py), and wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ContractError("a process of the bench ended; was it out of memory?")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContractError(answer["error"])
        return answer


@contextmanager
def run_child(order: Order, authors: Path | None) -> Iterator[Child]:
    """A child with an import path of its own; it ends with the context."""
    path = list(sys.path)
    if order.way == AUTHORS and authors is not None:
        path.insert(0, str(authors.resolve()))  # before any other package that is called ldm
    process = subprocess.Popen(
        [sys.executable, "-m", "train.bench_step", order.line()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
    )
    try:
        yield Child(process)
    finally:
        process.kill()
        process.communicate()


def compare(children: dict[str, Child], folder: Path) -> float | None:
    """The largest difference of the authors' output from ours, on one batch with equal weights."""
    if AUTHORS not in children:
        return None
    found = {}
    for name in (AUTHORS, OURS):
        path = folder / "noise.safetensors"
        children[name].ask(f"predict {path}")
        found[name] = load_file(path)["noise"]
    return float((found[AUTHORS] - found[OURS]).abs().max())


def take_turns(children: dict[str, Child], rounds: int) -> dict[str, dict[str, Any]]:
    """What the steps of each way took, by its name; a first round is not counted."""
    turns = []
    for name in children:
        if name == AUTHORS:
            turns += [(AUTHORS, name, "step"), (AUTHORS_PLAIN, name, "plain")]
        else:
            turns += [(name, name, "step"), (f"{name}, {ENCODING}", name, "encode")]
    took: dict[str, list[dict[str, Any]]] = {way: [] for way, _, _ in turns}
    for number in range(1 + rounds):
        for way, name, word in turns if number % 2 else turns[::-1]:
            facts = children[name].ask(word)
            if number > 0:
                took[way].append(facts)
    return {
        way: summarize(took[way]) | {"weights": children[name].weights} for way, name, _ in turns
    }


def summarize(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, the least seconds, the highest peak."""
    seconds = [facts["seconds"] for facts in steps]
    return {
        "seconds": seconds,
        "median": statistics.median(seconds),
        "least": min(seconds),
        "processor": statistics.median(facts["processor"] for facts in steps),
        "peak_mb": max(facts["peak_mb"] for facts in steps),
    }


def ratios(slow: dict[str, Any], fast: dict[str, Any]) -> dict[str, float]:
    """Of medians; other work on the machine disturbs processor time less."""
    return {
        "ratio": slow["median"] / fast["median"],
        "processor_ratio": slow["processor"] / fast["processor"],
    }
