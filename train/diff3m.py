"""Diff3M: diffusion on the pixels of normal films, by the patient's static values (specs diff3m).

Corrected, unless ``fidelity: published``: measurements are scaled by the films learned from alone
and the scale lies beside the weights (B2, in either case); branches are blended with weights of 1
(B11); the masked decoder starts from the loaded weights, not from random ones (12); a checkpoint
that already has masked branches keeps them (B5); encoding and decoding tell the model the level the
film stands at, from seeded noise, and clip to the film's own range (B10, 11); what is not known of
a patient is left out of the attention.

Shapes: B films of s x s pixels; S static values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cxrfuture_data import ContractError, Dataset, Split
from cxrfuture_data.batch import AnyBatch, ImageBatch
from cxrfuture_data.view import VIEWS, View
from train.checkpoint import AVERAGE_FILE, MODEL_FILE, choose_checkpoint
from train.diff3m_settings import NOISE_STEPS, Diff3MSettings
from train.draw import draw_normal, draw_timestep, generators
from train.inversion import add_noise
from train.mean import mean_of_real
from train.model.diff3m import Diff3M
from train.model.static_attention import MEASUREMENTS, NAMES, Moments
from train.task import Moment
from train.tensor_file import read_tensor_file

NORMAL = "image.No Finding"
LEARNED_IN_STAGE_1 = ("encoder.", "time.", "reference.", "static.query.")  # and frozen in stage 2
OLDEST = 100  # years, as published (9.4)


@dataclass(frozen=True)
class Diff3MTask:
    settings: Diff3MSettings
    data: Dataset

    @property
    def view(self) -> View:
        return VIEWS["diff3m.image"]

    @property
    def losses(self) -> Sequence[str]:
        return ("loss", "noise", "rebuild")

    @property
    def averaged(self) -> Sequence[str]:
        return ("",)

    def select(self, split: Split) -> Split:
        """Normal films: the report says No Finding (9.1)."""
        return split.where(lambda columns: columns[NORMAL] == 1)

    def build(self) -> nn.Module:
        normal = self.select(self.data.split("train", "image"))
        model = Diff3M(self.settings, measure_moments(normal))
        if self.settings.stage1 is not None:
            start_from(model, Path(self.settings.stage1), self.settings)
            freeze_stage_1(model)
        return model

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Half the error of the noise, half that of the rebuilt film, by default (12)."""
        film = pixels_of(batch, self.settings).to(at.device)
        static, is_known = (part.to(at.device) for part in static_of(batch, self.settings))
        randoms = generators(batch.keys, at.purpose, at.seed, at.step)
        level = draw_timestep(randoms, NOISE_STEPS).to(at.device)
        noise = draw_normal(randoms, film.shape[1:]).to(at.device)
        noisy = add_noise(film, noise, level)
        predicted = model(noisy, level, film, static, is_known)
        noise_error = mean_error(noise, predicted.noise, batch.is_padding)
        rebuild_error = mean_error(noisy, predicted.rebuilt, batch.is_padding)
        weight = self.settings.rebuild_weight
        loss = (1 - weight) * noise_error + weight * rebuild_error
        return {"loss": loss, "noise": noise_error, "rebuild": rebuild_error}


def mean_error(truth: Tensor, predicted: Tensor, is_padding: Tensor) -> Tensor:
    """Squared, over pixels and the real films of a batch."""
    errors = (truth - predicted.float()).square().flatten(1).mean(1)  # (B,)
    return mean_of_real(errors, is_padding)


def pixels_of(batch: AnyBatch[Tensor], settings: Diff3MSettings) -> Tensor:
    """(B, 1, s, s) in [0, 1]; a smaller ``film_size`` is the mean of the pixels it covers."""
    assert isinstance(batch, ImageBatch)
    film = batch.image_film.float() / 255
    size, found = settings.film_size, film.shape[-1]
    if size is not None and size > found:
        raise ContractError(f"film_size {size}: the films have {found} pixels; give at most that")
    if size is not None and size != found:
        film = interpolate(film, size=(size, size), mode="area")
    halves = 2 ** (settings.unet.levels - 1)
    if film.shape[-1] % halves:
        raise ContractError(
            f"films of {film.shape[-1]} pixels and {settings.unet.levels} levels; set film_size to "
            f"a multiple of {halves}, or fewer unet.multipliers"
        )
    return film


