"""A built dataset, in a folder or an object store: any sample at random, straight from the tars."""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.columns import Columns, open_columns
from cxrfuture_data.manifest import (
    DATASET_FILE,
    EMBEDDINGS,
    TABLE_FILE,
    TEXTS_FILE,
    Manifest,
    Statistics,
    columns_name,
    parse_manifest,
    read_manifest,
)
from cxrfuture_data.object_store import is_url
from cxrfuture_data.ranges import RANGE_BYTES, ask
from cxrfuture_data.schema import ContractError
from cxrfuture_data.source import (
    DEFAULT_CACHE,
    DEFAULT_CACHE_BYTES,
    LocalSource,
    RemoteSource,
    Source,
    open_remote,
)
from cxrfuture_data.split import Split


def open_dataset(
    path: str | Path, *, cache: str | Path | None = None, cache_bytes: int = DEFAULT_CACHE_BYTES
) -> "Dataset":
    """Open ``build/<recipe>/shard``, or the URL of a pushed dataset (s3, gs, https, hf).

    Reads dataset.json only; all else comes when asked for. Of a URL, what is read is kept in the
    folder ``cache``, shared by all processes of a node, up to ``cache_bytes``.
    """
    if not is_url(path):
        folder = Path(path)
        return Dataset(LocalSource(folder), read_manifest(folder))
    folder = Path(DEFAULT_CACHE if cache is None else cache).expanduser()
    source = open_remote(str(path).rstrip("/"), folder, cache_bytes)
    (text,) = ask(source.store, DATASET_FILE, [(0, RANGE_BYTES)])
    return Dataset(source, parse_manifest(text, f"{source}/{DATASET_FILE}"))


class Dataset:
    """Splits, kinds, statistics and the table of event embeddings of a dataset."""

    def __init__(self, source: Source, manifest: Manifest) -> None:
        self.source = source
        self.manifest = manifest
        self._columns: dict[tuple[str, str], Columns] = {}

    @property
    def path(self) -> Path:
        """The dataset's folder; of an object store there is none."""
        if isinstance(self.source, RemoteSource):
            raise ContractError(f"{self.source}: no folder; fetch it with `cxrfuture pull` first")
        return self.source.folder

    def split(
        self,
        name: str,
        kind: str | None = None,
        *,
        films: bool = True,
        film_size: int | None = None,
    ) -> Split:
        """All samples of a split and kind, ordered by key; of a dataset with one kind, that.

        ``films=False`` leaves the films in the tar. With a ``film_size``, pixels, films kept as
        levels are read up to that level and no further. (A loader's view says what it reads.)
        """
        kinds = self.manifest.kinds(name)
        if kind is None:
            if len(kinds) != 1:
                raise ContractError(f"{self.source}: samples of several kinds; name one of {kinds}")
            kind = kinds[0]
        self.manifest.kind(name, kind)
        if film_size is not None and (self.manifest.films_kept == "none" or not films):
            raise ContractError(
                f"film size {film_size}: no films are kept, or films=False; "
                "build with shard.keep_films: levels"
            )
        return Split(self, name, kind, films=films, film_size=film_size)

    def columns(self, split: str, kind: str) -> Columns:
        """The facts of every sample of a split and kind, mapped from their file."""
        if (split, kind) not in self._columns:
            entry = self.manifest.kind(split, kind)
            name = f"{split}/{columns_name(kind)}"
            columns = open_columns(self.source.file(name, entry.columns_sha256))
            shards = {shard.name: shard.bytes for shard in entry.shards}
            if (
                columns.samples != entry.samples
                or columns.shards != tuple(shards)
                or not columns.places.lie_within(list(shards.values()))
            ):
                raise ContractError(
                    f"{self.source}/{name}: not the samples of {DATASET_FILE}; rebuild the dataset"
                )
            self._columns[split, kind] = columns
        return self._columns[split, kind]

    @property
    def statistics(self) -> Statistics:
        return self.manifest.statistics

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float16]:
        """(R, D), memory-mapped: row i is the embedding of text i."""
        path = self._embedding_file(TABLE_FILE)
        try:
            table = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ContractError(
                f"{path}: no table of embeddings ({error}); copy the dataset again or rebuild it"
            ) from None
        expected = (self.manifest.embeddings.rows, self.manifest.embeddings.dimensions)
        if table.shape != expected or table.dtype != np.float16:
            raise ContractError(
                f"{path}: {table.dtype} {table.shape}, "
                f"dataset.json says float16 {expected}; rebuild the dataset"
            )
        return table

    @property
    def has_texts(self) -> bool:
        """Whether the event texts themselves lie beside their embeddings."""
        return TEXTS_FILE in self.manifest.embeddings.files

    def texts(self, rows: Iterable[int]) -> list[str]:
        """The event texts of rows of the table. Reads the file through, keeping only those."""
        wanted = [int(row) for row in rows]
        if not self.has_texts:
            raise ContractError(
                f"{self.source}/{EMBEDDINGS}: no texts; build with shard.keep_texts: true"
            )
        path = self._embedding_file(TEXTS_FILE)
        chosen = set(wanted)
        found: dict[int, str] = {}
        if chosen:
            with path.open() as lines:
                for row, line in enumerate(lines):
                    if row in chosen:
                        found[row] = json.loads(line)
        if len(found) < len(chosen):
            raise ContractError(f"{path}: no row {min(chosen - found.keys())}; rebuild the dataset")
        return [found[row] for row in wanted]

    def _embedding_file(self, name: str) -> Path:
        return self.source.table(f"{EMBEDDINGS}/{name}", self.manifest.embeddings.files[name])

    def __getstate__(self) -> dict[str, Any]:
        """Without memory maps: another process makes its own."""
        return {"source": self.source, "manifest": self.manifest, "_columns": {}}
