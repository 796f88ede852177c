"""Train the denoiser on the pairs of a dataset: one loop, any number of ranks.

    python -m train.fit_diffusion DATASET OUT --codec FOLDER
    torchrun --standalone --nproc-per-node 2 -m train.fit_diffusion DATASET OUT --codec FOLDER

``batch_size`` counts the samples of an optimiser step over all ranks, and what is random about a
sample comes from (seed, step, its key), so 1, 2 and 4 ranks train on the same batches with the same
noise; only dropout is drawn per rank. (``accelerate launch --cpu`` silently starts one process.)
"""

import math
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from torch import Tensor, nn

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.collate import hour_columns
from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import digest, write_json
from train.checkpoint import State, Trained, checkpoints, load, move_aside, read_state, save
from train.diffusion import seed_of
from train.ema import start_average, update_average
from train.model.denoiser import Denoiser
from train.objective import LOSSES, losses_of
from train.plan import PairTensors, Plan, read_parts
from train.run_log import keep_losses, read_losses, write_config, write_loss
from train.sample import Request, draw_film
from train.settings import DiffusionConfig, read_config
from train.stop import leave_together, remember_sigterm

CONFIG_FILE, LOSS_FILE, METRICS_FILE = "config.yaml", "loss.jsonl", "metrics.json"
FREE_SETTINGS = {"sampler", "accumulate", "checkpoint_steps", "workers"}  # may change on resume


@dataclass(frozen=True)
class Run:
    """A run that is ready to train; ``made_from`` tells it from runs of other settings or data."""

    data: Dataset
    out: Path
    plan: Plan
    made_from: str
    channels: int
    accelerator: Accelerator
    trained: Trained

    def save(self, steps: int) -> Path:
        """Publish a checkpoint; to be called on the first rank."""
        state = State(
            steps=steps,
            made_from=self.made_from,
            channels=self.channels,
            config=self.plan.config,
        )
        return save(self.out, state, self.trained)


def fit_diffusion(
    dataset: Path, out: Path, config: DiffusionConfig, seed: int, codec: Path | None
) -> None:
    """Train, from the newest checkpoint on if there is one. With a codec, end by drawing a film."""
    run = open_run(dataset, out, config, seed)
    is_first = run.accelerator.is_main_process
    if is_first:
        set_aside(out, run.made_from)
    run.accelerator.wait_for_everyone()
    found = checkpoints(out)
    done = load(found[-1], run.trained) if found else 0
    if is_first:
        keep_losses(out / LOSS_FILE, done)
        write_config(out / CONFIG_FILE, config)
        say(f"fit_diffusion: {run.plan.samples} pairs, {run.plan.ranks} ranks, from step {done}")
    train(run, done)
    if is_first:
        write_metrics(run)
        if codec is not None:
            split = next(s for s in ("valid", "test", "train") if run.data.split(s, "pair"))
            draw_film(
                checkpoints(out)[-1], Request(dataset, codec, split, 0, seed), out / "sample.png"
            )
    run.accelerator.end_training()


def open_run(dataset: Path, out: Path, config: DiffusionConfig, seed: int) -> Run:
    """Read the dataset and build model, average and optimiser, from the seed alone."""
    data = open_dataset(dataset)
    if not data.manifest.recipe.body["window"]["hourly"]:
        raise ContractError(
            f"{dataset}: recipe {data.manifest.recipe.name!r} keeps no hourly record, on which "
            "this model is conditioned; train on a dataset of ddl_cxr"
        )
    pairs = data.split("train", "pair", films=False)
    accelerator = Accelerator(mixed_precision=config.precision, cpu=not torch.cuda.is_available())
    plan = Plan(config, seed, len(pairs), accelerator.process_index, accelerator.num_processes)
    channels = len(data.statistics.latent.channel_mean)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Denoiser(config.unet, config.history, channels, hour_columns(data, "pair"))
    model.train().to(accelerator.device)
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=config.optimiser.learning_rate,
        betas=config.optimiser.betas,
        weight_decay=config.optimiser.weight_decay,
    )
    trained = Trained(model, start_average(model.unet), optimiser)
    shards = [shard.sha256 for shard in data.manifest.kind("train", "pair").shards]
    statistics = data.manifest.statistics.model_dump()
    settings = config.model_dump(exclude=FREE_SETTINGS)
    made_from = digest(settings, seed, shards, statistics)
    return Run(data, out, plan, made_from, channels, accelerator, trained)


