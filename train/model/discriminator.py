"""PatchGAN with three layers, 64 channels and BatchNorm (specs ddl-cxr 7; Isola et al. 2017)."""

import torch
from torch import Tensor, nn

BASE, LAYERS, LEAK = 64, 3, 0.2
FIRST_SPREAD = 0.02  # of the weights before training


class Discriminator(nn.Module):
    """Says of each patch of about 70 pixels how real it looks: higher is more."""

    def __init__(self, image_channels: int, seed: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(image_channels, BASE, 4, stride=2, padding=1)]
        layers.append(nn.LeakyReLU(LEAK, inplace=True))
        width = BASE
        for layer in range(1, LAYERS + 1):
            wider = BASE * 2**layer
            stride = 2 if layer < LAYERS else 1
            layers.append(nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=False))
            layers.append(nn.BatchNorm2d(wider))
            layers.append(nn.LeakyReLU(LEAK, inplace=True))
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)
        random = torch.Generator().manual_seed(seed)
        for module in self.layers:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, FIRST_SPREAD, generator=random)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, FIRST_SPREAD, generator=random)

    def forward(self, *films: Tensor) -> list[Tensor]:
        """Each (B, I, H, W) -> (B, 1, h, w); every argument is normalised as a batch of its own."""
        return [self.layers(batch) for batch in films]
