"""The model `future`: a diffusion transformer on the patches of a latent, for flow matching.

The previous latent joins the noisy target channel by channel at each patch, so that to copy what
stays (the patient, the devices) costs one layer; separate tokens would have to find their partner
by attention first. The target itself is predicted, not its difference from the previous latent:
films differ in pose and breath, so that the difference is no smaller and no smoother, and what
changes clinically is instead asked of a head that must say it from the window.

The heads' summary token steers every block of the denoiser. It belongs to ``ContextEncoder``,
which never sees the noisy target: changes are predicted, not read off the answer, and sampling
reads all that is known once. Shapes as in ``context.py``; L findings, K of their changes.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from torch.utils.checkpoint import checkpoint

from cxrfuture_data.labels import FINDING_CHANGES
from cxrfuture_data.schema import FINDINGS
from train.model.attention import Block, Memory, grid_sines, sines
from train.model.context import Context, ContextEncoder
from train.model.known import MODALITIES, Known
from train.model.shape import DataShape, TransformerSettings


class Prediction(NamedTuple):
    velocity: Tensor  # (B, C, h, w)
    findings: Tensor  # (B, L) logits, of the target film
    changes: Tensor  # (B, L, K) logits, from the previous film to the target


class Reading(NamedTuple):
    """What a model has made of what is known, before any noisy target."""

    previous: Tensor  # (B, C, h, w), or the null latent
    context: Context
    memories: list[Memory]  # of the context's tokens, one a block


class LatentTransformer(nn.Module):
    """Velocity of the noisy target, and the changes it will show."""

    def __init__(self, settings: TransformerSettings, shape: DataShape) -> None:
        super().__init__()
        width, self.patch = settings.width, settings.patch
        self.checkpointing = settings.gradient_checkpointing
        self.context = ContextEncoder(settings, shape)
        self.findings = nn.Linear(width, len(FINDINGS))
        self.changes = nn.Linear(width, len(FINDINGS) * len(FINDING_CHANGES))
        self.embed = nn.Conv2d(2 * shape.channels, width, self.patch, stride=self.patch)
        self.null_previous = nn.Parameter(torch.zeros(shape.channels, 1, 1))
        self.embed_time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            Block(width, settings.heads, settings.expansion, settings.dropout, has_context=True)
            for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.steer = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, shape.channels * self.patch**2)
        for layer in (self.steer, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, noisy: Tensor, time: Tensor, known: Known) -> Prediction:
        """noisy (B, C, h, w) at flow times (B,) in [0, 1]: 0 is noise, 1 the target."""
        reading = self.read(known)
        velocity = self.velocity(noisy, time, reading)
        return Prediction(velocity, *self.find(reading.context))

    def find(self, context: Context) -> tuple[Tensor, Tensor]:
        """Logits of findings (B, L) and of changes (B, L, K), of no noisy target."""
        changes = self.changes(context.summary)
        return self.findings(context.summary), changes.unflatten(1, (len(FINDINGS), -1))

    def read(self, known: Known) -> Reading:
        """All that does not depend on the noisy target: it is made once for all flow times."""
        context = self.context(known)
        is_given = known.is_given[:, MODALITIES.index("previous"), None, None, None]
        return Reading(
            previous=torch.where(is_given, known.previous, self.null_previous),
            context=context,
            memories=[
                block.look.remember(context.tokens, context.is_token) for block in self.blocks
            ],
        )

    def velocity(self, noisy: Tensor, time: Tensor, reading: Reading) -> Tensor:
        """(B, C, h, w)."""
        grid = self.embed(torch.cat([noisy, reading.previous], dim=1))  # (B, W, h / p, w / p)
        rows, columns = grid.shape[2:]
        width = grid.shape[1]
        tokens = grid.flatten(2).transpose(1, 2)  # (B, N, W)
        tokens = tokens + grid_sines(rows, columns, width, grid.device).to(tokens)
        # Times lie in [0, 1]: periods from one hundredth to four, as sines of hours take others.
        vector = reading.context.vector + self.embed_time(sines(time, width, 4.0, 0.01))
        for block, memory in zip(self.blocks, reading.memories, strict=True):
            if self.checkpointing and self.training:
                tokens = checkpoint(block, tokens, vector, None, memory, use_reentrant=False)
            else:
                tokens = block(tokens, vector, None, memory)
        shift, scale = self.steer(silu(vector))[:, None].chunk(2, dim=-1)
        patches = self.out(self.norm(tokens) * (1 + scale) + shift)  # (B, N, C p p)
        return self._unpatch(patches, rows, columns)

    def _unpatch(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(B, N, C p p) -> (B, C, h, w)."""
        side = self.patch
        grid = patches.unflatten(1, (rows, columns)).unflatten(3, (-1, side, side))
        grid = grid.permute(0, 3, 1, 4, 2, 5)  # (B, C, h / p, p, w / p, p)
        return grid.reshape(len(grid), -1, rows * side, columns * side)
