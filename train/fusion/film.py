"""Films -> features: transformers' ResNet, as all models of train/fusion/ look at films.

Specs fusion-baselines 4.2 and 6, ddl-cxr 9: a ResNet-34, without its last layer.

Shapes: B stays, of which N have a film; s pixels; W the width of the last stage.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from train.model.resnet import norm_by_group, resize_films
from train.settings import Positive
from train.tensor_file import read_tensor_file

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WEIGHTS = "model.safetensors"  # in a folder of transformers
HEADED = "resnet."  # before the names of a network that was saved with its last layer


class FilmSettings(Settings):
    """ResNet-34 is 64, [64, 128, 256, 512], [3, 4, 6, 3], basic; fewer stages end it earlier.

    ``norm: group`` makes what is said of a film independent of the other films of a step.
    """

    stem: Positive
    channels: Annotated[list[Positive], Field(min_length=1)]
    depths: Annotated[list[Positive], Field(min_length=1)]
    layer: Literal["basic", "bottleneck"]
    norm: Literal["batch", "group"]
    norm_groups: Positive  # of norm: group
    film_size: Positive | None  # pixels; films of another size are resized; null: as they come
    weights: str | None  # a folder of transformers' ResNetModel to begin with; null: random

    @model_validator(mode="after")
    def _fits(self) -> "FilmSettings":
        if len(self.channels) != len(self.depths):
            raise ValueError("give as many depths as channels")
        return self

    @property
    def width(self) -> int:
        """W."""
        return self.channels[-1]


class FilmEncoder(nn.Module):
    """Only films that are there are looked at; of a stay without one all features are 0."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: FilmSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = ResNetModel(
            ResNetConfig(
                num_channels=len(IMAGENET_MEAN),
                embedding_size=settings.stem,
                hidden_sizes=settings.channels,
                depths=settings.depths,
                layer_type=settings.layer,
            )
        )
        if settings.norm == "group":
            norm_by_group(self.network, settings.norm_groups)
        if settings.weights is not None:
            load_public(self.network, Path(settings.weights))
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, film: Tensor, has_film: Tensor) -> Tensor:
        """film (B, 1, s, s) uint8, has_film (B,) bool -> (B, W), the mean of the last maps."""
        if not has_film.any():
            # Every weight has a gradient all the same, on which ranks that average them rely.
            nothing = torch.stack([weight.sum() for weight in self.network.parameters()]).sum() * 0
            return nothing.expand(len(film), self.settings.width)
        pixels = resize_films(film[has_film].float() / 255, self.settings.film_size)  # (N, 1, s, s)
        pixels = (pixels - self.mean) / self.std  # (N, 3, s, s)
        found = self.network(pixels).pooler_output.flatten(1)  # (N, W)
        features = found.new_zeros(len(film), self.settings.width)
        features[has_film] = found
        return features


@torch.no_grad()
def load_public(network: ResNetModel, folder: Path) -> None:
    """Put saved weights in. Later stages of the file than the network has are left out, as is a
    last layer, and of a network with group norm the moments that batch norm keeps."""
    found = {
        name.removeprefix(HEADED): value
        for name, value in read_tensor_file(folder / WEIGHTS).items()
    }
    for name, own in network.state_dict().items():
        value = found.get(name)
        if value is not None and value.shape == own.shape:
            own.copy_(value)
        elif not name.endswith("num_batches_tracked"):
            shape = "nothing" if value is None else tuple(value.shape)
            raise ContractError(
                f"{folder}: {name} is {shape}, expected {tuple(own.shape)}; give a folder of "
                "transformers' ResNetModel of this size, or film.weights: null"
            )
