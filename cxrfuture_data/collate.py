"""Samples -> a batch, one sample at a time: the plain form of what the loader does from the tars.

The loader's batches are equal to these to the last bit (``tests/test_loader.py``); use it for a few
samples at hand, and where speed is no matter.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.augment import AUGMENTATIONS
from cxrfuture_data.batch import BATCH_OF_KIND, AnyBatch, Array
from cxrfuture_data.columns import Columns
from cxrfuture_data.columns_of import columns_of
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.event_fields import NO_EVENT
from cxrfuture_data.generated import open_generated
from cxrfuture_data.hourly import HourlyInput, vector
from cxrfuture_data.posterior import draw
from cxrfuture_data.published import hourly_input
from cxrfuture_data.record import KIND_OF, describe
from cxrfuture_data.sample import Film, ImageSample, PairSample, Sample, StaySample, Window
from cxrfuture_data.scalar_fields import scalar_fields
from cxrfuture_data.schema import FILMS_OF_KIND, ContractError
from cxrfuture_data.seed import seed_of
from cxrfuture_data.tensor_fields import Draw
from cxrfuture_data.view import View
from cxrfuture_data.wide import WideInput, wide_input, wide_vector


def collate(
    samples: Sequence[Sample],
    dataset: Dataset,
    view: View | None = None,
    *,
    draw: Draw | None = None,
) -> AnyBatch[Array]:
    """Samples of one kind -> a batch of numpy arrays. Without a view: latents, hours and events."""
    kinds = {KIND_OF[type(sample)] for sample in samples}
    if len(kinds) != 1:
        raise ValueError(f"a batch is of one kind, got {len(samples)} samples of {len(kinds)}")
    kind = kinds.pop()
    if view is None:
        view = View(kind=kind, latents="posterior", hours=kind != "image", events="vectors")
    facts = [describe(sample, films="none")[0] for sample in samples]
    fields = scalar_fields(kind, Columns((), (), columns_of(kind, facts)))
    made = Draw() if draw is None else draw
    for role in FILMS_OF_KIND[kind]:
        films = [getattr(sample, role) for sample in samples]
        keys = [sample.key for sample in samples]
        fields[role] = _latents(films, keys, role, dataset, view, made)
        fields[f"{role}_film"] = _pixels(films, keys, role, dataset, view, made)
    windowed = [sample for sample in samples if isinstance(sample, PairSample | StaySample)]
    if windowed:
        fields |= _hour_fields(windowed, dataset, view)
        fields |= _event_fields(windowed, dataset, view)
    if kind == "stay":
        fields["generated"] = _generated(samples, dataset, view)
    images = [sample for sample in samples if isinstance(sample, ImageSample)]
    if images:
        static = np.stack([sample.static for sample in images])
        fields |= {"static": np.nan_to_num(static, nan=0.0), "static_known": ~np.isnan(static)}
    return BATCH_OF_KIND[kind](
        keys=[sample.key for sample in samples],
        is_padding=np.zeros(len(samples), bool),
        **fields,
    )


def hourly_rule(dataset: Dataset, kind: str) -> HourlyInput | WideInput:
    """How the hours of a kind, pair or stay, are read."""
    body, statistics = dataset.manifest.recipe.body, dataset.statistics
    found = statistics.pair if kind == "pair" else statistics.stay
    if body["window"]["variables"] == "wide":
        return wide_input(found)
    return hourly_input(body, kind, found)


def view_rule(dataset: Dataset, view: View) -> HourlyInput | WideInput:
    """How the hours of a view of pairs or stays are read: those of generation windows as pairs'
    are, for the model that reads them was trained on pairs."""
    recipe = dataset.manifest.recipe
    if view.generation and "generation_hours" not in recipe.body["cohort"]:
        raise ContractError(
            f"view: generation=True, and {recipe.name} generates no film; "
            "take a recipe by the rules of ddl_cxr"
        )
    return hourly_rule(dataset, "pair" if view.generation else view.kind)


def hour_columns(dataset: Dataset, kind: str) -> int:
    """F, the columns of ``hours`` in the dataset's batches of a kind: pair or stay."""
    return hourly_rule(dataset, kind).columns


def require_hours(dataset: Dataset, task: str) -> None:
    """Refuse a dataset of a recipe that keeps none, for a task that is conditioned on them."""
    recipe = dataset.manifest.recipe
    if not recipe.body["window"]["hourly"]:
        raise ContractError(
            f"recipe {recipe.name!r} keeps no hourly record, on which {task} is conditioned; "
            "train on a dataset of ddl_cxr, or another task"
        )


def film_size(dataset: Dataset, view: View) -> int:
    """s: pixels a side of the view's films, 0 where it has none."""
    if not view.films:
        return 0
    if dataset.manifest.films_kept == "none":
        raise ContractError(
            "this view has films, and the dataset keeps none; build with shard.keep_films: png or "
            "levels, or take a view with films=False"
        )
    size: int = view.film_size or dataset.manifest.recipe.body["image"]["size"]
    return size


