"""Files that appear whole or not at all, and records that say what they were made from.

A writer fills ``name.part`` and renames it; a done record is written last and holds a digest of
everything the file depends on. A killed run therefore leaves either nothing, a ``.part`` that the
next run overwrites, or a finished file.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def publish(path: Path) -> Iterator[Path]:
    """Write to the yielded path; the real name appears only if the body succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
    except BaseException:
        with suppress(OSError):  # of a disk that cannot be written: the first error says more
            part.unlink(missing_ok=True)
        raise
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def put_file(path: Path, data: bytes) -> None:
    """Write a small file whole, while others may be writing the same."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    part.write_bytes(data)
    part.replace(path)


def canonical_json(value: object) -> str:
    """JSON with one spelling per value: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)


def digest(*values: object) -> str:
    """sha256, in hex, of the canonical JSON of the values."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """Publish a value as indented JSON with sorted keys."""
    with publish(path) as part:
        part.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_done(record: Path, made_from: str, facts: Mapping[str, Any] | None = None) -> None:
    """Publish a done record: the digest of what was read, and any facts about what was written."""
    write_json(record, {"made_from": made_from, **(facts or {})})


def read_done(record: Path, made_from: str) -> dict[str, Any] | None:
    """The facts of a done record, or None if it is absent, unreadable or made from other inputs."""
    try:
        facts = json.loads(record.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not isinstance(facts, dict) or facts.get("made_from") != made_from:
        return None
    return facts
