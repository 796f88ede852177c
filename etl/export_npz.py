"""Hourly matrices as npz: one array a stay and a pair, before and after normalisation.

``stay_raw.npz`` is keyed by stay_id, ``generation_raw.npz`` too, ``pair_raw.npz`` by pair_id;
``*_normalised.npz`` hold the same arrays z-scored with the moments in ``normaliser.json``.
``columns.txt`` names the columns; ``stay.csv`` and ``pair.csv`` say whose the keys are. Values are
float64, as the tables have them.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from cxrfuture_data.console import progress
from cxrfuture_data.hourly import HourlyInput, clip, column_names, raw_vector, scale
from cxrfuture_data.manifest import WindowStatistics
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.published import hourly_input, measure_moments
from cxrfuture_data.schema import PHENOTYPES, VARIABLES
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_rows import read_table
from etl.shard_sums import NORMAL_AGE, Sums, window_statistics

NAMES = [variable.name for variable in VARIABLES]
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same arrays give the same bytes on any day

Array = npt.NDArray[np.floating[Any]]
Normaliser = Literal["training"]


@dataclass(frozen=True)
class Windows:
    """The windows of one kind: one row a sample, and what was measured in each."""

    folder: Path  # build/<recipe>
    kind: str  # stay, generation or pair

    @cached_property
    def samples(self) -> pl.DataFrame:
        """name (of the array), key, split, age, sex, hours and the sample's other columns."""
        table = "pair" if self.kind == "pair" else "stay"
        rows = read_table(self.folder / "cohort" / f"{table}.parquet")
        rows = rows.rename({"pair_id": "key"}, strict=False)
        windows = read_table(self.folder / "window" / "window.parquet")
        chosen = windows.filter(pl.col("kind") == self.kind).select("key", "hours")
        name = "key" if self.kind == "pair" else "stay_id"
        return (
            rows.join(chosen, on="key")
            .with_columns(pl.col(name).cast(pl.String).alias("name"))
            .sort("name")
        )

    @property
    def training(self) -> Iterator[dict[str, Any]]:
        """The samples of training patients."""
        return self.samples.filter(pl.col("split") == "train").iter_rows(named=True)

    @cached_property
    def _measured(self) -> Mapping[Any, pl.DataFrame]:
        hourly = read_table(self.folder / "window" / "hourly.parquet")
        rows = hourly.filter(pl.col("kind") == self.kind)
        return rows.partition_by("key", as_dict=True, maintain_order=True)

    def hourly(self, sample: Mapping[str, Any]) -> Array:
        """(T, 17), NaN where nothing was measured in that hour."""
        values = np.full((sample["hours"], len(NAMES)), np.nan)
        found = self._measured.get((sample["key"],))
        if found is not None:
            values[found["hour"].to_numpy()] = found.select(NAMES).to_numpy()
        return values


def export(
    params: Params, recipe: Recipe, out: Path, normaliser: Normaliser | None = None
) -> list[Path]:
    """Write the files below ``out``; returns them.

    ``normaliser``: None for that of the recipe (published moments under published fidelity, else
    those of training patients' observed hours), or "training" for the authors' rule over the
    training windows at hand, imputed hours included (specs ddl-cxr 3.8).
    """
    folder = params.build(recipe.name)
    normalisers: dict[str, Any] = {}
    paths: list[Path] = []
    for kind in ("stay", "generation", "pair"):
        windows = Windows(folder, kind)
        if windows.samples.height == 0:
            continue
        rule = _rule(recipe, windows, normaliser)
        normalisers[kind] = rule.moments.named()
        raw = write_npz(out / f"{kind}_raw.npz", _matrices(windows, rule))
        scaled = ((name, scale(matrix, rule)) for name, matrix in _matrices(windows, rule))
        paths += [raw, write_npz(out / f"{kind}_normalised.npz", scaled)]
        if kind != "generation":
            paths.append(_write_samples(folder, windows, out / f"{kind}.csv"))
        with publish(out / "columns.txt") as part:
            part.write_text("".join(f"{name}\n" for name in column_names(rule.columns)))
    write_json(out / "normaliser.json", normalisers)
    return [*paths, out / "columns.txt", out / "normaliser.json"]


def _rule(recipe: Recipe, windows: Windows, normaliser: Normaliser | None) -> HourlyInput:
    """How the authors' model, or under corrected ours, reads these windows."""
    # What is generated from is read as the generator was trained: as pairs are.
    read_as = Windows(windows.folder, "pair") if windows.kind == "generation" else windows
    rule = hourly_input(recipe.model_dump(mode="json"), read_as.kind, _statistics(read_as))
    if normaliser == "training":
        matrices = (_raw(sample, windows, rule) for sample in windows.training)
        rule = replace(rule, moments=measure_moments(matrices))
    return rule


def _statistics(windows: Windows) -> WindowStatistics:
    """Of the windows of training patients, as `shard` takes them."""
    hourly = Sums(np.array([variable.default for variable in VARIABLES]))
    age = Sums(np.array([NORMAL_AGE]))
    for sample in windows.training:
        hourly.add(clip(windows.hourly(sample)))
        age.add(np.array([[sample["age"]]]))
    return window_statistics(hourly, age, VARIABLES)


def _matrices(windows: Windows, rule: HourlyInput) -> Iterator[tuple[str, Array]]:
    with progress(f"export {windows.kind}", windows.samples.height, "windows") as advance:
        for sample in windows.samples.iter_rows(named=True):
            yield sample["name"], _raw(sample, windows, rule)
            advance()


def _raw(sample: Mapping[str, Any], windows: Windows, rule: HourlyInput) -> Array:
    return raw_vector(
        windows.hourly(sample),
        sample["age"],
        sample["sex"],
        from_first_hour=rule.from_first_hour,
        columns=rule.columns,
    )


def _write_samples(folder: Path, windows: Windows, path: Path) -> Path:
    """Whose each array is, and its outcomes; a stay's 25 phenotypes too."""
    rows = windows.samples.drop("name")
    if windows.kind == "stay":
        phenotypes = read_table(folder / "cohort" / "phenotype.parquet")
        of_stay = phenotypes.select("stay_id", *PHENOTYPES)
        rows = rows.join(of_stay, on="stay_id", how="left")
    with publish(path) as part:
        rows.sort("key").with_columns(pl.col(pl.Boolean).cast(pl.Int8)).write_csv(part)
    return path


def write_npz(path: Path, arrays: Iterable[tuple[str, Array]]) -> Path:
    """Publish named arrays as numpy's npz, one after the other, whatever their number."""
    with publish(path) as part, zipfile.ZipFile(part, "w") as archive:
        for name, array in arrays:
            entry = zipfile.ZipInfo(f"{name}.npy", ZIP_EPOCH)
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return path
