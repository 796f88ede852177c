"""A bar on a terminal, lines elsewhere, and a sign of life at least every ten seconds."""

import os
import pty
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from cxrfuture_data import console

ROOT = Path(__file__).resolve().parent.parent


def test_off_a_terminal_long_work_ends_with_one_line(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_WORTH_A_LINE", 0.0)
    with console.progress("image", 1200, "films") as advance:
        advance(1000)
        advance(200)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("image: 1,200 of 1,200 films in ")


def test_off_a_terminal_a_line_comes_when_it_is_due(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with console.progress("image", 2, "films") as advance:
        advance(1, "21.0 films/s")
    assert capsys.readouterr().err.splitlines() == ["image: 1 of 2 films 21.0 films/s"]


def test_what_is_done_at_once_says_nothing(capsys):
    with console.progress("check", 0, "samples"):
        pass
    assert capsys.readouterr().err == ""


def test_only_one_rank_shows_its_progress(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_WORTH_A_LINE", 0.0)
    with console.progress("fit_diffusion", 30, "steps", is_shown=False) as advance:
        advance(30)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_on_a_terminal_and_plain_lines_on_a_pipe(is_terminal):
    code = (
        "from cxrfuture_data import console\n"
        "console.SECONDS_BETWEEN_LINES = console.SECONDS_WORTH_A_LINE = 0\n"
        "with console.progress('image', 3, 'films') as advance:\n"
        "    for _ in range(3): advance(1, 'note')\n"
        "with console.progress('guard', None, 'files') as advance: advance()\n"
    )
    command = [sys.executable, "-c", code]
    if is_terminal:
        said = run_on_terminal(command)
        assert "\x1b[" in said  # the bar is drawn over itself
        assert "3/3" in said
        return
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert said.splitlines()[:3] == [f"image: {n} of 3 films note" for n in (1, 2, 3)]
    assert "guard: 1 files" in said
    assert "\x1b" not in said
    assert "\r" not in said


def run_on_terminal(command):
    """What a command says on a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # EIO: the last of the other side has closed
            while piece := os.read(ours, 65536):
                said += piece
        os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


def lines_of(capsys, body, count):
    """What is said until ``count`` lines are there."""
    said = ""
    with body:
        while said.count("\n") < count:
            said += capsys.readouterr().err
    return said.splitlines()[:count]


def test_what_says_nothing_for_long_is_said_to_go_on(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.05)
    with console.watched("cohort"):
        assert set(lines_of(capsys, console.step("cohort/pair"), 2)) == {"cohort/pair: 0 s so far"}
        shown = console.progress("check", 7, "samples")
        assert lines_of(capsys, shown, 1) == ["check: 0 of 7 samples: 0 s so far"]
        assert "cohort: " in lines_of(capsys, nullcontext(), 3)[-1]


def test_the_first_rank_alone_says_so(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    before = threading.active_count()
    with console.watched("train"):
        assert threading.active_count() == before


def test_nothing_is_watched_any_more_afterwards():
    before = threading.active_count()
    with console.watched("event"):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
