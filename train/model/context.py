"""All that is known before the target film, or a prediction -> tokens, and a summary of them.

Shapes: B samples; C, h, w of a latent; N patches of p x p; T hours, F columns; E events, D of an
embedding; S = 4 + N + T + E tokens of width W.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cxrfuture_data.schema import COMORBIDITIES, EVENT_TABLES
from train.model.attention import Block, grid_sines, sines
from train.model.known import MODALITIES, Known
from train.model.shape import ContextSettings, DataShape

# Periods of the sines of times: half an hour is told from an hour, and a week from a month.
SHORTEST_HOURS, LONGEST_HOURS = 2.0, 2000.0
AGE_CENTRE, AGE_SPREAD, BMI_CENTRE, BMI_SPREAD = 60.0, 20.0, 28.0, 8.0  # about unit size
TOKENS = MODALITIES[:3]  # those that are tokens; demographics are a vector


class Context(NamedTuple):
    """The model's memory of a sample, which no noisy target has touched."""

    tokens: Tensor  # (B, S, W)
    is_token: Tensor  # (B, S)
    vector: Tensor  # (B, W): summary, gap and demographics

    @property
    def summary(self) -> Tensor:
        """(B, W): the first token."""
        return self.tokens[:, 0]


class ContextEncoder(nn.Module):
    """A Transformer over a summary token, previous patches, hours and events.

    Of a modality that is not given all tokens are masked, and its one null token is seen instead;
    so an empty window is another thing than an unknown one.
    """

    def __init__(self, settings: ContextSettings, shape: DataShape) -> None:
        super().__init__()
        width = settings.width
        self.patch, self.width = settings.patch, width
        self.checkpointing = settings.gradient_checkpointing
        self.embed_previous = nn.Conv2d(shape.channels, width, self.patch, stride=self.patch)
        self.embed_hour = nn.Linear(shape.hour_columns, width)
        self.embed_event = nn.Sequential(
            nn.LayerNorm(shape.event_width), nn.Linear(shape.event_width, width)
        )
        self.embed_time = nn.Sequential(
            nn.Linear(3 * width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.table = nn.Embedding(len(EVENT_TABLES), width)
        self.runs = nn.Embedding(2, width)
        self.kind = nn.Parameter(0.02 * torch.randn(len(TOKENS), width))
        self.null = nn.Parameter(0.02 * torch.randn(len(TOKENS), width))
        self.summary = nn.Parameter(0.02 * torch.randn(width))
        self.embed_gap = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        facts = 5 + len(COMORBIDITIES)
        self.embed_person = nn.Sequential(
            nn.Linear(facts, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.null_person = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(
            Block(width, settings.heads, settings.expansion, settings.dropout, has_context=False)
            for _ in range(settings.context_depth)
        )
        self.norm = nn.LayerNorm(width)
        self.summarise = nn.Linear(width, width)

    def forward(self, known: Known) -> Context:
        """Nothing in it depends on how far a batch is padded."""
        vector = self._gap_vector(known) + self._person_vector(known)  # (B, W)
        tokens, is_token = self._tokens(known)
        for block in self.blocks:
            if self.checkpointing and self.training:
                tokens = checkpoint(block, tokens, vector, is_token, use_reentrant=False)
            else:
                tokens = block(tokens, vector, is_token)
        tokens = self.norm(tokens)
        return Context(tokens, is_token, vector + self.summarise(tokens[:, 0]))

    def _tokens(self, known: Known) -> tuple[Tensor, Tensor]:
        """(B, S, W) and which of them are real (B, S)."""
        samples, given = len(known.previous), known.is_given
        patches = self._patches(known.previous)  # (B, N, W)
        hours, events = self._hour_tokens(known), self._event_tokens(known)
        groups = [
            tokens + kind for tokens, kind in zip((patches, hours, events), self.kind, strict=True)
        ]
        first = torch.cat([self.summary[None], self.null]).expand(samples, -1, -1)  # (B, 4, W)
        tokens = torch.cat([first, *groups], dim=1)
        is_patch = torch.ones_like(patches[..., 0], dtype=torch.bool)
        is_token = torch.cat(
            [
                torch.ones_like(given[:, :1]),
                ~given[:, : len(TOKENS)],
                is_patch & given[:, 0:1],
                known.is_hour & given[:, 1:2],
                known.is_event & given[:, 2:3],
            ],
            dim=1,
        )
        return tokens, is_token

    def _patches(self, latent: Tensor) -> Tensor:
        grid = self.embed_previous(latent)  # (B, W, h / p, w / p)
        rows, columns = grid.shape[2:]
        places = grid_sines(rows, columns, self.width, latent.device)
        return grid.flatten(2).transpose(1, 2) + places.to(grid)

    def _hour_tokens(self, known: Known) -> Tensor:
        """(B, T, W): hour t of a window begins t hours after the window does."""
        start = torch.arange(known.hours.shape[1], device=known.hours.device)
        start = start.float() + known.window_start_hours[:, None]  # (B, T)
        return self.embed_hour(known.hours) + self._time(start, start + 1, known.gap_hours)

    def _event_tokens(self, known: Known) -> Tensor:
        """(B, E, W)."""
        before = known.window_start_hours[:, None]
        start, end = known.event_hours + before, known.event_end_hours + before
        time = self._time(start, end, known.gap_hours)
        about = self.table(known.event_table.long()) + self.runs(known.event_runs.long())
        return self.embed_event(known.event.float()) + about + time

    def _time(self, start: Tensor, end: Tensor, gap_hours: Tensor) -> Tensor:
        """Since the previous film, before the target, and how long: (B, X) -> (B, X, W)."""
        hours = torch.stack([start, gap_hours[:, None] - start, end - start], dim=-1)
        features = sines(hours, self.width, LONGEST_HOURS, SHORTEST_HOURS).flatten(-2)
        return self.embed_time(features.to(self.embed_time[0].weight))

    def _gap_vector(self, known: Known) -> Tensor:
        features = sines(known.gap_hours, self.width, LONGEST_HOURS, SHORTEST_HOURS)
        return self.embed_gap(features)

    def _person_vector(self, known: Known) -> Tensor:
        """(B, W); what is not known is 0, beside a flag that says so."""
        bmi = (known.bmi - BMI_CENTRE) / BMI_SPREAD * known.bmi_known
        single = [(known.age - AGE_CENTRE) / AGE_SPREAD, known.is_male, bmi]
        single += [known.bmi_known, known.has_history]
        earlier = known.comorbidities & known.has_history[:, None]
        facts = torch.cat([torch.stack([value.float() for value in single], 1), earlier], dim=1)
        is_given = known.is_given[:, 3:4]
        return torch.where(is_given, self.embed_person(facts), self.null_person)