def _latents(
    films: Sequence[Film | None],
    keys: Sequence[str],
    role: str,
    dataset: Dataset,
    view: View,
    made: Draw,
) -> Array:
    """(B, 2, C, h, w) or (B, C, h, w); 0 where there is no film."""
    shape = tuple(dataset.manifest.latent.shape)
    none = np.zeros(shape, np.float16)
    means = np.stack([none if film is None else film.mean for film in films])
    logvars = np.stack([none if film is None else film.logvar for film in films])
    if view.latents == "none":
        return np.zeros((len(films), 0, *shape), np.float16)
    if view.latents == "mean":
        return means
    if view.latents == "posterior":
        return np.stack([means, logvars], axis=1)
    seeds = [seed_of(made.seed, made.epoch, key, role) for key in keys]
    drawn = draw(means, logvars, seeds)
    drawn[[film is None for film in films]] = 0
    return drawn


def _pixels(
    films: Sequence[Film | None],
    keys: Sequence[str],
    role: str,
    dataset: Dataset,
    view: View,
    made: Draw,
) -> Array:
    """(B, 1, s, s); 0 where there is no film."""
    size = film_size(dataset, view)
    found = np.zeros((len(films), 1, size, size), np.uint8)
    for row, film, key in zip(found, films, keys, strict=True):
        if size and film is not None:
            row[0] = film.pixels(size)
            if made.training and role in view.augment:
                seed = seed_of(made.seed, made.epoch, key, f"{role}_film")
                row[0] = AUGMENTATIONS[view.augment[role]](row[0], seed)
    return found


def _hour_fields(
    samples: Sequence[PairSample | StaySample], dataset: Dataset, view: View
) -> dict[str, Array]:
    rule = view_rule(dataset, view)
    columns = samples[0].window.hourly.shape[1] if view.hours_as_measured else rule.columns
    if not view.hours:
        none = np.zeros((len(samples), 0, columns), np.float32)
        return {"hours": none, "is_hour": np.zeros(none.shape[:2], bool)}
    rows = [_as_read(sample, rule, view) for sample in samples]
    is_hour = _is_real([len(row) for row in rows])
    hours = np.zeros((*is_hour.shape, columns), np.float32)
    hours[is_hour] = np.concatenate(rows)
    return {"hours": hours, "is_hour": is_hour}


def _generated(samples: Sequence[Sample], dataset: Dataset, view: View) -> Array:
    """(B, K, C, h, w)."""
    made_from, shape = dataset.manifest.made_from, tuple(dataset.manifest.latent.shape)
    if view.generated is None:
        return np.zeros((len(samples), 0, *shape), np.float16)
    latents = open_generated(Path(view.generated), made_from)
    found = np.zeros((len(samples), latents.seeds, *shape), np.float16)
    for out, sample in zip(found, samples, strict=True):
        if isinstance(sample, StaySample) and sample.previous is not None:
            latents.put(out, sample.key)
    return found


def _as_read(sample: PairSample | StaySample, rule: HourlyInput | WideInput, view: View) -> Array:
    hourly = sample.window.hourly
    if view.generation and isinstance(sample, StaySample):
        hourly = hourly[:0] if sample.generation is None else sample.generation.hourly
    if view.hours_as_measured:
        return hourly
    if isinstance(rule, WideInput):
        return wide_vector(hourly, rule)
    return vector(hourly, sample.age, sample.sex, rule)


def _is_real(lengths: Sequence[int], longest: int | None = None) -> Array:
    """(B, longest) bool."""
    width = max(lengths) if longest is None else longest
    return np.arange(width)[None, :] < np.array(lengths)[:, None]


def _event_fields(
    samples: Sequence[PairSample | StaySample], dataset: Dataset, view: View
) -> dict[str, Array]:
    windows = [_newest(sample.window, view) for sample in samples]
    nulls = [isinstance(s, PairSample) and s.is_null_event for s in samples]
    lengths = [len(window["row"]) for window in windows]
    has_zeros = view.events != "none" and view.null_events == "zeros" and any(nulls)
    is_event = _is_real(lengths, view.max_events if has_zeros else None)
    fields: dict[str, Any] = {
        "event_row": np.full(is_event.shape, NO_EVENT, np.int32),
        "event_hours": np.zeros(is_event.shape, np.float32),
        "event_end_hours": np.zeros(is_event.shape, np.float32),
        "event_runs": np.zeros(is_event.shape, bool),
        "event_table": np.zeros(is_event.shape, np.uint8),
    }
    for name, field in fields.items():
        field[is_event] = np.concatenate(
            [window[name.removeprefix("event_")] for window in windows]
        )
    width = is_event.shape[1] if view.events == "vectors" else 0
    event = np.zeros((len(samples), width, dataset.manifest.embeddings.dimensions), np.float16)
    if width and is_event.any():
        event[is_event] = dataset.embeddings[fields["event_row"][is_event]]
    if has_zeros:
        is_event[nulls] = True
    return fields | {"event": event, "is_event": is_event}


def _newest(window: Window, view: View) -> dict[str, Array]:
    """What is known of the newest events of a window; of a moment its end is its own hour, of what
    still runs the end of the window."""
    count = 0 if view.events == "none" else len(window.event_row)
    first = max(count - view.max_events, 0) if view.max_events is not None else 0
    ends, hours = window.event_end_hours[first:count], window.event_hours[first:count]
    length = np.float32((window.end_at - window.start_at).total_seconds() / 3600)
    ends_known = np.where(np.isnan(ends), hours, ends)
    return {
        "row": window.event_row[first:count],
        "hours": hours,
        "end_hours": np.where(np.isposinf(ends), length, ends_known),
        "runs": np.isposinf(ends),
        "table": window.event_table[first:count],
    }
