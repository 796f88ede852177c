"""A CompVis UNet's checkpoint -> the folder that ``load_unet`` reads.

DDL-CXR's, EHRXDiff's, Cheff's, latent diffusion's and stable diffusion's UNets name their weights
alike (``input_blocks.0.0.weight``), at the top of a file or below ``model.diffusion_model.``; the
averages over training steps stand below ``model_ema.``, in names without dots. The architecture is
read from names and shapes (train/model/compvis_unet.py). What shapes cannot tell is the number of
attention heads, which comes with the family or is given, and the groups of GroupNorm, 32 in all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from cxrfuture_data.console import say
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError
from train.model.compvis_unet import ENTRY, Heads, to_unet
from train.pretrained import choose_family, find_prefix, publish_pretrained
from train.tensor_file import read_tensor_file

PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "module.")
EMA_PREFIX = "model_ema.diffusion_model"
PART = re.compile(
    r"(time_embed|input_blocks|middle_block|output_blocks|out|label_emb|id_predictor)\b"
)
HISTORY_NORM = "cond_stage_model.transformer_encoder.layers.0.norm1.running_mean"
RECORD_FILE = "import.json"

Which = Literal["raw", "ema"]


@dataclass(frozen=True)
class Family:
    """What a published UNet is; its latents' channels are ``out_channels``."""

    heads: Heads
    in_channels: tuple[int, ...]
    out_channels: int
    base: int


FAMILIES = {
    "ddl_cxr": Family(Heads(width=16), (8,), 4, 224),  # specs ddl-cxr 8.1: the released code
    "ehrxdiff": Family(Heads(count=8), (3, 6), 3, 224),  # specs ehrxdiff 9.2
    "stable-diffusion": Family(Heads(count=8), (4, 8, 9), 4, 320),  # versions 1
}


def import_unet(
    checkpoint: Path,
    out: Path,
    family: str | None = None,
    heads: Heads | None = None,
    which: Which = "ema",
    norm_groups: int = 32,
) -> None:
    """Convert a checkpoint and publish ``out``; a new folder. ``heads`` go before the family's.

    ``which``: the averages over training steps, which the papers sample with, or the raw weights.
    Raises ContractError where the file cannot be read, is no UNet that UNet2DConditionModel can be,
    or is not of the family named.
    """
    if out.exists():
        raise ContractError(f"{out}: exists; name a new folder, or delete it")
    chosen = choose_family(family, FAMILIES)
    heads = heads or _family_heads(chosen)
    source = str(checkpoint)
    found = read_tensor_file(checkpoint)
    prefix, tensors = _weights(found, which, source)
    unet = to_unet(tensors, source, heads, norm_groups)
    if chosen is not None:
        _check_family(unet, chosen, f"{source}: not {family}'s")
    left_out = sorted(
        {name.split(".")[0] for name in found if "." in name and not _belongs(name, prefix)}
    )
    facts = {
        "source": checkpoint.name,
        "sha256": file_sha256(checkpoint),
        "family": family,
        "weights": which,
        "heads": list(unet.config.attention_head_dim),
        "dtype": str(next(iter(tensors.values())).dtype).removeprefix("torch."),
        "left_out": left_out,
    }
    publish_pretrained(unet, out, facts, record=RECORD_FILE)
    count = sum(weight.numel() for weight in unet.parameters())
    say(f"import_unet: {count:,} {which} weights; left out: {', '.join(left_out) or 'nothing'}")
    if HISTORY_NORM in found:
        say(
            "import_unet: its history encoder normalises over the batch and over padding (specs "
            "ddl-cxr 8.2), train/model/history.py a token's own numbers: no weights make them "
            "equal, so train that encoder anew"
        )


def load_unet(folder: Path) -> UNet2DConditionModel:
    """A UNet in diffusers' layout from a folder on this machine, in float32; nothing is fetched."""
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        if not (folder / name).is_file():
            raise ContractError(f"{folder}: no {name} in it; make it with `cxrfuture import_unet`")
    return UNet2DConditionModel.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True
    )


def start_unet(unet: torch.nn.Module, folder: Path) -> None:
    """Put the weights of such a folder into a UNet that is like it."""
    try:
        unet.load_state_dict(load_unet(folder).state_dict())
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip()
        raise ContractError(
            f"{folder}: not of the UNet that the settings describe: {problem[:120]}; compare "
            f"unet with its {RECORD_FILE}"
        ) from None


def _weights(
    found: Mapping[str, Tensor], which: Which, source: str
) -> tuple[str, dict[str, Tensor]]:
    """What stands before the UNet's own names, and its tensors by those names, dots left out.

    Dots are left out because averages are kept so; no two names of a UNet become one by it.
    """
    prefix = (
        EMA_PREFIX
        if which == "ema"
        else find_prefix(found, ENTRY, PREFIXES, source, "use its folder as it is")
    )
    dotless = {
        name[len(prefix) :].replace(".", ""): value
        for name, value in found.items()
        if _belongs(name, prefix)
    }
    if not dotless:
        raise ContractError(
            f"{source}: no averages ({EMA_PREFIX}...) in it; give --weights raw if its weights "
            "are what you want (a file published as averages has them as its weights)"
        )
    return prefix, dotless


def _belongs(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and (prefix != "" or PART.match(name) is not None)


def _family_heads(chosen: Family | None) -> Heads:
    if chosen is None:
        raise ContractError(
            "a checkpoint does not say its attention heads; give --family "
            f"{' or '.join(FAMILIES)}, or --heads or --head-width"
        )
    return chosen.heads


def _check_family(unet: UNet2DConditionModel, family: Family, who: str) -> None:
    config = unet.config
    base = config.block_out_channels[0]
    shape = (config.in_channels, config.out_channels, base)
    if config.in_channels not in family.in_channels or (config.out_channels, base) != (
        family.out_channels,
        family.base,
    ):
        wanted = " or ".join(str(count) for count in family.in_channels)
        raise ContractError(
            f"{who}: {shape[0]} channels in, {shape[1]} out, {shape[2]} at the first level; it has "
            f"{wanted} in, {family.out_channels} out, {family.base}; name another family, or "
            "--heads alone"
        )
