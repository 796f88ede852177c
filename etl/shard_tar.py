"""One shard, the unit of work: rows -> samples -> a tar, its index, and a done record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import webdataset

from cxrfuture_data.cache_rows import CacheRows, open_stage_rows
from cxrfuture_data.columns import Columns, encode_columns
from cxrfuture_data.columns_of import SampleRows
from cxrfuture_data.index import index_tar, write_index
from cxrfuture_data.manifest import ShardEntry, index_name
from cxrfuture_data.publish import file_sha256, publish, read_done, write_done
from cxrfuture_data.record import encode
from cxrfuture_data.sample import (
    Array,
    Film,
    History,
    ImageSample,
    PairSample,
    Sample,
    StaySample,
)
from cxrfuture_data.schema import ADMISSION_TEXTS, FILMS_OF_KIND, FINDINGS, FilmsKept
from etl.part import each_in_workers
from etl.shard_film import Kept, keep_film
from etl.shard_sums import TrainingSums
from etl.shard_window import WindowSource

STAY_COLUMNS = (
    "prediction_at",
    "phenotypes",
    "remaining_hours",
    "icu_transfer",
    "readmitted",
    "label",
)
SAMPLES_AT_ONCE = 64  # whose films are read together


@dataclass(frozen=True, kw_only=True, eq=False)
class Shard:
    """What a worker needs to write one tar. ``rows`` are those of shard_rows, ordered by key."""

    build: Path  # build/<recipe>
    dataset: Path
    work: Path  # holds the stage's own event.parquet and the done records
    recipe: str
    variables: str  # the set of hourly variables
    split: str
    kind: str
    number: int
    rows: pl.DataFrame
    channels: int  # C of a latent
    keep_films: FilmsKept
    made_from: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number:06d}.tar"

    @property
    def path(self) -> Path:
        return self.dataset / self.split / self.name

    @property
    def record(self) -> Path:
        return self.work / "done" / self.split / index_name(self.name)

    @property
    def columns_path(self) -> Path:
        """Its share of the columns of its split and kind."""
        return self.record.with_name(self.name.removesuffix(".tar") + ".safetensors")

    def done(self) -> dict[str, Any] | None:
        """The facts of the finished shard, or None if it is still to be written."""
        facts = read_done(self.record, self.made_from)
        beside = (self.path.with_name(index_name(self.name)), self.columns_path)
        if facts is None or not all(path.exists() for path in beside):
            return None
        whole = self.path.exists() and self.path.stat().st_size == facts["entry"]["bytes"]
        return facts if whole else None


def write_shard(shard: Shard) -> dict[str, Any]:
    """Publish tar, index, columns and done record, in this order; returns the record's facts."""
    shard.record.unlink(missing_ok=True)  # never an old record beside a new tar
    sums = TrainingSums(shard.channels, shard.variables)
    entry, columns = write_tar(shard.path, shard.kind, shard.keep_films, _samples(shard, sums))
    with publish(shard.columns_path) as part:
        part.write_bytes(encode_columns(columns))
    facts = {"entry": entry.model_dump(), "sums": sums.facts()}
    write_done(shard.record, shard.made_from, facts)
    return facts


def _samples(shard: Shard, sums: TrainingSums) -> Iterator[Sample]:
    source = Source(shard)
    for rows in shard.rows.iter_slices(SAMPLES_AT_ONCE):
        source.fetch_films(rows)
        for row in rows.iter_rows(named=True):
            sample = source.sample(row)
            sums.add(sample)
            yield sample


