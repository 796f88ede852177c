"""A csv or csv.gz as blocks of whole records, hashed and checked while it is read.

Every byte passes through zlib's own checksum, so a file that is cut or damaged anywhere is an
error and never a shorter table. (DuckDB 2.0 reads a .gz whose checksum is wrong without a word.)
"""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cxrfuture_data.schema import ContractError

BLOCK_BYTES = 16 << 20
LARGEST_RECORD_BYTES = 256 << 20
READ_BYTES = 256 << 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP = 31  # zlib's window size for a gzip member with header and checksum


class SourceFile:
    """One pass over a csv; ``sha256`` (of the file as it lies on disk) is known after the pass."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        self.ends_in_line_end = True
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Blocks that end where a record ends; the first one starts with the header."""
        parts: list[bytes] = []
        size = 0
        is_first = True
        for part in self._text():
            if is_first:
                part = part.removeprefix(BYTE_ORDER_MARK)
                is_first = False
            parts.append(part)
            size += len(part)
            if size < block_bytes:
                continue
            text = b"".join(parts)
            end = _end_of_last_record(text)
            if end == 0 and size > LARGEST_RECORD_BYTES:
                raise ContractError(
                    f"{self.path}: a record is longer than {LARGEST_RECORD_BYTES >> 20} MB, so a"
                    " quoted field is not closed; compare the file with its SHA256SUMS.txt"
                )
            if end:
                yield text[:end]
            parts, size = [text[end:]], len(text) - end
        rest = b"".join(parts)
        if rest.count(b'"') % 2:
            raise ContractError(
                f"{self.path}: ends inside a quoted field; it was cut short, copy it again"
            )
        if rest:
            self.ends_in_line_end = rest.endswith(b"\n")
            yield rest

    def _text(self) -> Iterator[bytes]:
        with self.path.open("rb") as handle:
            yield from self._inflated(handle) if self.path.suffix == ".gz" else self._raw(handle)

    def _raw(self, handle: BinaryIO) -> Iterator[bytes]:
        while part := handle.read(READ_BYTES):
            self._hash.update(part)
            self.bytes_read += len(part)
            yield part

    def _inflated(self, handle: BinaryIO) -> Iterator[bytes]:
        member = zlib.decompressobj(GZIP)
        is_open = False
        for part in self._raw(handle):
            rest = part
            while rest:
                try:
                    text = member.decompress(rest)
                except zlib.error as error:
                    raise ContractError(
                        f"{self.path}: damaged gzip near byte {self.bytes_read:,} ({error});"
                        " copy it again"
                    ) from None
                is_open = not member.eof
                if text:
                    yield text
                rest = member.unused_data
                if member.eof:
                    rest = rest.lstrip(b"\0")  # padding that some archivers append
                    member = zlib.decompressobj(GZIP)
        if is_open:
            raise ContractError(
                f"{self.path}: truncated gzip, it ends after {self.bytes_read:,} bytes in the"
                " middle of its data; copy it again"
            )


def _end_of_last_record(text: bytes) -> int:
    """Just after the last line end that is not inside quotes; 0 if there is none.

    ``text`` starts at a record, so a line end is outside quotes when the quotes before it are even
    in number (a quote within a quoted field is written twice).
    """
    end = text.rfind(b"\n") + 1
    quotes = text.count(b'"', 0, end)
    while end and quotes % 2:
        earlier = text.rfind(b"\n", 0, end - 1) + 1
        quotes -= text.count(b'"', earlier, end)
        end = earlier
    return end
