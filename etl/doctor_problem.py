"""What stands in the way of a run: what, the value found, the next step. Never an id."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from cxrfuture_data.schema import ContractError

Level = Literal["fails", "warning"]

# Patients, admissions, stays and studies have ids of eight digits; an error may name one.
_ID = re.compile(r"(?<!\d)[1-5]\d{7}(?!\d)")


@dataclass(frozen=True)
class Problem:
    """One line. ``fails``: a run of the recipes in the params would stop there."""

    level: Level
    what: str
    found: str
    next_step: str


@dataclass
class Problems:
    """Collected in the order they were met."""

    found: list[Problem] = field(default_factory=list)

    @property
    def failing(self) -> bool:
        return any(problem.level == "fails" for problem in self.found)

    def add(self, what: str, found: str, next_step: str, level: Level = "fails") -> None:
        self.found.append(Problem(level, what, _ID.sub("<id>", found), _ID.sub("<id>", next_step)))

    @contextmanager
    def caught(self, what: str, level: Level = "fails") -> Iterator[None]:
        """What a stage would refuse, or the file system, is a problem and no end."""
        try:
            yield
        except ContractError as error:
            text = str(error).removeprefix(f"{what}: ")
            found, _, next_step = text.rpartition("; ")
            self.add(what, found or text, next_step if found else "see the message", level)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            next_step = "make room or set rights there, then run it again"
            self.add(what, f"{error.strerror or error}{where}", next_step, level)
