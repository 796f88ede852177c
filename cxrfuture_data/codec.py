"""Image <-> latent, through a KL autoencoder saved in diffusers' layout. Needs torch when called.

Shapes: B films, H x W pixels, C latent channels, h x w latent positions: an eighth of H x W with
DDL-CXR's autoencoder, a quarter with EHRXDiff's.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from cxrfuture_data.publish import digest, file_sha256
from cxrfuture_data.schema import ContractError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Codec:
    """An autoencoder and its scale factor.

    Latents are (raw - shift) * scale, both read from the autoencoder's own config. DDL-CXR leaves
    latents raw, so what fit_vae writes has scale 1 and no shift; a public autoencoder brings its
    own numbers. Nothing outside this class may scale a latent.
    """

    autoencoder: AutoencoderKL
    scale: float
    shift: float
    device: torch.device

    @property
    def channels(self) -> int:
        """C, the channels of a latent."""
        return int(self.autoencoder.config.latent_channels)

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W) -> mean and log-variance of the posterior, float32 (B, C, h, w) each."""
        pixels = to_pixels(images.to(self.device))  # (B, 1, H, W)
        films = pixels.expand(-1, self.autoencoder.config.in_channels, -1, -1)
        posterior = self.autoencoder.encode(films).latent_dist
        mean = (posterior.mean - self.shift) * self.scale
        spread = 2 * torch.log(torch.tensor(self.scale, device=self.device))
        return mean.float(), (posterior.logvar + spread).float()

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """float (B, C, h, w) -> uint8 (B, H, W)."""
        raw = latent.to(self.device, torch.float32) / self.scale + self.shift
        return to_images(self.autoencoder.decode(raw).sample)


def to_pixels(images: Tensor) -> Tensor:
    """uint8 (B, H, W) -> float (B, 1, H, W) in [-1, 1]."""
    return (images.float() / 127.5 - 1)[:, None]


def to_images(pixels: Tensor) -> Tensor:
    """float (B, any channels, H, W) in [-1, 1] -> uint8 (B, H, W); what lies outside is clipped."""
    grey = pixels.mean(1)  # (B, H, W)
    return ((grey + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def load_codec(folder: Path, device: str = "cpu") -> Codec:
    """Read an autoencoder from a folder on this machine; nothing is fetched."""
    _require(folder)
    autoencoder = AutoencoderKL.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True
    )
    # Channels last: convolutions of few channels run half again as fast on a CPU.
    autoencoder.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
    return Codec(
        autoencoder=autoencoder,
        scale=float(autoencoder.config.scaling_factor),
        shift=float(autoencoder.config.shift_factor or 0.0),
        device=torch.device(device),
    )


def latent_form(folder: Path, size: int) -> tuple[tuple[int, int, int], float, float]:
    """Shape (C, h, w), scale and shift (as of a Codec) of the latents of square images of ``size``
    pixels; of the autoencoder's folder only the config is read."""
    _require(folder)
    config = json.loads((folder / CONFIG_FILE).read_text())
    side = size // 2 ** (len(config["block_out_channels"]) - 1)
    shape = int(config["latent_channels"]), side, side
    return shape, float(config["scaling_factor"]), float(config.get("shift_factor") or 0.0)


def weights_digest(folder: Path) -> str:
    """sha256, in hex, over the config and the weights: what a cached latent depends on.

    Notes of the library, such as its version, are not part of the config.
    """
    _require(folder)
    config = json.loads((folder / CONFIG_FILE).read_text())
    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    return digest(settings, file_sha256(folder / WEIGHTS_FILE))


def _require(folder: Path) -> None:
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ContractError(
                f"{folder}: no {name}; expected a folder saved by diffusers' AutoencoderKL "
                "(run `cxrfuture fit_vae`, or set latent.weights)"
            )
    found = json.loads((folder / CONFIG_FILE).read_text()).get("_class_name")
    if found != "AutoencoderKL":
        raise ContractError(f"{folder}: holds a {found}, expected an AutoencoderKL")
