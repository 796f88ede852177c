"""The papers' tables of who is in a dataset: counts, prevalence, and what was measured.

    cxrfuture table ddl_cxr.7 [--dataset build/ddl_cxr/shard]

A stay's value of a continuous variable is the mean over its hours, clipped and filled as a model
reads them (specs ddl-cxr 3.6), of which the table has mean and deviation over training stays; of a
categorical one it has the most frequent category of all their hours.

Shapes: N stays, T hours, V variables.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.hourly import clip, impute
from cxrfuture_data.manifest import DATASET_FILE
from cxrfuture_data.sample import Array, StaySample
from cxrfuture_data.schema import PHENOTYPES, SPLITS, VARIABLES
from cxrfuture_data.summary import describe_origin
from train.table_result import Filled
from train.table_settings import CohortTable

Cell = Mapping[str, Any]
Facts = Mapping[str, Mapping[str, Cell]]  # fact -> column
OURS = "cohort"  # the column of the training stays


def fill_cohort(table: CohortTable, dataset: Path | None) -> Filled:
    """The table's cells from a dataset; without one the paper stands alone."""
    default = Path("build") / table.recipes[0] / "shard"
    command = f"cxrfuture table {table.name} --dataset {dataset or default}"
    if dataset is None and not (default / DATASET_FILE).exists():
        return _filled(table, None, {}, f"ours: no dataset; give --dataset, as {default}", command)
    data = open_dataset(dataset or default)
    recipe = data.manifest.recipe.name
    if recipe not in table.recipes:
        raise ContractError(
            f"{dataset or default}: of recipe {recipe}; the table is of {', '.join(table.recipes)}"
        )
    about = f"ours: {describe_origin(data.manifest)}, recipe {recipe}"
    return _filled(table, data, FACTS[table.facts](data), about, command)


def _filled(
    table: CohortTable, data: Dataset | None, facts: Facts, about: str, command: str
) -> Filled:
    described = None
    if data is not None:
        described = {
            "origin": describe_origin(data.manifest),
            "recipe": data.manifest.recipe.name,
            "made_from": data.manifest.made_from,
        }
    return Filled(
        table=table,
        data=described,
        scored=None,
        cells={row.title: facts.get(row.fact) for row in table.rows},
        about=about,
        notes=[table.note] if table.note else [],
        commands={row.title: command for row in table.rows},
    )


def count_samples(data: Dataset) -> Facts:
    """How many there are of each kind, by split."""
    return {
        kind: {split: {"value": data.manifest.kind(split, kind).samples} for split in SPLITS}
        for kind in data.manifest.kinds("train")
    }


def count_deaths(data: Dataset) -> Facts:
    """Of the stays of which it is known, by split; the ratio is null without a death."""
    facts: dict[str, dict[str, Cell]] = {"negatives": {}, "positives": {}, "ratio": {}}
    for split in SPLITS:
        died = data.columns(split, "stay")["died_in_hospital"]
        negatives, positives = int((died == 0).sum()), int((died == 1).sum())
        facts["negatives"][split] = {"value": negatives}
        facts["positives"][split] = {"value": positives}
        facts["ratio"][split] = {"value": negatives / positives if positives else None}
    return facts


def count_phenotypes(data: Dataset) -> Facts:
    """Positives, and their share of the stays of which it is known, by label and split."""
    facts: dict[str, dict[str, Cell]] = {name: {} for name in PHENOTYPES}
    for split in SPLITS:
        said = data.columns(split, "stay")["phenotypes"]  # (N, 25)
        positives, known = (said == 1).sum(0), (said >= 0).sum(0)
        for name, count, of in zip(PHENOTYPES, positives.tolist(), known.tolist(), strict=True):
            facts[name][f"{split}.positives"] = {"value": count}
            facts[name][f"{split}.prevalence"] = {"value": count / of if of else None}
    return facts


def describe_cohort(data: Dataset) -> Facts:
    """Of training stays."""
    columns = data.columns("train", "stay")
    died = columns["died_in_hospital"]
    cells: dict[str, Cell] = {
        "stays": {"value": columns.samples},
        "age": _moments(columns["age"]),
        "men": {"value": 100 * float(columns["is_male"].mean())},
        "died": {"value": 100 * float((died[died >= 0] == 1).mean())},
    }
    means: list[Array] = []
    counts: list[Counter[str]] = [Counter() for _ in VARIABLES]
    for hours in _filled_hours(data):  # (T, V)
        means.append(hours.mean(0))
        for at, variable in enumerate(VARIABLES):
            if variable.categories:
                found = zip(
                    *np.unique(hours[:, at].astype(np.int64), return_counts=True), strict=True
                )
                counts[at].update({_word(variable.categories[i]): int(n) for i, n in found})
    for at, variable in enumerate(VARIABLES):
        if variable.categories:
            cells[variable.name] = {"value": counts[at].most_common(1)[0][0]}
        else:
            cells[variable.name] = _moments(np.array(means)[:, at])
    return {name: {OURS: cell} for name, cell in cells.items()}


def _filled_hours(data: Dataset) -> Iterator[Array]:
    for sample in data.split("train", "stay", films=False):
        assert isinstance(sample, StaySample)
        if sample.window.variables != "benchmark":
            raise ContractError(
                f"{data.source}: windows of the set {sample.window.variables!r}; the table is of "
                "the 17 variables of the set 'benchmark'"
            )
        if len(sample.window.hourly):
            yield impute(clip(sample.window.hourly.astype(np.float64)))[0]


def _word(category: str) -> str:
    """One score has two spellings, such as 6 Obeys Commands and Obeys Commands."""
    number, space, word = category.partition(" ")
    return word if space and number.replace(".", "").isdigit() else category


def _moments(values: Array) -> Cell:
    """Mean, and deviation over n - 1."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"value": float(np.mean(values)), "sd": spread}


FACTS: Mapping[str, Callable[[Dataset], Facts]] = {
    "samples": count_samples,
    "mortality": count_deaths,
    "phenotypes": count_phenotypes,
    "cohort": describe_cohort,
}
