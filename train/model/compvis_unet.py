"""diffusers' UNet2DConditionModel, which is CompVis's, from weights by CompVis's names.

Same layers in the same order (specs ddl-cxr 8.1, ehrxdiff 9.2): GroupNorm with eps 1e-5 in residual
blocks and 1e-6 before a Transformer, cosines before sines in the time's embedding, a stride of 2
with a padding of 1, nearest upsampling, a decoder with one residual block more a level. Equal
outputs are tested (tests/test_unet_checkpoint.py).

Tensors are looked up by CompVis's names without their dots, as averages are kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from cxrfuture_data.schema import ContractError

ENTRY = "input_blocks.0.0.weight"
MISFITS = {  # what CompVis's class can be and UNet2DConditionModel, as it is used here, cannot
    "label_emb": "conditioned on classes (label_emb)",
    "id_predictor": "of a VQ autoencoder's codes (id_predictor)",
}
OLD_ATTENTION = re.compile(r"(input_blocks|middle_block|output_blocks)\d+qkvweight$")

# diffusers' names -> CompVis's, within a block.
RENAMED = (
    (".norm1.", ".in_layers.0."),
    (".conv1.", ".in_layers.2."),
    (".time_emb_proj.", ".emb_layers.1."),
    (".norm2.", ".out_layers.0."),
    (".conv2.", ".out_layers.3."),
    (".conv_shortcut.", ".skip_connection."),
)
OUTER = {
    "conv_in.": "input_blocks.0.0.",
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}
BLOCK = re.compile(
    r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\."
)


@dataclass(frozen=True)
class Heads:
    """Of the attention: so many on every level, or so many channels wide; the other is None."""

    count: int | None = None
    width: int | None = None

    def of(self, channels: int, source: str) -> int:
        """How many there are on a level of so many channels."""
        unit = self.width if self.count is None else self.count
        if unit is None or (self.count is not None and self.width is not None):
            raise ContractError("give either --heads or --head-width")
        if unit < 1 or channels % unit:
            what = "heads" if self.width is None else "a head's width"
            raise ContractError(f"{source}: {channels} channels do not divide by {unit}, {what}")
        return unit if self.width is None else channels // unit


@dataclass(frozen=True)
class Layout:
    """What names and shapes say of a UNet."""

    channels: tuple[int, ...]  # of each level
    res_blocks: int  # of a level of the encoder; the decoder has one more
    is_attended: tuple[bool, ...]  # of each level: a Transformer after every residual block
    depth: int  # blocks of a Transformer
    has_linear: bool  # a Transformer begins and ends with a matrix, not with a 1x1 convolution
    in_channels: int
    out_channels: int
    context: int  # the width of the tokens that are attended to

    @property
    def levels(self) -> int:
        return len(self.channels)

    def compvis_name(self, own: str) -> str:
        """A weight's name in CompVis's checkpoints, from that in UNet2DConditionModel's."""
        for ours, theirs in OUTER.items():
            if own.startswith(ours):
                own = theirs + own.removeprefix(ours)
        if ".downsamplers." in own:
            own = own.replace(".conv.", ".op.")
        own = BLOCK.sub(lambda found: self._place(found[1], int(found[2]), found[3], found[4]), own)
        if ".transformer_blocks." not in own:  # whose norm1 and norm2 are called so by both
            for ours, theirs in RENAMED:
                own = own.replace(ours, theirs)
        return own

    def _place(self, side: str, level: int, kind: str, number: str) -> str:
        """Where a part of a level stands in CompVis's two lists of blocks."""
        if side == "down":
            block = 1 + level * (self.res_blocks + 1)  # the first of them is the first convolution
            if kind == "downsamplers":
                return f"input_blocks.{block + self.res_blocks}.0."
            return f"input_blocks.{block + int(number)}.{int(kind == 'attentions')}."
        block = level * (self.res_blocks + 1)
        if kind == "upsamplers":
            after = 1 + self.is_attended[self.levels - 1 - level]
            return f"output_blocks.{block + self.res_blocks}.{after}."
        return f"output_blocks.{block + int(number)}.{int(kind == 'attentions')}."


