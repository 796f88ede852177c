"""Bench of the loader: samples a second and time to the first batch, against other loaders on the
same samples, from a folder and from a server of the S3 protocol on 127.0.0.1.

Each reading is a child process of its own, and in each round the ways take turns, so all meet the
same weather. Locally a child reads two epochs, and the second counts; from the server it reads one
with nothing cached, which counts from the making of the dataset on. The system has the files in
memory.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cxrfuture_data.console import progress
from etl.bench_loader_data import write_data
from etl.bench_loader_peers import PEERS, NotInstalled, peer_python
from etl.bench_loader_run import WAYS, Failed, Place, Reading, Way, prepare, read_once
from etl.bench_loader_server import serve_folder
from etl.bench_loader_sum import LOCAL, REMOTE, ratios, summarize
from etl.bench_peer.reading import FIRST

ABOUT = (
    "Medians of rounds in turn. first: seconds from the making of the dataset to the first batch;"
    " start: of Python and imports; MB: in use (PSS), the process, and each worker; shards:"
    f" distinct ones among the first {FIRST} samples. Local: second epoch of a process; remote:"
    " one epoch, nothing cached, from the making of the dataset. Ours gives the whole view"
    " ddl_cxr.pair (hours imputed, one-hot, normalised: 79 columns), the others 17 variables as"
    " measured, as `ours, as measured` does."
)


@dataclass(frozen=True)
class LoaderBench:
    """``peers``: where their environments are kept. ``ways``: names in WAYS."""

    peers: Path
    samples: int
    batch_size: int
    rounds: int
    seed: int
    has_remote: bool
    ways: Sequence[str]
    workers: Sequence[int]


@dataclass(frozen=True)
class _Turn:
    """A way in one place, with so many workers, and what its readings gave."""

    way: Way
    place: str
    reading: Reading
    facts: list[dict[str, Any]]


def run_loader_bench(bench: LoaderBench, as_json: bool = False) -> None:
    """Print what ``bench_loader`` measures."""
    result = bench_loader(bench)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    console = Console()
    console.print(_table(result))
    for word in (*_words(result), ABOUT):
        console.print(word)
    for name, value in result.items():
        if name.startswith("ratio_"):
            console.print(f"{name}: {'-' if value is None else f'{value:.2f}'}")


def bench_loader(bench: LoaderBench) -> dict[str, Any]:
    """Measure: by place, workers and way what ``summarize`` gives, or a word why there is nothing;
    and the ratios."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
        root = Path(folder) / "root"
        write_data(root, bench.samples, bench.seed)
        turns = _turns(bench)
        pythons, words = _prepare_all([WAYS[name] for name in bench.ways], bench.peers, root)
        with serve_folder(root) as url:
            places = {LOCAL: Place(root), REMOTE: Place(root, url)}
            total = bench.rounds * len(turns)
            with progress("bench", total, "readings") as advance:
                for turn in turns * bench.rounds:
                    _take(turn, pythons.get(turn.way.name), places[turn.place], words)
                    advance(1, f"{turn.way.name}, {turn.place}")
    found: dict[str, dict[str, Any]] = {
        place: {str(workers): {} for workers in bench.workers} for place in (LOCAL, REMOTE)
    }
    for turn in turns:
        word = words.get(_name(turn)) or words.get(turn.way.name)
        summary = {"word": word} if word else summarize(turn.facts)
        found[turn.place][str(turn.reading.workers)][turn.way.name] = summary
    sizes = {"samples": bench.samples, "batch_size": bench.batch_size, "rounds": bench.rounds}
    return {**sizes, **found, **ratios(found)}


def _turns(bench: LoaderBench) -> list[_Turn]:
    places = (LOCAL, REMOTE) if bench.has_remote else (LOCAL,)
    return [
        _Turn(WAYS[name], place, Reading(bench.batch_size, workers, bench.seed), [])
        for place in places
        for workers in bench.workers
        for name in bench.ways
        if place == LOCAL or WAYS[name].url is not None
    ]


def _prepare_all(
    ways: Sequence[Way], peers: Path, root: Path
) -> tuple[dict[str, Path], dict[str, str]]:
    """The interpreter of each way, and of those that cannot be read a word why."""
    pythons: dict[str, Path] = {}
    words: dict[str, str] = {}
    with progress("prepare", len(ways), "ways") as advance:
        for way in ways:
            try:
                python = Path(sys.executable)
                if way.peer is not None:
                    python = peer_python(PEERS[way.peer], peers)
                prepare(way, python, root)
                pythons[way.name] = python
            except NotInstalled as error:
                words[way.name] = f"not installed: {error}"
            except Failed as error:
                words[way.name] = f"failed: {error}"
            advance(1, way.name)
    return pythons, words


def _name(turn: _Turn) -> str:
    return f"{turn.way.name}, {turn.place}, {turn.reading.workers} workers"


def _take(turn: _Turn, python: Path | None, place: Place, words: dict[str, str]) -> None:
    """One reading more; of a way that failed here once none."""
    if python is None or _name(turn) in words:
        return
    try:
        turn.facts.append(read_once(turn.way, python, place, turn.reading))
    except Failed as error:
        words[_name(turn)] = f"failed: {error}"


def _table(result: dict[str, Any]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, padding=0)
    for name in ("", "workers", " "):
        table.add_column(name, no_wrap=True)
    for name in ("samples/s", "first", "start", "MB", "worker", "shards"):
        table.add_column(name, justify="right", no_wrap=True)
    for place in (LOCAL, REMOTE):
        for workers, rows in result[place].items():
            for way, facts in rows.items():
                cells = ["-"] if "word" in facts else _cells(facts)
                table.add_row(place, workers, way, *cells, end_section=way == list(rows)[-1])
    return table


def _words(result: dict[str, Any]) -> list[str]:
    """Why rows of the table are empty."""
    found = {
        f"{way}: {facts['word']}"
        for place in (LOCAL, REMOTE)
        for rows in result[place].values()
        for way, facts in rows.items()
        if "word" in facts
    }
    return sorted(found)


def _cells(facts: dict[str, Any]) -> list[str]:
    worker = facts["worker_mb"]
    return [
        f"{facts['samples_per_second']:,.0f}",
        f"{facts['first_batch_seconds']:.3f}",
        f"{facts['start_seconds']:.1f}",
        f"{facts['process_mb']:,.0f}",
        "" if worker is None else f"{worker:,.0f}",
        f"{facts['shards_of_first']:.0f}",
    ]