def static_of(batch: AnyBatch[Tensor], settings: Diff3MSettings) -> tuple[Tensor, Tensor]:
    """(B, S) as the dataset has them, 0 where not known, and which are known."""
    assert isinstance(batch, ImageBatch)
    if batch.static.shape[1] != len(NAMES):
        raise ContractError("the films have no static values; train on a dataset of recipe diff3m")
    ages = batch.static[:, NAMES.index("age")]
    if settings.is_published and bool((ages >= OLDEST).any()):
        raise ContractError(
            f"a patient of {ages.max():.0f} years; fidelity published takes those below {OLDEST}: "
            "build the recipe as published too, whose ages are those of the anchor year"
        )
    return batch.static, batch.static_known


def measure_moments(split: Split) -> Moments:
    """Of the measurements of these films, each over those that have it."""
    at = [NAMES.index(name) for name in MEASUREMENTS]
    values, known = read_static(split)
    count = known[:, at].sum(0).clamp(min=1)
    mean = values[:, at].sum(0) / count
    squares = ((values[:, at] - mean) * known[:, at]).square().sum(0)
    std = (squares / count).sqrt()
    std = torch.where(std > 0, std, 1)
    return Moments(tuple(mean.tolist()), tuple(std.tolist()))


def read_static(split: Split) -> tuple[Tensor, Tensor]:
    """(N, S) float64 and which are known, of all samples in their order; no film is read."""
    if len(split) == 0 or not split.columns["has_static"].any():
        raise ContractError(
            f"{split.name}: {len(split)} films, none with static values; train on a dataset of "
            "recipe diff3m that has normal films"
        )
    loader = split.loader(256, View(kind="image"), rank=0, world_size=1, training=False)
    values, known = [], []
    for part in loader:
        assert isinstance(part, ImageBatch)
        values.append(part.static[~part.is_padding].double())
        known.append(part.static_known[~part.is_padding])
    loader.close()
    return torch.cat(values), torch.cat(known)


def start_from(model: Diff3M, path: Path, settings: Diff3MSettings) -> None:
    """Load what a run of stage 1, a checkpoint or a file holds, and start the masked branches from
    it; masked branches that it holds itself are kept, but as published (B5)."""
    weights = read_weights(path)
    weights = {name: value for name, value in weights.items() if name in model.state_dict()}
    own = model.state_dict()
    for name, value in weights.items():
        if value.shape != own[name].shape:
            raise ContractError(
                f"{path}: {name} is {tuple(value.shape)}, here {tuple(own[name].shape)}; train "
                "stage 1 with the same unet and fidelity"
            )
    missing = [name for name in own if name.startswith(LEARNED_IN_STAGE_1) and name not in weights]
    if missing:
        raise ContractError(f"{path}: no {missing[0]} in it; name a run of diff3m as stage1")
    model.load_state_dict(weights, strict=False)
    has_branches = any(name.startswith("mask_") for name in weights)
    if settings.has_masks and not (has_branches and not settings.is_published):
        model.copy_to_mask_encoders()
        if not settings.is_published:
            model.copy_to_mask_decoder()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Of a run, a checkpoint (the averaged ones over the others), or a file of tensors."""
    if path.is_file():
        return read_tensor_file(path)
    if not path.is_dir():
        raise ContractError(f"stage1: no file or folder {path}; give a run of diff3m, or null")
    folder = choose_checkpoint(path)
    try:
        return load_file(folder / MODEL_FILE) | load_file(folder / AVERAGE_FILE)
    except (SafetensorError, OSError) as error:
        raise ContractError(f"{folder}: cannot be read ({error}); name another as stage1") from None


def freeze_stage_1(model: nn.Module) -> None:
    """What stage 2 does not train (12)."""
    for name, weight in model.named_parameters():
        if name.startswith(LEARNED_IN_STAGE_1):
            weight.requires_grad_(requires_grad=False)
