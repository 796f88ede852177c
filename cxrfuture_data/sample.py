"""The samples of a dataset as typed fields.

Shapes: C, h, w of a latent; T hours of a window; E events of a window; S static values.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxrfuture_data.level import Levels, decode_level
from cxrfuture_data.schema import ContractError

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Film:
    """One film. ``labels`` are raw: 1 present, 0 absent, -1 uncertain, None not mentioned.

    ``attributes``: labels.ATTRIBUTES of Chest ImaGenome, 1, 0 or None likewise; empty where it does
    not describe the film.
    """

    study_id: int
    dicom_id: str
    taken_at: datetime
    view: str
    labels: Mapping[str, int | None]
    attributes: Mapping[str, int | None]
    mean: Array  # (C, h, w) float16, of the autoencoder's posterior
    logvar: Array  # (C, h, w) float16
    # Both None where the build kept no films, or they were not read; else one of them.
    png: bytes | None
    levels: Levels | None = None  # perhaps a prefix: what was asked for, and all that is smaller

    @property
    def is_kept(self) -> bool:
        return self.png is not None or self.levels is not None

    def pixels(self, size: int | None = None) -> Array:
        """(size, size) uint8; without a size the largest there is."""
        if self.levels is not None:
            return decode_level(self.levels.data, self.levels.largest if size is None else size)
        if self.png is None:
            raise ContractError(
                "this sample holds no film; build with shard.keep_films: png, or levels"
            )
        return decode_png(self.png, size)


def decode_png(png: bytes, size: int | None) -> Array:
    """(size, size) uint8, as large as it was kept; another size is refused."""
    pixels = np.asarray(Image.open(io.BytesIO(png), formats=("PNG",)))
    if size not in (None, min(pixels.shape)):
        raise ContractError(
            f"film size {size}: kept as PNG of {min(pixels.shape)} pixels alone; "
            "build with shard.keep_films: levels"
        )
    return pixels


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Window:
    """What was recorded between ``start_at`` and ``end_at``, as measured."""

    start_at: datetime
    end_at: datetime
    latest_event_at: datetime | None
    latest_known_at: datetime | None
    variables: str  # the set in schema.VARIABLE_SETS whose columns ``hourly`` has
    hourly: Array  # (T, V) float32 in the variables' units; NaN: not measured in that hour
    hourly_start_hours: float  # from start_at to the start of hour 0
    event_row: Array  # (E,) int32, rows of the embedding table, oldest first
    event_hours: Array  # (E,) float32, since start_at; negative: it began before
    event_end_hours: Array  # (E,) float32; NaN: a moment; +inf: it still runs at end_at
    event_table: Array  # (E,) uint8, index in schema.EVENT_TABLES


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GenerationWindow:
    """What was measured since a stay's film, and for some hours at least, up to its prediction: a
    film of that time is generated from it (specs ddl-cxr 3.7)."""

    start_at: datetime
    end_at: datetime
    latest_event_at: datetime | None
    latest_known_at: datetime | None
    hourly: Array  # (T, V) float32, as of Window; T up to the last measurement, as in a pair's
    hourly_start_hours: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class History:
    """What was known of the patient when the window began (a pair's), or ended (a stay's)."""

    bmi: float | None  # kg/m2, the latest
    earlier_admissions: int  # with coded diagnoses
    comorbidities: Mapping[str, int]  # schema.COMORBIDITIES, 0 or 1, of earlier admissions


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Sample:
    """What every kind has. ``age`` in years; ``sex`` is "F" or "M"."""

    key: str
    recipe: str
    split: str
    subject_id: int
    hadm_id: int | None
    stay_id: int | None
    age: float
    sex: str

    def __repr__(self) -> str:
        """The key alone: a sample that is logged or printed shows no patient."""
        return f"{type(self).__name__}(key={self.key!r})"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PairSample(Sample):
    """The previous film, the window between, and the target film.

    Of a null-event pair (specs ehrxdiff 5) the target is the previous film itself, the window is
    empty and the gap 0. ``changes``: of each of labels.CHANGE_ATTRIBUTES, one of labels.CHANGES or
    None; empty where nothing is said.
    """

    previous: Film
    window: Window
    target: Film
    gap_hours: float
    is_null_event: bool
    changes: Mapping[str, str | None]
    died_in_hospital: bool | None
    race: str | None  # as the admission spells it, and how it is insured
    insurance: str | None
    history: History | None  # None where the recipe has none


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StaySample(Sample):
    """A stay, in the ICU or in the hospital, up to its prediction time, and the last film before
    that, if there is one.

    An outcome is None where it is not this sample's to predict, not known, or censored.
    """

    previous: Film | None
    window: Window
    generation: GenerationWindow | None  # None where the recipe generates no film
    prediction_at: datetime
    hours_since_previous: float | None  # None without a film
    died_in_hospital: bool | None
    phenotypes: Mapping[str, int] | None  # 0 or 1 for each of schema.PHENOTYPES
    remaining_hours: float | None  # from the prediction to discharge
    icu_transfer: bool | None
    readmitted: bool | None
    label: float | None  # what the row of an index file says
    race: str | None  # as the admission spells it, and how it is insured
    insurance: str | None
    history: History | None  # None where the recipe has none


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ImageSample(Sample):
    """One film and a vector of the patient's static values."""

    image: Film
    static: Array  # (S,) float32, NaN: not known; empty where the recipe has none


def films_of(sample: Sample) -> dict[str, Film]:
    """The films that a sample has, by role."""
    found: dict[str, Film | None] = {}
    if isinstance(sample, PairSample):
        found = {"previous": sample.previous, "target": sample.target}
    elif isinstance(sample, StaySample):
        found = {"previous": sample.previous}
    elif isinstance(sample, ImageSample):
        found = {"image": sample.image}
    return {role: film for role, film in found.items() if film is not None}
