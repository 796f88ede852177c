"""Features of torchxrayvision's DenseNet-121 for FID, as EHRXDiff takes them (specs ehrxdiff 10.7).

Neither the package, which needs torchvision, nor its weights come with the project. The weights'
own file is a pickled network, which is never read here: keep its tensors alone, where you trust it,

    model = torchxrayvision.models.DenseNet(weights="densenet121-res224-all")
    save_file(model.features.state_dict(), "xrv.safetensors")     # of safetensors.torch
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from cxrfuture_data.codec import to_pixels
from cxrfuture_data.schema import ContractError
from train.tensor_file import read_tensor_file

Features = Callable[[Tensor], Tensor]
NAME = "torchxrayvision densenet121-res224-all"
SIZE, LARGEST = 224, 1024.0  # pixels; films are scaled to -1024 ... 1024


def open_xrv(weights: Path, device: str) -> Features:
    """films (B, 1, H, W) uint8 -> features (B, 1024): after the last norm, before ReLU, pooled."""
    try:
        from torchxrayvision.models import DenseNet  # type: ignore[import-not-found]
    except ImportError:
        raise ContractError(
            "torchxrayvision is not installed: pip install torchxrayvision; or leave --features "
            "out, for those of the project's classifier"
        ) from None
    network = DenseNet(weights=None).features
    network.load_state_dict(read_tensor_file(weights))
    network.eval().to(device)

    @torch.no_grad()
    def features(films: Tensor) -> Tensor:
        pixels = to_pixels(films[:, 0].to(device)) * LARGEST
        sized = interpolate(pixels, (SIZE, SIZE), mode="bilinear", antialias=True)
        return adaptive_avg_pool2d(network(sized), 1).flatten(1).cpu()

    return features
