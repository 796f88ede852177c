"""Fit the KL autoencoder whose latents everything else is trained on: one loop, any ranks.

    python -m train.fit_vae IMAGES OUT --cohort FOLDER
    torchrun --standalone --nproc-per-node 2 -m train.fit_vae IMAGES OUT --cohort FOLDER

The loss is in train/vae_loss.py, the numbers of a run in train/config/fit_vae. While it lasts, the
folder ``<out>.run`` holds its checkpoints; ``out`` appears at the end, with the weights that
reconstructed the validation films best.
"""

import hashlib
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from accelerate import Accelerator
from torch import Tensor, nn
from torch.func import functional_call

from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import digest, file_sha256, read_done
from cxrfuture_data.schema import ContractError
from train.checkpoint import STATE_FILE, checkpoints, move_aside
from train.draw import seed_of
from train.films import Films, open_films, read_labels
from train.model.perceptual import Perceptual, load_perceptual
from train.run_log import CONFIG_FILE, keep_losses, read_losses, write_config, write_loss
from train.settings import VaeConfig, read_config
from train.stop import agree, leave_together, remember_sigterm
from train.vae_loss import TERMS, Critics, generator_terms, hinge_loss
from train.vae_plan import VaePlan, draw_noise, read_crops
from train.vae_run import METRICS_FILE, VaeTrained, load, new_trained, publish_autoencoder, save
from train.vae_valid import valid_errors

LOSS_FILE = "loss.jsonl"
LOSSES = (*TERMS, "discriminator")
FREE_SETTINGS = {"accumulate", "checkpoint_steps"}  # may change on resume


@dataclass(frozen=True)
class VaeInputs:
    """What a run reads: the image stage's folder; the cohort stage's for the label term; VGG16's
    and LPIPS's weights for the perceptual one, without which that term is left out by name."""

    images: Path
    cohort: Path | None = None
    perceptual_weights: Sequence[Path] = ()


@dataclass(frozen=True)
class Run:
    """A run that is ready to train; ``made_from`` tells it from runs of other settings or films."""

    folder: Path
    plan: VaePlan
    train: Films
    valid: Films
    labels: Tensor | None  # of the training films, (films, 14), raw
    perceptual: Perceptual | None
    accelerator: Accelerator
    trained: VaeTrained
    made_from: str


def fit_vae(inputs: VaeInputs, out: Path, config: VaeConfig, seed: int) -> None:
    """Train, from the newest checkpoint on if there is one, and publish ``out`` for load_codec."""
    run = open_run(inputs, out, config, seed)
    is_first = run.accelerator.is_main_process
    if read_done(out / METRICS_FILE, run.made_from) is not None:
        if is_first:
            say(f"fit_vae: {out} is up to date")
        return
    if is_first:
        set_aside(run)
        run.folder.mkdir(parents=True, exist_ok=True)
    run.accelerator.wait_for_everyone()
    found = checkpoints(run.folder)
    done = load(found[-1], run.trained) if found else 0
    if is_first:
        keep_losses(run.folder / LOSS_FILE, done)
        write_config(run.folder / CONFIG_FILE, config)
        terms = ", ".join(f"{name} {what}" for name, what in name_terms(run).items())
        say(f"fit_vae: {len(run.train)} films, {run.plan.ranks} ranks, from step {done}; {terms}")
    train(run, done)
    if is_first:
        publish_run(run, out)
    run.accelerator.end_training()


def open_run(inputs: VaeInputs, out: Path, config: VaeConfig, seed: int) -> Run:
    """Read what a run needs and build the networks, from the seed alone."""
    films = open_films(inputs.images, "train")
    if len(films) == 0:
        raise ContractError(
            f"{inputs.images}: no readable film of a training patient; check its ledger"
        )
    valid = open_films(inputs.images, "valid")
    perceptual, weights = None, []
    if config.loss.perceptual_weight > 0 and inputs.perceptual_weights:
        perceptual = load_perceptual(inputs.perceptual_weights)
        weights = [file_sha256(path) for path in inputs.perceptual_weights]
    labels = None
    if config.loss.label_weight > 0:
        if inputs.cohort is None:
            raise ContractError("the label term needs a cohort folder; give one or label_weight 0")
        labels = torch.from_numpy(read_labels(inputs.cohort, films.dicom_ids))
    accelerator = Accelerator(mixed_precision=config.precision, cpu=not torch.cuda.is_available())
    if perceptual is not None:
        perceptual.to(accelerator.device)
    plan = VaePlan(config, seed, len(films), accelerator.process_index, accelerator.num_processes)
    known = "" if labels is None else hashlib.sha256(labels.numpy().tobytes()).hexdigest()
    made_from = digest(
        config.model_dump(exclude=FREE_SETTINGS),
        seed,
        films.made_from,
        valid.made_from,
        weights,
        known,
    )
    return Run(
        folder=out.with_name(out.name + ".run"),
        plan=plan,
        train=films,
        valid=valid,
        labels=labels,
        perceptual=perceptual,
        accelerator=accelerator,
        trained=new_trained(config, seed, accelerator.device),
        made_from=made_from,
    )


