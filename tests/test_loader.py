from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from tiny_build import (
    DIMENSIONS,
    add_null_event,
    build_dataset,
    film_level,
    leave_out_film,
    write_build,
)

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.batch import ImageBatch, PairBatch, StayBatch
from cxrfuture_data.collate import collate
from cxrfuture_data.loader import gather_events
from cxrfuture_data.published import DDL_CXR_STAY
from cxrfuture_data.schema import STATIC
from cxrfuture_data.view import View
from etl import shard


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("loader")
    return open_dataset(
        build_dataset(root, "ddl_cxr", shard={"samples_per_shard": 4, "workers": 1})
    )


@pytest.fixture(scope="module")
def event_dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("loader")
    return open_dataset(build_dataset(root, "ehrxdiff", shard={"workers": 1}))


def view_of(kind):
    return View(kind=kind, latents="posterior", hours=kind != "image", events="vectors")


def first_batch(dataset, split, kind, batch_size, **options):
    return next(iter(dataset.split(split, kind).loader(batch_size, view_of(kind), **options)))


def test_a_pair_batch_has_the_documented_shapes(dataset):
    batch = first_batch(dataset, "train", "pair", 4, seed=1)
    assert isinstance(batch, PairBatch)
    assert batch.previous.shape == batch.target.shape == (4, 2, 4, 4, 4)
    assert batch.hours.shape == (4, 10, 79)
    assert batch.is_hour.shape == (4, 10)
    assert batch.is_hour.all()
    assert batch.event.shape == (4, 0, DIMENSIONS)
    assert batch.labels.shape == batch.label_known.shape == (4, 14)
    assert batch.labels.dtype == torch.int8
    assert not batch.labels[~batch.label_known].any()
    assert batch.gap_hours.tolist() == [10] * 4


def test_events_become_their_embeddings(event_dataset):
    batch = first_batch(event_dataset, "train", "pair", 2, seed=1)
    assert batch.event.shape == (2, 3, DIMENSIONS)
    assert batch.event[0, :, 0].tolist() == [0, 1, 2]
    assert batch.event_hours.tolist() == [[1, 2, 4]] * 2
    assert batch.event_table.tolist() == [[0, 0, 1]] * 2
    assert batch.hours.shape == (2, 0, 79)


def test_embeddings_can_be_gathered_on_the_device(event_dataset):
    pairs = event_dataset.split("train", "pair")
    vectors = view_of("pair")
    rows = replace(vectors, events="rows")
    table = torch.tensor(event_dataset.embeddings)
    for ours, theirs in zip(
        pairs.loader(4, rows, seed=2), pairs.loader(4, vectors, seed=2), strict=True
    ):
        assert ours.event.shape == (4, 0, DIMENSIONS)
        assert torch.equal(gather_events(ours, table), theirs.event)
        ours.event_row[0, 1] = -1
        assert not gather_events(ours, table)[0, 1].any()


def test_windows_are_padded_to_the_longest_and_flagged(dataset):
    pairs = dataset.split("train", "pair")[:2]
    window = pairs[1].window
    short = type(window)(**vars(window) | {"hourly": window.hourly[:3]})
    cut = type(pairs[1])(**vars(pairs[1]) | {"window": short})
    batch = collate([pairs[0], cut], dataset)
    assert batch.is_hour.sum(axis=1).tolist() == [10, 3]
    assert batch.is_hour[1].tolist() == [True] * 3 + [False] * 7
    assert not batch.hours[1, 3:].any()
    assert np.array_equal(batch.hours[1, :3], collate([pairs[1]], dataset).hours[0, :3])


def test_stays_and_images_have_batches_of_their_own(dataset):
    stays = first_batch(dataset, "valid", "stay", 2, training=False)
    assert isinstance(stays, StayBatch)
    assert stays.hours.shape == (2, 48, 79)
    assert stays.hours_since_previous.tolist() == [38, 38]
    images = first_batch(dataset, "valid", "image", 2)
    assert isinstance(images, ImageBatch)
    assert images.image.shape == (2, 2, 4, 4, 4)
    assert images.static.shape == (2, 0)


