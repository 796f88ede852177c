"""The hours that a film at a stay's prediction is generated from, from the tables to a batch."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tiny_build import LATENT, build_dataset, write_embeddings
from tiny_cache import make_cache, put_rows
from tiny_stages import (
    HADM,
    ICU_ADMISSION,
    STAY,
    SUBJECT,
    admission,
    build,
    chart,
    film,
    icu_stay,
    patient,
)

from cxrfuture_data import VIEWS, ContractError, View, open_dataset
from cxrfuture_data.schema import SPLITS, VARIABLES
from etl import check, export, shard

HEART_RATE = [variable.name for variable in VARIABLES].index("Heart Rate")
SECOND = 1 / 3600
VIEW = VIEWS["ddl_cxr.generation"]
# Of each patient the hours of films, the last of them the stay's; the hours with a heart rate.
PATIENTS = [
    ([-5], [-6, -4, 1, 47.5, 48, 48 + SECOND]),
    ([0, 20], [1, 2, 3, 4, 5, 6, 21, 30.25, 47]),
    ([2, 40], [-3, 3, 4, 5, 6, 7, 8, 9, 37, 44]),
    ([1, 15], [2, 3, 4, 5, 6, 7, 8]),  # nothing after its film
    ([0, 35.9], [1, 2.5, 3, 4, 5, 6, 7, 36, 36.5, 47.99]),
    ([-20, 30], [-2, -1, 3, 4, 5, 6, 7, 8, 31, 32, 33]),
]


def ids_of(number):
    return {"subject_id": SUBJECT + number, "hadm_id": HADM + number}


def write_films(folder, cache):
    """What image and latent leave behind for every film of the cohort: films of one grey."""
    names = pl.read_parquet(folder / "cohort" / "film.parquet")["dicom_id"].sort().to_list()
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    (folder / "image").mkdir(parents=True)
    (folder / "latent").mkdir()
    found = pl.DataFrame({"dicom_id": names, "sha256": hashes})
    films = found.with_columns(outcome=pl.lit("ok"))
    films.write_parquet(folder / "image" / "film.parquet")
    found.write_parquet(folder / "latent" / "latent.parquet")
    put_rows(folder / "image", cache, hashes, np.zeros((len(names), 32, 32), np.uint8))
    done = {"weights_digest": "1" * 64, "preprocessing": {}, "shape": LATENT}
    done |= {"scale": 1.0, "shift": 0.0, "precision": "fp32", "dtype": "float16"}
    put_rows(folder / "latent", cache, hashes, np.ones((len(names), 2, *LATENT), np.float16), done)


@pytest.fixture(scope="module", params=["corrected", "published"])
def built(request, tmp_path_factory):
    """The tables of six patients through every stage to shard."""
    people = range(len(PATIENTS))
    tables = {
        "patients": [patient(ids_of(n)["subject_id"], anchor_age=50 + n) for n in people],
        "admissions": [admission(**ids_of(n)) for n in people],
        "icustays": [icu_stay(STAY + n, **ids_of(n)) for n in people],
        "cxr_metadata": [
            film(f"{n}-{k}", at, 10 * n + k, subject_id=SUBJECT + n)
            for n, (films, _) in enumerate(PATIENTS)
            for k, at in enumerate(films)
        ],
        "chartevents": [
            chart(220045, at, 60 + 7 * n + at / 4, stay_id=STAY + n, **ids_of(n))
            for n, (_, hours) in enumerate(PATIENTS)
            for at in hours
        ],
    }
    root = tmp_path_factory.mktemp(request.param)
    made = build(root, "ddl_cxr", tables, fidelity=request.param)
    folder = made.params.build("ddl_cxr")
    write_films(folder, make_cache(made.params.build("cache")))
    write_embeddings(folder)
    shard.run(made.params, made.recipe)
    return made


def samples_of(made):
    dataset = open_dataset(made.params.build("ddl_cxr", "shard"))
    return {stay.stay_id - STAY: stay for name in SPLITS for stay in dataset.split(name, "stay")}


def test_the_loader_gives_the_matrices_that_the_export_writes(built, tmp_path):
    export.run(built.params, built.recipe, "npz", tmp_path)
    matrices = np.load(tmp_path / "generation_normalised.npz")
    dataset = open_dataset(built.params.build("ddl_cxr", "shard"))
    seen = set()
    for name in SPLITS:
        split = dataset.split(name, "stay")
        for batch in split.loader(4, VIEW, training=False):
            for key, hours, is_hour in zip(batch.keys, batch.hours, batch.is_hour, strict=True):
                stay = str(split.columns["stay_id"][split.find(key)])
                found = hours[is_hour].numpy()
                assert found.shape == matrices[stay].shape
                np.testing.assert_allclose(found, matrices[stay], rtol=1e-5, atol=1e-5)
                assert not hours[~is_hour].any()
                seen.add(stay)
    assert seen == set(matrices.files) == {str(STAY + n) for n in range(len(PATIENTS))}


def test_a_film_from_before_the_stay_brings_the_hours_before_it(built):
    stay = samples_of(built)[0]
    assert stay.generation.start_at == ICU_ADMISSION - timedelta(hours=5)
    assert stay.generation.hourly_start_hours == 1  # measured at hour -4
    rates = stay.generation.hourly[:, HEART_RATE]
    at = {0: -4, 4: 1, 51: 48}  # hours (k, k + 1] after hour -4
    assert {int(hour): rates[hour] for hour in np.flatnonzero(~np.isnan(rates))} == {
        hour: np.float32(60 + hours / 4) for hour, hours in at.items()
    }
    assert stay.generation.latest_event_at == stay.prediction_at
    # Its own window begins with the stay.
    assert stay.window.hourly.shape == (48, 17)


def test_what_a_film_is_generated_from_ends_at_the_prediction(built):
    dataset = open_dataset(built.params.build("ddl_cxr", "shard"))
    rows = check.check_samples(dataset)
    assert rows["generation_ends_with_the_prediction"] == rows["window_ends_in_time"]
    stays = samples_of(built)
    for number, (films, hours) in enumerate(PATIENTS):
        generation, prediction = stays[number].generation, stays[number].prediction_at
        assert generation.end_at == prediction == ICU_ADMISSION + timedelta(hours=48)
        start = min(films[-1], 36)
        assert generation.start_at == ICU_ADMISSION + timedelta(hours=start)
        held = [at for at in hours if start <= at <= 48]
        assert np.isfinite(generation.hourly).any(axis=1).sum() == len(
            {max(int(np.ceil(at - held[0])), 1) for at in held}
        )
        assert generation.latest_event_at == (
            ICU_ADMISSION + timedelta(hours=max(held)) if held else None
        )


def test_other_views_of_a_stay_are_those_without_it(built):
    split = open_dataset(built.params.build("ddl_cxr", "shard")).split("train", "stay")
    view = View(kind="stay", hours=True, hours_as_measured=True)
    own = next(iter(split.loader(8, view, training=False)))
    assert own.hours.shape[1:] == (48, 17)
    batch = next(iter(split.loader(8, replace(view, generation=True), training=False)))
    lengths = batch.is_hour.sum(dim=1).tolist()
    numbers = [int(split.columns["stay_id"][split.find(key)]) - STAY for key in batch.keys]
    stays = samples_of(built)
    assert lengths == [len(stays[number].generation.hourly) for number in numbers]


@pytest.mark.parametrize(("kind", "hours"), [("pair", True), ("image", True), ("stay", False)])
def test_a_view_of_generation_is_of_the_hours_of_stays(kind, hours):
    with pytest.raises(ContractError, match="take kind stay and hours=True"):
        View(kind=kind, hours=hours, generation=True)


def test_a_recipe_that_generates_no_film_has_none(tmp_path):
    dataset = open_dataset(build_dataset(tmp_path, "medfuse", shard={"workers": 1}))
    split = dataset.split("train", "stay")
    assert split[0].generation is None
    assert not split.columns["generation_hours"].any()
    with pytest.raises(ContractError, match="medfuse generates no film; take a recipe by the rule"):
        split.loader(4, VIEW)
