"""A CompVis autoencoder's checkpoint -> the folder that ``latent.weights`` takes.

Cheff's, DDL-CXR's and latent diffusion's own KL autoencoders name their weights alike
(``encoder.down.0.block.0.norm1.weight``), at the top of a file or below ``first_stage_model.``.
The architecture is read from the shapes. What shapes cannot tell is the scale factor, which comes
with the family or is given, and the groups of GroupNorm, 32 in all of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from cxrfuture_data.codec import weights_digest
from cxrfuture_data.console import say
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError
from train.pretrained import choose_family, find_prefix, publish_pretrained
from train.tensor_file import read_tensor_file

ENTRY = "encoder.conv_in.weight"
PREFIXES = ("", "first_stage_model.", "model.first_stage_model.", "module.")
PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")  # of the autoencoder itself
RECORD_FILE = "import.json"

# diffusers' names -> CompVis's. The decoder's levels are numbered from the other end.
RENAMED = (
    (re.compile(r"\.down_blocks\.(\d+)\.resnets\.(\d+)\."), r".down.\1.block.\2."),
    (re.compile(r"\.down_blocks\.(\d+)\.downsamplers\.0\."), r".down.\1.downsample."),
    (re.compile(r"\.up_blocks\.(\d+)\.resnets\.(\d+)\."), r".up.\1.block.\2."),
    (re.compile(r"\.up_blocks\.(\d+)\.upsamplers\.0\."), r".up.\1.upsample."),
    (re.compile(r"\.conv_shortcut\."), ".nin_shortcut."),
    (re.compile(r"\.mid_block\.resnets\.0\."), ".mid.block_1."),
    (re.compile(r"\.mid_block\.resnets\.1\."), ".mid.block_2."),
    (re.compile(r"\.mid_block\.attentions\.0\.group_norm\."), ".mid.attn_1.norm."),
    (re.compile(r"\.mid_block\.attentions\.0\.to_([qkv])\."), r".mid.attn_1.\1."),
    (re.compile(r"\.mid_block\.attentions\.0\.to_out\.0\."), ".mid.attn_1.proj_out."),
    (re.compile(r"\.conv_norm_out\."), ".norm_out."),
)
UP_LEVEL = re.compile(r"\.up\.(\d+)\.")


@dataclass(frozen=True)
class Family:
    """What a published autoencoder is, and the factor its latents are trained on with."""

    scale: float
    film_size: int
    channels: int
    shrinks: int


FAMILIES = {
    "ddl_cxr": Family(scale=1.0, film_size=224, channels=4, shrinks=8),  # specs ddl-cxr 7
    "cheff": Family(scale=0.18215, film_size=256, channels=3, shrinks=4),  # specs ehrxdiff 9.1
}


def import_vae(
    checkpoint: Path,
    out: Path,
    family: str | None = None,
    scale: float | None = None,
    norm_groups: int = 32,
) -> None:
    """Convert a checkpoint and publish ``out``; a new folder. ``scale`` goes before the family's.

    Raises ContractError where the file cannot be read, is no KL autoencoder that AutoencoderKL can
    be, or is not of the family named.
    """
    if out.exists():
        raise ContractError(f"{out}: exists; name a new folder, or delete it")
    chosen = choose_family(family, FAMILIES)
    if scale is None:
        if chosen is None:
            raise ContractError(
                "a checkpoint does not say its scale factor; give --family "
                f"{' or '.join(FAMILIES)}, or --scale (1.0: latents are used as they are)"
            )
        scale = chosen.scale
    if not 0 < scale < float("inf"):
        raise ContractError(f"--scale must be above 0, got {scale}")
    source = str(checkpoint)
    found = read_tensor_file(checkpoint)
    prefix = find_prefix(found, ENTRY, PREFIXES, source, "set latent.weights to its folder")
    tensors = {
        name[len(prefix) :]: value for name, value in found.items() if name.startswith(prefix)
    }
    film_size = 256 if chosen is None else chosen.film_size  # only tiling, which is off, uses it
    autoencoder = to_autoencoder(tensors, source, scale, film_size, norm_groups)
    channels = int(autoencoder.config.latent_channels)
    shrinks = 2 ** (len(autoencoder.config.block_out_channels) - 1)
    if chosen is not None and (channels, shrinks) != (chosen.channels, chosen.shrinks):
        raise ContractError(
            f"{source}: {channels} channels at 1/{shrinks} of a film's size, but {family}'s has "
            f"{chosen.channels} at 1/{chosen.shrinks}; name another family, or --scale alone"
        )
    left_out = sorted({name.split(".")[0] for name in tensors if not name.startswith(PARTS)})
    facts = {
        "source": checkpoint.name,
        "sha256": file_sha256(checkpoint),
        "family": family,
        "scaling_factor": scale,
        "dtype": str(tensors[ENTRY].dtype).removeprefix("torch."),
        "left_out": left_out,
    }
    publish_pretrained(autoencoder, out, facts, record=RECORD_FILE)
    count = sum(weight.numel() for weight in autoencoder.parameters())
    say(
        f"import_vae: {count:,} weights, {channels} channels at 1/{shrinks}, scale {scale:g}; left "
        f"out: {', '.join(left_out) or 'nothing'}; digest {weights_digest(out)[:12]}"
    )
    say(f"import_vae: set latent.weights to {out}")


def to_autoencoder(
    tensors: Mapping[str, Tensor], source: str, scale: float, film_size: int, norm_groups: int
) -> AutoencoderKL:
    """The autoencoder that CompVis's weights describe, in float32. ``source`` is named in errors.

    Names outside the encoder, the decoder and the two 1x1 convolutions (loss, label head, averages)
    are left out.
    """
    channels, layers, latent = _shapes(tensors, source)
    if any(width % norm_groups for width in channels):
        raise ContractError(
            f"{source}: levels of {channels} channels do not divide into {norm_groups} groups; "
            "give --norm-groups"
        )
    levels = len(channels)
    autoencoder = AutoencoderKL(
        in_channels=tensors[ENTRY].shape[1],
        out_channels=tensors["decoder.conv_out.weight"].shape[0],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        latent_channels=latent,
        norm_num_groups=norm_groups,
        sample_size=film_size,
        scaling_factor=scale,
        mid_block_add_attention="encoder.mid.attn_1.q.weight" in tensors,
    )
    wanted = autoencoder.state_dict()
    names = {own: compvis_name(own, levels) for own in wanted}
    missing = [name for name in names.values() if name not in tensors]
    known = set(names.values())
    strange = [name for name in tensors if name.startswith(PARTS) and name not in known]
    if strange:
        attention = ".attn." in strange[0]
        reason = "attention in a level, which AutoencoderKL has not" if attention else "unexpected"
        raise ContractError(f"{source}: {strange[0]} ({len(strange)} such): {reason}")
    if missing:
        raise ContractError(
            f"{source}: no {missing[0]} ({len(missing)} of {len(names)} tensors are missing)"
        )
    for own, name in names.items():
        value = tensors[name].float()
        if value.ndim == 4 and wanted[own].ndim == 2:  # attention: a 1x1 convolution or a matrix
            value = value.flatten(1)
        if value.shape != wanted[own].shape:
            raise ContractError(
                f"{source}: {name} is {tuple(tensors[name].shape)}, expected "
                f"{tuple(wanted[own].shape)}"
            )
        if not torch.isfinite(value).all():
            raise ContractError(f"{source}: {name} holds numbers that are not finite")
        wanted[own] = value
    autoencoder.load_state_dict(wanted)
    return autoencoder


def compvis_name(own: str, levels: int) -> str:
    """A weight's name in CompVis's checkpoints, from that in AutoencoderKL's."""
    for pattern, replacement in RENAMED:
        own = pattern.sub(replacement, own)
    return UP_LEVEL.sub(lambda found: f".up.{levels - 1 - int(found[1])}.", own)


