"""How well scores tell abnormal films from normal ones, beside what the static values alone tell.

The score is chosen on validation films and reported on test films, overall and per view: AP films
are of sicker patients, and the model is told the view (specs diff3m 14, 18c). Abnormal is every
film whose report does not say No Finding (9.2).

Shapes: N films; S static values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from cxrfuture_data import ContractError, Split, open_dataset
from cxrfuture_data.publish import write_json
from train.anomaly import SCORES, read_scores
from train.bootstrap import interval
from train.diff3m import NORMAL, read_static

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]
VIEWS = ("all", "AP", "PA")
STATIC_ALONE = "static values alone"
SHRINKAGE = 1e-3  # of the weights of standardised values; keeps separable ones finite


@dataclass(frozen=True)
class Judged:
    """Films of a split: by what they are scored, and what is true of them."""

    scores: dict[str, Floats]  # (N,) each
    is_abnormal: Flags  # (N,)
    view: NDArray[np.str_]  # (N,)
    patient: Rows  # (N,)

    def rows(self, view: str) -> Rows:
        """The films of a view."""
        return np.flatnonzero((self.view == view) | (view == "all"))


def write_table(
    dataset: Path,
    scored: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    draws: int = 1000,
) -> dict[str, Any]:
    """Publish ``out``: every score on valid, and on test overall and per view; ``scored`` are the
    files of both splits. Intervals are of test films, by patient."""
    data = open_dataset(dataset)
    logits = fit_static(data.split("train", "image"))
    judged = {
        split: judge(data.split(split, "image"), scored[split], logits)
        for split in ("valid", "test")
    }
    names = [*SCORES, STATIC_ALONE]
    valid = [measure(judged["valid"], name, "all") for name in names]
    known = [row for row in valid if row["score"] in SCORES and row["auroc"] is not None]
    chosen = max(known, key=lambda row: row["auroc"])["score"] if known else None
    test = [measure(judged["test"], name, view) for name in names for view in VIEWS]
    for row in test:
        row |= intervals_of(judged["test"], row, seed=seed, draws=draws)
    table = {"chosen_on_valid": chosen, "valid": valid, "test": test, "draws": draws, "seed": seed}
    write_json(out, table)
    return table


def judge(films: Split, path: Path, logits: Callable[[Split], Floats]) -> Judged:
    """All films of a split with their scores, in the order of their keys."""
    found = read_scores(path)
    keys = films.columns["key"].tolist()
    missing = sum(key not in found for key in keys)
    if missing:
        raise ContractError(
            f"{path}: {missing} of {len(keys)} films of {films.name} have no score; run score again"
        )
    values = np.array([found[key] for key in keys], np.float64).reshape(len(keys), len(SCORES))
    return Judged(
        scores=dict(zip(SCORES, values.T, strict=True)) | {STATIC_ALONE: logits(films)},
        is_abnormal=films.columns[NORMAL] != 1,
        view=films.columns["image.view"],
        patient=films.columns["subject_id"],
    )


def measure(judged: Judged, name: str, view: str) -> dict[str, Any]:
    """One row of the table; None where the films are all normal or all abnormal."""
    rows = judged.rows(view)
    metrics = {metric: of(judged, name, rows) for metric, of in METRICS.items()}
    return {
        "score": name,
        "view": view,
        "films": len(rows),
        "prevalence": float(judged.is_abnormal[rows].mean()) if len(rows) else None,
        **{metric: None if np.isnan(value) else value for metric, value in metrics.items()},
    }


def intervals_of(
    judged: Judged, row: Mapping[str, Any], *, seed: int, draws: int
) -> dict[str, Any]:
    """The intervals of one row's metrics; none where the metric is not defined."""
    chosen = judged.rows(row["view"])
    found = {}
    for name, metric in METRICS.items():
        if row[name] is None:
            continue

        def of_drawn(drawn: Rows, metric: Metric = metric) -> float:
            return metric(judged, row["score"], chosen[drawn])

        ends = interval(of_drawn, judged.patient[chosen], seed=seed, draws=draws)
        found[f"{name}_interval"] = None if np.isnan(ends.low) else [ends.low, ends.high]
    return found


