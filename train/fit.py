"""Train a task on a dataset: one loop, any number of ranks.

    cxrfuture train ddl_cxr --dataset build/ddl_cxr/shard --out build/train/ddl_cxr
    torchrun --standalone --nproc-per-node 2 -m cxrfuture train ddl_cxr ...

``batch_size`` counts the samples of an optimiser step over all ranks, and what is random about a
sample comes from (seed, step, its key), so 1, 2 and 4 ranks train on the same batches with the same
noise; only dropout is drawn per rank. (``accelerate launch --cpu`` silently starts one process.)
"""

import importlib.util
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import digest, write_json
from train.checkpoint import (
    State,
    Trained,
    checkpoints,
    load_newest,
    move_aside,
    read_record,
    save,
)
from train.draw import seed_of
from train.ema import start_average, update_average
from train.fold import out_of_fold
from train.look import VALID_FILE, is_predictor, look
from train.outcome_metric import RANKED
from train.plan import Part, Plan, read_parts, valid_samples
from train.run import Run
from train.run_log import CONFIG_FILE, keep_losses, read_losses, write_config, write_loss
from train.settings import FitSettings
from train.stop import agree, leave_together, remember_sigterm
from train.tasks import make_task, start_digests

METRICS_FILE = "metrics.json"
LOSS_FILE = "loss.jsonl"
# May change on resume: none of them changes what a step computes.
FREE_SETTINGS = {
    "sampler",
    "guidance",
    "accumulate",
    "checkpoint_steps",
    "workers",
    "trackers",
    "compile",
}


def fit(dataset: Path, out: Path, settings: FitSettings, seed: int) -> None:
    """Train, from the newest checkpoint on if there is one; ``out`` holds all of the run."""
    run = open_run(dataset, out, settings, seed)
    is_first = run.accelerator.is_main_process
    if is_first:
        set_aside(settings.task, out, run.made_from)
    run.accelerator.wait_for_everyone()
    done = load_newest(out, run.trained)
    if is_first:
        keep_losses(out / LOSS_FILE, done)
        keep_losses(out / VALID_FILE, done)
        write_config(out / CONFIG_FILE, settings)
        weights = sum(weight.numel() for weight in run.trained.model.parameters())
        say(
            f"{settings.task}: {weights:,} weights, {run.plan.samples:,} samples of "
            f"{run.plan.name}, {run.plan.ranks} ranks, steps {done:,} to {run.plan.steps:,}"
        )
    train(run, done)
    if is_first:
        write_metrics(run)
    run.accelerator.end_training()


def open_run(dataset: Path, out: Path, settings: FitSettings, seed: int) -> Run:
    """Read the dataset and build model, average and optimiser, from the seed alone."""
    data = open_dataset(dataset)
    task = make_task(settings, data)
    known = (*task.losses, *(RANKED if is_predictor(task) else ()))
    if settings.select_by not in known:
        raise ContractError(
            f"select_by: {settings.task} has no {settings.select_by!r}; there are "
            f"{', '.join(known)}"
        )
    require_trackers(settings)
    kind = task.view.kind
    train = out_of_fold(task.select(data.split("train", kind)), settings.fold)
    accelerator = Accelerator(
        mixed_precision=settings.precision,
        cpu=not torch.cuda.is_available(),
        log_with=list(settings.trackers) or None,
        project_dir=out,
    )
    ranks = accelerator.num_processes
    plan = Plan(settings, seed, f"train/{kind}", len(train), accelerator.process_index, ranks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.build()
    model.train().to(accelerator.device)
    optimiser = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=settings.optimiser.learning_rate,
        betas=settings.optimiser.betas,
        weight_decay=settings.optimiser.weight_decay,
        fused=True,
    )
    prefixes = task.averaged if settings.ema_decay is not None else ()
    trained = Trained(model, start_average(model, prefixes), optimiser)
    valid = valid_samples(task.select(data.split("valid", kind)), plan, whole=is_predictor(task))
    shards = [shard.sha256 for shard in data.manifest.kind("train", kind).shards]
    statistics = data.manifest.statistics.model_dump()
    made_from = digest(
        settings.model_dump(mode="json", exclude=FREE_SETTINGS),
        start_digests(settings),
        seed,
        shards,
        statistics,
    )
    return Run(out, task, plan, train, valid, made_from, accelerator, trained)


def require_trackers(settings: FitSettings) -> None:
    """Those asked for are installed; accelerate would go on without."""
    package = {"tensorboard": "tensorboardX", "wandb": "wandb"}
    for tracker in settings.trackers:
        if importlib.util.find_spec(package[tracker]) is None:
            name = package[tracker].lower()
            raise ContractError(f"trackers: {name} is not installed; pip install {name}, or []")


