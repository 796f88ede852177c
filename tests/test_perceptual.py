"""LPIPS against numpy, and the files its weights may come in."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cxrfuture_data.schema import ContractError
from train.model.perceptual import LEVELS, load_perceptual

WIDTHS = (64, 128, 256, 512, 512)


def random_weights(seed=1):
    """VGG16 and LPIPS weights by torchvision's and lpips's names, small and positive enough."""
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for convolutions in LEVELS:
        for number, before, after in convolutions:
            weight = (
                torch.randn((after, before, 3, 3), generator=random) * (2 / (9 * before)) ** 0.5
            )
            weights[f"features.{number}.weight"] = weight
            weights[f"features.{number}.bias"] = torch.randn(after, generator=random) * 0.05
    for level, width in enumerate(WIDTHS):
        weights[f"lin{level}.model.1.weight"] = torch.rand((1, width, 1, 1), generator=random)
    return weights


def write_perceptual(path):
    save_file(random_weights(), path)
    return path


def by_hand(ours, theirs, weights):
    """The distance of two films (3, H, W), by sums over windows in numpy."""

    def convolve(value, number):
        kernel = weights[f"features.{number}.weight"].numpy().astype(float)
        padded = np.pad(value, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        bias = weights[f"features.{number}.bias"].numpy()[:, None, None]
        return np.maximum(np.einsum("ihwyx,oiyx->ohw", windows, kernel) + bias, 0)

    def features(film):
        shift = np.array([-0.030, -0.088, -0.188])[:, None, None]
        scale = np.array([0.458, 0.448, 0.450])[:, None, None]
        value = (film - shift) / scale
        for numbers in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
            if numbers[0] > 0:
                channels, height, width = value.shape
                value = value.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))
            for number in numbers:
                value = convolve(value, number)
            yield value / np.sqrt((value**2).sum(0))

    total = 0.0
    for level, (one, other) in enumerate(zip(features(ours), features(theirs), strict=True)):
        lin = weights[f"lin{level}.model.1.weight"].numpy().reshape(-1, 1, 1)
        total += (lin * (one - other) ** 2).sum(0).mean()
    return total


@pytest.fixture(scope="module")
def weights():
    return random_weights()


def test_the_distance_is_the_one_computed_by_hand(weights, tmp_path):
    distance = load_perceptual([write_perceptual(tmp_path / "all.safetensors")])
    random = np.random.default_rng(2)
    ours, theirs = random.uniform(-1, 1, (2, 2, 3, 16, 16))
    found = distance(torch.from_numpy(ours).float(), torch.from_numpy(theirs).float())
    assert found.shape == (2,)
    for number in range(2):
        expected = by_hand(ours[number], theirs[number], weights)
        assert expected > 0.01
        assert found[number].item() == pytest.approx(expected, rel=1e-4)


def test_a_film_is_at_no_distance_from_itself_and_grey_is_three_channels(tmp_path):
    distance = load_perceptual([write_perceptual(tmp_path / "all.safetensors")])
    films = torch.rand((2, 1, 32, 32), generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert distance(films, films).tolist() == [0, 0]
    grey = distance(films, films.flip(0))
    assert torch.equal(
        grey, distance(films.expand(-1, 3, -1, -1), films.flip(0).expand(-1, 3, -1, -1))
    )


def test_its_weights_get_no_gradient(tmp_path):
    distance = load_perceptual([write_perceptual(tmp_path / "all.safetensors")])
    film = torch.zeros((1, 3, 32, 32), requires_grad=True)
    distance(film, torch.ones(1, 3, 32, 32)).sum().backward()
    assert film.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in distance.parameters())


def test_torchvisions_and_lpips_files_make_one(weights, tmp_path):
    vgg = {name: value for name, value in weights.items() if name.startswith("features")}
    lin = {name: value for name, value in weights.items() if name.startswith("lin")}
    torch.save(vgg | {"classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg16.pth")
    torch.save(lin, tmp_path / "vgg.pth")
    ours, theirs = torch.rand((2, 1, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    one = load_perceptual([write_perceptual(tmp_path / "all.safetensors")])
    two = load_perceptual([tmp_path / "vgg16.pth", tmp_path / "vgg.pth"])
    assert torch.equal(one(ours, theirs), two(ours, theirs))


def test_the_loss_of_a_compvis_checkpoint_holds_them_too(weights, tmp_path):
    renamed = {}
    for name, value in weights.items():
        number = name.split(".")[1]
        own = f"net.slice1.{name[9:]}" if name.startswith("features") else name
        assert number
        renamed[f"loss.perceptual_loss.{own}"] = value
    torch.save({"state_dict": renamed, "epoch": 3}, tmp_path / "last.ckpt")
    assert len(load_perceptual([tmp_path / "last.ckpt"]).weights) == len(weights)


def test_what_is_missing_or_of_another_network_is_named(weights, tmp_path):
    vgg = {name: value for name, value in weights.items() if name.startswith("features")}
    torch.save(vgg, tmp_path / "vgg16.pth")
    with pytest.raises(ContractError, match=r"vgg16\.pth: no lin0\.weight \(5 of 31 tensors"):
        load_perceptual([tmp_path / "vgg16.pth"])
    alex = weights | {"features.0.weight": torch.zeros(64, 3, 11, 11)}
    save_file(alex, tmp_path / "alex.safetensors")
    with pytest.raises(ContractError, match=r"conv0\.weight is \(64, 3, 11, 11\), expected"):
        load_perceptual([tmp_path / "alex.safetensors"])
