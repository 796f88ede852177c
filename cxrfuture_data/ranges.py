"""Ranges of bytes of one object: near ones are one request, long ones are several side by side, and
what fails, is slow or comes short is asked for again."""

import random
import time
from collections.abc import Sequence
from itertools import pairwise

from cxrfuture_data.object_store import ObjectStore, Unanswered
from cxrfuture_data.schema import ContractError

# Read along rather than asked for apart: a request costs a millisecond or two of this machine too.
GAP_BYTES = 256 * 1024
RANGE_BYTES = 8 * 1024 * 1024  # of one request
TRIES = 5
READS = 3  # of what comes short
SECONDS_BETWEEN_TRIES = 0.5  # and twice as long each time
SECONDS_OF_A_TRY = 15.0  # and its bytes at the slowest rate that is waited for
SLOWEST = 256 * 1024  # bytes a second

Range = tuple[int, int]  # first byte, byte after the last


def merge_ranges(ranges: Sequence[Range], gap: int) -> list[Range]:
    """Few ranges that hold all of these, in order; nothing is joined over more than ``gap``."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def cut_range(start: int, end: int, longest: int) -> list[Range]:
    """A range as pieces of nearly the same length, none longer than ``longest``."""
    count = max(1, -(-(end - start) // longest))
    bounds = [start + (end - start) * number // count for number in range(count + 1)]
    return list(pairwise(bounds))


def ask(store: ObjectStore, name: str, ranges: Sequence[Range]) -> list[bytes]:
    """The bytes of ranges of an object, fewer where it ends before; each is one request, that is
    made again, after growing pauses, where the store fails or takes too long."""
    longest = max(end - start for start, end in ranges)
    seconds = SECONDS_OF_A_TRY + longest / SLOWEST
    asked = [(name, start, end) for start, end in ranges]
    for attempt in range(TRIES):
        if attempt:  # not all the ranks of a node at the same moment
            pause = SECONDS_BETWEEN_TRIES * 2 ** (attempt - 1)
            time.sleep(pause * random.uniform(0.75, 1.25))
        try:
            parts = store.read_ranges(asked, seconds)
        except Unanswered as error:
            failure = str(error)
            continue
        except FileNotFoundError as error:
            raise ContractError(
                f"{error}: no such object; the dataset was moved, or is not whole: push it again"
            ) from None
        _refuse_longer(store, name, ranges, parts)
        return parts
    raise Unanswered(
        f"{failure}; {TRIES} tries of up to {seconds:.0f} s for {len(ranges)} ranges of up to"
        f" {longest:,} bytes"
    )


def read_ranges(store: ObjectStore, name: str, ranges: Sequence[Range]) -> list[bytes]:
    """The bytes of ranges of any length; fewer only where the object has no more, also when read
    several times."""
    cuts = [cut_range(start, end, RANGE_BYTES) for start, end in ranges]
    asked = [cut for several in cuts for cut in several]
    wanted = [end - start for start, end in asked]
    for _ in range(READS):
        parts = ask(store, name, asked)
        if [len(part) for part in parts] == wanted:
            break
    left = iter(parts)
    return [_join([next(left) for _ in several]) for several in cuts]


def _join(parts: Sequence[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_longer(
    store: ObjectStore, name: str, ranges: Sequence[Range], parts: Sequence[bytes]
) -> None:
    for (start, end), part in zip(ranges, parts, strict=True):
        if len(part) > end - start:
            raise ContractError(
                f"{store}/{name}: {len(part):,} bytes where {end - start:,} were asked for; the"
                " server cannot send a part of a file (Range): use another one"
            )
