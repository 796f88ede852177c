"""One source file: is it there, is it the kind of file it says, is it whole, is it the release's.

Cheap looks read the first and last bytes. A small table is then read whole by ingest's own reader;
of a large one only its sha256, or without one its own checksum, says for certain that it is whole.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cxrfuture_data.schema import ContractError
from etl.source_file import SourceFile

GZIP_START = b"\x1f\x8b\x08"
TRAILER_BYTES = 8  # checksum and length (mod 2**32) of what was compressed
LEAST_GZIP_BYTES = 18
# Deflate gives at most 1,032 bytes for one.
MOST_INFLATION = 1032
READ_BYTES = 1 << 20
DEPTHS = ("none", "sizes", "sums")


def damage_at_the_ends(path: Path) -> str | None:
    """What the first and last bytes of a table's file give away; None: nothing."""
    size = path.stat().st_size
    if not size:
        return "empty"
    if path.suffix == ".parquet":
        try:
            pq.read_metadata(path)
        except (pa.ArrowException, OSError):
            return "not a whole Parquet file"
        return None
    with path.open("rb") as handle:
        start = handle.read(512)
        handle.seek(max(0, size - TRAILER_BYTES))
        trailer = handle.read()
    if start.lstrip()[:1] == b"<":
        return "a web page, not a table"
    return _damage_of_gzip(start, trailer, size) if path.suffix == ".gz" else None


def _damage_of_gzip(start: bytes, trailer: bytes, size: int) -> str | None:
    if not start.startswith(GZIP_START):
        return "not gzip"
    if size < LEAST_GZIP_BYTES:
        return f"only {size} bytes of gzip"
    if not any(trailer):
        return "ends in zeros: space was reserved for it and not filled"
    length = int.from_bytes(trailer[4:], "little")
    if size * MOST_INFLATION < 1 << 32 and length > size * MOST_INFLATION:
        return "truncated gzip: its last bytes are not those of an end"
    return None


def damage_by_checksum(
    path: Path, expected_sha256: str | None, tell: Callable[[int], None]
) -> str | None:
    """Read the whole file: against the release's sha256, else against gzip's own checksum.

    ``tell`` takes the bytes read since it was last called.
    """
    if expected_sha256 is not None:
        found = hashlib.sha256()
        with path.open("rb") as handle:
            while part := handle.read(READ_BYTES):
                found.update(part)
                tell(len(part))
        if found.hexdigest() != expected_sha256:
            return f"not what SHA256SUMS.txt names (sha256 starts with {found.hexdigest()[:12]})"
        return None
    if path.suffix != ".gz":
        return None
    source, told = SourceFile(path), 0
    try:
        for _ in source.blocks():
            tell(source.bytes_read - told)
            told = source.bytes_read
    except ContractError as error:
        return str(error).partition(": ")[2].partition(";")[0]
    return None
