"""Whatever a view asks for, the loader's batches are `collate`'s to the last bit."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tiny_build import (
    DIMENSIONS,
    SPLIT_OF,
    add_null_event,
    build_dataset,
    leave_out_film,
    write_build,
)

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.batch import field_names
from cxrfuture_data.collate import Draw, collate
from cxrfuture_data.view import VIEWS, View
from etl import shard

SIZE = 32  # of the tiny builds' films
SEED = 3
ALL = {
    "pair": View(
        kind="pair", latents="drawn", hours=True, events="vectors", films=True, film_size=SIZE
    ),
    "stay": View(
        kind="stay", latents="drawn", hours=True, events="vectors", films=True, film_size=SIZE
    ),
    "image": View(kind="image", latents="drawn", films=True, film_size=SIZE),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A function of recipe and how films are kept. Two stays have no film, and two pairs
    are null events."""
    made = {}

    def find(name, keep="levels"):
        if (name, keep) not in made:
            root = tmp_path_factory.mktemp(name)
            options = {"samples_per_shard": 4, "workers": 1, "keep_films": keep}
            params, recipe = write_build(root, name, shard=options)
            folder = params.build(name)
            if "stay" in recipe.kinds:
                leave_out_film(folder, 2)
                leave_out_film(folder, 5)
            if "pair" in recipe.kinds:
                add_null_event(folder, 1)
                add_null_event(folder, 4)
            shard.run(params, recipe)
            made[name, keep] = open_dataset(params.build(name, "shard"))
        return made[name, keep]

    return find


def require_equal(dataset, view, epochs=2, batch_size=4, **options):
    """Every batch of some epochs; how many there were."""
    split = dataset.split(options.pop("split", "train"), view.kind)
    training = options.get("training", True)
    loader = split.loader(batch_size, view, seed=SEED, **options)
    seen = 0
    for epoch in range(epochs):
        draw = Draw(SEED, epoch, training)
        for batch in loader:
            samples = [split[split.find(key)] for key in batch.keys]
            expected = collate(samples, dataset, view, draw=draw)
            assert type(batch) is type(expected)
            for name in field_names(batch):
                if name == "is_padding":
                    continue
                found, other = getattr(batch, name).numpy(), getattr(expected, name)
                assert (found.dtype, found.shape) == (other.dtype, other.shape), name
                assert found.tobytes() == other.tobytes(), name
            seen += 1
    loader.close()
    return seen


@pytest.mark.parametrize("keep", ["png", "levels"])
@pytest.mark.parametrize("name", VIEWS)
def test_every_published_view_is_as_collate_gives_it(built, name, keep):
    dataset = built(name.partition(".")[0], keep)
    view = VIEWS[name]
    view = replace(view, film_size=SIZE if view.films else None)
    assert require_equal(dataset, view) >= 4
    assert require_equal(dataset, view, batch_size=5, training=False) >= 4
    if keep == "png" and not name.startswith(("medfuse", "drfuse")):
        assert require_equal(dataset, view, workers=2) >= 4


@pytest.mark.parametrize("kind", ["pair", "stay"])
@pytest.mark.parametrize("latents", ["none", "posterior", "mean", "drawn"])
def test_any_choice_of_latents_hours_events_and_films(built, kind, latents):
    """Among them the batches of one sample, and those of all."""
    for events, most in (("none", None), ("rows", 2), ("rows", None), ("vectors", 1)):
        for films in (False, True):
            view = replace(
                ALL[kind],
                latents=latents,
                hours=events != "rows",
                hours_as_measured=most == 1,
                events=events,
                max_events=most,
                films=films,
            )
            require_equal(built("future"), view, epochs=1, batch_size=3 if films else 1)
            require_equal(built("future"), view, epochs=1, batch_size=20, training=False)


@pytest.mark.parametrize("latents", ["none", "posterior", "mean", "drawn"])
def test_any_choice_for_images(built, latents):
    for films in (False, True):
        view = replace(ALL["image"], latents=latents, films=films)
        for recipe in ("diff3m", "ddl_cxr"):
            require_equal(built(recipe), view, batch_size=3)


