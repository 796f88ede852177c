"""Batches: what a loader gives. Padded to the longest, with flags that say what is real.

Shapes: B samples; C, h, w of a latent; T hours and E events of the longest window in the batch;
D of an event embedding; s pixels of a film. Flags named ``is_`` or ``_known`` are True where the
value is real; padded and unknown places hold 0 (event_row -1). A is torch's tensor out of the
loader, and numpy's array out of ``collate``.

A latent is (B, 2, C, h, w) float16, mean and log-variance of the posterior; by a view that asks
for the mean (B, C, h, w) float16, or for a draw (B, C, h, w) float32. A film is (B, 1, s, s)
uint8. What a view leaves out has B rows of nothing: (B, 0, ...).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Self, TypeVar

from cxrfuture_data.sample import Array as Array

A = TypeVar("A")


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch(Generic[A]):
    """``labels`` are those of the target (pair), the previous film (stay) or the image."""

    keys: list[str]
    is_padding: A  # (B,) bool: a repeated sample, to be left out of sums
    age: A  # (B,) float32, years
    is_male: A  # (B,) bool
    labels: A  # (B, 14) int8, raw: 1 present, 0 absent, -1 uncertain
    label_known: A  # (B, 14) bool: the report mentions it, if uncertainly

    def to(self, device: Any, *, non_blocking: bool = True) -> Self:
        """The batch of torch tensors on a device."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=non_blocking)
            for name in field_names(self)
        }
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowBatch(Batch[A]):
    previous: A  # a latent
    previous_film: A
    # Of the window; by a view of generation of the generation window.
    # (B, T, F) float32: the 79 columns of hourly.vector, 76 as published by MedFuse and DrFuse; of
    # the set wide, the 142 of wide.wide_vector; by a view of hours as measured the variables.
    hours: A
    is_hour: A  # (B, T) bool
    event: A  # (B, E, D) float16
    event_row: A  # (B, E) int32, rows of dataset.embeddings; -1: none
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
    target: A  # a latent
    target_film: A
    gap_hours: A  # (B,) float32, previous to target
    is_null_event: A  # (B,) bool: the target is the previous film itself, the window is empty
    previous_labels: A  # (B, 14) int8
    previous_label_known: A  # (B, 14) bool
    attributes: A  # (B, 10) int8, of the target: 1, 0 as labels.ATTRIBUTES says
    attribute_known: A  # (B, 10) bool
    previous_attributes: A  # (B, 10) int8
    previous_attribute_known: A  # (B, 10) bool
    changes: A  # (B, 14) int8, index in labels.FINDING_CHANGES
    changes_known: A  # (B, 14) bool


@dataclass(frozen=True, kw_only=True, eq=False)
class StayBatch(WindowBatch[A]):
    has_previous: A  # (B,) bool: there is a film; else 0 in previous, its film and hours
    hours_since_previous: A  # (B,) float32, previous film to prediction
    # (B, K, C, h, w) float16, of a view that names generated latents; 0 where there is no film.
    generated: A
    window_hours: A  # (B,) float32, from the window's start to its end, the prediction
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
    image: A  # a latent
    image_film: A
    static: A  # (B, S) float32
    static_known: A  # (B, S) bool


AnyBatch = PairBatch[A] | StayBatch[A] | ImageBatch[A]
BATCH_OF_KIND: dict[str, type[Any]] = {"pair": PairBatch, "stay": StayBatch, "image": ImageBatch}
B = TypeVar("B")


def field_names(batch: Any) -> list[str]:
    """The names of a batch's arrays, of an instance or a type: all fields but ``keys``."""
    return [field.name for field in fields(batch) if field.name != "keys"]


def convert(batch: AnyBatch[A], function: Callable[[A], B]) -> AnyBatch[B]:
    """The batch with every array passed through a function; keys stay."""
    arrays = {name: function(getattr(batch, name)) for name in field_names(batch)}
    return type(batch)(keys=batch.keys, **arrays)  # type: ignore[arg-type, return-value]