@pytest.fixture(scope="module")
def odd_dataset(tmp_path_factory):
    """The stay of patient 9 has no film, that of patient 10 no phenotypes; patient 1 has a null
    event; patient 9's image lacks a height."""
    params, recipe = write_build(tmp_path_factory.mktemp("odd"), "ddl_cxr", shard={"workers": 1})
    folder = params.build("ddl_cxr")
    leave_out_film(folder, 9)
    add_null_event(folder, 1)
    path = folder / "cohort" / "phenotype.parquet"
    pl.read_parquet(path).filter(pl.col("stay_id") != 2010).write_parquet(path)
    path = folder / "cohort" / "image.parquet"
    number = pl.col("subject_id").cast(pl.Float64)
    height = pl.when(pl.col("subject_id") != 9).then(60 + number).alias("height")
    values = [number.alias(name) for name in STATIC if name not in ("age", "height")]
    pl.read_parquet(path).with_columns(*values, height).write_parquet(path)
    shard.run(params, recipe)
    return open_dataset(params.build("ddl_cxr", "shard"))


def test_a_stay_without_a_film_is_zeros_and_a_flag(odd_dataset):
    samples = list(odd_dataset.split("valid", "stay"))
    lacking = [sample.subject_id == 9 for sample in samples]
    batch = collate(samples, odd_dataset)
    assert isinstance(batch, StayBatch)
    assert batch.has_previous.tolist() == [not lacks for lacks in lacking]
    assert batch.previous.shape == (2, 2, 4, 4, 4)
    row = lacking.index(True)
    assert not batch.previous[row].any()
    assert (batch.previous[1 - row, 0] == np.float16(film_level(10, 1) / 100)).all()
    assert batch.hours_since_previous[[row, 1 - row]].tolist() == [0, 38]
    assert not batch.label_known[row].any()
    assert batch.label_known[1 - row].any()
    alone = collate([samples[row]], odd_dataset)
    assert alone.previous.shape == (1, 2, 4, 4, 4)


def test_phenotypes_are_in_their_order_and_unknown_ones_are_flagged(odd_dataset):
    samples = list(odd_dataset.split("valid", "stay"))
    batch = collate(samples, odd_dataset)
    row = [sample.subject_id for sample in samples].index(9)
    assert batch.phenotypes.shape == (2, 25)
    assert np.flatnonzero(batch.phenotypes[row]).tolist() == [0, 9, 18]
    assert batch.phenotypes_known[[row, 1 - row]].tolist() == [True, False]
    assert not batch.phenotypes[1 - row].any()


def test_a_null_event_is_flagged_and_has_no_hours(odd_dataset):
    samples = [s for s in odd_dataset.split("train", "pair") if s.subject_id == 1]
    batch = collate(samples, odd_dataset)
    assert isinstance(batch, PairBatch)
    row = batch.is_null_event.tolist().index(True)
    assert batch.is_null_event.sum() == 1
    assert not batch.is_hour[row].any()
    assert batch.gap_hours[row] == 0
    assert np.array_equal(batch.previous[row], batch.target[row])


def test_static_values_that_are_not_known_are_zero_and_flagged(odd_dataset):
    samples = list(odd_dataset.split("valid", "image"))
    batch = collate(samples, odd_dataset)
    assert isinstance(batch, ImageBatch)
    row = [sample.subject_id for sample in samples].index(9)
    height = list(STATIC).index("height")
    assert batch.static[row].tolist() == [9, 49, 9, 9, 9, 9, 0, 9]
    assert batch.static[1 - row].tolist() == [10, 50, 10, 10, 10, 10, 70, 10]
    assert np.flatnonzero(~batch.static_known[row]).tolist() == [height]
    assert batch.static_known[1 - row].all()


