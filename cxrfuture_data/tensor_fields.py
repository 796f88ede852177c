"""Fields of a batch that come from tensors: latents, hours and static values.

Each kind of field says how long samples are (``longest``) and what arrays it writes (``shapes``,
of ``count`` samples as long as that), where tensors are to be read to
(``begin``), and makes of them what a model sees (``finish``). Every array is written wholly,
whatever it held before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.columns import Columns
from cxrfuture_data.generated import GeneratedLatents, open_generated
from cxrfuture_data.hour_batch import HourFiller, Patients
from cxrfuture_data.hourly import HourlyInput
from cxrfuture_data.order import Positions
from cxrfuture_data.posterior import draw
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import LATENT_PARTS, STATIC, VARIABLES, WIDE_VARIABLES
from cxrfuture_data.seed import seed_of
from cxrfuture_data.tensor_reader import Target
from cxrfuture_data.view import View
from cxrfuture_data.wide import WideInput

Shape = tuple[tuple[int, ...], Any]  # lengths, dtype


@dataclass(frozen=True)
class Draw:
    """What is random of a batch comes from here and from each sample's key. Films are augmented in
    training alone."""

    seed: int = 0
    epoch: int = 0
    training: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """A batch to write: which samples, by position in the columns, and into what arrays."""

    positions: Positions
    keys: Sequence[bytes]
    draw: Draw
    out: Mapping[str, Array]


class LatentFields:
    """(B, 2, C, h, w), or (B, C, h, w), of each role; 0 where there is no film."""

    def __init__(self, view: View, roles: Sequence[str], latent: tuple[int, ...]) -> None:
        self.asked = view.latents
        self.roles = roles
        self.latent = latent

    def longest(self, positions: Positions) -> int:
        """Latents have one length."""
        return 0

    def shapes(self, count: int, longest: int) -> dict[str, Shape]:
        shape: Shape = {
            "none": ((count, 0, *self.latent), np.float16),
            "posterior": ((count, 2, *self.latent), np.float16),
            "mean": ((count, *self.latent), np.float16),
            "drawn": ((count, *self.latent), np.float32),
        }[self.asked]
        return dict.fromkeys(self.roles, shape)

    def begin(self, job: Job) -> dict[str, Target]:
        if self.asked == "none":
            return {}
        if self.asked == "mean":
            return {f"{role}_mean": fixed_target(job.out[role]) for role in self.roles}
        both = {role: job.out[role] for role in self.roles}
        if self.asked == "drawn":
            shape = (len(job.positions), 2, *self.latent)
            both = self.posteriors = {role: np.empty(shape, np.float16) for role in self.roles}
        return {
            f"{role}_{name}": fixed_target(array, part, len(LATENT_PARTS))
            for role, array in both.items()
            for part, name in enumerate(LATENT_PARTS)
        }

    def finish(self, job: Job) -> None:
        if self.asked != "drawn":
            return
        for role, both in self.posteriors.items():
            seeds = [seed_of(job.draw.seed, job.draw.epoch, key, role) for key in job.keys]
            out = job.out[role]
            out[:] = draw(both[:, 0], both[:, 1], seeds)
            out[~both.any(axis=(1, 2, 3, 4))] = 0  # no film, whose mean and log-variance are 0


class HourFields:
    """hours: (B, T, F) as a model reads them, and is_hour (B, T)."""

    def __init__(self, rule: HourlyInput | WideInput, columns: Columns, view: View) -> None:
        self.is_asked = view.hours
        self.as_measured = view.hours_as_measured
        self.tensor = "generation_hourly" if view.generation else "hourly"
        lengths = columns["generation_hours" if view.generation else "hours"]
        self.lengths = lengths.astype(np.int64)
        self.patients = Patients(columns["age"], columns["is_male"])
        self.filler = HourFiller(rule)
        variables = WIDE_VARIABLES if isinstance(rule, WideInput) else VARIABLES
        self.variables = len(variables)
        self.columns = self.variables if self.as_measured else rule.columns

    def longest(self, positions: Positions) -> int:
        """T of these samples."""
        return int(self.lengths[positions].max()) if self.is_asked else 0

    def shapes(self, count: int, longest: int) -> dict[str, Shape]:
        shape = (count, longest)
        return {"hours": ((*shape, self.columns), np.float32), "is_hour": (shape, np.bool_)}

    def begin(self, job: Job) -> dict[str, Target]:
        if not self.is_asked:
            return {}
        lengths = self.lengths[job.positions]
        if self.as_measured:
            hours = job.out["hours"]
            hours.fill(0)
            first = np.arange(len(hours)) * hours.strides[0]
            return {self.tensor: Target(bytes_of(hours), first.tolist(), 0)}
        self.record = np.empty((int(lengths.sum()), self.variables), np.float32)
        first = (np.cumsum(lengths) - lengths) * self.record.strides[0]
        return {self.tensor: Target(bytes_of(self.record), first.tolist(), 0)}

    def finish(self, job: Job) -> None:
        if not self.is_asked:
            return
        at, out = job.positions, job.out
        if self.as_measured:
            hour = np.arange(out["is_hour"].shape[1])
            np.less(hour, self.lengths[at][:, None], out=out["is_hour"])
        else:
            patients = Patients(self.patients.age[at], self.patients.is_male[at])
            self.filler.fill(out["hours"], out["is_hour"], self.record, self.lengths[at], patients)


class GeneratedFields:
    """generated (B, K, C, h, w), joined by key; 0 of a stay without a film."""

    def __init__(self, view: View, columns: Columns, dataset: str, latent: tuple[int, ...]) -> None:
        self.latent = latent
        self.has_previous = columns["previous.has"]
        self.latents: GeneratedLatents | None = None
        if view.generated is not None:
            self.latents = open_generated(Path(view.generated), dataset)

    def longest(self, positions: Positions) -> int:
        """K, of all samples."""
        return 0 if self.latents is None else self.latents.seeds

    def shapes(self, count: int, longest: int) -> dict[str, Shape]:
        return {"generated": ((count, longest, *self.latent), np.float16)}

    def begin(self, job: Job) -> dict[str, Target]:
        return {}

    def finish(self, job: Job) -> None:
        if self.latents is None:
            return
        out, has_previous = job.out["generated"], self.has_previous[job.positions]
        out[~has_previous] = 0
        for row in np.flatnonzero(has_previous).tolist():
            self.latents.put(out[row], job.keys[row].decode())


class StaticFields:
    """static (B, S), 0 where it is not known, and static_known; S is 0 of a recipe without."""

    def __init__(self, columns: Columns) -> None:
        self.width = len(STATIC) if columns["has_static"].any() else 0

    def longest(self, positions: Positions) -> int:
        """Static values have one length."""
        return 0

    def shapes(self, count: int, longest: int) -> dict[str, Shape]:
        shape = (count, self.width)
        return {"static": (shape, np.float32), "static_known": (shape, np.bool_)}

    def begin(self, job: Job) -> dict[str, Target]:
        return {"static": fixed_target(job.out["static"])} if self.width else {}

    def finish(self, job: Job) -> None:
        static, known = job.out["static"], job.out["static_known"]
        np.equal(static, static, out=known)  # not of NaN
        static[~known] = 0


def fixed_target(array: Array, part: int = 0, parts: int = 1) -> Target:
    """A part of each row of a contiguous array, whose rows are ``parts`` alike."""
    width = array[0].nbytes // parts
    starts = range(part * width, array.nbytes, parts * width) if width else [0] * len(array)
    return Target(bytes_of(array), starts, width)


def bytes_of(array: Array) -> memoryview:
    """The memory of a contiguous array."""
    flat: Array = array.reshape(-1).view(np.uint8)
    return flat.data
