"""DDL-CXR's predictor: the record, the last film and the up-to-date latent in one Transformer.

NeurIPS 2024, section 3.3; specs ddl-cxr 9, released as FusionTokens3inputAttnFuse. ``without:
[latent]`` is Last-CXR, ``without: [record]`` "no EHR in predictor" of the paper's Table 5.

Differs from the released code where that is in error. LayerNorm and masks: see
train/model/history.py. The film's and the latent's tokens stand before the record's, whose number
differs between stays: positions are all that tells modalities apart, and would else depend on the
longest stay of a batch. A stay without a film, which the paper leaves out, has no token of it, and
none of a latent drawn from it.

Shapes: B stays; T hours; C, h, w of a latent, p pixels of it a side of a patch; S tokens, D wide;
M = 3 modalities; K labels.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from train.fusion.film import FilmEncoder, FilmSettings
from train.fusion.record import mean_of_tokens
from train.fusion.seen import Answer, Seen, Shape, Target
from train.model.history import History
from train.settings import HistorySettings, Positive


class DdlCxrFusionSettings(Settings):
    """``transformer``: of the record, of the latent and of what joins them, one like the other."""

    name: Literal["ddl_cxr"]
    without: list[Literal["record", "latent"]]
    film: FilmSettings
    transformer: HistorySettings
    patch: Positive  # p, of latent pixels
    patch_width: Positive  # what a patch is projected to before its Transformer
    head_width: Positive


class Tokens(NamedTuple):
    """Of one modality."""

    values: Tensor  # (B, S, D)
    is_real: Tensor  # (B, S) bool


class DdlCxrFusion(nn.Module):
    """Three branches, a Transformer over all their tokens, the mean of all, a head."""

    losses: ClassVar[Sequence[str]] = ()
    modalities: ClassVar[Sequence[str]] = ("film", "latent", "record")

    def __init__(self, settings: DdlCxrFusionSettings, shape: Shape) -> None:
        super().__init__()
        self.settings = settings
        width = settings.transformer.width
        self.film = FilmEncoder(settings.film)
        self.film_token = nn.Linear(settings.film.width, width)
        if "latent" not in settings.without:
            channels = _channels_of_patches(settings.patch, shape)
            self.patch = nn.Linear(channels, settings.patch_width)
            self.latent = History(settings.transformer, settings.patch_width)
        if "record" not in settings.without:
            self.record = History(settings.transformer, shape.hour_columns)
        self.fusion = History(settings.transformer, width)
        self.head = nn.Sequential(
            nn.Linear(width, settings.head_width),
            nn.GELU(),
            nn.Linear(settings.head_width, shape.labels),
        )

    def forward(self, seen: Seen) -> Answer:
        """``attention`` is there outside training: each modality's share of what all tokens look
        at, CLS left out."""
        branches = self._branches(seen)
        values = torch.cat([one.values for one in branches.values()], dim=1)  # (B, S, D)
        is_real = torch.cat([one.is_real for one in branches.values()], dim=1)  # (B, S)
        joined, is_token = self.fusion(values, is_real)  # (B, 1 + S, D), with a CLS of its own
        logits = self.head(mean_of_tokens(joined, is_token))  # (B, K)
        attention = None
        if not self.training:
            weights = self.fusion.attention(values, is_real)  # (B, 1 + S, 1 + S)
            looked_at = mean_of_tokens(weights, is_token)[:, 1:]  # (B, S)
            counts = [branches[m].values.shape[1] if m in branches else 0 for m in self.modalities]
            attention = _shares(looked_at, counts)
        return Answer(logits, {}, attention)

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def _branches(self, seen: Seen) -> dict[str, Tokens]:
        """In the order of ``modalities``; the CLS of each branch is dropped."""
        has_film = seen.has_film[:, None]  # (B, 1)
        film = self.film_token(self.film(seen.film, seen.has_film))[:, None]  # (B, 1, D)
        branches = {"film": Tokens(film, has_film)}
        if "latent" not in self.settings.without:
            patches = self.patch(cut_patches(seen.generated, self.settings.patch))
            always = has_film.new_ones(patches.shape[:2])
            latent = self.latent(patches, always)[0][:, 1:]  # (B, hw/pp, D)
            branches["latent"] = Tokens(latent, has_film.expand(always.shape))
        if "record" not in self.settings.without:
            record = self.record(seen.hours, seen.is_hour)[0][:, 1:]  # (B, T, D)
            branches["record"] = Tokens(record, seen.is_hour)
        return branches


def cut_patches(latent: Tensor, side: int) -> Tensor:
    """(B, C, h, w) -> (B, hw/pp, ppC): row by row; in a patch, too, channels are what runs last."""
    samples, channels, height, width = latent.shape
    cut = latent.reshape(samples, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def _channels_of_patches(side: int, shape: Shape) -> int:
    channels, height, width = shape.latent
    if channels == 0:
        raise ContractError(
            "model ddl_cxr reads up-to-date latents, and `generated` is null; give a folder of "
            "`cxrfuture generate --kind stay`, or model.without=[latent] (Last-CXR)"
        )
    if height % side or width % side:
        raise ContractError(
            f"model.patch: {side} does not divide latents of {height} x {width}; give a divisor"
        )
    return side * side * channels


def _shares(looked_at: Tensor, counts: Sequence[int]) -> Tensor:
    """(B, S) and how many tokens each modality has -> (B, M), whose sum is 1; 0 of no token."""
    sums = torch.stack([part.sum(1) for part in looked_at.split(list(counts), dim=1)], dim=1)
    return sums / sums.sum(1, keepdim=True).clamp(min=torch.finfo(sums.dtype).tiny)
