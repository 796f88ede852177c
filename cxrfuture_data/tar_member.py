"""One member of a tar, proven to be the one the columns say: by the header that lies before it."""

import os
from dataclasses import dataclass

from cxrfuture_data.places import HEADER
from cxrfuture_data.schema import ContractError
from cxrfuture_data.source import Shards

_NAME, SIZE = slice(0, 100), slice(124, 135)  # in a tar header; the size in octal digits
REMEDY = "run `cxrfuture verify`, then copy the dataset again or rebuild it"


@dataclass(frozen=True)
class Member:
    """A member of a sample: ``column`` of the places, ``name`` as in the tar, ``size`` bytes."""

    position: int
    column: int
    name: bytes
    size: int


def read_member(shards: Shards, member: Member, prefix: int | None = None) -> bytes:
    """Its data, or the first ``prefix`` bytes."""
    wanted = member.size if prefix is None else prefix
    file, start = shards.place(member.position, member.column)
    data = os.pread(file, HEADER + wanted, start)
    if len(data) != HEADER + wanted or wanted > member.size:
        raise cut_short(shards, member)
    require_header(data[:HEADER], shards, member)
    return data[HEADER:]


def require_header(header: bytes | bytearray, shards: Shards, member: Member) -> None:
    """Refuse a member with another name, or another size, than the columns say."""
    name = header[_NAME].rstrip(b"\0")
    try:
        size = int(header[SIZE], 8)
    except ValueError:
        size = -1
    if name != member.name or size != member.size:
        raise ContractError(
            f"{shards.name(member.position)}: no {member.name.decode()} of {member.size:,} bytes"
            f" lies where the columns say; {REMEDY}"
        )


def cut_short(shards: Shards, member: Member) -> ContractError:
    """The error of a file that is over before its member is."""
    sample = member.name.partition(b".")[0].decode()
    return ContractError(f"{shards.name(member.position)}: ends within sample {sample}; {REMEDY}")