def set_aside(run: Run) -> None:
    """Move a run of other settings or films out of the way."""
    found = checkpoints(run.folder)
    if found and read_done(found[-1] / STATE_FILE, run.made_from) is None:
        move_aside("fit_vae", run.folder)


def train(run: Run, done: int) -> None:
    """The loop, from step ``done`` to the plan's last."""
    accelerator, plan, trained = run.accelerator, run.plan, run.trained
    vae, optimiser = accelerator.prepare(trained.vae, trained.optimiser)
    critic, critic_optimiser = trained.critic, trained.critic_optimiser
    if critic is not None:
        critic, critic_optimiser = accelerator.prepare(critic, critic_optimiser)
    if done and plan.is_valid_due(done) and trained.validated_steps != done:
        look(run, done)  # the run was stopped before it came to that
    steps = range(done, plan.steps)
    shown = progress("fit_vae", len(steps), "steps", accelerator.is_main_process)
    with remember_sigterm() as is_asked, shown as advance:
        for step in steps:
            losses = backward(run, vae, critic, step)
            optimiser.step()
            optimiser.zero_grad()
            if critic_optimiser is not None and is_judged(plan.config, step):
                critic_optimiser.step()
                critic_optimiser.zero_grad()
            mean, is_stopping = agree(accelerator, LOSSES, losses, is_asked())
            require_finite(mean, step)
            if plan.is_valid_due(step + 1) and not is_stopping:
                look(run, step + 1)
            if accelerator.is_main_process:
                write_loss(run.folder / LOSS_FILE, step, mean)
                advance(1, f"loss {mean['loss']:.4g}, L1 {mean['l1']:.3f}")
                if plan.is_checkpoint_due(step + 1) or is_stopping:
                    save(run.folder, step + 1, run.made_from, plan.config, trained)
            if is_stopping:
                leave_together(accelerator, "fit_vae", step + 1)


def is_judged(config: VaeConfig, step: int) -> bool:
    """Whether the adversarial term counts at a step, from 0; before, nothing is judged at all."""
    return config.loss.adversarial_weight > 0 and step >= config.loss.adversarial_from_step


def backward(run: Run, vae: nn.Module, critic: nn.Module | None, step: int) -> Tensor:
    """Accumulate the gradients of a step, the discriminator's too; the losses, (len(LOSSES),).

    Both come from one pass of the autoencoder. The released code makes a second one for the
    discriminator, after the autoencoder's step.
    """
    accelerator, plan = run.accelerator, run.plan
    parts = plan.config.accumulate
    judged = critic if is_judged(plan.config, step) else None
    critics = Critics(run.perceptual, None if judged is None else run_judge(run))
    cuda = [accelerator.device] if accelerator.device.type == "cuda" else []
    total = torch.zeros(len(LOSSES), device=accelerator.device)
    for part in range(parts):
        places = plan.places(step, part)
        pixels = read_crops(run.train, plan, places).to(accelerator.device)
        noise = draw_noise(plan.config, plan.seed, "train", places).to(accelerator.device)
        labels = None
        if run.labels is not None:
            labels = run.labels[[plan.film(place) for place in places]].to(accelerator.device)
        with ExitStack() as stack:
            if part + 1 < parts:
                stack.enter_context(accelerator.no_sync(vae))
                if judged is not None:
                    stack.enter_context(accelerator.no_sync(judged))
            stack.enter_context(torch.random.fork_rng(devices=cuda))
            torch.manual_seed(seed_of("dropout", plan.seed, step, plan.rank, part))
            output = vae(pixels, noise)
            with accelerator.autocast():
                terms = generator_terms(
                    run.trained.vae, output, pixels, labels, critics, plan.config.loss
                )
            accelerator.backward(terms["loss"] / parts)
            terms["discriminator"] = pixels.new_zeros(())
            if judged is not None:
                real, drawn = judged(pixels, output.pixels.detach())
                terms["discriminator"] = hinge_loss(real, drawn)
                accelerator.backward(terms["discriminator"] / parts)
        total += torch.stack([terms[name].detach().float() for name in LOSSES]) / parts
    return total


