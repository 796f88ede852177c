"""A generator that adds a map to the previous latent, and its critic (train/gan.py).

Shapes: B samples; C, h, w of a latent; T hours; D the width of the record's code.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from diffusers import UNet2DModel
from diffusers.models.unets.unet_2d_blocks import get_down_block
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import silu

from cxrfuture_data.settings import Settings
from train.model.history import History
from train.model.pixel_unet import EPSILON, TimeEmbedding
from train.settings import HistorySettings, Positive

EMBEDDING = 4  # width of what is told to every residual block, in channels of the first level


class LevelSettings(Settings):
    """Of convolutions that halve the latent between each two levels."""

    channels: list[Positive]
    res_blocks: Positive  # per level; a decoder has one more
    norm_groups: Positive


class Answer(NamedTuple):
    """The critic's scores are higher for what looks real."""

    change: Tensor  # (B, C, h, w), the map: generated - previous
    score_target: Tensor  # (B,)
    score_generated: Tensor  # (B,) whose gradient reaches the critic alone
    score_to_raise: Tensor  # (B,) the same numbers; their gradient reaches the generator alone
    penalty: Tensor  # (B,)


class MapGenerator(nn.Module):
    """A U-Net without attention: the record's CLS and the gap are told to every residual block."""

    def __init__(
        self, unet: LevelSettings, history: HistorySettings, channels: int, columns: int
    ) -> None:
        """``channels``: C; ``columns``: of the record. A new one changes nothing: its map is 0."""
        super().__init__()
        levels, embedding = len(unet.channels), EMBEDDING * unet.channels[0]
        self.history = History(history, columns)
        self.code = nn.Linear(history.width, embedding)
        self.unet = UNet2DModel(
            in_channels=channels,
            out_channels=channels,
            block_out_channels=tuple(unet.channels),
            layers_per_block=unet.res_blocks,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            norm_num_groups=unet.norm_groups,
            add_attention=False,
            time_embedding_dim=embedding,
            class_embed_type="identity",  # diffusers' name for a code that is added to time's
        )
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def forward(
        self, previous: Tensor, gap: Tensor, record: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """previous (B, C, h, w), gap (B,) in hours, record of hours (B, T, F) and is_hour (B, T) ->
        the map (B, C, h, w) and the record's code (B, D)."""
        tokens, _ = self.history(*record)  # (B, 1 + T, D)
        code = tokens[:, 0]
        return self.unet(previous, gap, class_labels=self.code(code)).sample, code


class Critic(nn.Module):
    """Residual blocks that are told code and gap, a score at each place, and their mean.

    Norms are of groups of one sample's channels, never of the batch: the penalty is on each
    sample's own slope.
    """

    def __init__(self, levels: LevelSettings, width: int, channels: int) -> None:
        """``width``: D; ``channels``: C."""
        super().__init__()
        first, embedding = levels.channels[0], EMBEDDING * levels.channels[0]
        self.time = TimeEmbedding(first, embedding)
        self.code = nn.Linear(width, embedding)
        self.first = nn.Conv2d(channels, first, 3, padding=1)
        self.levels = nn.ModuleList(
            get_down_block(
                "DownBlock2D",
                num_layers=levels.res_blocks,
                in_channels=levels.channels[max(level - 1, 0)],
                out_channels=out,
                temb_channels=embedding,
                add_downsample=level + 1 < len(levels.channels),
                downsample_padding=1,
                resnet_eps=EPSILON,
                resnet_act_fn="silu",
                resnet_groups=levels.norm_groups,
                attention_head_dim=1,  # of no attention here; diffusers warns without one
            )
            for level, out in enumerate(levels.channels)
        )
        self.last = nn.Conv2d(levels.channels[-1], 1, 3, padding=1)

    def forward(self, latent: Tensor, code: Tensor, gap: Tensor) -> Tensor:
        """latent (B, C, h, w), code (B, D), gap (B,) in hours -> (B,)."""
        embedding = self.time(gap) + self.code(code)
        hidden = self.first(latent)
        for level in self.levels:
            hidden, _ = level(hidden, embedding)
        return self.last(silu(hidden)).mean((1, 2, 3))


class Gan(nn.Module):
    """Both networks, and one forward for a step of both.

    The critic's weights are kept divided by ``critic_rate`` and used times it (Karras et al. 2018,
    equalised rates). An optimiser as Adam moves any weight by its rate whatever the size of its
    gradient, so a weight of the critic's loss would change nothing; this makes the critic learn
    ``critic_rate`` times as fast under one optimiser.
    """

    def __init__(self, generator: MapGenerator, critic: Critic, critic_rate: float) -> None:
        super().__init__()
        self.generator, self.critic, self.critic_rate = generator, critic, critic_rate
        with torch.no_grad():
            for weight in critic.parameters():
                weight.div_(critic_rate)

    def forward(
        self,
        previous: Tensor,
        target: Tensor,
        gap: Tensor,
        record: tuple[Tensor, Tensor],
        share: Tensor,
    ) -> Answer:
        """``share`` (B,): of the target in the latents on which the penalty is taken."""
        change, code = self.generator(previous, gap, record)
        # bf16 is too coarse for slopes of slopes.
        with torch.autocast(previous.device.type, enabled=False):
            change, code = change.float(), code.float().detach()
            generated = previous + change
            weights = {
                name: weight * self.critic_rate for name, weight in self.critic.named_parameters()
            }
            frozen = {name: weight.detach() for name, weight in weights.items()}
            both = torch.cat([target, generated.detach()])  # (2B, C, h, w)
            scores = self._judge(weights, both, code.repeat(2, 1), gap.repeat(2))  # (2B,)
            score_target, score_generated = scores.chunk(2)
            between = torch.lerp(generated.detach(), target, share[:, None, None, None])
            return Answer(
                change,
                score_target,
                score_generated,
                self._judge(frozen, generated, code, gap),
                slope_penalty(lambda latent: self._judge(weights, latent, code, gap), between),
            )

    def _judge(
        self, weights: Mapping[str, Tensor], latent: Tensor, code: Tensor, gap: Tensor
    ) -> Tensor:
        scores: Tensor = functional_call(self.critic, dict(weights), (latent, code, gap))
        return scores


def slope_penalty(judge: Callable[[Tensor], Tensor], latent: Tensor) -> Tensor:
    """(B, C, h, w) -> (B,): how far the slope of the score is from 1, squared (Gulrajani et al.
    2017). Also where no gradient is asked for, as at a look; then it has none itself."""
    is_training = torch.is_grad_enabled()
    with torch.enable_grad():
        at = latent.detach().requires_grad_()
        (slope,) = torch.autograd.grad(judge(at).sum(), at, create_graph=is_training)
    return (slope.flatten(1).norm(dim=1) - 1).square()
