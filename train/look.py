"""A look at the validation samples of a run: means of its losses, and scores of the whole split."""

import math
import operator
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from cxrfuture_data import ContractError
from train.checkpoint import save_best
from train.ema import averaged_weights
from train.outcome_metric import RANKED, macro
from train.plan import Part
from train.run import Run
from train.run_log import write_loss
from train.task import Predictor, Task

VALID_FILE = "valid.jsonl"


@torch.no_grad()
def look(run: Run, steps: int) -> None:
    """At the validation samples, with averaged weights, which are kept if they are the best.

    Noise is the same at every look, so that looks are compared on equal terms.
    """
    if len(run.valid) == 0:
        return
    trained, accelerator = run.trained, run.accelerator
    names = run.task.losses
    told: list[list[Tensor]] = []
    total = torch.zeros(len(names) + 1, device=accelerator.device)
    size = min(run.plan.part_size, math.ceil(len(run.valid) / run.plan.ranks))
    loader = run.valid.loader(
        size, run.task.view, rank=run.plan.rank, world_size=run.plan.ranks, training=False
    )
    trained.model.eval()
    with averaged_weights(trained.model, trained.average):
        for part in loader:
            with accelerator.autocast():
                losses = run.task.losses_of(trained.model, part, run.moment(0, "valid"))
                if is_predictor(run.task):
                    told.append(outcomes_of(run, part))
            means = torch.stack([losses[name].float() for name in names])
            total += torch.cat([means, means.new_ones(1)]) * (~part.is_padding).sum()
        loader.close()
        trained.model.train()
        *sums, count = accelerator.reduce(total, reduction="sum").tolist()
        seen = {name: value / count for name, value in zip(names, sums, strict=True)}
        take(run, seen | (scores_of(run, told) if told else {}), steps)


def is_predictor(task: Task) -> bool:
    """Whether a task is a Predictor."""
    return hasattr(task, "predict_outcomes")


def outcomes_of(run: Run, part: Part) -> list[Tensor]:
    """Logits, is_present, is_known (b, K) and is_padding (b,) of this rank's part of a look."""
    task = cast(Predictor, run.task)
    logits, is_present, is_known, _ = task.predict_outcomes(run.trained.model, part, run.plan.seed)
    return [logits, is_present, is_known, part.is_padding]


def scores_of(run: Run, told: list[list[Tensor]]) -> dict[str, float]:
    """The scores of what all ranks were told of the whole split."""
    joined = [torch.cat(column).to(run.accelerator.device) for column in zip(*told, strict=True)]
    logits, is_present, is_known, is_padding = (
        run.accelerator.gather(column).cpu().numpy() for column in joined
    )
    is_real = ~is_padding
    return macro(logits[is_real], is_present[is_real], is_known[is_real])


def take(run: Run, seen: Mapping[str, float], steps: int) -> None:
    """Log a look, and publish the weights as the best if they are."""
    trained, name = run.trained, run.task.settings.select_by
    chosen = seen[name]
    if math.isnan(chosen):
        raise ContractError(
            f"{name}: no label of {run.valid.name} has both classes; select_by: loss, or build more"
        )
    is_better = operator.gt if name in RANKED else operator.lt
    is_best = trained.best is None or is_better(chosen, trained.best)
    if is_best:
        trained.best, trained.best_steps = chosen, steps
    if run.accelerator.is_main_process:
        write_loss(run.out / VALID_FILE, steps - 1, dict(seen))
        run.accelerator.log({f"valid/{name}": value for name, value in seen.items()}, steps)
        if is_best:
            save_best(run.out, run.state(steps), trained)
