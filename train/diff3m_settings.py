"""What train/config/diff3m*.yaml may say."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cxrfuture_data.settings import Settings
from train.settings import FitSettings, Positive, Share

NOISE_STEPS = 1000  # of the schedule (specs diff3m 11)


class PixelUnetSettings(Settings):
    """Level 0 works on whole films, and each further one on half the side of the one before."""

    width: Positive  # channels of level 0 for a multiplier of 1
    multipliers: Annotated[list[Positive], Field(min_length=2)]  # of ``width``, per level
    res_blocks: Positive  # per level of an encoder; a decoder has one more
    attention_levels: list[Annotated[int, Field(ge=0)]]
    norm_groups: Positive
    dropout: Share
    gradient_checkpointing: bool

    @model_validator(mode="after")
    def _levels_exist(self) -> "PixelUnetSettings":
        strange = [level for level in self.attention_levels if level >= len(self.multipliers)]
        if strange:
            raise ValueError(f"no level {strange[0]} for attention; there are {self.levels}")
        return self

    @property
    def levels(self) -> int:
        """How many there are."""
        return len(self.multipliers)

    @property
    def embedding(self) -> int:
        """The width of time embedding, tokens and image vector."""
        return 4 * self.width


class InversionSettings(Settings):
    """How far a film is pushed into noise and back; ``steps``: kept noise levels on the way, null
    for all of them; ``batch_size``: films at a time."""

    level: Annotated[int, Field(ge=1, lt=NOISE_STEPS)]
    steps: Positive | None
    batch_size: Positive

    @model_validator(mode="after")
    def _no_more_steps_than_levels(self) -> "InversionSettings":
        if self.steps is not None and self.steps > self.level:
            raise ValueError(f"{self.steps} steps to level {self.level}; give at most as many")
        return self


class Diff3MSettings(FitSettings):
    """``rebuild_weight``: of the masked branches' error, the noise's being the rest of 1; at 0
    there are no masked branches, which is stage 1. ``stage1``: a run or checkpoint to start from
    (specs diff3m 12)."""

    task: Literal["diff3m"]
    fidelity: Literal["corrected", "published"]
    film_size: Positive | None  # films are averaged down to it; null: the dataset's
    unet: PixelUnetSettings
    rebuild_weight: Share
    stage1: str | None
    sampler: InversionSettings

    @model_validator(mode="after")
    def _published_takes_every_step(self) -> "Diff3MSettings":
        if self.fidelity == "published" and self.sampler.steps is not None:
            raise ValueError("fidelity published keeps every noise level; sampler.steps is null")
        return self

    @property
    def is_published(self) -> bool:
        """Whether the authors' errors are kept."""
        return self.fidelity == "published"

    @property
    def has_masks(self) -> bool:
        """Whether there are masked branches."""
        return self.rebuild_weight > 0
