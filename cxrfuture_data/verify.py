"""Prove that a dataset on disk is whole: every byte, every index, every member of every sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from cxrfuture_data.columns import OFFSET, SHARD, SIZE, XXH3, Columns
from cxrfuture_data.columns_of import SampleRows
from cxrfuture_data.console import progress
from cxrfuture_data.dataset import Dataset, open_dataset
from cxrfuture_data.energon import SIDECAR, offsets, offsets_name, sidecar
from cxrfuture_data.index import index_tar, read_index
from cxrfuture_data.level import level_ends
from cxrfuture_data.manifest import EMBEDDINGS, ShardEntry, columns_name, index_name
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.record import decode, members_of
from cxrfuture_data.sample import Film, PairSample, Sample, StaySample, films_of
from cxrfuture_data.schema import (
    FILM_SUFFIXES,
    FILMS_OF_KIND,
    SAMPLE_MEMBER,
    SPLITS,
    ContractError,
)

REMEDY = "copy the dataset again or rebuild it"


@dataclass(frozen=True)
class Report:
    """What was looked at."""

    shards: int
    samples: int
    bytes: int


def verify(path: str | Path) -> Report:
    """Check a dataset folder against its dataset.json; the first offence is a ContractError."""
    dataset = open_dataset(path)
    _check_files(dataset)
    _check_hashed(dataset, EMBEDDINGS, dataset.manifest.embeddings.files)
    _check_hashed(dataset, "", dataset.manifest.documents)
    _check_sidecar(dataset)
    shards = dataset.manifest.shards()
    keys: dict[str, set[str]] = {kind: set() for kind in FILMS_OF_KIND}
    with progress("verify", len(shards), "shards") as advance:
        for split, kind, shard in shards:
            _check_shard(dataset, split, kind, shard, keys[kind])
            advance()
    for split, kinds in dataset.manifest.splits.items():
        for kind in kinds:
            _check_samples(dataset, split, kind)
    return Report(
        shards=len(shards),
        samples=sum(shard.samples for _, _, shard in shards),
        bytes=sum(shard.bytes for _, _, shard in shards),
    )


def _check_files(dataset: Dataset) -> None:
    """The split folders hold what dataset.json lists, nothing less and nothing more."""
    listed = {(split, shard.name) for split, _, shard in dataset.manifest.shards()}
    listed |= {(split, of(name)) for split, name in listed for of in (index_name, offsets_name)}
    listed |= {
        (split, columns_name(kind))
        for split, kinds in dataset.manifest.splits.items()
        for kind in kinds
    }
    folders = [dataset.path / split for split in SPLITS if (dataset.path / split).is_dir()]
    found = {(folder.name, file.name) for folder in folders for file in folder.iterdir()}
    for split, name in sorted(listed - found):
        raise ContractError(f"{split}/{name}: missing; {REMEDY}")
    for split, name in sorted(found - listed):
        raise ContractError(f"{split}/{name}: not in dataset.json; remove it or rebuild")


def _check_hashed(dataset: Dataset, folder: str, files: Mapping[str, str]) -> None:
    """Files of a folder of the dataset, whose sha256 dataset.json says."""
    for file, sha256 in files.items():
        name = str(PurePosixPath(folder, file))
        if not (dataset.path / name).exists():
            raise ContractError(f"{name}: missing; {REMEDY}")
        if file_sha256(dataset.path / name) != sha256:
            raise ContractError(f"{name}: altered since it was built; {REMEDY}")


def _check_sidecar(dataset: Dataset) -> None:
    """What Energon reads is as it was built; more may lie there, as its own index."""
    for name, data in sidecar(dataset.manifest).items():
        path = dataset.path / SIDECAR / name
        if not path.exists():
            raise ContractError(f"{SIDECAR}/{name}: missing; {REMEDY}")
        if path.read_bytes() != data:
            raise ContractError(f"{SIDECAR}/{name}: altered since it was built; {REMEDY}")


def _check_shard(
    dataset: Dataset, split: str, kind: str, shard: ShardEntry, keys: set[str]
) -> None:
    """``keys`` are those of the kind seen so far; the shard's are added."""
    name = f"{split}/{shard.name}"
    path = dataset.path / split / shard.name
    size = path.stat().st_size
    if size != shard.bytes:
        raise ContractError(f"{name}: {size:,} bytes, dataset.json says {shard.bytes:,}; {REMEDY}")
    if file_sha256(path) != shard.sha256:
        raise ContractError(f"{name}: altered since it was built; {REMEDY}")
    index_path = path.with_name(index_name(shard.name))
    if file_sha256(index_path) != shard.index_sha256:
        raise ContractError(f"{split}/{index_path.name}: altered since it was built; {REMEDY}")
    index = index_tar(path)
    if not index.equals(read_index(index_path)):
        raise ContractError(f"{split}/{index_path.name}: not the index of its tar; {REMEDY}")
    offsets_path = path.with_name(offsets_name(shard.name))
    if offsets_path.read_bytes() != offsets(index):
        raise ContractError(f"{split}/{offsets_path.name}: not the offsets of its tar; {REMEDY}")
    if len(index.keys) != shard.samples:
        raise ContractError(f"{name}: {len(index.keys)} samples, not {shard.samples}; {REMEDY}")
    expected = members_of(kind, films=dataset.manifest.films_kept)
    if index.members != expected:
        raise ContractError(f"{name}: members {index.members}; a {kind} has {expected}")
    if list(index.keys) != sorted(index.keys):
        raise ContractError(f"{name}: samples are not ordered by key; {REMEDY}")
    for key in index.keys:
        if key in keys:
            raise ContractError(f"{name}: sample {key} is in an earlier shard too; {REMEDY}")
        keys.add(key)


