"""The rows of an evaluation that are not of generators: what any model must beat."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor, nn

from cxrfuture_data import ContractError
from cxrfuture_data.batch import AnyBatch
from cxrfuture_data.split import Split
from train.finding_auroc import Records
from train.generate import real_pairs
from train.judge import (
    Judge,
    RealRows,
    join,
    mean_target,
    previous_labels,
    read_batches,
    repeat_one,
)
from train.score import Answer, Truth
from train.task import Task
from train.trained import open_trained

PREVIOUS_FILM = "previous_film"


@dataclass(frozen=True, eq=False)
class Row:
    """``answers``: one a seed of a generator, else one; ``facts`` say which run it is of."""

    answers: Sequence[Answer]
    facts: dict[str, Any] = field(default_factory=dict)


class LabelPredictor(Task, Protocol):
    """A task whose model tells labels of the target from what is before it."""

    @property
    def label_names(self) -> Sequence[str]:
        """L of them, in the order of what is predicted."""

    def predict(self, model: nn.Module, batch: AnyBatch[Tensor]) -> Tensor:
        """(B, L) probabilities, on the CPU."""


def trivial_rows(judge: Judge, real: RealRows, truth: Truth, pairs: Split) -> dict[str, Row]:
    """The target itself; it again through the autoencoder, the best that a generator of latents
    can do; the previous film; its labels; and the mean of the training targets' latents."""
    mean = mean_target(real_pairs(pairs.dataset, "train"), judge.batch_size)
    answers = {
        "target_film": replace(real.target, features=None, latents=None),
        "target_decoded": replace(judge.judge_latents(real.target_latents), latents=None),
        PREVIOUS_FILM: real.previous,
        "previous_label": previous_labels(truth.records, truth.fidelity),
        "mean_film": repeat_one(judge.judge_latents(mean[None]), len(pairs)),
    }
    return {name: Row([answer]) for name, answer in answers.items()}


def table_rows(
    runs: Sequence[Path], pairs: Split, records: Records, batch_size: int
) -> dict[str, Row]:
    """A row a table classifier (specs ehrxdiff 10.5), which sees no film."""
    rows = {}
    for run in runs:
        trained = open_trained(run, pairs.dataset, "table_classifier")
        task = cast(LabelPredictor, trained.task)
        if tuple(task.label_names) != records.names:
            wanted = records.label_set
            raise ContractError(
                f"{run}: its {len(task.label_names)} labels are not this dataset's {wanted}; "
                f"train it with --set labels={wanted}"
            )
        parts = [
            Answer(labels=task.predict(trained.model, batch)[is_real].numpy())
            for batch, is_real in read_batches(pairs, task.view, batch_size)
        ]
        has_labels = trained.state.settings["with_previous_labels"]
        name = "table_classifier_previous" if has_labels else "table_classifier"
        rows[name] = Row([join(parts)], run_facts(run, trained.state.steps, trained.state.settings))
    return rows


def run_facts(run: Path, steps: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Which run a row is of."""
    return {"run": str(run), "steps": steps, "settings": settings}