def train(run: Run, done: int) -> None:
    """The loop, from step ``done`` to the plan's last."""
    accelerator, plan, config = run.accelerator, run.plan, run.plan.config
    model, optimiser = accelerator.prepare(run.trained.model, run.trained.optimiser)
    steps = range(done, plan.steps)
    shown = progress("fit_diffusion", len(steps), "steps", accelerator.is_main_process)
    with remember_sigterm() as is_asked, shown as advance:
        for step, parts in zip(steps, read_parts(run.data, plan, done), strict=False):
            began = time.monotonic()
            losses = backward(accelerator, model, parts, plan, step)
            if config.clip_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            optimiser.zero_grad()
            update_average(run.trained.average, run.trained.model.unet, step + 1, config.ema_decay)

            mean, is_stopping = agree(accelerator, losses, is_asked(), step)
            if accelerator.is_main_process:
                write_loss(run.out / LOSS_FILE, step, mean)
                rate = config.batch_size / (time.monotonic() - began)
                advance(1, f"loss {mean['loss']:.4f}, {rate:.1f} samples/s")
                is_due = (step + 1) % config.checkpoint_steps == 0 or step + 1 == plan.steps
                if is_due or is_stopping:
                    run.save(step + 1)
            if is_stopping:
                leave_together(accelerator, "fit_diffusion", step + 1)


def backward(
    accelerator: Accelerator, model: nn.Module, parts: list[PairTensors], plan: Plan, step: int
) -> Tensor:
    """Accumulate the gradient of a step; ranks average it in the last part. (len(LOSSES),)."""
    total = torch.zeros(len(LOSSES), device=accelerator.device)
    cuda = [accelerator.device] if accelerator.device.type == "cuda" else []
    for number, part in enumerate(parts):
        is_last = number + 1 == len(parts)
        with (
            nullcontext() if is_last else accelerator.no_sync(model),
            torch.random.fork_rng(devices=cuda),
        ):
            torch.manual_seed(seed_of("dropout", plan.seed, step, plan.rank, number))
            losses = losses_of(model, part, plan, step, accelerator.device)
            accelerator.backward(losses["loss"] / len(parts))
        total += torch.stack([losses[name].detach() for name in LOSSES]) / len(parts)
    return total


def agree(
    accelerator: Accelerator, losses: Tensor, is_asked: bool, step: int
) -> tuple[dict[str, float], bool]:
    """The losses over all ranks, and whether any of them was asked to stop."""
    asked = losses.new_tensor([float(is_asked)])
    values = accelerator.reduce(torch.cat([losses, asked]), reduction="mean").tolist()
    mean = dict(zip(LOSSES, values[:-1], strict=True))
    if not math.isfinite(mean["loss"]):
        raise ContractError(f"the loss is {mean['loss']} at step {step}; lower the learning rate")
    return mean, values[-1] > 0


def set_aside(out: Path, made_from: str) -> None:
    """Move a run of other settings or data out of the way."""
    found = checkpoints(out)
    if found and read_state(found[-1]).made_from != made_from:
        move_aside("fit_diffusion", out)


def write_metrics(run: Run) -> None:
    """Publish the mean losses of the first and the last tenth of the run."""
    rows = read_losses(run.out / LOSS_FILE)
    tenth = math.ceil(len(rows) / 10)
    write_json(
        run.out / METRICS_FILE,
        {
            "steps": len(rows),
            "pairs": run.plan.samples,
            "parameters": sum(weight.numel() for weight in run.trained.model.parameters()),
            "first": {name: sum(row[name] for row in rows[:tenth]) / tenth for name in LOSSES},
            "last": {name: sum(row[name] for row in rows[-tenth:]) / tenth for name in LOSSES},
        },
    )


def main(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder: build/<recipe>/shard.")],
    out: Annotated[Path, typer.Argument(help="Where checkpoints go.")],
    codec: Annotated[Path | None, typer.Option(help="An autoencoder, to draw a film.")] = None,
    config: Annotated[str, typer.Option(help="A shipped config, or a .yaml.")] = "tiny",
    seed: Annotated[int, typer.Option(help="Weights, order, noise and dropout.")] = 23,
) -> None:
    """Train the denoiser on the pairs of a dataset."""
    os.umask(0o077)  # outputs are for the user alone (MIMIC's terms)
    try:
        settings = read_config(DiffusionConfig, "fit_diffusion", config)
        fit_diffusion(dataset, out, settings, seed, codec)
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
