"""Diff3M at its smallest: settings, batches made by hand, and a dataset of films of 256 pixels.

The dataset has every film of tiny_build's twelve patients (23 train, 6 valid, 6 test); film 0 of a
patient is normal, film 1 says No Finding is absent, film 2 that it is uncertain. Height is 60 +
patient, weight is not known of patient 2, and so on: see ``static_of``.
"""

import numpy as np
import polars as pl
import torch
from tiny_build import SPLIT_OF, film, key_of, write_build
from tiny_cache import make_cache, put_rows
from tiny_train import fit_settings

from cxrfuture_data.batch import ImageBatch
from cxrfuture_data.schema import FINDINGS, STATIC
from etl import shard
from train.diff3m_settings import Diff3MSettings

SIDE = 16


def diff3m_settings(unet=None, **changes):
    """Two levels; films of 16 pixels; five noise levels there and back."""
    value = {
        "task": "diff3m",
        "recipe": "diff3m",
        "fidelity": "corrected",
        "film_size": SIDE,
        "unet": {
            "width": 4,
            "multipliers": [1, 2],
            "res_blocks": 1,
            "attention_levels": [1],
            "norm_groups": 2,
            "dropout": 0.0,
            "gradient_checkpointing": False,
        }
        | (unet or {}),
        "rebuild_weight": 0.5,
        "stage1": None,
        "sampler": {"level": 5, "steps": None, "batch_size": 4},
        "select_by": "loss",
        "patience": None,
        "fold": None,
    }
    return Diff3MSettings.model_validate(fit_settings() | value | changes)


def image_batch(count, side=SIDE, seed=0):
    """Films of noise, and static values that differ from film to film; all are known."""
    random = np.random.default_rng(seed)
    values = [static_of(number, number % 2) for number in range(1, count + 1)]
    static = torch.tensor([list(row.values()) for row in values], dtype=torch.float32)
    return ImageBatch(
        keys=[f"{number:016x}" for number in range(count)],
        is_padding=torch.zeros(count, dtype=torch.bool),
        age=static[:, 1],
        is_male=static[:, 0] == 1,
        labels=torch.zeros(count, len(FINDINGS), dtype=torch.int8),
        label_known=torch.zeros(count, len(FINDINGS), dtype=torch.bool),
        image=torch.zeros(count, 0),
        image_film=torch.from_numpy(random.integers(0, 256, (count, 1, side, side), np.uint8)),
        static=static,
        static_known=torch.ones(count, len(STATIC), dtype=torch.bool),
    )


def static_of(subject, number):
    """In the order of the contract."""
    return {
        "is_male": float(subject % 2),
        "age": 40.0 + subject,
        "is_ap": float(number % 2 == 0),
        "bmi": 20.0 + subject,
        "systolic": 110.0 + 2 * subject,
        "diastolic": 70.0,
        "height": 60.0 + subject,
        "weight": 150.0 + 3 * subject,
    }


def build_diff3m(root):
    """The dataset's folder."""
    options = {"keep_films": "png", "workers": 1, "samples_per_shard": 8}
    params, recipe = write_build(root, "diff3m", shard=options)
    folder = params.build("diff3m")
    types = pl.read_parquet_schema(folder / "cohort" / "image.parquet")
    rows = []
    for subject, split in SPLIT_OF.items():
        for number in range(3):
            found = film(subject, number)
            static = static_of(subject, number)
            if subject == 2:
                static["weight"] = None
            taken = {"taken_at": found["at"], "key": key_of("image", found["dicom_id"])}
            row = {"split": split, "subject_id": subject, "sex": "FM"[subject % 2]}
            rows.append(found | taken | row | static)
    table = pl.DataFrame([{name: row[name] for name in types} for row in rows], schema=types)
    table.sort("key").write_parquet(folder / "cohort" / "image.parquet")
    films = pl.read_parquet(folder / "image" / "film.parquet")
    pixels = np.stack([_pixels(number) for number in range(len(films))])
    put_rows(folder / "image", make_cache(params.build("cache")), films["sha256"].to_list(), pixels)
    shard.run(params, recipe)
    return params.build("diff3m", "shard")


def _pixels(seed):
    rows, columns = np.indices((256, 256))
    return (127 + 100 * np.sin(rows / (20 + seed)) * np.cos(columns / 30)).astype(np.uint8)