def run_judge(run: Run) -> Any:
    """The discriminator as a judge whose own weights get no gradient."""
    critic = run.trained.critic
    assert critic is not None
    weights = {name: weight.detach() for name, weight in critic.named_parameters()}

    def judge(pixels: Tensor) -> Tensor:
        return functional_call(critic, weights, (pixels,))[0]

    return judge


def require_finite(mean: Mapping[str, float], step: int) -> None:
    """Stop a run that has diverged."""
    if not all(math.isfinite(value) for value in mean.values()):
        raise ContractError(f"the loss is {mean['loss']} at step {step}; lower the learning rate")


def look(run: Run, steps: int) -> None:
    """At the validation films; the weights are kept if they reconstruct them best."""
    if len(run.valid) > 0:
        weight = run.plan.config.loss.perceptual_weight
        l1, unlike = valid_errors(
            run.trained.vae, run.valid, run.plan, run.perceptual, run.accelerator
        )
        rec = l1 + weight * unlike
        if not math.isfinite(rec):
            raise ContractError(
                f"validation films come back as {rec} after step {steps}; lower the learning rate"
            )
        run.trained.take(rec, steps)


def name_terms(run: Run) -> dict[str, str]:
    """Each optional term of the loss: on, off by the config, or absent for want of weights."""
    loss = run.plan.config.loss
    perceptual = "on" if run.perceptual is not None else "absent"
    judged = f"from step {loss.adversarial_from_step}"
    return {
        "perceptual": perceptual if loss.perceptual_weight > 0 else "off",
        "adversarial": judged if loss.adversarial_weight > 0 else "off",
        "label": "on" if loss.label_weight > 0 else "off",
    }


def publish_run(run: Run, out: Path) -> None:
    """Publish the best weights, or the last without a validation film, and clear the run away."""
    trained = run.trained
    if trained.best:
        trained.vae.autoencoder.load_state_dict(trained.best)
    rows = read_losses(run.folder / LOSS_FILE)
    metrics = name_terms(run) | {
        "steps": len(rows),
        "train_films": len(run.train),
        "valid_films": len(run.valid),
        "parameters": sum(weight.numel() for weight in trained.vae.parameters()),
        "l1_first": rows[0]["l1"],
        "l1_last": float(np.mean([row["l1"] for row in rows[-10:]])),
        "rec_valid": trained.best_rec,
        "published_step": trained.best_steps if trained.best else len(rows),
        "made_from": run.made_from,
    }
    beside = (run.folder / LOSS_FILE, run.folder / CONFIG_FILE)
    publish_autoencoder(trained.vae.autoencoder, out, metrics, *beside)
    shutil.rmtree(run.folder)


def main(
    images: Annotated[Path, typer.Argument(help="The films: build/<recipe>/image.")],
    out: Annotated[Path, typer.Argument(help="Where the autoencoder goes.")],
    cohort: Annotated[Path | None, typer.Option(help="Labels: build/<recipe>/cohort.")] = None,
    perceptual: Annotated[
        list[Path] | None, typer.Option(help="A file of VGG16's or LPIPS's weights; repeat it.")
    ] = None,
    config: Annotated[str, typer.Option(help="A shipped config, or a .yaml.")] = "tiny",
    seed: Annotated[int, typer.Option(help="Weights, order, crops, noise and dropout.")] = 23,
) -> None:
    """Fit the autoencoder on the films of training patients."""
    os.umask(0o077)  # outputs are for the user alone (MIMIC's terms)
    try:
        settings = read_config(VaeConfig, "fit_vae", config)
        fit_vae(VaeInputs(images, cohort, perceptual or ()), out, settings, seed)
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