def auroc(judged: Judged, name: str, rows: Rows) -> float:
    """Of abnormal against normal films; NaN where one of them is missing."""
    scores, truth = _places(judged, name, rows)
    return float(binary_auroc(scores, truth)) if _has_both(truth) else float("nan")


def auprc(judged: Judged, name: str, rows: Rows) -> float:
    """Average precision of abnormal films, which is their share of a score that tells nothing."""
    scores, truth = _places(judged, name, rows)
    return float(binary_average_precision(scores, truth)) if _has_both(truth) else float("nan")


Metric = Callable[[Judged, str, Rows], float]
METRICS: dict[str, Metric] = {"auroc": auroc, "auprc": auprc}


def _places(judged: Judged, name: str, rows: Rows) -> tuple[Tensor, Tensor]:
    # torchmetrics takes what lies outside of [0, 1] for logits, and their sigmoid makes ties.
    _, places = np.unique(judged.scores[name][rows], return_inverse=True)
    scores = torch.from_numpy(places / max(len(rows), 1))
    return scores, torch.from_numpy(judged.is_abnormal[rows].astype(np.int64))


def _has_both(truth: Tensor) -> bool:
    return bool((truth == 1).any() and (truth == 0).any())


def fit_static(films: Split) -> Callable[[Split], Floats]:
    """Logistic regression of abnormal on the static values, of the training films, normal or not;
    a value that is not known is put to the mean. Gives the logits of a split's films."""
    values, known = read_static(films)
    count = known.sum(0).clamp(min=1)
    mean = (values * known).sum(0) / count
    std = (((values - mean) * known).square().sum(0) / count).sqrt()
    std = torch.where(std > 0, std, 1)

    def inputs(values: Tensor, known: Tensor) -> Tensor:
        return torch.where(known, (values - mean) / std, 0)  # (N, S)

    truth = torch.from_numpy(films.columns[NORMAL] != 1).double()
    weight = fit_logistic(inputs(values, known), truth)

    def logits(films: Split) -> Floats:
        found: Floats = (inputs(*read_static(films)) @ weight[:-1] + weight[-1]).numpy()
        return found

    return logits


def fit_logistic(inputs: Tensor, truth: Tensor) -> Tensor:
    """(N, S), (N,) -> (S + 1,): weights and intercept, with a little shrinkage."""
    weight = torch.zeros(inputs.shape[1] + 1, dtype=inputs.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=500, line_search_fn="strong_wolfe")

    def close() -> Tensor:
        optimiser.zero_grad()
        logits = inputs @ weight[:-1] + weight[-1]
        error = binary_cross_entropy_with_logits(logits, truth)
        loss = error + SHRINKAGE / 2 * weight[:-1].square().sum()
        loss.backward()
        return loss

    optimiser.step(close)
    return weight.detach()


def print_table(found: Mapping[str, Any]) -> None:
    """On standard output; the chosen score has a star."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("test films", "view", "abnormal of", "AUROC", "AUPRC"):
        table.add_column(title, justify="left" if title in ("test films", "view") else "right")
    for row in found["test"]:
        star = "*" if row["score"] == found["chosen_on_valid"] else ""
        share = "-" if row["prevalence"] is None else f"{row['prevalence']:.0%} of {row['films']:,}"
        texts = [_with_interval(row, name) for name in METRICS]
        table.add_row(row["score"] + star, row["view"], share, *texts)
    console = Console(highlight=False)
    console.print(table)
    console.print("* best AUROC on validation films; 95% intervals over patients")


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    ends = row.get(f"{name}_interval")
    return f"{row[name]:.3f}" + (f" ({ends[0]:.3f}-{ends[1]:.3f})" if ends else "")