def test_a_published_dataset_is_read_as_its_authors_read(dataset):
    body = dataset.manifest.recipe.body | {"fidelity": "published"}
    record = dataset.manifest.recipe.model_copy(update={"body": body})
    manifest = dataset.manifest.model_copy(update={"recipe": record})
    published = type(dataset)(dataset.source, manifest)
    stay = dataset.split("train", "stay")[0]  # its first measurement is in hour 1
    found = collate([stay], published).hours[0]
    mean, std = DDL_CXR_STAY["Age"]
    ages = found[:3, 61] * std + mean
    assert ages.tolist() == pytest.approx([65, stay.age, stay.age], abs=1e-4)
    assert found[0, 59:61].tolist() == [1, 0]
    ours = collate([stay], dataset).hours[0]
    assert len(set(ours[:, 61].tolist())) == 1
    mean, std = DDL_CXR_STAY["Heart Rate"]
    assert found[1, 50] == pytest.approx((80 + stay.subject_id - mean) / std, abs=1e-5)


def test_a_batch_of_several_kinds_is_refused(dataset):
    mixed = [dataset.split("train", "pair")[0], dataset.split("train", "stay")[0]]
    with pytest.raises(ValueError, match="one kind"):
        collate(mixed, dataset)


def test_loading_leaves_the_global_generator_alone(dataset):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(dataset.split("train", "pair").loader(2, "ddl_cxr.pair", seed=1))
    assert torch.equal(before, torch.get_rng_state())


def test_too_few_samples_are_refused_before_training_starts(dataset):
    with pytest.raises(ContractError, match="has 4 samples, fewer than a batch of 8 on 1 ranks"):
        dataset.split("valid", "pair").loader(8, "ddl_cxr.pair")


def test_a_z_scored_train_column_has_mean_zero(dataset):
    hours = [
        batch.hours[:, :, 50][batch.hours[:, :, 62 + 8] == 1]
        for batch in dataset.split("train", "pair").loader(1, "ddl_cxr.pair")
    ]
    observed = torch.cat(hours)
    assert observed.mean().item() == pytest.approx(0, abs=1e-5)
    assert observed.std().item() == pytest.approx(1, abs=1e-5)


def test_samples_are_chosen_by_their_columns_without_reading_a_tar(dataset):
    train = dataset.split("train", "pair")
    chosen = train.where(lambda columns: (columns["age"] > 44) & ~columns["is_male"])
    assert {sample.subject_id for sample in chosen} == {6, 8}
    assert chosen.columns["age"].tolist() == [sample.age for sample in chosen]
    assert [chosen.key(i) for i in range(len(chosen))] == chosen.columns["key"].tolist()
    assert [sample.key for sample in chosen[1:]] == chosen.columns["key"].tolist()[1:]
    assert chosen.find(chosen.key(2)) == 2
    edema = train.where(lambda columns: columns["target.Edema"] == 1)
    found = [sample.key for sample in train if sample.target.labels["Edema"] == 1]
    assert [sample.key for sample in edema] == found
    assert 0 < len(found) < len(train)
    unknown = train.where(lambda columns: np.isnan(columns["target.Fracture"]))
    assert {sample.target.labels["Fracture"] for sample in unknown} == {None}
    assert {sample.sex for sample in train.where(train.columns["sex"] == "F")} == {"F"}
    with pytest.raises(ContractError, match="no column 'agge'; did you mean 'age'"):
        train.where(lambda columns: columns["agge"] > 1)
    with pytest.raises(ContractError, match=r"mask is bool of \(15,\), this is int64 of \(2,\)"):
        train.where(np.array([0, 1]))


def test_a_view_that_does_not_fit_is_named(dataset):
    with pytest.raises(ContractError, match=r"no view 'ddl_cxr\.pairs'; did you mean 'ddl_cxr"):
        dataset.split("train", "pair").loader(2, "ddl_cxr.pairs")
    with pytest.raises(ContractError, match="the view is of stay samples, these are pair"):
        dataset.split("train", "pair").loader(2, "future.stay")


def test_a_batch_moves_with_all_its_fields(dataset):
    batch = first_batch(dataset, "train", "pair", 4)
    moved = batch.to("meta")
    assert moved.target.device.type == moved.hours.device.type == "meta"
    assert moved.keys == batch.keys
    assert moved.hours.shape == batch.hours.shape
