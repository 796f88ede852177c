"""Samples -> batches: padded to the longest, with flags that say what is real.

Shapes: B samples; C, h, w of a latent; T hours and E events of the longest window in the batch;
D of an event embedding; s pixels of a film. Flags named ``is_`` or ``_known`` are True where the
value is real; padded and unknown places hold 0. A is numpy's array here and torch's tensor out of
the loader.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from cxrfuture_data.batch_film import label_fields, labels_of, latents_of, pixels_of
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.hourly import HourlyInput, vector
from cxrfuture_data.labels import change_labels, said_changes
from cxrfuture_data.published import hourly_input
from cxrfuture_data.sample import (
    Array,
    ImageSample,
    PairSample,
    Sample,
    StaySample,
    Window,
)
from cxrfuture_data.schema import COMORBIDITIES, PHENOTYPES
from cxrfuture_data.wide import WideInput, wide_input, wide_vector

A = TypeVar("A")

# One call a stay, where a loop over names would cost more than reading the sample.
_PHENOTYPES, _NO_PHENOTYPES = itemgetter(*PHENOTYPES), (0,) * len(PHENOTYPES)
_COMORBIDITIES, _NO_COMORBIDITIES = itemgetter(*COMORBIDITIES), (0,) * len(COMORBIDITIES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch(Generic[A]):
    """``labels`` are those of the target (pair), the previous film (stay) or the image."""

    keys: list[str]
    is_padding: A  # (B,) bool: a repeated sample, to be left out of sums
    age: A  # (B,) float32, years
    is_male: A  # (B,) bool
    labels: A  # (B, 14) int8, raw: 1 present, 0 absent, -1 uncertain
    label_known: A  # (B, 14) bool: the report mentions it, if uncertainly


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowBatch(Batch[A]):
    previous: A  # (B, 2, C, h, w) float16: mean, log-variance
    previous_film: A  # (B, 1, s, s) uint8, of the film size asked for; s is 0 where none was
    # (B, T, F) float32: the 79 columns of hourly.vector, 76 as published by MedFuse and DrFuse; of
    # the set wide, the 142 of wide.wide_vector.
    hours: A
    is_hour: A  # (B, T) bool
    event: A  # (B, E, D) float16
    is_event: A  # (B, E) bool
    event_hours: A  # (B, E) float32, since the window's start
    event_end_hours: A  # (B, E) float32: of a moment its own hours, of what still runs the end's
    event_runs: A  # (B, E) bool: it still runs at the window's end
    event_table: A  # (B, E) uint8, index in schema.EVENT_TABLES
    comorbidities: A  # (B, 17) bool, of earlier admissions
    has_history: A  # (B,) bool: there were earlier admissions; else no comorbidity says nothing
    bmi: A  # (B,) float32, kg/m2
    bmi_known: A  # (B,) bool
    died: A  # (B,) bool, in hospital
    died_known: A  # (B,) bool


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBatch(WindowBatch[A]):
    target: A  # (B, 2, C, h, w) float16
    target_film: A  # (B, 1, s, s) uint8, likewise
    gap_hours: A  # (B,) float32, previous to target
    is_null_event: A  # (B,) bool: the target is the previous film itself, the window is empty
    previous_labels: A  # (B, 14) int8
    previous_label_known: A  # (B, 14) bool
    changes: A  # (B, 14) int8, index in labels.FINDING_CHANGES
    changes_known: A  # (B, 14) bool


@dataclass(frozen=True, kw_only=True, eq=False)
class StayBatch(WindowBatch[A]):
    has_previous: A  # (B,) bool: there is a film; else 0 in previous, its film and hours
    hours_since_previous: A  # (B,) float32, previous film to prediction
    phenotypes: A  # (B, 25) int8: 0, 1, in the order of schema.PHENOTYPES
    phenotypes_known: A  # (B,) bool
    remaining_hours: A  # (B,) float32, prediction to discharge
    remaining_known: A  # (B,) bool
    icu_transfer: A  # (B,) bool
    icu_transfer_known: A  # (B,) bool
    readmitted: A  # (B,) bool
    readmitted_known: A  # (B,) bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageBatch(Batch[A]):
    image: A  # (B, 2, C, h, w) float16
    image_film: A  # (B, 1, s, s) uint8, of the film size asked for; s is 0 where none was
    static: A  # (B, S) float32
    static_known: A  # (B, S) bool


AnyBatch = PairBatch[A] | StayBatch[A] | ImageBatch[A]
B = TypeVar("B")


def convert(batch: AnyBatch[A], function: Callable[[A], B]) -> AnyBatch[B]:
    """The batch with every array passed through a function; keys stay."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    arrays = {name: function(value) for name, value in values.items() if name != "keys"}
    kinds: dict[type, Any] = {PairBatch: PairBatch, StayBatch: StayBatch, ImageBatch: ImageBatch}
    return kinds[type(batch)](keys=batch.keys, **arrays)