def _check_samples(dataset: Dataset, split: str, kind: str) -> None:
    """Every sample decodes, lies where it says, refers to embeddings that exist, and is what the
    columns say."""
    samples = dataset.split(split, kind)
    rows = SampleRows(kind)
    with progress(f"verify {split}/{kind}", len(samples), "samples") as advance:
        for position in range(len(samples)):
            try:
                members = samples.members(position)
                _check_sample(decode(members), split, dataset)
                rows.add(members.pop("__key__"), members)
            except ContractError as error:
                raise ContractError(f"{samples.shard(position)}: {error}") from None
            advance()
    _check_columns(rows, samples.columns, f"{split}/{columns_name(kind)}")
    samples.close()


def _check_columns(rows: SampleRows, columns: Columns, name: str) -> None:
    """The columns are those of the samples; where members lie was proven by reading them."""
    found = rows.facts() | {XXH3: rows.sums(len(columns.members))}
    if found.keys() | {SHARD, OFFSET, SIZE} != columns.stored.keys():
        raise ContractError(f"{name}: columns {columns.names}; {REMEDY}")
    for column, values in found.items():
        if not np.array_equal(values, columns.stored[column], equal_nan=values.dtype.kind == "f"):
            raise ContractError(f"{name}: {column} is not what the samples say; {REMEDY}")


def _check_sample(sample: Sample, split: str, dataset: Dataset) -> None:
    recipe, rows = dataset.manifest.recipe.name, dataset.manifest.embeddings.rows
    if sample.split != split or sample.recipe != recipe:
        raise ContractError(
            f"sample {sample.key}: of {sample.recipe}/{sample.split}, found in {recipe}/{split}"
        )
    if isinstance(sample, PairSample | StaySample):
        event_row = sample.window.event_row
        if ((event_row < 0) | (event_row >= rows)).any():
            raise ContractError(f"sample {sample.key}: an event beyond the {rows} embeddings")
        if (np.diff(sample.window.event_hours) < 0).any():
            raise ContractError(f"sample {sample.key}: events are not oldest first")
    shape = tuple(dataset.manifest.latent.shape)
    for role, film in films_of(sample).items():
        if film.mean.shape != shape:
            raise ContractError(
                f"sample {sample.key}: {role} latent {film.mean.shape}, dataset.json says {shape}"
            )
        if film.is_kept:
            _check_film(sample.key, role, film)


def _check_film(key: str, role: str, film: Film) -> None:
    """It decodes; and of levels, sample.json says what their own header says."""
    name = role + FILM_SUFFIXES["png" if film.levels is None else "levels"]
    try:
        film.pixels()
        if film.levels is not None and (
            not film.levels.is_whole or level_ends(film.levels.data) != film.levels.ends
        ):
            raise ContractError(f"not the levels {sorted(film.levels.ends)} of {SAMPLE_MEMBER}")
    except (OSError, SyntaxError, ContractError) as error:
        raise ContractError(f"sample {key}: {name}: {error}") from None