def to_unet(
    tensors: Mapping[str, Tensor], source: str, heads: Heads, norm_groups: int
) -> UNet2DConditionModel:
    """The UNet that CompVis's weights describe, in float32. ``source`` is named in errors.

    ``tensors`` are by CompVis's names without their dots, and all of them belong to the UNet.
    """
    layout = read_layout(tensors, source)
    if any(width % norm_groups for width in layout.channels):
        raise ContractError(
            f"{source}: levels of {list(layout.channels)} channels do not divide into "
            f"{norm_groups} groups; give --norm-groups"
        )
    unet = _empty_unet(layout, [heads.of(width, source) for width in layout.channels], norm_groups)
    wanted = unet.state_dict()
    names = {own: layout.compvis_name(own) for own in wanted}
    known = {name.replace(".", "") for name in names.values()}
    strange = [name for name in tensors if name not in known]
    missing = [name for name in names.values() if name.replace(".", "") not in tensors]
    if strange:
        raise ContractError(f"{source}: {strange[0]} ({len(strange)} such): unexpected in a UNet")
    if missing:
        raise ContractError(
            f"{source}: no {missing[0]} ({len(missing)} of {len(names)} tensors are missing)"
        )
    for own, name in names.items():
        value = tensors[name.replace(".", "")].float().contiguous()
        if value.shape != wanted[own].shape:
            raise ContractError(
                f"{source}: {name} is {tuple(value.shape)}, expected {tuple(wanted[own].shape)}"
            )
        if not torch.isfinite(value).all():
            raise ContractError(f"{source}: {name} holds numbers that are not finite")
        wanted[own] = value
    unet.load_state_dict(wanted, assign=True)
    return unet


def read_layout(tensors: Mapping[str, Tensor], source: str) -> Layout:
    """Raises ContractError where the weights are of something else, or of a part of a UNet."""
    for prefix, what in MISFITS.items():
        if any(name.startswith(prefix) for name in tensors):
            raise ContractError(f"{source}: a UNet {what}, which is not supported")
    for name in tensors:
        if OLD_ATTENTION.match(name):
            raise ContractError(
                f"{source}: attention without a context ({name}), which is not supported: only "
                "UNets with spatial Transformers are"
            )

    def shape(name: str) -> torch.Size:
        if name.replace(".", "") not in tensors:
            raise ContractError(f"{source}: no {name}")
        return tensors[name.replace(".", "")].shape

    levels = _levels(tensors)
    counts = {len(blocks) for blocks in levels}
    if counts != {len(levels[0])} or not levels[0]:
        raise ContractError(
            f"{source}: levels of {', '.join(str(len(blocks)) for blocks in levels)} residual "
            "blocks; they must be alike"
        )
    depth = 0
    while f"middle_block1transformer_blocks{depth}norm1weight" in tensors:
        depth += 1
    return Layout(
        channels=tuple(
            shape(f"input_blocks.{blocks[-1]}.0.out_layers.3.weight")[0] for blocks in levels
        ),
        res_blocks=len(levels[0]),
        is_attended=tuple(f"input_blocks{blocks[0]}1proj_inweight" in tensors for blocks in levels),
        depth=depth,
        has_linear=len(shape("middle_block.1.proj_in.weight")) == 2,
        in_channels=shape(ENTRY)[1],
        out_channels=shape("out.2.weight")[0],
        context=shape("middle_block.1.transformer_blocks.0.attn2.to_k.weight")[1],
    )


def _levels(tensors: Mapping[str, Tensor]) -> list[list[int]]:
    """The residual blocks of each level, by their number in ``input_blocks``."""
    levels: list[list[int]] = [[]]
    block = 1
    while True:
        if f"input_blocks{block}0in_layers2weight" in tensors:
            levels[-1].append(block)
        elif f"input_blocks{block}0opweight" in tensors:
            levels.append([])
        else:
            return levels
        block += 1


def _empty_unet(layout: Layout, heads: list[int], norm_groups: int) -> UNet2DConditionModel:
    """Without numbers: they come from the checkpoint."""

    def kinds(attended: str, plain: str) -> tuple[str, ...]:
        return tuple(attended if there else plain for there in layout.is_attended)

    with torch.device("meta"):
        return UNet2DConditionModel(
            in_channels=layout.in_channels,
            out_channels=layout.out_channels,
            block_out_channels=layout.channels,
            layers_per_block=layout.res_blocks,
            cross_attention_dim=layout.context,
            attention_head_dim=tuple(heads),  # diffusers' name for the number of heads
            norm_num_groups=norm_groups,
            transformer_layers_per_block=layout.depth,
            use_linear_projection=layout.has_linear,
            down_block_types=kinds("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=kinds("CrossAttnUpBlock2D", "UpBlock2D")[::-1],
        )
