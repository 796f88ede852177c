"""Progress on the terminal. Counts only: no row, id or text of a patient is ever printed."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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


class Advance(Protocol):
    """Report that ``count`` more units are done, with an optional short note."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


_is_silent: ContextVar[bool] = ContextVar("is_silent", default=False)


def say(line: str) -> None:
    """One line on standard error."""
    if not _is_silent.get():
        console.print(line, markup=False, soft_wrap=True)


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

    def tell(answer: Sequence[Sequence[int]]) -> None:
        seconds = time.monotonic() - started
        if seconds >= SECONDS_BETWEEN_LINES:
            rows = answer[0][0] if answer else 0
            rate = f"{rows / seconds:,.0f} rows/s" if seconds else ""
            say(f"{_place.get()}{name}: {rows:,} rows in {seconds:.1f} s, {rate}")

    yield tell


@contextmanager
def progress(title: str, total: int, unit: str, is_shown: bool = True) -> Iterator[Advance]:
    """A bar on a terminal; elsewhere a line every ten seconds, and one for what took over one."""
    if not is_shown or _is_silent.get():

        def advance_unseen(count: int = 1, note: str = "") -> None:
            """Nothing: another rank, or an outer command, shows the progress."""

        yield advance_unseen
        return

    if console.is_terminal:
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

            yield advance_bar
        return

    started = last = time.monotonic()
    done = 0

    def advance_line(count: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(f"{title}: {done:,} of {total:,} {unit} {note}".rstrip(), file=sys.stderr)

    yield advance_line
    seconds = time.monotonic() - started
    if seconds >= SECONDS_WORTH_A_LINE:
        print(f"{title}: {done:,} of {total:,} {unit} in {seconds:.1f} s", file=sys.stderr)