def _shapes(tensors: Mapping[str, Tensor], source: str) -> tuple[list[int], int, int]:
    """Channels of each level, residual blocks a level, and channels of a latent."""
    if any(name.startswith("quantize.") for name in tensors):
        raise ContractError(f"{source}: a VQ autoencoder (quantize.*), which has no posterior")
    for name in (ENTRY, "decoder.conv_out.weight", "quant_conv.weight", "post_quant_conv.weight"):
        if name not in tensors or tensors[name].ndim != 4:
            raise ContractError(f"{source}: no {name}, or not a convolution's")
    channels: list[int] = []
    while (name := f"encoder.down.{len(channels)}.block.0.conv1.weight") in tensors:
        channels.append(tensors[name].shape[0])
    layers = 0
    while f"encoder.down.0.block.{layers}.conv1.weight" in tensors:
        layers += 1
    if not channels:
        raise ContractError(f"{source}: no encoder.down.0.block.0.conv1.weight")
    latent = tensors["post_quant_conv.weight"].shape[1]
    shape = tuple(tensors["quant_conv.weight"].shape[:2])
    if shape != (2 * latent, 2 * latent):
        raise ContractError(
            f"{source}: quant_conv maps {shape[1]} channels to {shape[0]}, and latents have "
            f"{latent}; AutoencoderKL wants {2 * latent} and {2 * latent}"
        )
    return channels, layers, latent
