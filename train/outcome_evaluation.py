"""Evaluate what fusion models predicted: every row over the same stays and draws of patients.

    cxrfuture outcomes build/study/fusion/* --dataset build/ddl_cxr/shard --out build/study/outcomes

``outcomes.json`` holds numbers of groups, never a row of a patient; ``metrics.json`` and the CSVs
beside it are the part that `dvc metrics show` and `dvc plots` read.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.console import say
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.sample import Array
from cxrfuture_data.split import Split
from cxrfuture_data.summary import describe_origin
from train.bootstrap import LEVEL, draw_copies
from train.outcome import OUTCOMES
from train.outcome_compare import average_ranks, compare_rows
from train.outcome_groups import group_samples
from train.outcome_metric import RANKED
from train.outcome_rows import Table, read_tables
from train.outcome_score import Truth, Values, describe_row, rank_labels
from train.reliability import BINS
from train.table_result import OUTCOMES_FILE

METRICS_FILE = "metrics.json"
MACRO = "macro"  # what stands for a label in the CSVs
SEED = 0  # of the draws of patients

Ranked = Mapping[str, Mapping[str, Values]]  # row -> metric


@dataclass(frozen=True, kw_only=True)
class Request:
    """``rows``: folders, each of the runs of one model."""

    rows: Sequence[Path]
    dataset: Path
    split: str = "test"
    draws: int = 1000


def evaluate_outcomes(request: Request, out: Path) -> dict[str, Any]:
    """Publish outcomes.json and the files for DVC; what the first holds."""
    data = open_dataset(request.dataset)
    kinds = data.manifest.kinds(request.split)
    split = data.split(request.split, "stay" if "stay" in kinds else "image")
    tables = read_tables(request.rows, split)
    if not tables:
        raise ContractError("outcomes: no row; give folders of runs of `cxrfuture train`")
    seeds = {
        run.predicted.seed
        for table in tables.values()
        for answers in table.rows.values()
        for run in answers.runs
    }
    scored = {"seeds": sorted(seeds), "draws": request.draws, "level": LEVEL, "bins": BINS}
    result: dict[str, Any] = {"data": _describe_data(data, split), "scored": scored}
    result |= {"outcomes": {}, "rows": {folder.name: {} for folder in request.rows}}
    result |= {"compared": [], "ranks": {}}
    for outcome, table in tables.items():
        _add_outcome(result, outcome, table, _truth(outcome, table, split, request.draws))
    write_json(out / OUTCOMES_FILE, result)
    _write_for_dvc(result, out)
    say(f"outcomes: {len(result['rows'])} rows of {', '.join(tables)} in {out / OUTCOMES_FILE}")
    return result


def _describe_data(data: Dataset, split: Split) -> dict[str, Any]:
    training = data.split("train", split.kind)
    return {
        "origin": describe_origin(data.manifest),
        "recipe": data.manifest.recipe.name,
        "made_from": data.manifest.made_from,
        "split": split.name,
        **_count(split.columns["subject_id"]),
        "training": _count(training.columns["subject_id"]),
    }


def _count(patients: Array) -> dict[str, int]:
    return {"stays": len(patients), "patients": len(np.unique(patients))}


def _truth(outcome: str, table: Table, split: Split, draws: int) -> Truth:
    chosen = OUTCOMES[outcome]
    if chosen.kind != split.kind:
        raise ContractError(
            f"outcomes: {outcome} is of {chosen.kind}s, the dataset's {split.name} has "
            f"{split.kind}s; give the dataset that the rows were trained on"
        )
    is_present, is_known = chosen.of_columns(split.columns)
    patients = split.columns["subject_id"][table.at]
    return Truth(
        labels=chosen.labels,
        is_present=is_present[table.at],
        is_known=is_known[table.at],
        copies=draw_copies(patients, seed=SEED, draws=draws),
        groups={
            grouping: {name: is_in[table.at] for name, is_in in groups.items()}
            for grouping, groups in group_samples(split.columns, split.kind).items()
        },
    )


def _add_outcome(result: dict[str, Any], outcome: str, table: Table, truth: Truth) -> None:
    result["outcomes"][outcome] = _describe_outcome(truth, result["data"]["stays"])
    ranked = {name: rank_labels(answers, truth) for name, answers in table.rows.items()}
    for name, answers in table.rows.items():
        result["rows"][name][outcome] = describe_row(answers, truth, ranked[name])
        say(f"outcomes: {name}, {outcome}")
    for metric in RANKED:
        macros = {name: values[metric].macro() for name, values in ranked.items()}
        about = {"outcome": outcome, "metric": metric}
        result["compared"] += [about | found for found in compare_rows(macros)]
    result["ranks"][outcome] = _ranks(ranked)


def _ranks(ranked: Ranked) -> dict[str, dict[str, float | None]]:
    return {
        metric: average_ranks(
            {name: values[metric].of_seeds.mean(0) for name, values in ranked.items()}
        )
        for metric in RANKED
    }


def _describe_outcome(truth: Truth, stays: int) -> dict[str, Any]:
    """``left_out``: stays of the split that not all rows have; a group's positives are those of
    any label."""
    count = len(truth.is_known)
    return {
        "labels": list(truth.labels),
        "stays": count,
        "left_out": stays - count,
        "groups": {
            grouping: {
                name: {"stays": int(is_in.sum()), "positives": _positives(truth, is_in)}
                for name, is_in in groups.items()
                if is_in.any()
            }
            for grouping, groups in truth.groups.items()
        },
    }


def _positives(truth: Truth, is_in: Array) -> int:
    return int((truth.is_present & truth.is_known)[is_in].any(axis=1).sum())


def _write_for_dvc(result: Mapping[str, Any], out: Path) -> None:
    metrics = {
        name: {
            outcome: {metric: cell["value"] for metric, cell in found["cells"].items()}
            for outcome, found in of.items()
        }
        for name, of in result["rows"].items()
    }
    write_json(out / METRICS_FILE, metrics)
    for kind in ("roc", "pr"):
        _write_csv(out / f"{kind}.csv", result, lambda row, kind=kind: _mean_curve(row, kind))
    _write_csv(out / "reliability.csv", result, _pool_bins)


def _write_csv(path: Path, result: Mapping[str, Any], points_of: Any) -> None:
    """A line a point: row, outcome, label (of one alone its name, of several "macro"), x, y."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "outcome", "label", "x", "y"])
    for name, of in result["rows"].items():
        for outcome, row in of.items():
            labels = result["outcomes"][outcome]["labels"]
            label = labels[0] if len(labels) == 1 else MACRO
            writer.writerows([name, outcome, label, x, y] for x, y in points_of(row))
    with publish(path) as part:
        part.write_text(text.getvalue())


def _mean_curve(row: Mapping[str, Any], kind: str) -> list[list[float]]:
    curves = [curve[kind] for curve in row["curves"].values()]
    if not curves:
        return []
    return [[round(float(x), 6), round(float(y), 6)] for x, y in np.mean(curves, axis=0)]


def _pool_bins(row: Mapping[str, Any]) -> list[list[float]]:
    """Predicted and observed of each bin, over the stays of all labels."""
    points = []
    for bins in zip(*row["reliability"].values(), strict=True):
        filled = [found for found in bins if found["stays"]]
        if filled:
            weights = [found["stays"] for found in filled]
            point = [
                np.average([found[name] for found in filled], weights=weights)
                for name in ("predicted", "observed")
            ]
            points.append([round(float(value), 6) for value in point])
    return points