def collate(
    samples: Sequence[Sample],
    dataset: Dataset,
    is_padding: Array | None = None,
    film_size: int | None = None,
) -> AnyBatch[Array]:
    """Samples of one kind -> a batch of numpy arrays, with films where their size is given."""
    common: dict[str, Any] = {
        "keys": [sample.key for sample in samples],
        "is_padding": np.zeros(len(samples), bool) if is_padding is None else is_padding,
        "age": np.array([sample.age for sample in samples], np.float32),
        "is_male": np.array([sample.sex == "M" for sample in samples]),
    }
    pairs = [sample for sample in samples if isinstance(sample, PairSample)]
    stays = [sample for sample in samples if isinstance(sample, StaySample)]
    images = [sample for sample in samples if isinstance(sample, ImageSample)]
    if len(samples) == 0 or len(samples) not in (len(pairs), len(stays), len(images)):
        raise ValueError(f"a batch is of one kind, got {len(samples)} samples of several")
    shape = tuple(dataset.manifest.latent.shape)
    if pairs:
        return PairBatch(
            **common,
            **label_fields([pair.target for pair in pairs]),
            **_window_fields(pairs, dataset, film_size),
            **_pair_fields(pairs, shape, film_size),
        )
    if stays:
        return StayBatch(
            **common,
            **label_fields([stay.previous for stay in stays]),
            **_window_fields(stays, dataset, film_size),
            **_stay_fields(stays),
        )
    static = np.stack([sample.static for sample in images])
    return ImageBatch(
        **common,
        **label_fields([sample.image for sample in images]),
        image=latents_of([sample.image for sample in images], shape),
        image_film=pixels_of([sample.image for sample in images], film_size),
        static=np.nan_to_num(static, nan=0.0),
        static_known=~np.isnan(static),
    )


def _pair_fields(
    pairs: Sequence[PairSample], shape: tuple[int, ...], film_size: int | None
) -> dict[str, Any]:
    before, before_known = labels_of([pair.previous for pair in pairs])
    after = labels_of([pair.target for pair in pairs])
    said = said_changes([pair.changes for pair in pairs])
    changes, changes_known = change_labels((before, before_known), after, said)
    return {
        "target": latents_of([pair.target for pair in pairs], shape),
        "target_film": pixels_of([pair.target for pair in pairs], film_size),
        "gap_hours": np.array([pair.gap_hours for pair in pairs], np.float32),
        "is_null_event": np.array([pair.is_null_event for pair in pairs]),
        "previous_labels": before,
        "previous_label_known": before_known,
        "changes": changes,
        "changes_known": changes_known,
    }


def _stay_fields(stays: Sequence[StaySample]) -> dict[str, Any]:
    phenotypes = [
        _NO_PHENOTYPES if stay.phenotypes is None else _PHENOTYPES(stay.phenotypes)
        for stay in stays
    ]
    remaining, remaining_known = _known((stay.remaining_hours for stay in stays), np.float32)
    transfer, transfer_known = _known((stay.icu_transfer for stay in stays), np.bool_)
    readmitted, readmitted_known = _known((stay.readmitted for stay in stays), np.bool_)
    return {
        "has_previous": np.array([stay.previous is not None for stay in stays]),
        "hours_since_previous": np.array(
            [stay.hours_since_previous or 0.0 for stay in stays], np.float32
        ),
        "phenotypes": np.array(phenotypes, np.int8),
        "phenotypes_known": np.array([stay.phenotypes is not None for stay in stays]),
        "remaining_hours": remaining,
        "remaining_known": remaining_known,
        "icu_transfer": transfer,
        "icu_transfer_known": transfer_known,
        "readmitted": readmitted,
        "readmitted_known": readmitted_known,
    }