def write_tar(
    path: Path, kind: str, films: FilmsKept, samples: Iterable[Sample]
) -> tuple[ShardEntry, Columns]:
    """Publish a tar of samples, which are ordered by key, and its index; what dataset.json says of
    it, and its columns."""
    rows = SampleRows(kind)
    with publish(path) as part, part.open("wb") as handle:
        # A whole number: of 0.0, tarfile says more in a header of its own, 1,024 bytes a member.
        tar = webdataset.TarWriter(
            handle, user="", group="", mode=0o644, compress=False, encoder=False, mtime=0
        )
        for sample in samples:
            members = encode(sample, films=films)
            rows.add(sample.key, members)
            tar.write({"__key__": sample.key, **members})
        tar.close()
    index = index_tar(path)
    index_path = path.with_name(index_name(path.name))
    write_index(index_path, index)
    entry = ShardEntry(
        name=path.name,
        samples=len(index.keys),
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        index_sha256=file_sha256(index_path),
    )
    return entry, rows.columns(path.name, index)


def write_shards(shards: Sequence[Shard], workers: int) -> Iterator[int]:
    """Write shards in this process or several; yields the samples of each as it is done."""
    for facts in each_in_workers(write_shard, shards, workers, "shard.workers"):
        yield facts["entry"]["samples"]


class Source:
    """The arrays and windows of a shard's rows."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        keys = shard.rows["key"].to_list()
        self._windows = WindowSource(shard.build, shard.work, shard.kind, shard.variables, keys)
        self._latent_of: dict[str, Array] = {}
        self._image_of: dict[str, Array] = {}

    def fetch_films(self, rows: pl.DataFrame) -> None:
        """Read what the cache has of the films of some rows together: of an object store in a few
        requests at once, not in one after the other."""
        columns = [rows[f"{role}_sha256"].drop_nulls() for role in FILMS_OF_KIND[self.shard.kind]]
        hashes = sorted(set().union(*(column.to_list() for column in columns)))
        if not hashes:
            return
        self._latent_of = dict(zip(hashes, self._latents.read(hashes), strict=True))
        if self.shard.keep_films != "none":
            self._image_of = dict(zip(hashes, self._images.read(hashes), strict=True))

    def sample(self, row: Mapping[str, Any]) -> Sample:
        common = {name: row[name] for name in ("key", "split", "age", "sex")}
        common |= {name: row[name] for name in ("subject_id", "hadm_id", "stay_id")}
        common["recipe"] = self.shard.recipe
        if self.shard.kind == "image":
            image, static = self._film(row, "image"), np.array(row["static"] or (), np.float32)
            return ImageSample(**common, image=image, static=static)
        history = row["history"]
        common |= {
            "window": self._windows.window(row),
            **{name: row[name] for name in (*ADMISSION_TEXTS, "died_in_hospital")},
            "history": None if history is None else History(**history),
        }
        if self.shard.kind == "stay":
            has_film = row["previous_dicom_id"] is not None
            return StaySample(
                **common,
                previous=self._film(row, "previous") if has_film else None,
                generation=self._windows.generation(row),
                hours_since_previous=row["hours_since_previous"] if has_film else None,
                **{name: row[name] for name in STAY_COLUMNS},
            )
        return PairSample(
            **common,
            previous=self._film(row, "previous"),
            target=self._film(row, "target"),
            gap_hours=row["gap_hours"],
            is_null_event=row["is_null_event"],
            changes=row["changes"] or {},
        )

    def _film(self, row: Mapping[str, Any], role: str) -> Film:
        sha256 = row[f"{role}_sha256"]
        latent = self._latent_of[sha256]
        kept: Kept = {"png": None, "levels": None}
        if self.shard.keep_films != "none":
            kept = keep_film(self._image_of[sha256], self.shard.keep_films)
        return Film(
            study_id=row[f"{role}_study_id"],
            dicom_id=row[f"{role}_dicom_id"],
            taken_at=row[f"{role}_at"],
            view=row[f"{role}_view"],
            labels={finding: row[f"{role}_{finding}"] for finding in FINDINGS},
            attributes=row[f"{role}_attributes"] or {},
            mean=latent[0],
            logvar=latent[1],
            **kept,
        )

    @cached_property
    def _images(self) -> CacheRows:
        return open_stage_rows(self.shard.build / "image", "kept")

    @cached_property
    def _latents(self) -> CacheRows:
        return open_stage_rows(self.shard.build / "latent")