@pytest.mark.parametrize("null_events", ["masked", "zeros"])
@pytest.mark.parametrize("workers", [0, 1])
def test_null_events_are_masked_or_as_many_zeros(built, null_events, workers):
    dataset = built("ehrxdiff_null")
    view = replace(ALL["pair"], max_events=5, null_events=null_events)
    assert require_equal(dataset, view, workers=workers) == 8
    found = next(iter(dataset.split("train", "pair").loader(17, view)))
    assert found.is_null_event.sum() == 2
    counted = found.is_event[found.is_null_event].sum(dim=1).tolist()
    assert counted == ([5, 5] if null_events == "zeros" else [0, 0])
    assert not found.event[found.is_null_event].any()
    assert found.event.shape == (17, 5 if null_events == "zeros" else 3, DIMENSIONS)


def test_of_many_events_the_newest_are_kept(built):
    view = replace(ALL["pair"], max_events=2, films=False)
    split = built("future").split("train", "pair").where(lambda columns: columns["events"] == 3)
    batch = next(iter(split.loader(4, view)))
    assert batch.event_hours.tolist() == [[2, 4]] * 4
    assert batch.event[..., 0].tolist() == [[1, 2]] * 4


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """No film in any stay, and of `future` no event and no hour in any window."""
    params, recipe = write_build(
        tmp_path_factory.mktemp("bare"), "future", shard={"workers": 1, "keep_films": "levels"}
    )
    folder = params.build("future")
    for subject in SPLIT_OF:
        leave_out_film(folder, subject)
    windows = pl.read_parquet(folder / "window" / "window.parquet")
    empty = [pl.lit(0).cast(windows.schema[name]).alias(name) for name in ("hours", "events")]
    windows.with_columns(*empty).write_parquet(folder / "window" / "window.parquet")
    for name in ("hourly", "window_event"):
        path = folder / "window" / f"{name}.parquet"
        pl.read_parquet(path).clear().write_parquet(path)
    shard.run(params, recipe)
    return open_dataset(params.build("future", "shard"))


@pytest.mark.parametrize("kind", ["pair", "stay"])
@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_missing_everywhere_is_nothing_everywhere(bare, kind, workers):
    assert require_equal(bare, ALL[kind], workers=workers) >= 4
    posterior = replace(ALL[kind], latents="posterior", events="rows", max_events=7)
    assert require_equal(bare, posterior, training=False) >= 4
    batch = next(iter(bare.split("train", kind).loader(4, ALL[kind])))
    assert batch.hours.shape[:2] == batch.is_hour.shape == (4, 0)
    assert batch.event.shape == (4, 0, DIMENSIONS)
    if kind == "stay":
        assert not batch.has_previous.any()
        assert not batch.previous.any()
        assert not batch.previous_film.any()
        assert not batch.label_known.any()


