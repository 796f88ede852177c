"""What the samples of a shard hold of the tables they were made from."""

import json

import numpy as np
import polars as pl
import pytest
from tiny_build import SPLIT_OF, add_null_event, build_dataset, film, leave_out_film, write_build

from cxrfuture_data import open_dataset
from cxrfuture_data.collate import collate
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES
from cxrfuture_data.schema import PHENOTYPES, STATIC
from cxrfuture_data.verify import verify
from etl import shard


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("samples"), "ddl_cxr", shard={"workers": 1})


def test_attributes_and_changes_are_those_of_the_tables(reference):
    pairs = open_dataset(reference).split("train", "pair")
    described = dict.fromkeys(ATTRIBUTES) | {"lung opacity": 1, "consolidation": 0}
    changed = dict.fromkeys(CHANGE_ATTRIBUTES) | {"pneumonia": "worsened"}
    for pair in pairs:
        number = pair.previous.study_id % 100
        assert pair.previous.attributes == (described if number == 0 else {})
        assert pair.target.attributes == {}
        assert pair.changes == (changed if number == 0 else {})  # a row of nulls says nothing
        assert pair.is_null_event is False


def test_phenotypes_are_those_of_the_stay(reference):
    for stay in open_dataset(reference).split("train", "stay"):
        ones = [i for i, name in enumerate(PHENOTYPES) if stay.phenotypes[name]]
        assert ones == list(range(0, 25, stay.subject_id))


def test_a_recipe_without_static_values_has_an_empty_vector(reference):
    image = open_dataset(reference).split("test", "image")[0]
    assert image.static.shape == (0,)
    assert image.static.dtype == np.float32


def with_static_values(folder):
    """Patient 2 has no height; patient 5 neither height nor weight, and so no bmi."""
    path = folder / "cohort" / "image.parquet"
    subject = pl.col("subject_id")
    columns = {name: pl.lit(0.5) for name in STATIC if name != "age"}
    for name, absent in {"height": [2, 5], "bmi": [5], "weight": [5]}.items():
        columns[name] = pl.when(~subject.is_in(absent)).then(columns[name])
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def test_a_static_value_that_is_not_known_is_nan(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    with_static_values(params.build("ddl_cxr"))
    shard.run(params, recipe)
    found = {
        image.subject_id: image.static
        for image in open_dataset(params.build("ddl_cxr", "shard")).split("train", "image")
    }
    names = list(STATIC)
    assert found[1].tolist() == [0.5, 41, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    unknown = {s: [names[i] for i in np.flatnonzero(np.isnan(v))] for s, v in found.items()}
    assert unknown[2] == ["height"]
    assert unknown[5] == ["bmi", "height", "weight"]
    assert all(not missing for s, missing in unknown.items() if s not in (2, 5))


def test_a_stay_without_a_film_and_a_null_event_are_written_and_read(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    leave_out_film(params.build("ddl_cxr"), 1)
    key = add_null_event(params.build("ddl_cxr"), 2)
    shard.run(params, recipe)
    folder = params.build("ddl_cxr", "shard")
    assert verify(folder).samples == 48
    dataset = open_dataset(folder)
    stays = {stay.subject_id: stay for stay in dataset.split("train", "stay")}
    assert stays[1].previous is None
    assert stays[1].hours_since_previous is None
    assert stays[2].previous.dicom_id == "dicom-2-1"
    pairs = dataset.split("train", "pair")
    null = pairs[pairs.find(key)]
    assert (null.is_null_event, null.gap_hours) == (True, 0)
    assert null.target.dicom_id == null.previous.dicom_id == "dicom-2-0"
    assert null.window.hourly.shape == (0, 17)
    assert null.window.start_at == null.window.end_at == film(2, 0)["at"]
    # A film that is not there counts nowhere; that of a null event twice, as of any pair.
    assert dataset.statistics.latent.films == 2 * (15 + 1) + (8 - 1) + 8


def test_a_dataset_without_any_film_can_be_built(tmp_path):
    """All stays lack a film, and the stages before wrote none."""
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    folder = params.build("ddl_cxr")
    for subject in SPLIT_OF:
        leave_out_film(folder, subject)
    for name in ("cohort/pair", "cohort/image", "image/film", "latent/latent"):
        pl.read_parquet(folder / f"{name}.parquet").clear().write_parquet(
            folder / f"{name}.parquet"
        )
    for path in (*folder.glob("image/*.npy"), *folder.glob("latent/*.npy")):
        path.unlink()
    done = json.loads((folder / "latent" / "done.json").read_text()) | {"shape": None}
    (folder / "latent" / "done.json").write_text(json.dumps(done))
    shard.run(params, recipe)
    assert verify(folder / "shard").samples == 12
    dataset = open_dataset(folder / "shard")
    batch = collate(list(dataset.split("test", "stay")), dataset)
    assert batch.previous.shape == (2, 2, 0, 0, 0)
    assert batch.hours.shape == (2, 48, 79)
    assert dataset.statistics.latent.films == 0


def test_tables_of_labels_that_a_recipe_lacks_describe_nothing(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    for name in ("attribute", "change", "phenotype"):
        (params.build("ddl_cxr", "cohort") / f"{name}.parquet").unlink()
    shard.run(params, recipe)
    dataset = open_dataset(params.build("ddl_cxr", "shard"))
    pair = dataset.split("train", "pair")[0]
    assert (pair.previous.attributes, pair.changes) == ({}, {})
    assert dataset.split("train", "stay")[0].phenotypes is None


@pytest.mark.parametrize("name", ["attribute", "change", "phenotype"])
def test_a_change_of_a_label_table_makes_the_dataset_again(tmp_path, name):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    shard.run(params, recipe)
    before = open_dataset(params.build("ddl_cxr", "shard")).manifest.made_from
    path = params.build("ddl_cxr", "cohort", f"{name}.parquet")
    pl.read_parquet(path)[1:].write_parquet(path)
    shard.run(params, recipe)
    assert open_dataset(params.build("ddl_cxr", "shard")).manifest.made_from != before


@pytest.mark.parametrize("name", ["ddl_cxr", "ehrxdiff", "medfuse", "future"])
def test_race_and_insurance_are_columns_of_pairs_and_stays_of_every_recipe(tmp_path, name):
    dataset = open_dataset(build_dataset(tmp_path, name, shard={"workers": 1}))
    kinds = [kind for kind in dataset.manifest.splits["train"] if kind != "image"]
    for kind in kinds:
        split = dataset.split("train", kind)
        subjects = split.columns["subject_id"].tolist()
        race = ["WHITE" if subject % 2 else "" for subject in subjects]
        insurance = [("Medicare", "Medicaid", "")[subject % 3] for subject in subjects]
        assert split.columns["race"].tolist() == race
        assert split.columns["insurance"].tolist() == insurance
        assert [sample.race or "" for sample in split] == race
        assert [sample.insurance or "" for sample in split] == insurance
        # They are no history: of that batches say nothing without earlier admissions.
        earlier = split.columns["earlier_admissions"]
        batch = collate(list(split), dataset)
        assert batch.has_history.tolist() == (earlier > 0).tolist()
        assert (earlier == -1).all() == (name != "future")
