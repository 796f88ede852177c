"""DrFuse (specs fusion-baselines 12): what record and film share is told apart from what each alone
has, and each label has its own attention over the three.

Shapes: B stays; T hours, F columns; W the width; K labels; the 3 tokens are record, shared, film.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import model_validator
from torch import Tensor, nn

from cxrfuture_data.settings import Settings
from train.fusion.drfuse_encoders import FilmBranches, RecordEncoder, RecordSettings
from train.fusion.drfuse_losses import (
    FILM,
    RECORD,
    SHARED,
    alignment_loss,
    divergence_loss,
    pool_logits,
    rank_loss,
)
from train.fusion.film import FilmSettings
from train.fusion.seen import Answer, Seen, Shape, Target, outcome_loss
from train.settings import Fidelity, Positive, Weight


class LossWeights(Settings):
    """Of the terms beside the outcome's own cost; each is 1 as published."""

    record: Weight  # the outcome, from what the record alone has
    film: Weight
    shared: Weight
    divergence: Weight  # of what either modality says is shared
    record_distinct: Weight  # cosine of what is shared and what is not
    film_distinct: Weight
    rank: Weight


class DrFuseSettings(Settings):
    """``fidelity: published``: the divergence also counts stays without a film, and the ranking has
    no margin. That the last weights are tested, not the best, is not of the model."""

    name: Literal["drfuse"]
    fidelity: Fidelity
    width: Positive
    record: RecordSettings
    film: FilmSettings
    weights: LossWeights
    margin: Weight  # of attention, by which the better token is to weigh more

    @model_validator(mode="after")
    def _fits(self) -> "DrFuseSettings":
        if self.width % self.record.heads:
            raise ValueError(f"width {self.width} is to be a multiple of record.heads")
        if self.fidelity == "published" and self.margin:
            raise ValueError("fidelity: published has margin: 0")
        return self


class Attended(NamedTuple):
    logits: Tensor  # (B, K)
    weights: Tensor  # (B, K, 3), of sum 1


class LabelAttention(nn.Module):
    """Of each label over the tokens: its own keys, and one query and value for all (12.6)."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.width = width
        self.project = nn.Linear(width, (2 + labels) * width)
        self.classify = nn.Linear(width, labels)

    def forward(self, tokens: Tensor, is_token: Tensor) -> Attended:
        """tokens (B, 3, W), is_token (B, 3): the weight of what is no token is 0."""
        projected = self.project(tokens).unflatten(-1, (-1, self.width))  # (B, 3, 2 + K, W)
        queries, values, keys = projected[:, :, 0], projected[:, :, 1], projected[:, :, 2:]
        real = torch.where(is_token[..., None], queries, 0.0)
        query = real.sum(1) / is_token.sum(1, keepdim=True)  # (B, W)
        scores = torch.einsum("bw,btkw->bkt", query, keys) * self.width**-0.5
        weights = scores.masked_fill(~is_token[:, None], -torch.inf).softmax(-1)  # (B, K, 3)
        features = torch.einsum("bkt,btw->bkw", weights, values)
        logits = torch.einsum("bkw,kw->bk", features, self.classify.weight) + self.classify.bias
        return Attended(logits, weights)


class DrFuse(nn.Module):
    """A stay without a film: its record alone says what is shared, and no label looks at a film."""

    losses: ClassVar = tuple(LossWeights.model_fields)
    modalities: ClassVar = ("record", "shared", "film")

    def __init__(self, settings: DrFuseSettings, shape: Shape) -> None:
        super().__init__()
        self.settings = settings
        width, labels = settings.width, shape.labels
        self.record = RecordEncoder(settings.record, shape.hour_columns, width)
        self.film = FilmBranches(settings.film, width)
        self.project = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )
        self.heads = nn.ModuleList(nn.Linear(width, labels) for _ in self.modalities)
        self.attend = LabelAttention(width, labels)

    def forward(self, seen: Seen) -> Answer:
        """Of B stays."""
        record, film = self.record(seen.hours, seen.is_hour), self.film(seen.film)
        one, other = self.project(record.shared), self.project(film.shared)  # (B, W) each
        has_film = seen.has_film[:, None]
        shared = torch.where(has_film, pool_logits(one, other), one.float())
        tokens = [record.distinct, shared.to(record.distinct), film.distinct]
        always = torch.ones_like(seen.has_film)
        is_token = torch.stack([always, always, seen.has_film], dim=1)
        attended = self.attend(torch.stack(tokens, dim=1), is_token)
        own = [head(token) for head, token in zip(self.heads, tokens, strict=True)]
        return Answer(
            logits=attended.logits,
            parts={
                "record_shared": one,
                "film_shared": other,
                "record_distinct": record.distinct,
                "film_distinct": film.distinct,
                "own_logits": torch.stack(own, dim=-1),  # (B, K, 3)
                "weights": attended.weights,
            },
            attention=attended.weights.float().mean(1),
        )

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """Scalars by the names of ``losses``, weighted; those of films are over paired stays."""
        settings, parts, own = self.settings, answer.parts, answer.parts["own_logits"]
        is_real, is_paired = seen.is_real, seen.is_real & seen.has_film
        is_diverging = is_real if settings.fidelity == "published" else is_paired
        one, other = parts["record_shared"], parts["film_shared"]
        terms = {
            "record": outcome_loss(own[..., RECORD], target, is_real),
            "film": outcome_loss(own[..., FILM], target, is_paired),
            "shared": outcome_loss(own[..., SHARED], target, is_real),
            "divergence": divergence_loss(one, other, is_diverging, is_paired),
            "record_distinct": alignment_loss(one, parts["record_distinct"], is_real),
            "film_distinct": alignment_loss(other, parts["film_distinct"], is_paired),
            "rank": rank_loss(parts["weights"], own, target, is_paired, settings.margin),
        }
        return {name: getattr(settings.weights, name) * term for name, term in terms.items()}