def _known(values: Iterable[float | None], dtype: npt.DTypeLike) -> tuple[Array, Array]:
    """(values, 0 where not known; known), both (B,)."""
    found = list(values)
    known = np.array([value is not None for value in found])
    return np.array([value or 0 for value in found], dtype), known


def _history_fields(
    samples: Sequence[PairSample] | Sequence[StaySample],
) -> dict[str, Array]:
    histories = [sample.history for sample in samples]
    flags = [_NO_COMORBIDITIES if h is None else _COMORBIDITIES(h.comorbidities) for h in histories]
    bmi, bmi_known = _known((h.bmi if h is not None else None for h in histories), np.float32)
    return {
        "comorbidities": np.array(flags, bool),
        "has_history": np.array([h is not None and h.earlier_admissions > 0 for h in histories]),
        "bmi": bmi,
        "bmi_known": bmi_known,
    }


def _window_fields(
    samples: Sequence[PairSample] | Sequence[StaySample], dataset: Dataset, film_size: int | None
) -> dict[str, Any]:
    is_pair = isinstance(samples[0], PairSample)
    rule = _hourly_rule(dataset, "pair" if is_pair else "stay")
    rows = [
        wide_vector(s.window.hourly, rule)
        if isinstance(rule, WideInput)
        else vector(s.window.hourly, s.age, s.sex, rule)
        for s in samples
    ]
    died, died_known = _known((sample.died_in_hospital for sample in samples), np.bool_)
    hours, is_hour = _pad(rows, rule.columns)
    shape = tuple(dataset.manifest.latent.shape)
    return {
        "previous": latents_of([sample.previous for sample in samples], shape),
        "previous_film": pixels_of([sample.previous for sample in samples], film_size),
        "hours": hours,
        "is_hour": is_hour,
        "died": died,
        "died_known": died_known,
        **_history_fields(samples),
        **_event_fields([sample.window for sample in samples], dataset),
    }


def _hourly_rule(dataset: Dataset, kind: str) -> HourlyInput | WideInput:
    body, statistics = dataset.manifest.recipe.body, dataset.statistics
    found = statistics.pair if kind == "pair" else statistics.stay
    if body["window"]["variables"] == "wide":
        return wide_input(found)
    return hourly_input(body, kind, found)


def hour_columns(dataset: Dataset, kind: str) -> int:
    """F, the columns of ``hours`` in the dataset's batches of a kind: pair or stay."""
    return _hourly_rule(dataset, kind).columns


def _pad(rows: Sequence[Array], columns: int) -> tuple[Array, Array]:
    """(T_i, columns) each -> (B, T, columns) and (B, T) bool, True where real."""
    lengths = np.array([len(row) for row in rows])
    is_real = np.arange(lengths.max())[None, :] < lengths[:, None]
    padded = np.zeros((*is_real.shape, columns), np.float32)
    padded[is_real] = np.concatenate(rows)
    return padded, is_real


def _event_fields(windows: Sequence[Window], dataset: Dataset) -> dict[str, Array]:
    lengths = np.array([len(window.event_row) for window in windows])
    is_event = np.arange(lengths.max())[None, :] < lengths[:, None]  # (B, E)
    event = np.zeros((*is_event.shape, dataset.manifest.embeddings.dimensions), np.float16)
    hours = np.zeros(is_event.shape, np.float32)
    ends = np.zeros(is_event.shape, np.float32)
    runs = np.zeros(is_event.shape, bool)
    table = np.zeros(is_event.shape, np.uint8)
    if is_event.any():
        event[is_event] = dataset.embeddings[np.concatenate([w.event_row for w in windows])]
        hours[is_event] = np.concatenate([window.event_hours for window in windows])
        table[is_event] = np.concatenate([window.event_table for window in windows])
        runs[is_event] = np.concatenate([np.isposinf(window.event_end_hours) for window in windows])
        ends[is_event] = np.concatenate([_end_hours(window) for window in windows])
    return {
        "event": event,
        "is_event": is_event,
        "event_hours": hours,
        "event_end_hours": ends,
        "event_runs": runs,
        "event_table": table,
    }


def _end_hours(window: Window) -> Array:
    """(E,): of a moment its own hours, of what still runs those of the window's end."""
    ends = window.event_end_hours
    length = (window.end_at - window.start_at).total_seconds() / 3600
    ends = np.where(np.isnan(ends), window.event_hours, ends)
    return np.where(np.isposinf(ends), np.float32(length), ends)
