"""Datasets of any number of tiny `pair` samples, of known values, for tests of the loader.

Sample i has the key ``key_of(i)``, latents that are ``i % 256`` everywhere, ``i % 4`` hours, ``i %
3`` events and a gap of i hours; sample i lies in shard ``i // shard_samples``.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.energon import write_sidecar
from cxrfuture_data.manifest import (
    EMBEDDINGS,
    TABLE_FILE,
    Embeddings,
    KindEntry,
    LatentForm,
    Manifest,
    RecipeRecord,
    Simulated,
    Weights,
    columns_name,
    write_manifest,
)
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.sample import Film, PairSample, Window
from cxrfuture_data.schema import FINDINGS, SCHEMA_VERSION, SPLITS, VARIABLES
from cxrfuture_data.view import View
from etl.recipe import read_recipe
from etl.shard import write_columns
from etl.shard_sums import TrainingSums, statistics_of
from etl.shard_tar import write_tar

LATENT = (1, 2, 2)
ROWS, DIMENSIONS = 3, 4
START = datetime(2150, 1, 1)
VIEW = View(kind="pair", latents="posterior", hours=True, events="vectors")


def key_of(number: int) -> str:
    return f"{number:016x}"


def numbers_of(batch: Any) -> list[int]:
    """Which samples a batch holds, without those that only pad."""
    found = zip(batch.keys, batch.is_padding.tolist(), strict=True)
    return [int(key, 16) for key, is_padding in found if not is_padding]


def write_pairs(folder: Path, count: int, shard_samples: int = 16, name: str = "tiny") -> Path:
    """A dataset of ``count`` training pairs; ``name`` tells it from others. Its folder."""
    sums, entries, parts = TrainingSums(LATENT[0], "benchmark"), [], []
    for number, first in enumerate(range(0, count, shard_samples)):
        samples = [_sample(i) for i in range(first, min(first + shard_samples, count))]
        path = folder / "train" / f"pair-{number:06d}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        entry, columns = write_tar(path, "pair", "none", samples)
        entries.append(entry)
        parts.append(columns)
        for sample in samples:
            sums.add(sample)
    splits = {}
    for split in SPLITS:
        path = folder / split / columns_name("pair")
        path.parent.mkdir(parents=True, exist_ok=True)
        own = entries if split == "train" else []
        write_columns(path, "pair", "none", parts if own else [])
        total = sum(entry.samples for entry in own)
        entry = KindEntry(samples=total, shards=own, columns_sha256=file_sha256(path))
        splits[split] = {"pair": entry}
    recipe = read_recipe("ddl_cxr")
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        recipe=RecipeRecord(name=recipe.name, body=recipe.model_dump(mode="json")),
        made_from=name,
        params_digest="0" * 64,
        git_commit=None,
        input_digest="0" * 64,
        sources={},
        weights=Weights(vae="0" * 64, embedder="0" * 64),
        licence="none: made up",
        simulated=Simulated(tables=True, films=True),
        attestation=None,
        films_kept="none",
        latent=LatentForm(
            shape=list(LATENT), scale=1.0, shift=0.0, precision="fp32", dtype="float16"
        ),
        embeddings=_write_embeddings(folder / EMBEDDINGS),
        statistics=statistics_of([("pair", sums.facts())], "benchmark"),
        attrition=[],
        splits=splits,
        documents={},
    )
    write_sidecar(folder, manifest)
    write_manifest(folder, manifest)
    return folder


def _write_embeddings(folder: Path) -> Embeddings:
    """Row i is i everywhere."""
    folder.mkdir(parents=True)
    table = np.repeat(np.arange(ROWS, dtype=np.float16)[:, None], DIMENSIONS, axis=1)
    np.save(folder / TABLE_FILE, table)
    return Embeddings(
        rows=ROWS,
        dimensions=DIMENSIONS,
        full_dimensions=None,
        maximum_tokens=0,
        model="tiny",
        files={TABLE_FILE: file_sha256(folder / TABLE_FILE)},
    )


def _sample(number: int) -> PairSample:
    hourly = np.full((number % 4, len(VARIABLES)), np.nan, np.float32)
    hourly[:, 0] = 1
    events = number % 3
    window = Window(
        start_at=START,
        end_at=START + timedelta(hours=number),
        latest_event_at=None,
        latest_known_at=None,
        variables="benchmark",
        hourly=hourly,
        hourly_start_hours=0.0,
        event_row=np.arange(events, dtype=np.int32),
        event_hours=np.arange(events, dtype=np.float32),
        event_end_hours=np.full(events, np.nan, np.float32),
        event_table=np.zeros(events, np.uint8),
    )
    return PairSample(
        key=key_of(number),
        recipe="ddl_cxr",
        split="train",
        subject_id=number,
        hadm_id=number,
        stay_id=number,
        age=float(20 + number % 60),
        sex="FM"[number % 2],
        previous=_film(2 * number, number),
        target=_film(2 * number + 1, number),
        window=window,
        gap_hours=float(number),
        is_null_event=False,
        changes={},
        died_in_hospital=False,
        race=None,
        insurance=None,
        history=None,
    )


def _film(study: int, number: int) -> Film:
    latent = np.full(LATENT, number % 256, np.float16)
    return Film(
        study_id=study,
        dicom_id=f"dicom-{study}",
        taken_at=START,
        view="AP",
        labels=dict.fromkeys(FINDINGS, 1),
        attributes={},
        mean=latent,
        logvar=latent,
        png=None,
    )


def iterate(loader: Any) -> Iterator[list[int]]:
    """The numbers of each batch of an epoch."""
    return (numbers_of(batch) for batch in loader)
