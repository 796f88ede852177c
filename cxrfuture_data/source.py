"""Where a dataset lies: a folder, or an object store with a cache on this node."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cxrfuture_data.local_shards import LocalShards
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.places import Places
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError

if TYPE_CHECKING:
    from cxrfuture_data.node_cache import NodeCache
    from cxrfuture_data.remote_shards import RemoteShards

Shards: TypeAlias = "LocalShards | RemoteShards"
# Of datasets read from a URL, on each node; docs/remote.md.
DEFAULT_CACHE = Path("~/.cache/cxrfuture/shards")
DEFAULT_CACHE_BYTES = 100 * 10**9
Blocks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LocalSource:
    """A dataset's folder."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def file(self, name: str, sha256: str) -> Path:
        """A file below the dataset; a small one, so its hash is proven each time."""
        path = self.folder / name
        if not path.exists():
            raise ContractError(f"{path}: no such file; copy the dataset again or rebuild it")
        if file_sha256(path) != sha256:
            raise ContractError(f"{path}: altered since it was built; rebuild the dataset")
        return path

    def table(self, name: str, sha256: str | None) -> Path:
        """A large file, whose hash is `cxrfuture verify`'s to prove."""
        return self.folder / name

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def shards(
        self, split: str, places: Places, members: Sequence[int], blocks: Blocks
    ) -> LocalShards:
        return LocalShards(self.folder / split, places)


@dataclass(frozen=True)
class RemoteSource:
    """A dataset below a URL. Whatever is read is kept in the node's cache, proven by its hash."""

    store: ObjectStore
    cache: "NodeCache"

    def __str__(self) -> str:
        return str(self.store)

    def file(self, name: str, sha256: str) -> Path:
        """A file below the dataset, as the node's cache has it."""
        return self.cache.fetch_file(self.store, name, sha256)

    table = file

    def shards(
        self, split: str, places: Places, members: Sequence[int], blocks: Blocks
    ) -> "RemoteShards":
        from cxrfuture_data.remote_shards import RemoteShards

        return RemoteShards(self.store.below(split), places, members, blocks, self.cache)


Source: TypeAlias = LocalSource | RemoteSource


def source_settings(source: Source) -> dict[str, Any]:
    """A source as JSON holds it, for another process."""
    if isinstance(source, LocalSource):
        return {"folder": str(source.folder.resolve())}
    cache = source.cache
    return {
        "url": source.store.url,
        "cache": str(cache.folder.resolve()),
        "cache_bytes": cache.limit_bytes,
    }


def source_of(settings: dict[str, Any]) -> Source:
    """What ``source_settings`` gave -> the source."""
    if "folder" in settings:
        return LocalSource(Path(settings["folder"]))
    return open_remote(settings["url"], Path(settings["cache"]), settings["cache_bytes"])


def open_remote(url: str, cache: Path, cache_bytes: int) -> RemoteSource:
    """A dataset below a URL, with what was read of it kept in a folder of this node."""
    from cxrfuture_data.node_cache import NodeCache

    return RemoteSource(ObjectStore(url), NodeCache(cache, cache_bytes))
