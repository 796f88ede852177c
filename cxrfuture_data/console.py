"""Progress on the terminal, and lines where there is none. Counts only: no row, id or text of a
patient is ever printed. A command that works gives a sign of life every ten seconds."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False)

SECONDS_BETWEEN_LINES = 10.0
SECONDS_WORTH_A_LINE = 1.0
PATIENCE_AT_FIRST = 3  # times as long, while modules load and nothing says what is done


class Advance(Protocol):
    """Report that ``count`` more units are done, with an optional short note."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


@dataclass
class _Now:
    """What is being done, the innermost last: its words, and since when. ``bars``: those shown."""

    doing: list[tuple[Callable[[], str], float]] = field(default_factory=list)
    bars: int = 0
    said_at: float = 0.0

    @contextmanager
    def do(self, words: Callable[[], str]) -> Iterator[None]:
        entry = (words, time.monotonic())
        self.doing.append(entry)
        try:
            yield
        finally:
            self.doing.remove(entry)


_now = _Now()
_is_silent: ContextVar[bool] = ContextVar("is_silent", default=False)


def say(line: str) -> None:
    """One line on standard error."""
    if not _is_silent.get():
        _now.said_at = time.monotonic()
        console.print(line, markup=False, soft_wrap=True)


@contextmanager
def watched(title: str) -> Iterator[None]:
    """A line after every ten seconds in which nothing was said and no bar is shown: what the body
    is at, and for how long; after thirty where no step of it says. Of several ranks the first
    alone speaks."""
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    is_over = threading.Event()
    _now.said_at = time.monotonic()

    def tell() -> None:
        while not is_over.wait(min(SECONDS_BETWEEN_LINES, 1.0)):
            patience = SECONDS_BETWEEN_LINES * (1 if len(_now.doing) > 1 else PATIENCE_AT_FIRST)
            if time.monotonic() - _now.said_at >= patience and not _now.bars:
                words, since = _now.doing[-1]
                say(f"{words()}: {time.monotonic() - since:.0f} s so far")

    with _now.do(lambda: title):
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            is_over.set()
            teller.join()


@contextmanager
def silence() -> Iterator[None]:
    """Nothing is said meanwhile, for a command that runs stages many times over."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


_place: ContextVar[str] = ContextVar("place", default="")


@contextmanager
def numbered(title: str, number: int, total: int) -> Iterator[None]:
    """Steps of the body are said to be the one ``number`` of ``total``, counted from 1."""
    token = _place.set(f"{title}: step {number} of {total}, ")
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def step(name: str) -> Iterator[Callable[[Sequence[Sequence[int]]], None]]:
    """A line with rows and seconds for what took over ten. The body calls what is yielded with the
    answer of DuckDB: one row, that counts the rows."""
    started = time.monotonic()
    place = _place.get()

    def tell(answer: Sequence[Sequence[int]]) -> None:
        seconds = time.monotonic() - started
        if seconds >= SECONDS_BETWEEN_LINES:
            rows = answer[0][0] if answer else 0
            rate = f"{rows / seconds:,.0f} rows/s" if seconds else ""
            say(f"{place}{name}: {rows:,} rows in {seconds:.1f} s, {rate}")

    with _now.do(lambda: f"{place}{name}"):
        yield tell


@contextmanager
def progress(title: str, total: int | None, unit: str, is_shown: bool = True) -> Iterator[Advance]:
    """A bar on a terminal; elsewhere a line every ten seconds, and one for what took over one.

    ``total``: None where nobody knows it.
    """
    if not is_shown or _is_silent.get():

        def advance_unseen(count: int = 1, note: str = "") -> None:
            """Nothing: another rank, or an outer command, shows the progress."""

        yield advance_unseen
        return

    shown = _bar if console.is_terminal else _lines
    with shown(title, total, unit) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="")

        def advance_bar(count: int = 1, note: str = "") -> None:
            bar.update(task, advance=count, note=note)

        _now.bars += 1
        try:
            yield advance_bar
        finally:
            _now.bars -= 1
            _now.said_at = time.monotonic()


@contextmanager
def _lines(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    started = last = time.monotonic()
    done = 0

    def words() -> str:
        of = "" if total is None else f" of {total:,}"
        return f"{title}: {done:,}{of} {unit}"

    def print_line(line: str) -> None:
        _now.said_at = time.monotonic()
        print(line, file=sys.stderr)

    def advance_line(count: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print_line(f"{words()} {note}".rstrip())

    with _now.do(words):
        yield advance_line
    seconds = time.monotonic() - started
    if seconds >= SECONDS_WORTH_A_LINE:
        print_line(f"{words()} in {seconds:.1f} s")
