"""Blocks fetched by threads before they are asked for, a bounded number ahead, and the bounded
number of files that are open."""

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

THREADS = 8
AHEAD_BLOCKS = 160  # a loader shuffles 128 together, and soon wants all of the next 128
AHEAD_BYTES = 256 * 1024 * 1024
OPEN_BLOCKS = 256  # that were taken; the system allows a process 1,024 files
SECONDS_TO_END = 2.0  # for threads; one that waits for a server longer ends by itself


class Ahead:
    """``fetch`` gives a descriptor of a block; ``size`` its bytes. Starts anew in a forked
    process."""

    def __init__(self, fetch: Callable[[int], int], size: Callable[[int], int]) -> None:
        self._fetch = fetch
        self._size = size
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._expected: deque[int] = deque()
        self._coming: dict[int, Future[int]] = {}  # being fetched, or fetched and not yet taken
        self._taken: OrderedDict[int, int] = OrderedDict()  # least recently taken first
        self._is_closed = False

    def expect(self, blocks: Sequence[int]) -> None:
        """The blocks that will be taken next, in this order, in place of those of before."""
        self._renew()
        with self._changed:
            if self._is_closed:
                raise ValueError("closed")
            self._expected = deque(blocks)
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
            self._run(block, coming)
        try:
            descriptor = coming.result()
        finally:
            with self._changed:
                is_ours = self._coming.get(block) is coming
                if is_ours:
                    del self._coming[block]
                self._changed.notify()
        return self._keep(block, descriptor) if is_ours else self.take(block)

    def close(self) -> None:
        """End the threads and close the files."""
        self._renew()
        with self._changed:
            self._is_closed = True
            self._expected.clear()
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

    def _keep(self, block: int, descriptor: int) -> int:
        with self._changed:
            self._taken[block] = descriptor
            if len(self._taken) > OPEN_BLOCKS:
                _, oldest = self._taken.popitem(last=False)
                os.close(oldest)
        return descriptor

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and not self._has_room():
                    self._changed.wait()
                if self._is_closed:
                    return
                block = self._expected.popleft()
                coming = self._coming[block] = Future()
                self._changed.notify()  # there may be room for one more
            self._run(block, coming)

    def _has_room(self) -> bool:
        """Whether the next expected block may be fetched now."""
        while self._expected and (
            self._expected[0] in self._taken or self._expected[0] in self._coming
        ):
            self._expected.popleft()
        if not self._expected:
            return False
        ahead = sum(map(self._size, self._coming)) + self._size(self._expected[0])
        return not self._coming or (len(self._coming) < AHEAD_BLOCKS and ahead <= AHEAD_BYTES)

    def _run(self, block: int, coming: "Future[int]") -> None:
        """Fetch a block; nobody may want it any more when it is there."""
        try:
            descriptor = self._fetch(block)
        except BaseException as error:
            coming.set_exception(error)
            return
        with self._changed:
            coming.set_result(descriptor)
            if self._coming.get(block) is not coming:
                os.close(descriptor)


def _close(coming: "Future[int]") -> None:
    """Close what was fetched and not taken."""
    if coming.done() and coming.exception() is None:
        os.close(coming.result())
