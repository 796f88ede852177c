"""What git holds: the files of a tree, the contents of its index, and every content it ever had."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from cxrfuture_data.schema import ContractError
from etl.guard_hit import READ_BYTES
from etl.guard_table import TAIL_BYTES, Content

SUBMODULE = "160000"


@dataclass(frozen=True)
class Item:
    """A file to look at. ``read``: its content and the sha256 of all of it ("" if it is too long to
    be read whole); None if it is no longer there. OSError if it cannot be read. Of git's contents
    each is read before the next is taken."""

    path: str
    read: Callable[[], tuple[Content, str] | None]
    blob: str = ""


def find_top(folder: Path) -> Path | None:
    """The top of the tree that a folder is in; None outside of git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--show-toplevel"], capture_output=True
        )
    except FileNotFoundError:
        raise ContractError("git is not installed; install it, or name the files to scan") from None
    return Path(os.fsdecode(done.stdout.rstrip(b"\n"))) if done.returncode == 0 else None


def git(top: Path, *arguments: str) -> bytes:
    """What a git command prints."""
    done = subprocess.run(["git", "-C", str(top), *arguments], capture_output=True)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise ContractError(f"git {arguments[0]}: {said[-1]}")
    return done.stdout


def tree_items(top: Path, paths: Sequence[Path]) -> list[Item]:
    """Files tracked, and those that are neither tracked nor ignored; below ``paths`` if any. A
    file that is named is looked at, ignored or not; so is a folder of ignored files."""
    if not paths:
        return [file_item(top, name) for name in _listed(top)]
    names: list[str] = []
    for path in paths:
        below = os.path.relpath(os.path.abspath(path), top)  # noqa: PTH100 - links stay links
        if not os.path.lexists(path):
            raise ContractError(f"{path}: no such file or folder")
        if path.is_symlink() or not path.is_dir():
            names.append(below)
            continue
        inside = [] if below.startswith("..") else _listed(top, below)
        names += inside or walk(top, path)
    return [file_item(top, name) for name in dict.fromkeys(names)]


def walk(top: Path, folder: Path) -> list[str]:
    """All files below a folder, named from ``top``; links are not followed."""
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        links = [name for name in folders if Path(place, name).is_symlink()]
        names += [os.path.relpath(Path(place, name), top) for name in sorted(files + links)]
    return names


def staged_items(top: Path) -> Iterator[Item]:
    """What the next commit would change or add, as the index holds it."""
    raw = git(
        top, "diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--diff-filter=d"
    )
    words = raw.split(b"\0")
    found = []
    for facts, name in zip(words[::2], words[1::2], strict=False):
        _, mode, _, blob, _ = facts.decode().split(" ")
        if mode != SUBMODULE:
            found.append((blob, os.fsdecode(name)))
    yield from _blobs(top, found)


def history_blobs(top: Path) -> list[tuple[str, str]]:
    """Every content of every commit of every branch, with one of its paths."""
    listed = git(top, "rev-list", "--objects", "--all")
    names = dict(
        line.split(b" ", 1) for line in listed.splitlines() if b" " in line and line[-1:] != b" "
    )
    checked = subprocess.run(
        ["git", "-C", str(top), "cat-file", "--batch-check=%(objectname) %(objecttype)"],
        input=b"\n".join(names) + b"\n",
        capture_output=True,
        check=True,
    ).stdout
    blobs = [line.split(b" ")[0] for line in checked.splitlines() if line.endswith(b" blob")]
    return [(blob.decode(), os.fsdecode(names[blob])) for blob in blobs]


def history_items(top: Path, blobs: Sequence[tuple[str, str]]) -> Iterator[Item]:
    """The contents of ``history_blobs``."""
    yield from _blobs(top, blobs)


def commit_messages(top: Path) -> list[tuple[str, bytes]]:
    """The short name and the message of every commit."""
    if not git(top, "rev-list", "--all", "--max-count=1"):
        return []
    entries = git(top, "log", "--all", "-z", "--format=%h%n%B").split(b"\0")
    return [
        (name.decode(), text) for name, _, text in (entry.partition(b"\n") for entry in entries)
    ]


def commit_of(top: Path, blob: str) -> str:
    """The short name of the oldest commit that has a content; "" if none is found."""
    found = git(top, "log", "--all", "--format=%h", f"--find-object={blob}").split()
    return found[-1].decode() if found else ""


def _listed(top: Path, *below: str) -> list[str]:
    literal = (
        "--literal-pathspecs",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    )
    names = git(top, *literal, "--", *below).split(b"\0")
    return [os.fsdecode(name) for name in sorted(set(names)) if name and name[-1:] != b"/"]


def file_item(top: Path, name: str) -> Item:
    """A file of the disk, named from ``top``."""
    return Item(name, partial(read_file, top / name))


def read_file(path: Path) -> tuple[Content, str] | None:
    """A file's first and last bytes; of a link, where it points. None for what is no file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # deleted, not yet committed so
        return None
    if stat.S_ISLNK(mode):
        target = os.fsencode(os.readlink(path))  # noqa: PTH115 - bytes that may be no text
        return Content.of(target), sha256(target).hexdigest()
    if not stat.S_ISREG(mode):
        return None
    with path.open("rb") as handle:
        head = handle.read(READ_BYTES)
        size = os.fstat(handle.fileno()).st_size
        if size <= len(head):
            return Content.of(head), sha256(head).hexdigest()
        handle.seek(max(0, size - TAIL_BYTES))
        return Content(head, handle.read(TAIL_BYTES), size), ""


def _blobs(top: Path, wanted: Sequence[tuple[str, str]]) -> Iterator[Item]:
    """Contents by their names in git, each read from one running `git cat-file`."""
    if not wanted:
        return
    reader = subprocess.Popen(
        ["git", "-C", str(top), "cat-file", "--batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        for blob, path in wanted:
            yield Item(path, partial(_read_blob, reader, blob), blob)
    finally:
        reader.kill()
        reader.communicate()


def _read_blob(reader: "subprocess.Popen[bytes]", blob: str) -> tuple[Content, str]:
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(blob.encode() + b"\n")
    reader.stdin.flush()
    header = reader.stdout.readline().split()
    if len(header) != 3:
        raise ContractError(f"git cat-file: object {blob} is missing; run git fsck")
    size = int(header[2])
    head = reader.stdout.read(min(size, READ_BYTES))
    whole, tail, left = sha256(head), head[-TAIL_BYTES:], size - len(head)
    while left:
        part = reader.stdout.read(min(left, TAIL_BYTES))
        if not part:
            raise ContractError(f"git cat-file: object {blob} is cut; run git fsck")
        whole.update(part)
        tail, left = (tail + part)[-TAIL_BYTES:], left - len(part)
    reader.stdout.read(1)  # the end of the line
    return Content(head, tail, size), whole.hexdigest()
