"""CompVis's UNet (specs ddl-cxr 8.1, ehrxdiff 9.2), written again by its weights' names."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import (
    conv2d,
    gelu,
    group_norm,
    interpolate,
    layer_norm,
    linear,
    silu,
)


class Published:
    """A UNet as CompVis's code computes it, from a dictionary of its weights alone.

    ``heads``: of the attention, by the number of channels.
    """

    def __init__(self, weights, groups, heads):
        self.weights, self.groups, self.heads = weights, groups, heads

    def pair(self, name):
        return self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")

    def convolve(self, name, value, **how):
        return conv2d(value, *self.pair(name), **how)

    def line(self, name, value):
        weight, bias = self.pair(name)
        return linear(value, weight.flatten(1), bias)

    def norm(self, name, value, eps):
        return group_norm(value, self.groups, *self.pair(name), eps=eps)

    def residual(self, name, value, time):
        inner = silu(self.norm(f"{name}.in_layers.0", value, 1e-5))
        inner = self.convolve(f"{name}.in_layers.2", inner, padding=1)
        inner = inner + self.line(f"{name}.emb_layers.1", silu(time))[:, :, None, None]
        inner = silu(self.norm(f"{name}.out_layers.0", inner, 1e-5))
        inner = self.convolve(f"{name}.out_layers.3", inner, padding=1)
        if f"{name}.skip_connection.weight" in self.weights:
            value = self.convolve(f"{name}.skip_connection", value)
        return value + inner

    def attend(self, name, tokens, context):
        width = tokens.shape[-1]
        count = self.heads(width)
        query, key, content = (
            self.line(f"{name}.to_{part}", value).unflatten(-1, (count, width // count))
            for part, value in (("q", tokens), ("k", context), ("v", context))
        )
        share = torch.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(width // count)
        mixed = torch.einsum("bhqk,bkhd->bqhd", share.softmax(-1), content)
        return self.line(f"{name}.to_out.0", mixed.flatten(2))

    def transformer(self, name, value, context):
        height = value.shape[2]
        tokens = self.norm(f"{name}.norm", value, 1e-6).flatten(2).transpose(1, 2)
        tokens = self.line(f"{name}.proj_in", tokens)
        depth = 0
        while f"{name}.transformer_blocks.{depth}.norm1.weight" in self.weights:
            tokens = self.transform(f"{name}.transformer_blocks.{depth}", tokens, context)
            depth += 1
        tokens = self.line(f"{name}.proj_out", tokens)
        return value + tokens.transpose(1, 2).unflatten(2, (height, -1))

    def transform(self, name, tokens, context):
        def normed(part):
            return layer_norm(tokens, tokens.shape[-1:], *self.pair(f"{name}.{part}"))

        own = normed("norm1")
        tokens = tokens + self.attend(f"{name}.attn1", own, own)
        tokens = tokens + self.attend(f"{name}.attn2", normed("norm2"), context)
        content, gate = self.line(f"{name}.ff.net.0.proj", normed("norm3")).chunk(2, -1)
        return tokens + self.line(f"{name}.ff.net.2", content * gelu(gate))

    def block(self, name, value, time, context):
        """All that stands below one number of a list of blocks, in order."""
        part = 0
        while True:
            here = f"{name}.{part}"
            if f"{here}.in_layers.0.weight" in self.weights:
                value = self.residual(here, value, time)
            elif f"{here}.proj_in.weight" in self.weights:
                value = self.transformer(here, value, context)
            elif f"{here}.op.weight" in self.weights:
                value = self.convolve(f"{here}.op", value, stride=2, padding=1)
            elif f"{here}.conv.weight" in self.weights:
                value = interpolate(value, scale_factor=2.0, mode="nearest")
                value = self.convolve(f"{here}.conv", value, padding=1)
            elif f"{here}.weight" in self.weights:
                value = self.convolve(here, value, padding=1)
            else:
                return value
            part += 1

    def count(self, side):
        return 1 + max(
            int(name.split(".")[1]) for name in self.weights if name.startswith(f"{side}.")
        )

    def time(self, timestep):
        width = self.weights["time_embed.0.weight"].shape[1]
        rate = torch.exp(-math.log(10_000.0) * torch.arange(width // 2) / (width // 2))
        angle = timestep[:, None].float() * rate
        embedded = torch.cat([angle.cos(), angle.sin()], 1)
        return self.line("time_embed.2", silu(self.line("time_embed.0", embedded)))

    def __call__(self, value, timestep, context):
        time = self.time(timestep)
        kept = []
        for number in range(self.count("input_blocks")):
            value = self.block(f"input_blocks.{number}", value, time, context)
            kept.append(value)
        value = self.block("middle_block", value, time, context)
        for number in range(self.count("output_blocks")):
            value = torch.cat([value, kept.pop()], 1)
            value = self.block(f"output_blocks.{number}", value, time, context)
        return self.convolve("out.2", silu(self.norm("out.0", value, 1e-5)), padding=1)


@dataclass(frozen=True)
class Shape:
    """Of a UNet whose weights are to be drawn."""

    channels: tuple[int, ...] = (8, 16, 24)
    attended: tuple[bool, ...] = (True, True, True)
    res_blocks: int = 1
    in_channels: int = 8
    out_channels: int = 4
    context: int = 12
    depth: int = 1
    matrices: bool = False  # in place of the 1x1 convolutions around a Transformer


class Draw:
    """Random weights by CompVis's names, as its UNetModel would make them."""

    def __init__(self, shape, seed):
        self.shape, self.weights = shape, {}
        self.random = torch.Generator().manual_seed(seed)
        self.time = 4 * shape.channels[0]

    def tensor(self, *size, spread=0.1):
        return torch.randn(size, generator=self.random) * spread

    def linear(self, name, before, after, bias=True):
        self.weights[f"{name}.weight"] = self.tensor(after, before, spread=before**-0.5)
        if bias:
            self.weights[f"{name}.bias"] = self.tensor(after)

    def convolution(self, name, before, after, size=3):
        spread = (before * size**2) ** -0.5
        self.weights[f"{name}.weight"] = self.tensor(after, before, size, size, spread=spread)
        self.weights[f"{name}.bias"] = self.tensor(after)

    def norm(self, name, width):
        self.weights[f"{name}.weight"] = 1 + self.tensor(width)
        self.weights[f"{name}.bias"] = self.tensor(width)

    def residual(self, name, before, after):
        self.norm(f"{name}.in_layers.0", before)
        self.convolution(f"{name}.in_layers.2", before, after)
        self.linear(f"{name}.emb_layers.1", self.time, after)
        self.norm(f"{name}.out_layers.0", after)
        self.convolution(f"{name}.out_layers.3", after, after)
        if before != after:
            self.convolution(f"{name}.skip_connection", before, after, 1)

    def transformer(self, name, width):
        self.norm(f"{name}.norm", width)
        for part in ("proj_in", "proj_out"):
            if self.shape.matrices:
                self.linear(f"{name}.{part}", width, width)
            else:
                self.convolution(f"{name}.{part}", width, width, 1)
        for number in range(self.shape.depth):
            block = f"{name}.transformer_blocks.{number}"
            for part in ("norm1", "norm2", "norm3"):
                self.norm(f"{block}.{part}", width)
            for part, context in (("attn1", width), ("attn2", self.shape.context)):
                self.linear(f"{block}.{part}.to_q", width, width, bias=False)
                self.linear(f"{block}.{part}.to_k", context, width, bias=False)
                self.linear(f"{block}.{part}.to_v", context, width, bias=False)
                self.linear(f"{block}.{part}.to_out.0", width, width)
            self.linear(f"{block}.ff.net.0.proj", width, 8 * width)
            self.linear(f"{block}.ff.net.2", 4 * width, width)

    def all(self):
        shape, first = self.shape, self.shape.channels[0]
        self.linear("time_embed.0", first, self.time)
        self.linear("time_embed.2", self.time, self.time)
        self.convolution("input_blocks.0.0", shape.in_channels, first)
        kept, width, number = [first], first, 1
        last = len(shape.channels) - 1
        for level, after in enumerate(shape.channels):
            for _ in range(shape.res_blocks):
                self.residual(f"input_blocks.{number}.0", width, after)
                if shape.attended[level]:
                    self.transformer(f"input_blocks.{number}.1", after)
                width, number = after, number + 1
                kept.append(width)
            if level < last:
                self.convolution(f"input_blocks.{number}.0.op", width, width)
                kept.append(width)
                number += 1
        self.residual("middle_block.0", width, width)
        self.transformer("middle_block.1", width)
        self.residual("middle_block.2", width, width)
        number = 0
        for level in range(last, -1, -1):
            for place in range(shape.res_blocks + 1):
                after = shape.channels[level]
                self.residual(f"output_blocks.{number}.0", width + kept.pop(), after)
                width = after
                if shape.attended[level]:
                    self.transformer(f"output_blocks.{number}.1", width)
                if level > 0 and place == shape.res_blocks:
                    part = 1 + shape.attended[level]
                    self.convolution(f"output_blocks.{number}.{part}.conv", width, width)
                number += 1
        self.norm("out.0", width)
        self.convolution("out.2", width, shape.out_channels)
        return self.weights


def published_weights(shape=None, seed=1):
    """Random weights by CompVis's names; none is zero, so that every layer matters."""
    return Draw(shape or Shape(), seed).all()
