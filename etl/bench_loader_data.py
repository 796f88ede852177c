"""The samples of the loader's bench: simulated `ddl_cxr` pairs as a dataset of ours, and the same
as plain arrays, from which each peer writes its own format.

Arrays: latents.npy (N, 4, C, h, w) float16, mean and log-variance of previous and target;
hours.npy (all hours, 17) float32 as measured, NaN where nothing was; lengths.npy (N,) of windows;
labels.npy (N, 14) int8 of the target, 0 where not mentioned; gap.npy (N,) hours. Sample i lies in
shard i // SAMPLES_PER_SHARD.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.columns import Columns
from cxrfuture_data.manifest import (
    EMBEDDINGS,
    TABLE_FILE,
    Embeddings,
    KindEntry,
    LatentForm,
    Manifest,
    RecipeRecord,
    ShardEntry,
    Simulated,
    Weights,
    columns_name,
    write_manifest,
)
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.sample import Array, Film, PairSample, Window
from cxrfuture_data.schema import FINDINGS, SCHEMA_VERSION, SPLITS, VARIABLES
from etl.recipe import read_recipe
from etl.shard import write_columns
from etl.shard_facts import SIMULATED
from etl.shard_sums import TrainingSums, statistics_of
from etl.shard_tar import write_tar

KIND = "pair"
LATENT = (4, 28, 28)
SAMPLES_PER_SHARD = 500
SHORTEST, LONGEST, MEAN_HOURS = 13, 60, 30
OBSERVED = 0.1  # of hourly values
START = datetime(2150, 1, 1)


def write_data(folder: Path, samples: int, seed: int) -> None:
    """Write pairs, all of the training split, twice: folder/arrays, and folder/ours, a dataset."""
    (folder / "arrays").mkdir(parents=True)
    arrays = _simulate(samples, seed)
    for name, array in arrays.items():
        np.save(folder / "arrays" / f"{name}.npy", array)
    _write_dataset(folder / "ours", arrays)


def _simulate(count: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    latents = np.empty((count, 4, *LATENT), np.float16)
    for number in range(count):  # sample by sample, or the normal draws would be 2 GB of float32
        latents[number] = rng.standard_normal((4, *LATENT), np.float32)
    latents[:, 1::2] -= 6  # log-variances
    spread = rng.exponential(MEAN_HOURS - SHORTEST, count)
    lengths = np.minimum(SHORTEST + spread, LONGEST).astype(np.int32)
    default = np.array([variable.default for variable in VARIABLES])
    is_category = np.array([bool(variable.categories) for variable in VARIABLES])
    size = (int(lengths.sum()), len(VARIABLES))
    hours = default * np.where(is_category, 1, rng.normal(1, 0.1, size))
    hours[rng.random(size) >= OBSERVED] = np.nan
    return {
        "latents": latents,
        "hours": hours.astype(np.float32),
        "lengths": lengths,
        "labels": rng.choice(np.array([1, 0, -1], np.int8), (count, len(FINDINGS))),
        "gap": lengths.astype(np.float32),
    }


def _write_dataset(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Write tars, indexes, columns and dataset.json as the stage shard does."""
    samples, sums = _samples(arrays), TrainingSums(LATENT[0], "benchmark")
    shards, parts = [], []
    for number in range(math.ceil(len(arrays["lengths"]) / SAMPLES_PER_SHARD)):
        part = list(islice(samples, SAMPLES_PER_SHARD))
        shard, columns = write_tar(folder / "train" / f"pair-{number:06d}.tar", KIND, "none", part)
        shards.append(shard)
        parts.append(columns)
        for sample in part:
            sums.add(sample)
    recipe = read_recipe("ddl_cxr")
    splits = {split: {KIND: _write_columns(folder / split, [], [])} for split in SPLITS}
    splits["train"][KIND] = _write_columns(folder / "train", shards, parts)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        recipe=RecipeRecord(name=recipe.name, body=recipe.model_dump(mode="json")),
        made_from="0" * 64,
        params_digest="0" * 64,
        git_commit=None,
        input_digest="0" * 64,
        sources={},
        weights=Weights(vae="0" * 64, embedder=None),
        licence=SIMULATED,
        simulated=Simulated(tables=True, films=True),
        attestation=None,
        films_kept="none",
        latent=LatentForm(
            shape=list(LATENT), scale=1.0, shift=0.0, precision="fp32", dtype="float16"
        ),
        embeddings=_write_no_embeddings(folder / EMBEDDINGS),
        statistics=statistics_of([(KIND, sums.facts())], "benchmark"),
        attrition=[],
        splits=splits,
        documents={},
    )
    write_manifest(folder, manifest)


def _write_columns(
    folder: Path, shards: Sequence[ShardEntry], parts: Sequence[Columns]
) -> KindEntry:
    path = folder / columns_name(KIND)
    write_columns(path, KIND, "none", parts)
    return KindEntry(
        samples=sum(shard.samples for shard in shards),
        columns_sha256=file_sha256(path),
        shards=list(shards),
    )


def _write_no_embeddings(folder: Path) -> Embeddings:
    """A table of one row, to which no event points: `ddl_cxr` has no events."""
    folder.mkdir(parents=True)
    np.save(folder / TABLE_FILE, np.zeros((1, 384), np.float16))
    return Embeddings(
        rows=1,
        dimensions=384,
        full_dimensions=None,
        maximum_tokens=0,
        model="none",
        files={TABLE_FILE: file_sha256(folder / TABLE_FILE)},
    )


def _samples(arrays: Mapping[str, Array]) -> Iterator[PairSample]:
    """In the order of their keys, which is that of the arrays."""
    ends = np.cumsum(arrays["lengths"])
    for number, (length, end) in enumerate(zip(arrays["lengths"], ends, strict=True)):
        yield _sample(number, arrays, arrays["hours"][end - length : end])


def _sample(number: int, arrays: Mapping[str, Array], hourly: Array) -> PairSample:
    start = START + timedelta(hours=number)
    end = start + timedelta(hours=len(hourly))
    latents = arrays["latents"][number]
    labels: dict[str, int | None] = dict(
        zip(FINDINGS, arrays["labels"][number].tolist(), strict=True)
    )
    none: dict[str, Any] = {
        "event_row": np.zeros(0, np.int32),
        "event_hours": np.zeros(0, np.float32),
        "event_end_hours": np.zeros(0, np.float32),
        "event_table": np.zeros(0, np.uint8),
    }
    return PairSample(
        key=f"{number:016x}",
        recipe="ddl_cxr",
        split="train",
        subject_id=10_000_000 + number,
        hadm_id=20_000_000 + number,
        stay_id=30_000_000 + number,
        age=60.0,
        sex="FM"[number % 2],
        previous=_film(2 * number, start, labels, latents[:2]),
        target=_film(2 * number + 1, end, labels, latents[2:]),
        window=Window(
            start_at=start,
            end_at=end,
            latest_event_at=end,
            latest_known_at=end,
            variables="benchmark",
            hourly=hourly,
            hourly_start_hours=0.0,
            **none,
        ),
        gap_hours=float(arrays["gap"][number]),
        is_null_event=False,
        changes={},
        died_in_hospital=False,
        race=None,
        insurance=None,
        history=None,
    )


def _film(number: int, at: datetime, labels: Mapping[str, int | None], latent: Array) -> Film:
    return Film(
        study_id=50_000_000 + number,
        dicom_id=f"{number:040x}",
        taken_at=at,
        view="AP",
        labels=labels,
        attributes={},
        mean=latent[0],
        logvar=latent[1],
        png=None,
    )
