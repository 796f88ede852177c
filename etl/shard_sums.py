"""Sums over training samples that add up to the dataset's statistics, shard by shard.

A shard's sums are of its samples in their order, and shards are added in theirs, so the result is
the same with any number of workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cxrfuture_data.hourly import bounds_of, clip
from cxrfuture_data.manifest import LatentStatistics, Moments, Statistics, WindowStatistics
from cxrfuture_data.sample import Array, PairSample, Sample, StaySample, films_of
from cxrfuture_data.schema import FILMS_OF_KIND, VARIABLE_SETS, Variable

# Ages are summed about this, values about their normal ones, so that squares do not cancel.
NORMAL_AGE = 65.0
DIGITS = 9  # kept of a statistic; beyond them machines may differ


@dataclass(eq=False)
class Sums:
    """count, total, square: (V,) float64, of values less ``shift``."""

    shift: Array
    count: Array = field(init=False)
    total: Array = field(init=False)
    square: Array = field(init=False)

    def __post_init__(self) -> None:
        self.count, self.total, self.square = np.zeros((3, len(self.shift)))

    def add(self, values: Array) -> None:
        """values: (N, V); NaN is no value."""
        shifted = values.astype(np.float64) - self.shift
        observed = ~np.isnan(shifted)
        shifted[~observed] = 0
        self.count += observed.sum(0)
        self.total += shifted.sum(0)
        self.square += (shifted**2).sum(0)

    def merge(self, lists: Mapping[str, list[float]]) -> None:
        self.count += lists["count"]
        self.total += lists["total"]
        self.square += lists["square"]

    def lists(self) -> dict[str, list[float]]:
        return {name: getattr(self, name).tolist() for name in ("count", "total", "square")}

    def moments(self) -> list[Moments]:
        """Of each value; of nothing: the shift, which is the normal value, and 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(self.count > 0, self.total / self.count, 0) + self.shift
            variance = (self.square - self.total**2 / self.count) / (self.count - 1)
        std = np.sqrt(np.where(self.count > 1, np.maximum(variance, 0), 0))
        return [
            Moments(count=int(count), mean=_rounded(center), std=_rounded(spread))
            for count, center, spread in zip(self.count, mean, std, strict=True)
        ]


class TrainingSums:
    """The sums of one shard, or of all shards of a kind."""

    def __init__(self, channels: int, variables: str) -> None:
        """``variables``: the set that hourly values are of."""
        self.variables = VARIABLE_SETS[variables]
        self.bounds = bounds_of(self.variables)
        self.films = 0
        self.latent = Sums(np.zeros(channels))
        self.hourly = Sums(np.array([variable.default for variable in self.variables]))
        self.age = Sums(np.array([NORMAL_AGE]))

    def add(self, sample: Sample) -> None:
        self.age.add(np.array([[sample.age]]))
        if isinstance(sample, PairSample | StaySample):
            self.hourly.add(clip(sample.window.hourly, self.bounds))
        for film in films_of(sample).values():
            mean = film.mean.reshape(len(film.mean), -1).T  # (h * w, C)
            self.latent.add(mean)
            # A draw from the posterior varies about its mean by exp(logvar).
            self.latent.square += np.exp(film.logvar.astype(np.float64)).sum((1, 2))
            self.films += 1

    def merge(self, facts: Mapping[str, Any]) -> None:
        self.films += facts["films"]
        for name in ("latent", "hourly", "age"):
            getattr(self, name).merge(facts[name])

    def facts(self) -> dict[str, Any]:
        sums = {name: getattr(self, name).lists() for name in ("latent", "hourly", "age")}
        return {"films": self.films, **sums}


def statistics_of(shards: Sequence[tuple[str, Mapping[str, Any]]], variables: str) -> Statistics:
    """The facts of training shards, (kind, facts) in order -> the dataset's statistics."""
    channels = len(shards[0][1]["latent"]["count"]) if shards else 0
    sums = {kind: TrainingSums(channels, variables) for kind in FILMS_OF_KIND}
    everything = TrainingSums(channels, variables)
    for kind, facts in shards:
        sums[kind].merge(facts)
        everything.merge(facts)
    return Statistics(
        pair=_window_statistics(sums["pair"]),
        stay=_window_statistics(sums["stay"]),
        latent=_latent_statistics(everything),
    )


def _window_statistics(sums: TrainingSums) -> WindowStatistics:
    return window_statistics(sums.hourly, sums.age, sums.variables)


def window_statistics(hourly: Sums, age: Sums, variables: Sequence[Variable]) -> WindowStatistics:
    """Of the sums of observed, clipped hourly values and of ages."""
    moments = zip(variables, hourly.moments(), strict=True)
    return WindowStatistics(
        variables={variable.name: found for variable, found in moments if not variable.categories},
        age=age.moments()[0],
    )


def _latent_statistics(sums: TrainingSums) -> LatentStatistics:
    channels = sums.latent.moments()
    overall = Sums(np.zeros(1))
    overall.merge({name: [sum(values)] for name, values in sums.latent.lists().items()})
    return LatentStatistics(
        films=sums.films,
        mean=overall.moments()[0].mean,
        std=overall.moments()[0].std,
        channel_mean=[moment.mean for moment in channels],
        channel_std=[moment.std for moment in channels],
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
