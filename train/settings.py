"""What train/config/*/*.yaml may say. No field has a default: a file says everything."""

import difflib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings, read_settings

Positive = Annotated[int, Field(gt=0)]
Above0 = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Fidelity = Literal["corrected", "published"]


class Length(Settings):
    """How long to train: so many epochs or so many optimiser steps; the other one is null."""

    epochs: Positive | None
    steps: Positive | None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Length":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and null for the other")
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole run."""
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch


class AdamWSettings(Settings):
    learning_rate: Above0
    betas: tuple[Share, Share]
    weight_decay: Weight


class ScaledAdamWSettings(AdamWSettings):
    """``per_film``: the rate of a run is learning_rate times batch_size (specs ddl-cxr 7)."""

    per_film: bool

    def rate(self, batch_size: int) -> float:
        """The learning rate of a run whose steps take so many films over all ranks and parts."""
        return self.learning_rate * batch_size if self.per_film else self.learning_rate


class Fold(Settings):
    """Training patients that a run never sees: those of fold ``number`` out of ``folds``."""

    number: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _is_one(self) -> "Fold":
        if self.number >= self.folds:
            raise ValueError(f"fold {self.number} of {self.folds}; they are counted from 0")
        return self


class FitSettings(Settings):
    """What every run of train/fit.py is told beside its model (a subclass a task).

    ``warmup_steps`` from a rate of 0; then the rate stays, or falls to 0 on a cosine.
    """

    task: str
    recipe: str  # whose dataset it trains on where none is named
    optimiser: AdamWSettings
    warmup_steps: Annotated[int, Field(ge=0)]
    decay: Literal["none", "cosine"]
    batch_size: Positive  # samples per optimiser step, over all ranks and accumulated parts
    accumulate: Positive  # parts of a rank's share of the batch
    length: Length
    clip_norm: Above0 | None
    ema_decay: Share | None  # null: no averaged weights
    precision: Literal["no", "bf16"]
    compile: bool  # torch.compile
    checkpoint_steps: Positive
    valid_steps: Positive | None  # looks at the validation samples; null: once an epoch
    valid_samples: Positive | None  # of a look; null: all of them
    workers: Annotated[int, Field(ge=0)]
    select_by: str  # loss or score (train/task.py) of validation samples that tells the best
    patience: Positive | None  # looks without a better one before the run ends; null: no limit
    fold: Fold | None  # left out of training (train/fold.py)
    trackers: list[Literal["tensorboard", "wandb"]]


class VaeLossSettings(Settings):
    """Weights of an autoencoder's terms; 0 switches a term off, and what only it needs.

    The perceptual weight is per pixel, as the absolute error's of 1. The adversarial and label
    terms are first scaled until they pull as hard as the reconstruction does (train/vae_loss.py).
    """

    kl_weight: Weight
    perceptual_weight: Weight
    adversarial_weight: Weight
    adversarial_from_step: Annotated[int, Field(ge=0)]
    label_weight: Weight
    unknown_labels: Literal["negative", "masked"]  # findings uncertain (-1) or not mentioned (null)


class VaeConfig(Settings):
    """A KL autoencoder that halves the film between each two of its levels."""

    image_channels: Literal[1, 3]  # of what it reads and draws; 3: the grey film three times
    channels: list[Positive]
    layers_per_level: Positive
    norm_groups: Positive
    latent_channels: Positive
    dropout: Share  # in the residual blocks
    crop: Annotated[int, Field(ge=32, multiple_of=8)]  # pixels; films that are larger are cropped
    scaling_factor: Above0  # of the latents it is to make; training does not use it
    first_logvar: float  # added to the posterior's before training
    loss: VaeLossSettings
    batch_size: Positive  # films per optimiser step, over all ranks and accumulated parts
    accumulate: Positive  # parts of a rank's share of the batch
    length: Length
    optimiser: ScaledAdamWSettings  # two alike: the autoencoder's and the discriminator's
    precision: Literal["no", "bf16"]
    checkpoint_steps: Positive
    valid_steps: Positive | None  # null: once an epoch
    valid_films: Positive | None  # null: all of them


class UnetSettings(Settings):
    channels: list[Positive]
    res_blocks: Positive  # per level of the encoder; the decoder has one more
    heads: Positive | None  # of each level; null: as many as are head_width wide
    head_width: Positive | None
    norm_groups: Positive
    gradient_checkpointing: bool

    @model_validator(mode="after")
    def _one_of_two(self) -> "UnetSettings":
        if (self.heads is None) == (self.head_width is None):
            raise ValueError("give either heads or head_width, and null for the other")
        return self

    def heads_of_levels(self) -> tuple[int, ...]:
        """The number of attention heads of each level."""
        width = self.head_width
        if width is None:
            return tuple(self.heads or 1 for _ in self.channels)
        return tuple(channels // width for channels in self.channels)


class HistorySettings(Settings):
    width: Positive
    feedforward: Positive
    heads: Positive
    layers: Positive
    dropout: Share


class SamplerSettings(Settings):
    steps: Annotated[int, Field(ge=1, le=1000)]
    eta: Annotated[float, Field(ge=0, le=1)]


S = TypeVar("S", bound=Settings)


def read_config(kind: type[S], stage: str, name: str) -> S:
    """A shipped config of a stage by name, or any file by a path that ends in .yaml."""
    return read_settings(kind, find_config(stage, name))


def find_config(stage: str, name: str) -> Path:
    """The file of a shipped config, or the path that ``name`` is."""
    if name.endswith(".yaml"):
        return Path(name)
    folder = Path(str(files("train").joinpath("config", stage)))
    path = folder / f"{name}.yaml"
    if not path.exists():
        near = difflib.get_close_matches(name, names := config_names(stage), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise ContractError(f"{stage}: no config {name!r}; {hint}; or give a .yaml file")
    return path


def config_names(stage: str) -> list[str]:
    """The shipped configs of a stage."""
    folder = Path(str(files("train").joinpath("config", stage)))
    return sorted(found.stem for found in folder.glob("*.yaml"))
