"""The worker processes of a loader: tasks go out, filled slots come back in their order."""

import os
import signal
import socket
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrfuture_data.channel import receive, send
from cxrfuture_data.schema import ContractError
from cxrfuture_data.slot import Slot, SlotPool

TASKS_AHEAD = 2  # of a worker: one under way, one to go on with at once


@dataclass(frozen=True)
class Task:
    """A batch to make: the positions of its samples in the columns."""

    epoch: int
    positions: list[int]


@dataclass(eq=False)
class Member:
    """A worker, and the slots it has been told of."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    slots: set[int]


class Crew:
    """Workers start at once and live until ``close``, or as long as this process."""

    def __init__(self, setup: dict[str, Any], workers: int, pool: SlotPool) -> None:
        self.pool = pool
        self.members = [_start(setup) for _ in range(workers)]
        self._under_way: deque[tuple[Member, Slot]] = deque()
        self._finish = weakref.finalize(self, _end, self.members)

    def expect(self, positions: list[list[int]]) -> None:
        """Tell each worker which samples it will be asked for."""
        for member, wanted in zip(self.members, positions, strict=True):
            self._send(member, {"expect": wanted})

    def run(self, tasks: Iterable[Task]) -> Iterator[Slot]:
        """The filled slot of each task, in their order; task n is worker n's, in turn."""
        while self._under_way:  # of an epoch that was left half-way: nobody waits for it any more
            self.pool.give_back(self._await()[0])
        for number, task in enumerate(tasks):
            if len(self._under_way) == TASKS_AHEAD * len(self.members):
                yield self._next()
            member = self.members[number % len(self.members)]
            slot = self.pool.take()
            self._under_way.append((member, slot))
            self._ask(member, slot, task, number)
        while self._under_way:
            yield self._next()

    def _ask(self, member: Member, slot: Slot, task: Task, number: int) -> None:
        if slot.number not in member.slots:
            member.slots.add(slot.number)
            message = {"slot": slot.number, "slot_bytes": slot.size}
            self._send(member, message, [slot.file])
        message = {"batch": number, "slot": slot.number, "epoch": task.epoch}
        self._send(member, message | {"positions": task.positions})

    def _send(self, member: Member, message: dict[str, Any], files: Iterable[int] = ()) -> None:
        try:
            send(member.channel, message, list(files))
        except ConnectionError:
            raise self._death(member) from None
        except BaseException:  # interrupted: perhaps with half a message sent
            self.close()
            raise

    def _next(self) -> Slot:
        """The oldest task's slot, filled."""
        slot, reply = self._await()
        if "done" in reply:
            return slot
        self.pool.give_back(slot)
        if "error" in reply:
            raise ContractError(reply["error"])
        raise RuntimeError(f"a worker of the loader failed:\n{reply['failure']}")

    def _await(self) -> tuple[Slot, dict[str, Any]]:
        """The oldest task's slot, and what its worker says of it."""
        member, slot = self._under_way[0]
        try:
            received = receive(member.channel)
        except BaseException:  # interrupted: perhaps with half a message read
            self.close()
            raise
        if received is None:
            raise self._death(member)
        self._under_way.popleft()
        return slot, received[0]

    def _death(self, member: Member) -> ContractError:
        code = member.process.wait()
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; was memory short?" if code == -signal.SIGKILL else ""
        number = self.members.index(member)
        self.close()
        return ContractError(
            f"worker {number} of the loader died ({reason}{hint}); start again from the last "
            "checkpoint, with fewer workers or smaller batches"
        )

    def close(self) -> None:
        """End the workers; nobody writes to a slot any more."""
        self._finish()
        while self._under_way:
            self.pool.give_back(self._under_way.popleft()[1])


def _start(setup: dict[str, Any]) -> Member:
    ours, theirs = socket.socketpair()
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cxrfuture_data.worker", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    send(ours, setup)
    return Member(process, ours, set())


def _end(members: list[Member]) -> None:
    for member in members:
        member.channel.close()  # which a worker takes as the end
    for member in members:
        try:
            member.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()
    members.clear()