def train(run: Run, done: int) -> None:
    """The loop, from step ``done`` to the plan's last."""
    accelerator, plan, settings = run.accelerator, run.plan, run.task.settings
    model, optimiser = run.trained.model, run.trained.optimiser
    if settings.compile:
        model = torch.compile(model)
    model, optimiser = accelerator.prepare(model, optimiser)
    accelerator.init_trackers(settings.task)
    steps = range(done, done if run.has_lost_patience(done) else plan.steps)
    shown = progress(settings.task, len(steps), "steps", accelerator.is_main_process)
    with remember_sigterm() as is_asked, shown as advance:
        for step, parts in zip(steps, read_parts(run.train, run.task, plan, done), strict=False):
            began = time.monotonic()
            for group in optimiser.param_groups:
                group["lr"] = settings.optimiser.learning_rate * plan.rate(step)
            losses = backward(run, model, parts, step)
            if settings.clip_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimiser.step()
            optimiser.zero_grad()
            if settings.ema_decay is not None:
                average = run.trained.average
                update_average(average, run.trained.model, step + 1, settings.ema_decay)

            mean, is_stopping = agree(accelerator, run.task.losses, losses, is_asked())
            require_finite(mean, step)
            if accelerator.is_main_process:
                write_loss(run.out / LOSS_FILE, step, mean)
                rate = settings.batch_size / (time.monotonic() - began)
                seconds = (plan.steps - step - 1) * settings.batch_size / rate
                name, value = next(iter(mean.items()))
                left = timedelta(seconds=round(seconds))
                advance(1, f"{name} {value:.4f}, {rate:.1f} samples/s, {left} left")
                accelerator.log({f"train/{name}": value for name, value in mean.items()}, step)
            if plan.is_look(step + 1) and not is_stopping:
                look(run, step + 1)
            is_last = step + 1 == plan.steps or run.has_lost_patience(step + 1)
            is_due = (step + 1) % settings.checkpoint_steps == 0 or is_last
            if accelerator.is_main_process and (is_due or is_stopping):
                save(run.out, run.state(step + 1), run.trained)
            if is_stopping:
                leave_together(accelerator, settings.task, step + 1)
            if is_last:
                break


def backward(run: Run, model: nn.Module, parts: list[Part], step: int) -> Tensor:
    """Accumulate the gradient of a step; ranks average it in the last part. (losses,)."""
    accelerator, names = run.accelerator, run.task.losses
    total = torch.zeros(len(names), device=accelerator.device)
    cuda = [accelerator.device] if accelerator.device.type == "cuda" else []
    for number, part in enumerate(parts):
        is_last = number + 1 == len(parts)
        with (
            nullcontext() if is_last else accelerator.no_sync(model),
            torch.random.fork_rng(devices=cuda),
            room_for(part, run.task.settings),
        ):
            torch.manual_seed(seed_of("dropout", run.plan.seed, step, run.plan.rank, number))
            losses = run.task.losses_of(model, part, run.moment(step))
            accelerator.backward(losses[names[0]] / len(parts))
        total += torch.stack([losses[name].detach().float() for name in names]) / len(parts)
    return total


@contextmanager
def room_for(part: Part, settings: FitSettings) -> Iterator[None]:
    """Says what to change where the memory does not hold a part of a batch."""
    try:
        yield
    except RuntimeError as error:  # of which torch.OutOfMemoryError is one
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise ContractError(
                f"out of memory with {len(part.keys)} samples at a time; --set accumulate="
                f"{2 * settings.accumulate} halves them and keeps the step at "
                f"{settings.batch_size} samples"
            ) from None
        raise


def require_finite(mean: Mapping[str, float], step: int) -> None:
    """Stop a run that has diverged."""
    for name, value in mean.items():
        if not math.isfinite(value):
            raise ContractError(
                f"{name} is {value} at step {step}; lower optimiser.learning_rate, or set clip_norm"
            )


def set_aside(title: str, out: Path, made_from: str) -> None:
    """Move a run of other settings or data out of the way."""
    found = checkpoints(out)
    if found and read_record(State, found[-1]).made_from != made_from:
        move_aside(title, out)


def write_metrics(run: Run) -> None:
    """Publish the mean losses of the first and the last tenth of the run, and the best look."""
    rows = read_losses(run.out / LOSS_FILE)
    if not rows:  # a finished run whose log somebody deleted
        return
    tenth = math.ceil(len(rows) / 10)
    names = run.task.losses
    write_json(
        run.out / METRICS_FILE,
        {
            "steps": len(rows),
            "samples": run.plan.samples,
            "parameters": sum(weight.numel() for weight in run.trained.model.parameters()),
            "first": {name: sum(row[name] for row in rows[:tenth]) / tenth for name in names},
            "last": {name: sum(row[name] for row in rows[-tenth:]) / tenth for name in names},
            "best_valid": run.trained.best,
            "best_steps": run.trained.best_steps,
        },
    )
