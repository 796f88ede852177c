"""The index beside a tar: where each member of each sample lies, so that any can be read alone."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxrfuture_data.publish import canonical_json, publish
from cxrfuture_data.schema import ContractError

INDEX_VERSION = 1


@dataclass(frozen=True, eq=False)
class Index:
    """offsets, sizes: (samples, members) int64; bytes of member data from the start of the tar."""

    members: tuple[str, ...]
    keys: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    def equals(self, other: "Index") -> bool:
        return (
            self.members == other.members
            and self.keys == other.keys
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.sizes, other.sizes)
        )


def index_tar(path: Path) -> Index:
    """Read a tar's headers; every sample must have the members of the first, in their order."""
    keys: list[str] = []
    names: list[list[str]] = []
    places: list[list[tuple[int, int]]] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                if not member.isreg() or not name:
                    raise ContractError(f"{path}: member {member.name!r} is no file of a sample")
                if not keys or keys[-1] != key:
                    keys.append(key)
                    names.append([])
                    places.append([])
                names[-1].append(name)
                places[-1].append((member.offset_data, member.size))
    except (tarfile.TarError, OSError) as error:
        raise ContractError(f"{path}: not a whole tar ({error}); rebuild the shard") from None
    for key, found in zip(keys, names, strict=True):
        if found != names[0]:
            raise ContractError(f"{path}: sample {key} has members {found}, not {names[0]}")
    if len(set(keys)) != len(keys):
        raise ContractError(f"{path}: a key occurs twice; rebuild the shard")
    members = tuple(names[0]) if names else ()
    table = np.array(places, dtype=np.int64).reshape(len(keys), len(members), 2)
    return Index(members, tuple(keys), table[..., 0], table[..., 1])


def write_index(path: Path, index: Index) -> None:
    """Publish an index as JSON."""
    value = {
        "version": INDEX_VERSION,
        "members": index.members,
        "keys": index.keys,
        "offsets": index.offsets.tolist(),
        "sizes": index.sizes.tolist(),
    }
    with publish(path) as part:
        part.write_text(canonical_json(value) + "\n")


def read_index(path: Path) -> Index:
    """Read an index; another version is refused by number."""
    try:
        value = json.loads(path.read_text())
        version = value["version"]
    except FileNotFoundError:
        raise ContractError(f"{path}: no such index; rebuild the dataset") from None
    except (ValueError, TypeError, KeyError):
        raise ContractError(f"{path}: not a sample index; rebuild the dataset") from None
    if version != INDEX_VERSION:
        raise ContractError(f"{path}: index version {version}, this reader knows {INDEX_VERSION}")
    try:
        members, keys = tuple(value["members"]), tuple(value["keys"])
        shape = (len(keys), len(members))
        offsets = np.array(value["offsets"], dtype=np.int64).reshape(shape)
        sizes = np.array(value["sizes"], dtype=np.int64).reshape(shape)
    except (KeyError, ValueError, TypeError):
        raise ContractError(f"{path}: a damaged index; rebuild the dataset") from None
    return Index(members, keys, offsets, sizes)
