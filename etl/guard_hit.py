"""What the guard can find, and what to do about each kind."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["id", "film", "data", "note", "credential", "unread"]

READ_BYTES = 32 * 2**20
"""So much of a file is looked at; what is larger is also named as not read whole."""

NEXT_STEP: dict[Kind, str] = {
    "id": "take it out of git; share rules, not ids",
    "film": "take it out of git, or show a simulated film",
    "data": "take it out of git: what is made from MIMIC is shared on PhysioNet only",
    "note": "take it out of git: notes are never shown to others",
    "credential": "take it out, and change it where it is valid: git keeps what was committed",
    "unread": "look at it yourself",
}


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Something found in one piece of content. ``line`` counts from 1; 0: the file as a whole."""

    kind: Kind
    what: str
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A hit and the file it is in. ``commit``: of the history, the one that brought it."""

    path: str
    line: int
    kind: Kind
    what: str
    next_step: str
    sha256: str
    commit: str = ""

    def text(self) -> str:
        """One line, with control characters of a file's name made harmless."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        commit = f" (commit {self.commit})" if self.commit else ""
        return _printable(f"{place}{commit}: {self.kind}: {self.what}; {self.next_step}")


def within(place: str, hits: Iterable[Hit], line: int | None = None) -> Iterator[Hit]:
    """The hits of a part of a file, which say which part; ``line``: that of all of them."""
    for hit in hits:
        yield replace(hit, what=f"{place}: {hit.what}", line=hit.line if line is None else line)


def next_step(path: str, hit: Hit) -> str:
    """What to do about a finding."""
    if ", output " in hit.what and hit.kind != "credential":
        return f"clear the outputs: jupyter nbconvert --clear-output --inplace {shlex.quote(path)}"
    return NEXT_STEP[hit.kind]


def line_at(text: bytes, offset: int) -> int:
    """The line of an offset, counted from 1."""
    return text.count(b"\n", 0, offset) + 1


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
