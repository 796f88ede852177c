"""Evaluate generators on the real pairs of a split, beside the rows that any model must beat.

    cxrfuture evaluate build/train/ddl_cxr --dataset build/ddl_cxr/shard \\
        --judge build/train/classifier --codec build/ddl_cxr/fit_vae --out build/train/ddl_cxr

Columns (specs ddl-cxr 10, ehrxdiff 10): FID on a named network's features, FD (frechet.py) and WD
(transport.py) on latents as the dataset scales them, posterior means of real films; findings AUROC
of three subsets (finding_auroc.py); Pearson r of age, AUROC of sex. ``OUT/evaluation.json`` has
numbers of whole cohorts only; ``OUT/evaluation.png`` shows films.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.codec import load_codec, weights_digest
from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import write_json
from cxrfuture_data.split import Split
from cxrfuture_data.summary import describe_origin
from train.bootstrap import LEVEL
from train.classifier import Classifier
from train.finding_auroc import LabelSet, Records, read_records
from train.generate import Generated, generate_split, real_pairs
from train.grid import write_grid
from train.judge import Judge, RealRows, judge_real
from train.rows import PREVIOUS_FILM, Row, run_facts, table_rows, trivial_rows
from train.score import Sampling, Truth, compare, score
from train.settings import Fidelity
from train.table_result import EVALUATION_FILE
from train.trained import TrainedTask, open_trained
from train.xrv import NAME as XRV_NAME
from train.xrv import open_xrv

GRID_FILE = "evaluation.png"
GRID_PAIRS = 4
OWN_FEATURES = "the project's classifier"


@dataclass(frozen=True, kw_only=True)
class Request:
    """``runs`` of generators, each drawn once a seed; ``features``: a file of torchxrayvision's
    weights, or None for the judge's own."""

    dataset: Path
    judge: Path
    codec: Path
    runs: Sequence[Path] = ()
    table_classifiers: Sequence[Path] = ()
    split: str = "test"
    seeds: Sequence[int] = (0, 1, 2)
    draws: int = 1000
    fidelity: Fidelity = "corrected"
    features: Path | None = None
    batch_size: int = 32

    def check(self, data: Dataset) -> None:
        """Refuse what cannot be compared."""
        names = [run.name for run in self.runs]
        for name in names:
            if names.count(name) > 1:
                raise ContractError(f"evaluate: two runs are called {name!r}; rename a folder")
        if not self.seeds:
            raise ContractError("evaluate: no seed; give one or more")
        if weights_digest(self.codec) != data.manifest.weights.vae:
            raise ContractError(
                f"{self.codec}: not the autoencoder that made the latents of {self.dataset}; "
                "give the one that `latent` used"
            )


def evaluate(request: Request, out: Path) -> dict[str, Any]:
    """Publish evaluation.json and evaluation.png; what the first holds."""
    data = open_dataset(request.dataset)
    request.check(data)
    pairs = real_pairs(data, request.split)
    if len(pairs) < 2:
        raise ContractError(f"{request.dataset}: {len(pairs)} pairs in {request.split}; needs 2")
    records = read_records(pairs.columns)
    trained = open_trained(request.judge, data, "classifier")
    if trained.state.settings["recipe"] != data.manifest.recipe.name:
        say(
            f"evaluate: {request.judge} was set to recipe {trained.state.settings['recipe']}; make "
            f"sure that none of this {request.split} split's patients trained it"
        )
    drawn = {run.name: _draw(run, request) for run in request.runs}
    judge = _make_judge(request, trained, records.label_set)
    real = judge_real(judge, pairs)
    truth = _truth(pairs, records, real, request)

    rows = trivial_rows(judge, real, truth, pairs)
    rows |= table_rows(request.table_classifiers, pairs, records, request.batch_size)
    for run in request.runs:
        found = drawn[run.name]
        answers = [judge.judge_latents(one.latents) for one in found]
        rows[run.name] = Row(answers, run_facts(run, found[0].steps, found[0].settings))
    result = _header(request, data, truth, trained) | {"rows": _scored(rows, truth, request, drawn)}
    shown = {name: found[0].latents for name, found in drawn.items()}
    write_grid(out / GRID_FILE, judge, real, shown, GRID_PAIRS)
    write_json(out / EVALUATION_FILE, result)
    say(f"evaluate: {len(rows)} rows of {len(pairs):,} pairs in {out / EVALUATION_FILE}")
    return result


def _draw(run: Path, request: Request) -> list[Generated]:
    return [
        generate_split(run, request.dataset, request.split, seed, batch_size=request.batch_size)
        for seed in request.seeds
    ]


def _make_judge(request: Request, trained: TrainedTask, label_set: LabelSet) -> Judge:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert isinstance(trained.model, Classifier)
    return Judge(
        model=trained.model,
        label_set=label_set,
        codec=load_codec(request.codec, device),
        features=None if request.features is None else open_xrv(request.features, device),
        batch_size=request.batch_size,
    )


def _truth(pairs: Split, records: Records, real: RealRows, request: Request) -> Truth:
    columns = pairs.columns
    return Truth(
        records=records,
        fidelity=request.fidelity,
        age=columns["age"],
        is_male=columns["is_male"],
        patients=columns["subject_id"],
        target=real.target,
    )


def _header(request: Request, data: Dataset, truth: Truth, trained: TrainedTask) -> dict[str, Any]:
    """Whose pairs they are, and how they were scored."""
    return {
        "data": {
            "origin": describe_origin(data.manifest),
            "recipe": data.manifest.recipe.name,
            "made_from": data.manifest.made_from,
            "split": request.split,
            "pairs": len(truth.patients),
            "patients": len(np.unique(truth.patients)),
        },
        "scored": {
            "labels": truth.records.label_set,
            "records": {
                name: int(truth.records.subset(name, request.fidelity).sum())
                for name in ("all", "diff", "same")
            },
            "fidelity": request.fidelity,
            "features": OWN_FEATURES if request.features is None else XRV_NAME,
            "judge": run_facts(request.judge, trained.state.steps, trained.state.settings),
            "seeds": list(request.seeds),
            "draws": request.draws,
            "level": LEVEL,
        },
    }


def _scored(
    rows: dict[str, Row], truth: Truth, request: Request, drawn: dict[str, list[Generated]]
) -> dict[str, Any]:
    """Cells of every row, and of a generator's what they are more than the previous film's."""
    sampling = Sampling(request.draws, seed=0)
    scored: dict[str, Any] = {}
    with progress("evaluate", len(rows), "rows") as advance:
        for name, row in rows.items():
            scored[name] = row.facts | {"cells": score(row.answers, truth, sampling)}
            if name in drawn:
                before = rows[PREVIOUS_FILM].answers
                scored[name]["minus_previous_film"] = compare(row.answers, before, truth, sampling)
            advance()
    return scored
