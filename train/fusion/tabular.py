"""Age and sex alone: what any model has to be better than (specs fusion-baselines 17, F5)."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from cxrfuture_data.settings import Settings
from train.fusion.seen import Answer, Seen, Shape, Target

AGE_CENTRE, AGE_SPREAD = 64.0, 17.0  # years, of MIMIC-IV's stays (specs ddl-cxr, Table 9)


class TabularSettings(Settings):
    name: Literal["tabular"]


class Tabular(nn.Module):
    """A logistic regression."""

    losses: ClassVar[Sequence[str]] = ()
    modalities: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: TabularSettings, shape: Shape) -> None:
        super().__init__()
        self.head = nn.Linear(2, shape.labels)

    def forward(self, seen: Seen) -> Answer:
        age = (seen.age - AGE_CENTRE) / AGE_SPREAD  # (B,)
        return Answer(self.head(torch.stack([age, seen.is_male.float()], dim=1)), {})

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """None of its own."""
        return {}
