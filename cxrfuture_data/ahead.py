"""Blocks fetched by threads before they are asked for, a bounded number ahead, and the bounded
number of files that are open."""

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeAlias

THREADS = 8
AHEAD_BLOCKS = 160  # a loader shuffles 128 together, and soon wants all of the next 128
AHEAD_BYTES = 256 * 1024 * 1024
OPEN_BLOCKS = 256  # that were taken; the system allows a process 1,024 files
SECONDS_TO_END = 2.0  # for threads; one that waits for a server longer ends by itself

Coming: TypeAlias = "Future[int]"


class Ahead:
    """``fetch`` gives a descriptor of a block, or, unless told to wait, None while another process
    fetches it; ``size`` gives its bytes. Starts anew in a forked process."""

    def __init__(
        self, fetch: Callable[[int, bool], int | None], size: Callable[[int], int]
    ) -> None:
        self._fetch = fetch
        self._size = size
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._expected: deque[int] = deque()
        self._busy: deque[int] = deque()  # expected, and another process was at it
        self._coming: dict[int, Coming] = {}  # being fetched, or fetched and not yet taken
        self._taken: OrderedDict[int, int] = OrderedDict()  # least recently taken first
        self._is_closed = False

    def expect(self, blocks: Sequence[int]) -> None:
        """The blocks that will be taken next, in this order, in place of those of before."""
        self._renew()
        with self._changed:
            if self._is_closed:
                raise ValueError("closed")
            self._expected = deque(blocks)
            self._busy.clear()
            for block in self._coming.keys() - set(blocks):
                _close(self._coming.pop(block))
            self._changed.notify_all()
            missing = min(THREADS, len(blocks)) - len(self._threads)
            for _ in range(missing):
                thread = threading.Thread(target=self._work, name="cxrfuture-fetch", daemon=True)
                self._threads.append(thread)
                thread.start()

    def take(self, block: int) -> int:
        """The descriptor of a block. It stays open until OPEN_BLOCKS others were taken."""
        if self._process != os.getpid():
            self._renew()
        with self._changed:
            if block in self._taken:
                self._taken.move_to_end(block)
                return self._taken[block]
            if self._is_closed:
                raise ValueError("closed")
            coming = self._coming.get(block)
            is_new = coming is None
            if coming is None:
                coming = self._coming[block] = Future()
        if is_new:
            self._run(block, coming, is_waiting=True)
        descriptor = self._receive(block, coming)
        return self.take(block) if descriptor is None else descriptor

    def close(self) -> None:
        """End the threads and close the files."""
        self._renew()
        with self._changed:
            self._is_closed = True
            self._expected.clear()
            self._busy.clear()
            while self._coming:
                _close(self._coming.popitem()[1])
            while self._taken:
                os.close(self._taken.popitem()[1])
            self._changed.notify_all()
        deadline = time.monotonic() + SECONDS_TO_END
        for thread in self._threads:
            if thread is not threading.current_thread():  # which may have collected the garbage
                thread.join(max(0.0, deadline - time.monotonic()))

    def _renew(self) -> None:
        """In a forked process there are no threads, and who held the lock is not here."""
        if self._process != os.getpid():
            for descriptor in self._taken.values():
                os.close(descriptor)
            self._begin()

    def _receive(self, block: int, coming: Coming) -> int | None:
        """Wait for a block and take it; None if it must be asked for anew."""
        try:
            descriptor = coming.result()
        finally:
            with self._changed:
                is_ours = self._coming.get(block) is coming
                if is_ours:
                    del self._coming[block]
                if is_ours and coming.exception() is None:
                    self._taken[block] = coming.result()
                if len(self._taken) > OPEN_BLOCKS:
                    _, oldest = self._taken.popitem(last=False)
                    os.close(oldest)
                self._changed.notify()
        return descriptor if is_ours else None

    def _work(self) -> None:
        while True:
            with self._changed:
                chosen = self._choose()
                while chosen is None and not self._is_closed:
                    self._changed.wait()
                    chosen = self._choose()
                if chosen is None:
                    return
                block, is_waiting = chosen
                coming = self._coming[block] = Future()
                self._changed.notify()  # there may be room for one more
            self._run(block, coming, is_waiting)

    def _choose(self) -> tuple[int, bool] | None:
        """The block to fetch now, if there is room, and whether to wait for another process: first
        comes what no other process is at."""
        for queue in (self._expected, self._busy):
            while queue and (queue[0] in self._taken or queue[0] in self._coming):
                queue.popleft()
        if self._expected and self._has_room(self._expected[0]):
            return self._expected.popleft(), False
        return (self._busy.popleft(), True) if self._busy else None

    def _has_room(self, block: int) -> bool:
        ahead = [*self._coming, *self._busy]
        is_small = sum(map(self._size, ahead)) + self._size(block) <= AHEAD_BYTES
        return not ahead or (len(ahead) < AHEAD_BLOCKS and is_small)

    def _run(self, block: int, coming: Coming, is_waiting: bool) -> None:
        """Fetch a block; nobody may want it any more when it is there."""
        try:
            descriptor = self._fetch(block, is_waiting)
        except BaseException as error:
            coming.set_exception(error)
            return
        with self._changed:
            is_wanted = self._coming.get(block) is coming
            if descriptor is None and is_wanted:
                del self._coming[block]
                self._busy.append(block)
            elif descriptor is not None and not is_wanted:
                os.close(descriptor)
            coming.set_result(-1 if descriptor is None else descriptor)


def _close(coming: Coming) -> None:
    """Close what was fetched and not taken."""
    if coming.done() and coming.exception() is None:
        os.close(coming.result())
