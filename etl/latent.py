"""Images -> mean and log-variance of the autoencoder's posterior, once a film, in fp16."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from cxrfuture_data.codec import Codec, load_codec, weights_digest
from cxrfuture_data.console import say
from cxrfuture_data.publish import digest, publish, read_done, write_done
from cxrfuture_data.schema import LATENT_PARTS, ContractError
from etl.image import preprocessing
from etl.params import Params
from etl.part import array_path, rate_of, record_path, remove_parts_from
from etl.recipe import Recipe

LATENT_COLUMNS = {
    "dicom_id": pl.String,
    "cache_key": pl.String,
    "part": pl.Int32,
    "row": pl.Int32,
}


@dataclass(frozen=True, kw_only=True)
class LatentPart:
    """One unit of work. ``places`` are (part, row) of the films in the image stage's arrays."""

    number: int
    folder: Path
    dicom_ids: tuple[str, ...]
    cache_keys: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def array(self) -> Path:
        return array_path(self.folder, self.number)

    @property
    def record(self) -> Path:
        return record_path(self.folder, self.number)

    @property
    def made_from(self) -> str:
        return digest(self.cache_keys, LATENT_PARTS)

    def is_done(self) -> bool:
        return read_done(self.record, self.made_from) is not None and self.array.exists()


@dataclass(frozen=True)
class Encoder:
    """The autoencoder, the images it reads and how many it takes at once."""

    codec: Codec
    weights: Path
    images: Path
    batch_size: int


def run(params: Params, recipe: Recipe) -> None:
    """Encode every film that the image stage read; parts that are done are kept."""
    images, folder = params.build(recipe.name, "image"), params.build(recipe.name, "latent")
    rule = preprocessing(recipe.image).facts()
    require_images(images, rule)
    weights = params.weights_of(recipe.name)
    weights_hash = weights_digest(weights)
    films = read_films(images)
    keys = [digest(sha256, rule, weights_hash) for sha256 in films["sha256"]]
    parts = plan_parts(films, keys, folder, params.latent.films_per_part)

    left = [part for part in parts if not part.is_done()]
    if left:
        (folder / "done.json").unlink(missing_ok=True)  # before the first part changes
        codec = load_codec(weights, "cuda" if torch.cuda.is_available() else "cpu")
        encode_parts(parts, left, Encoder(codec, weights, images, params.latent.batch_size))
    remove_parts_from(folder, len(parts))
    with publish(folder / "latent.parquet") as path:
        list_latents(parts).write_parquet(path)
    shape = list(np.load(parts[0].array, mmap_mode="r").shape[2:]) if parts else None
    facts = {"weights_digest": weights_hash, "preprocessing": rule, "shape": shape}
    write_done(folder / "done.json", digest([part.made_from for part in parts]), facts)
    say(f"latent: {len(keys):,} films, shape {shape}")


def require_images(images: Path, rule: dict[str, Any]) -> None:
    """Refuse images that are not there, not whole, or made by another image rule."""
    record = images / "done.json"
    if not record.exists():
        raise ContractError(f"{record}: no such file; run `cxrfuture image` first")
    found = json.loads(record.read_text())["preprocessing"]
    if found != rule:
        raise ContractError(
            f"{images}: made with {found}, but the recipe says {rule}; run `cxrfuture image` again"
        )


def read_films(images: Path) -> pl.DataFrame:
    """The films that have an image: dicom_id, sha256, part, row."""
    films = pl.read_parquet(images / "film.parquet")
    return films.filter(pl.col("outcome") == "ok").select("dicom_id", "sha256", "part", "row")


def plan_parts(
    films: pl.DataFrame, keys: Sequence[str], folder: Path, films_per_part: int
) -> list[LatentPart]:
    """Cut the films, in their order, into parts."""
    parts = []
    for number, start in enumerate(range(0, films.height, films_per_part)):
        chosen = films[start : start + films_per_part]
        parts.append(
            LatentPart(
                number=number,
                folder=folder,
                dicom_ids=tuple(chosen["dicom_id"]),
                cache_keys=tuple(keys[start : start + films_per_part]),
                places=tuple(chosen.select("part", "row").iter_rows()),
            )
        )
    return parts


def encode_parts(parts: Sequence[LatentPart], left: Sequence[LatentPart], by: Encoder) -> None:
    """Encode the parts that are left, and report how far all of them are."""
    count = sum(len(part.places) for part in parts)
    kept = count - sum(len(part.places) for part in left)
    with rate_of("latent", count, kept, "films") as advance:
        for part in left:
            encode_part(part, by, advance)


def encode_part(part: LatentPart, by: Encoder, advance: Callable[[int], None]) -> None:
    """Publish a part's latents as fp16 (n, 2, C, h, w), then its record."""
    part.record.unlink(missing_ok=True)  # never an old record beside a new array
    batches = []
    for images in read_batches(part.places, by.images, by.batch_size):
        mean, logvar = by.codec.encode(torch.from_numpy(images))  # (B, C, h, w) each
        batches.append(to_halves(torch.stack([mean, logvar], 1).cpu().numpy(), by.weights))
        advance(len(images))
    with publish(part.array) as path, path.open("wb") as handle:
        np.save(handle, np.concatenate(batches), allow_pickle=False)
    write_done(part.record, part.made_from)


def read_batches(
    places: Sequence[tuple[int, int]], folder: Path, batch_size: int
) -> Iterator[NDArray[np.uint8]]:
    """uint8 (B, size, size), from the arrays of the image stage; one of them open at a time."""
    number, images = -1, np.zeros((0, 0, 0), np.uint8)
    batch: list[NDArray[np.uint8]] = []
    for part, row in places:
        if part != number:
            number, images = part, np.load(array_path(folder, part), mmap_mode="r")
        batch.append(images[row])
        if len(batch) == batch_size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def to_halves(latents: NDArray[np.float32], weights: Path) -> NDArray[np.float16]:
    """fp16, if every number is finite and stays so."""
    if not np.isfinite(latents).all():
        raise ContractError(
            f"{weights}: the autoencoder gives latents that are not finite; run "
            "`cxrfuture fit_vae` again with another seed, or set latent.weights"
        )
    with np.errstate(over="ignore"):
        halves = latents.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ContractError(
            f"{weights}: the autoencoder gives latents up to {np.abs(latents).max():.3g}, and fp16 "
            "ends at 65504; set its scaling_factor, or latent.weights"
        )
    return halves


def list_latents(parts: Sequence[LatentPart]) -> pl.DataFrame:
    """Where each film's latent lies."""
    rows = [
        (dicom_id, key, part.number, row)
        for part in parts
        for row, (dicom_id, key) in enumerate(zip(part.dicom_ids, part.cache_keys, strict=True))
    ]
    return pl.DataFrame(rows, schema=LATENT_COLUMNS, orient="row")
