"""A bounded folder on local disk, which the processes of a node share: pieces of shards and whole
files of a dataset on an object store.

Whoever wants what is not there locks its ``.part``; the others wait, and find it published by
rename. The kernel lets go of the lock of a process that died, so the next one goes on. The file
``used`` counts the bytes; when they would pass the limit, the folder is looked through and what was
not used for longest is removed: a process that has it open reads on. Whole files stay as long as a
process that asked for them lives.

A folder that is full or cannot be written stops nobody: pieces are then held in memory.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cxrfuture_data.claim import PART, WAYS, claim, is_at, locked, part_of
from cxrfuture_data.console import say
from cxrfuture_data.memory_file import open_memory_file
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.ranges import RANGE_BYTES, READS, ask, cut_range
from cxrfuture_data.schema import ContractError

PIECES, FILES, USED = "pieces", "files", "used"
FILES_AT_ONCE = 8  # ranges of a file
PROVEN_BYTES = 64 * 1024 * 1024  # of a file whose hash is computed when a process first has it
PARTS_AT_ONCE = 512  # of a write; Linux takes 1,024
DIGITS = 20  # of the count
PATIENCE = 60.0  # seconds for another process to fetch; then it is fetched here too, and not kept

Buffer: TypeAlias = bytes | memoryview

_held: dict[tuple[int, Path], int] = {}  # process, whole file -> descriptor with a shared lock
_said: dict[tuple[Path, int | None], object] = {}  # folder, error


@dataclass(frozen=True)
class Piece:
    """What a piece is called, how long it is, where it comes from, and how one that is there is
    proven; None if it was before."""

    name: str
    size: int
    fetch: Callable[[], Sequence[Buffer]]  # its parts
    is_whole: Callable[[bytes], bool] | None


@dataclass(frozen=True)
class NodeCache:
    """Goes to workers as it is: all it knows is in the folder (0700, its files 0600)."""

    folder: Path
    limit_bytes: int

    def open_piece(self, piece: Piece, is_waiting: bool = True) -> int | None:
        """A descriptor of the piece, which the caller closes; fetched if it is not there, or there
        of another size or with other checksums. While another process fetches it: None, unless
        ``is_waiting``."""
        parts = None
        try:
            path = self._place(PIECES, piece.name)
            while True:
                found = _open_whole(path, piece)
                if found is not None:
                    return found
                with claim(path, PATIENCE if is_waiting else 0.0) as part:
                    if part is None:  # another process had it, and has published it or failed
                        continue
                    self._make_room(part, piece.size)
                    parts = piece.fetch()
                    write_all(part, parts)
                    self._publish(path)
                    return os.dup(part)
        except OSError as error:
            if isinstance(error, TimeoutError) and not is_waiting:
                return None
            self._say_once(error)
        return _hold_in_memory(piece.fetch() if parts is None else parts)

    def fetch_file(self, store: ObjectStore, name: str, sha256: str) -> Path:
        """A whole file of a store, here; it stays at least as long as this process lives."""
        try:
            path = self._place(FILES, sha256)
            while not _hold(path):
                with claim(path, float("inf")) as part:
                    if part is not None:
                        self._copy(store, name, sha256, part, path)
        except OSError as error:
            raise ContractError(
                f"{self.folder}: {_words(error)}, and {store}/{name} must lie on a disk; free space"
                " there, raise the cache's limit, or name another folder"
            ) from None
        return path

    def _copy(self, store: ObjectStore, name: str, sha256: str, part: int, path: Path) -> None:
        """Fetch a file into its part and publish it, if it is the one that is wanted."""
        for _ in range(READS):
            first = ask(store, name, [(0, RANGE_BYTES)])[0]
            size = len(first)
            if size == RANGE_BYTES:  # there may be more
                there = store.look(name)
                size = max(size, there.bytes if there else 0)
            self._make_room(part, size)
            write_all(part, [first])
            _copy_rest(store, name, size, part)
            if file_sha256(part_of(path)) == sha256:
                os.fsync(part)  # a large one is not proven again
                self._publish(path)
                return
        raise ContractError(
            f"{store}/{name}: {size:,} bytes with another sha256 than the dataset says, also when"
            f" read {READS} times; it was changed or damaged: push it again"
        )

    def _place(self, kind: str, name: str) -> Path:
        path = self.folder / kind / name
        if not path.parent.is_dir():
            for folder in (self.folder, path.parent):  # parents would not get the mode
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def _publish(self, path: Path) -> None:
        with locked(self.folder / USED):  # who looks through the folder meanwhile would lose it
            part_of(path).rename(path)

    def _make_room(self, part: int, size: int) -> None:
        """Give a claimed part its size, and remove others so that the limit holds."""
        with locked(self.folder / USED) as counter:
            count = os.pread(counter, DIGITS, 0)
            used = int(count) - os.fstat(part).st_size + size if count.isdigit() else None
            if used is None or used > self.limit_bytes:
                os.ftruncate(part, 0)
                used = _evict(self.folder, max(0, self.limit_bytes * 9 // 10 - size)) + size
            if used > self.limit_bytes:
                raise OSError(errno.EFBIG, f"a limit of {self.limit_bytes:,} bytes has no room")
            os.ftruncate(part, size)
            os.pwrite(counter, f"{used:0{DIGITS}}".encode(), 0)

    def _say_once(self, error: OSError) -> None:
        mark = object()  # one thread alone finds its own
        if _said.setdefault((self.folder, error.errno), mark) is mark:
            say(
                f"{self.folder}: {_words(error)}; pieces of shards are held in memory, and fetched"
                " anew when needed again: free space there, raise the cache's limit, or name"
                " another folder"
            )


def write_all(descriptor: int, parts: Sequence[Buffer], at: int = 0) -> None:
    """Write parts one after the other from a place of a file on."""
    for first in range(0, len(parts), PARTS_AT_ONCE):
        left = [memoryview(part) for part in parts[first : first + PARTS_AT_ONCE]]
        while left:
            written = os.pwritev(descriptor, left, at)
            at += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]


def _words(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return f"cannot be used ({error.strerror or type(error).__name__})"


def _copy_rest(store: ObjectStore, name: str, size: int, part: int) -> None:
    """The ranges behind the first, several at once."""

    def copy(bounds: tuple[int, int]) -> None:
        write_all(part, ask(store, name, [bounds]), bounds[0])

    if size > RANGE_BYTES:
        with ThreadPoolExecutor(FILES_AT_ONCE) as copiers:
            list(copiers.map(copy, cut_range(RANGE_BYTES, size, RANGE_BYTES)))


def _open_whole(path: Path, piece: Piece) -> int | None:
    """A piece that is there and right, marked as used now; a damaged one is removed."""
    try:
        found = os.open(path, os.O_RDONLY | WAYS)
    except FileNotFoundError:
        return None
    try:
        is_whole = os.fstat(found).st_size == piece.size
        if is_whole and piece.is_whole is not None:
            is_whole = piece.is_whole(os.pread(found, piece.size, 0))
        if is_whole:
            os.utime(found)
            return found
        path.unlink(missing_ok=True)
    except BaseException:
        os.close(found)
        raise
    os.close(found)
    return None


def _hold(path: Path) -> bool:
    """Keep a whole file from being removed while this process lives; False if it is not there, or
    is small and was damaged there."""
    key = (os.getpid(), path)
    if key in _held and is_at(_held[key], path):
        return True
    try:
        found = os.open(path, os.O_RDONLY | WAYS)
    except FileNotFoundError:
        return False
    fcntl.flock(found, fcntl.LOCK_SH)
    is_whole = is_at(found, path)
    if is_whole and os.fstat(found).st_size <= PROVEN_BYTES and file_sha256(path) != path.name:
        path.unlink(missing_ok=True)
        is_whole = False
    if not is_whole:
        os.close(found)
        return False
    os.utime(found)
    _held[key] = found
    return True


def _evict(folder: Path, limit: int) -> int:
    """Remove what was not used for longest until the rest has at most ``limit`` bytes, or all of
    it is in use; the bytes of the rest."""
    found: list[tuple[int, int, Path]] = []
    for name in (PIECES, FILES):
        with suppress(FileNotFoundError), os.scandir(folder / name) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
    used = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if used <= limit:
            break
        if _remove_unused(path):
            used -= size
    return used


def _remove_unused(path: Path) -> bool:
    """Remove a piece, or a file or part that no process has locked."""
    is_piece = path.parent.name == PIECES and path.suffix != PART
    try:
        if is_piece:
            path.unlink()
            return True
        descriptor = os.open(path, os.O_RDWR | WAYS)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _hold_in_memory(parts: Sequence[Buffer]) -> int:
    """The descriptor of parts that lie on no disk, where the system has such files."""
    descriptor = open_memory_file("cxrfuture-piece")
    write_all(descriptor, parts)
    return descriptor
