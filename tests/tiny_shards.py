"""Tars of random members, and the places of their samples."""

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from cxrfuture_data.index import index_tar
from cxrfuture_data.places import Places

MEMBERS = ("tensors.safetensors", "sample.json", "previous.png")


def write_shards(
    folder: Path, shards: int, samples: int, sizes: Sequence[int], seed: int = 0
) -> Places:
    """So many shards of so many samples, each member at least so many bytes, and their places."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(f"pair-{number:06d}.tar" for number in range(shards))
    members = MEMBERS[: len(sizes)]
    for number, name in enumerate(names):
        with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in range(samples):
                for member, size in zip(members, sizes, strict=True):
                    header = tarfile.TarInfo(f"{number:06d}{sample:06d}.{member}")
                    header.size = size + int(generator.integers(0, 100))
                    tar.addfile(header, io.BytesIO(generator.bytes(header.size)))
    return find_places(folder, names)


def find_places(folder: Path, names: Sequence[str]) -> Places:
    """Where the members of tars lie."""
    found = [index_tar(folder / name) for name in names]
    sums = [
        [[sum_of(folder / name, at, size) for at, size in zip(*row, strict=True)] for row in rows]
        for name, one in zip(names, found, strict=True)
        for rows in [list(zip(one.offsets.tolist(), one.sizes.tolist(), strict=True))]
    ]
    return Places(
        shards=tuple(names),
        members=found[0].members,
        shard=np.repeat(np.arange(len(names), dtype=np.int32), [len(one.keys) for one in found]),
        offset=np.concatenate([one.offsets for one in found]),
        size=np.concatenate([one.sizes for one in found]),
        xxh3=np.concatenate([np.array(one, np.uint64) for one in sums]),
    )


def sum_of(path: Path, at: int, size: int) -> int:
    with path.open("rb") as handle:
        return xxhash.xxh3_64_intdigest(os.pread(handle.fileno(), size, at))


def number_blocks(places: Places, samples: int) -> npt.NDArray[np.int64]:
    """(N,): blocks of so many samples of a shard, which has a multiple of that."""
    return np.arange(len(places.shard), dtype=np.int64) // samples


def read_member(folder: Path, places: Places, position: int, member: int) -> bytes:
    """The tar header and data of a member, from the tar itself."""
    path = folder / places.shards[places.shard[position]]
    start = int(places.offset[position, member]) - 512
    end = int(places.offset[position, member] + places.size[position, member])
    return path.read_bytes()[start:end]