def test_shapes_and_types_are_those_that_batch_documents(built):
    batch = next(iter(built("future").split("train", "pair").loader(4, ALL["pair"])))
    of = {name: getattr(batch, name) for name in field_names(batch)}
    assert {name: tuple(value.shape) for name, value in of.items()} == {
        **dict.fromkeys(("previous", "target"), (4, 4, 4, 4)),
        **dict.fromkeys(("previous_film", "target_film"), (4, 1, SIZE, SIZE)),
        "hours": (4, 10, of["hours"].shape[2]),
        "is_hour": (4, 10),
        "event": (4, 3, DIMENSIONS),
        **dict.fromkeys(("event_row", "is_event", "event_hours", "event_end_hours"), (4, 3)),
        **dict.fromkeys(("event_runs", "event_table"), (4, 3)),
        "comorbidities": (4, 17),
        **dict.fromkeys(("attributes", "attribute_known"), (4, 10)),
        **dict.fromkeys(("previous_attributes", "previous_attribute_known"), (4, 10)),
        **dict.fromkeys(("labels", "label_known", "changes", "changes_known"), (4, 14)),
        **dict.fromkeys(("previous_labels", "previous_label_known"), (4, 14)),
        **dict.fromkeys(("is_padding", "age", "is_male", "has_history", "bmi"), (4,)),
        **dict.fromkeys(("bmi_known", "died", "died_known", "gap_hours", "is_null_event"), (4,)),
    }
    types = {name: str(value.dtype).removeprefix("torch.") for name, value in of.items()}
    named = {name: kind for name, kind in types.items() if kind not in ("bool", "float32")}
    assert named == {
        "previous_film": "uint8",
        "target_film": "uint8",
        "event": "float16",
        "event_row": "int32",
        "event_table": "uint8",
        **dict.fromkeys(("labels", "previous_labels", "changes"), "int8"),
        **dict.fromkeys(("attributes", "previous_attributes"), "int8"),
    }
    flags = {name for name, kind in types.items() if kind == "bool"}
    assert {name for name in flags if not name.startswith(("is_", "has_"))} == {
        *(name for name in types if name.endswith("_known")),
        *("comorbidities", "died", "event_runs"),
    }
    posterior = replace(ALL["pair"], latents="posterior", films=False)
    batch = next(iter(built("future").split("train", "pair").loader(4, posterior)))
    assert batch.target.shape == (4, 2, 4, 4, 4)
    assert str(batch.target.dtype) == "torch.float16"
    assert batch.target_film.shape == (4, 1, 0, 0)


def by_key(loader, field):
    return {
        key: value.numpy().tobytes()
        for batch in loader
        for key, value in zip(batch.keys, getattr(batch, field), strict=True)
    }


@pytest.mark.parametrize("field", ["previous_film", "target"])
def test_what_is_random_differs_between_epochs_and_not_by_how_one_came_there(built, field):
    """Films are augmented, and latents drawn, alike after a resume, by other ranks and workers."""
    view = replace(ALL["pair"], augment={"previous": "weak_affine"})
    split = built("future").split("train", "pair").where(lambda c: c["subject_id"] > 1)
    loader = split.loader(1, view, seed=SEED)
    first, second = by_key(loader, field), by_key(loader, field)
    assert first.keys() == second.keys()
    assert len(set(first.values())) > 2
    assert all(first[key] != second[key] for key in first)
    loader.set_epoch(1)
    for _, _batch in zip(range(2), loader, strict=False):
        state = loader.state_dict()
    for ranks, workers in ((1, 0), (2, 1)):
        for rank in range(ranks):
            other = split.loader(1, view, seed=SEED, rank=rank, world_size=ranks, workers=workers)
            other.load_state_dict(state)
            found = by_key(other, field)
            other.close()
            assert len(found) == (len(split) - 2) // ranks
            assert found.items() <= second.items()
    plain = by_key(split.loader(1, view, seed=SEED, training=False), "previous_film")
    assert plain == by_key(split.loader(1, replace(view, augment={}), seed=9), "previous_film")


def test_a_view_of_another_kind_or_of_films_that_are_not_kept_is_refused(tmp_path):
    dataset = open_dataset(
        build_dataset(tmp_path, "ddl_cxr", shard={"workers": 1, "keep_films": "none"})
    )
    pairs = dataset.split("train", "pair")
    with pytest.raises(ContractError, match="the view is of stay samples, these are pair"):
        pairs.loader(2, "ddl_cxr.stay")
    with pytest.raises(ContractError, match=r"the dataset keeps none; build with .*keep_films"):
        pairs.loader(2, ALL["pair"])
    with pytest.raises(ContractError, match=r"no view 'ddl_cxr\.pairs'; did you mean"):
        pairs.loader(2, "ddl_cxr.pairs")
    assert np.array_equal(next(iter(pairs.loader(2, "ddl_cxr.pair"))).is_padding, [False] * 2)
