"""A small simulated hospital as a dataset of `future`: real stages but for vectors and latents,
which are zeros, as nothing that is looked at needs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tiny_cache import put_rows
from tiny_mimic import tiny_params

from etl import cohort, event, image, ingest, shard, window
from etl.cache import open_cache
from etl.embed import TABLE_FILE, write_texts
from etl.params import Params
from etl.recipe import Recipe, read_recipe
from etl.simulate import SimulateOptions, simulate

LATENT = (4, 4, 4)
DIMENSIONS = 8


def build_simulated(root: Path, patients: int, film_size: int = 256) -> Path:
    """Simulate, and run every stage to shards; the dataset's folder."""
    params, recipe = run_stages(root, patients, film_size)
    return params.build(recipe.name, "shard")


def run_stages(root: Path, patients: int, film_size: int) -> tuple[Params, Recipe]:
    """Up to shards."""
    simulate(SimulateOptions(out=root, patients=patients, seed=20, image_size=film_size))
    params = tiny_params(root, shard={"samples_per_shard": 16, "workers": 1})
    params = params.model_copy(update={"recipes": ["future"]})
    recipe = read_recipe("future")
    ingest.run(params)
    for stage in (event, cohort, window, image):
        stage.run(params, recipe)
    _write_vectors(params, recipe)
    _write_latents(params, recipe)
    shard.run(params, recipe)
    return params, recipe


def _write_vectors(params: Params, recipe: Recipe) -> None:
    folder = params.build(recipe.name, "embed")
    folder.mkdir(parents=True)
    count = write_texts(params, recipe, folder)
    np.save(folder / TABLE_FILE, np.zeros((count, DIMENSIONS), np.float16))
    model = {"name": "none", "digest": "2" * 64, "dim": DIMENSIONS, "backend": "minilm"}
    model |= {"full_dim": DIMENSIONS, "max_tokens": 256}
    _write_json(folder / "done.json", {"made_from": "x", "model": model, "texts": count})


def _write_latents(params: Params, recipe: Recipe) -> None:
    films = pl.read_parquet(params.build(recipe.name, "image", "film.parquet"))
    kept = films.filter(pl.col("outcome") == "ok").select("dicom_id", "sha256")
    folder = params.build(recipe.name, "latent")
    folder.mkdir(parents=True)
    kept.write_parquet(folder / "latent.parquet")
    hashes = kept["sha256"].unique(maintain_order=True).to_list()
    facts: dict[str, Any] = {"weights_digest": "1" * 64, "preprocessing": {}, "shape": LATENT}
    facts |= {"scale": 1.0, "shift": 0.0, "precision": "fp32", "dtype": "float16"}
    latents = np.zeros((len(hashes), 2, *LATENT), np.float16)
    put_rows(folder, open_cache(params), hashes, latents, facts)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
