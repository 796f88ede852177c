"""CompVis's autoencoder, written again by its weights' names, gives what the converted one does."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, group_norm, interpolate, pad
from typer.testing import CliRunner

import cxrfuture
from cxrfuture_data.codec import load_codec
from cxrfuture_data.schema import ContractError
from train.model.discriminator import Discriminator
from train.model.vae import Vae
from train.settings import VaeConfig, read_config
from train.vae_checkpoint import import_vae

GROUPS = 4


class Published:
    """An autoencoder as CompVis's code computes it, from a dictionary of its weights alone."""

    def __init__(self, weights):
        self.weights = weights

    def convolve(self, name, value, **how):
        return conv2d(value, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **how)

    def swish_norm(self, name, value):
        value = self.norm(name, value)
        return value / (1 + torch.exp(-value))

    def norm(self, name, value):
        pair = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return group_norm(value, GROUPS, *pair, eps=1e-6)

    def block(self, name, value):
        inner = self.convolve(f"{name}.conv1", self.swish_norm(f"{name}.norm1", value), padding=1)
        inner = self.convolve(f"{name}.conv2", self.swish_norm(f"{name}.norm2", inner), padding=1)
        if f"{name}.nin_shortcut.weight" in self.weights:
            value = self.convolve(f"{name}.nin_shortcut", value)
        return value + inner

    def attention(self, name, value):
        _, channels, height, width = value.shape
        normed = self.norm(f"{name}.norm", value)
        query, key, content = (self.convolve(f"{name}.{part}", normed).flatten(2) for part in "qkv")
        share = torch.einsum("bci,bcj->bij", query, key) * channels**-0.5
        mixed = torch.einsum("bij,bcj->bci", share.softmax(-1), content)
        return value + self.convolve(f"{name}.proj_out", mixed.unflatten(2, (height, width)))

    def middle(self, part, value):
        value = self.attention(f"{part}.mid.attn_1", self.block(f"{part}.mid.block_1", value))
        return self.block(f"{part}.mid.block_2", value)

    def blocks(self, level, value):
        number = 0
        while f"{level}.block.{number}.conv1.weight" in self.weights:
            value = self.block(f"{level}.block.{number}", value)
            number += 1
        return value

    def levels(self, part, side):
        return len(
            {name.split(".")[2] for name in self.weights if name.startswith(f"{part}.{side}.")}
        )

    def moments(self, pixels):
        value = self.convolve("encoder.conv_in", pixels, padding=1)
        for level in range(self.levels("encoder", "down")):
            value = self.blocks(f"encoder.down.{level}", value)
            if f"encoder.down.{level}.downsample.conv.weight" in self.weights:
                value = pad(value, (0, 1, 0, 1))
                value = self.convolve(f"encoder.down.{level}.downsample.conv", value, stride=2)
        value = self.swish_norm("encoder.norm_out", self.middle("encoder", value))
        return self.convolve("quant_conv", self.convolve("encoder.conv_out", value, padding=1))

    def decode(self, latent):
        value = self.convolve("post_quant_conv", latent)
        value = self.middle("decoder", self.convolve("decoder.conv_in", value, padding=1))
        for level in reversed(range(self.levels("decoder", "up"))):
            value = self.blocks(f"decoder.up.{level}", value)
            if f"decoder.up.{level}.upsample.conv.weight" in self.weights:
                value = interpolate(value, scale_factor=2.0, mode="nearest")
                value = self.convolve(f"decoder.up.{level}.upsample.conv", value, padding=1)
        value = self.swish_norm("decoder.norm_out", value)
        return self.convolve("decoder.conv_out", value, padding=1)


def published_weights(widths, latent, layers=2, seed=1):
    """Random weights by CompVis's names, as its Encoder and Decoder would make them."""
    random = torch.Generator().manual_seed(seed)
    weights = {}

    def convolution(name, before, after, size):
        spread = (before * size**2) ** -0.5
        weights[f"{name}.weight"] = (
            torch.randn((after, before, size, size), generator=random) * spread
        )
        weights[f"{name}.bias"] = torch.randn(after, generator=random) * 0.1

    def norm(name, width):
        weights[f"{name}.weight"] = 1 + 0.1 * torch.randn(width, generator=random)
        weights[f"{name}.bias"] = 0.1 * torch.randn(width, generator=random)

    def block(name, before, after):
        norm(f"{name}.norm1", before)
        convolution(f"{name}.conv1", before, after, 3)
        norm(f"{name}.norm2", after)
        convolution(f"{name}.conv2", after, after, 3)
        if before != after:
            convolution(f"{name}.nin_shortcut", before, after, 1)

    def middle(part, width):
        block(f"{part}.mid.block_1", width, width)
        norm(f"{part}.mid.attn_1.norm", width)
        for name in ("q", "k", "v", "proj_out"):
            convolution(f"{part}.mid.attn_1.{name}", width, width, 1)
        block(f"{part}.mid.block_2", width, width)

    convolution("encoder.conv_in", 3, widths[0], 3)
    before = widths[0]
    for level, width in enumerate(widths):
        for number in range(layers):
            block(f"encoder.down.{level}.block.{number}", before, width)
            before = width
        if level + 1 < len(widths):
            convolution(f"encoder.down.{level}.downsample.conv", width, width, 3)
    middle("encoder", widths[-1])
    norm("encoder.norm_out", widths[-1])
    convolution("encoder.conv_out", widths[-1], 2 * latent, 3)
    convolution("quant_conv", 2 * latent, 2 * latent, 1)
    convolution("post_quant_conv", latent, latent, 1)
    convolution("decoder.conv_in", latent, widths[-1], 3)
    middle("decoder", widths[-1])
    before = widths[-1]
    for level in reversed(range(len(widths))):
        for number in range(layers + 1):
            block(f"decoder.up.{level}.block.{number}", before, widths[level])
            before = widths[level]
        if level > 0:
            convolution(f"decoder.up.{level}.upsample.conv", widths[level], widths[level], 3)
    norm("decoder.norm_out", widths[0])
    convolution("decoder.conv_out", widths[0], 3, 3)
    return weights


F8 = ((8, 16, 32, 32), 4)  # DDL-CXR's multipliers 1, 2, 4, 4
F4 = ((8, 16, 32), 3)  # Cheff's 1, 2, 4
SHAPES = {"ddl_cxr": F8, "cheff": F4}


@pytest.fixture(scope="module")
def weights():
    return published_weights(*F4)


def write(weights, path, prefix=""):
    torch.save({"state_dict": {prefix + name: value for name, value in weights.items()}}, path)
    return path


@pytest.mark.parametrize(("family", "scale"), [("ddl_cxr", 1.0), ("cheff", 0.18215)])
def test_the_converted_one_gives_equal_moments_and_films(tmp_path, family, scale):
    weights = published_weights(*SHAPES[family])
    import_vae(write(weights, tmp_path / "a.ckpt"), tmp_path / "out", family, norm_groups=GROUPS)
    codec = load_codec(tmp_path / "out")
    published, random = Published(weights), torch.Generator().manual_seed(2)
    pixels = torch.rand((2, 3, 48, 32), generator=random) * 2 - 1
    with torch.no_grad():
        expected = published.moments(pixels)
        posterior = codec.autoencoder.encode(pixels).latent_dist
        found = torch.cat([posterior.mean, posterior.logvar], 1)
        assert expected.std() > 0.1
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        latent = torch.randn(posterior.mean.shape, generator=random)
        expected = published.decode(latent)
        assert expected.std() > 0.1
        found = codec.autoencoder.decode(latent).sample
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (codec.scale, codec.shift) == (scale, 0.0)


def test_a_film_is_encoded_as_three_channels_and_scaled(weights, tmp_path):
    import_vae(write(weights, tmp_path / "a.pt"), tmp_path / "out", "cheff", norm_groups=GROUPS)
    film = torch.arange(32 * 32, dtype=torch.uint8).view(1, 32, 32)
    mean, _ = load_codec(tmp_path / "out").encode(film)
    pixels = (film.float() / 127.5 - 1).expand(3, -1, -1)[None]
    expected = Published(weights).moments(pixels)[:, :3] * 0.18215
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "module."])
def test_weights_are_found_below_a_prefix_and_the_rest_is_left_out(weights, tmp_path, prefix):
    more = {"loss.logvar": torch.zeros(()), "label_head.0.weight": torch.zeros(14, 12)}
    path = write(weights | more, tmp_path / "a.ckpt", prefix)
    if prefix:
        content = torch.load(path, weights_only=True)
        content["state_dict"]["cond_stage_model.vae.encoder.conv_in.weight"] = torch.zeros(1)
        torch.save(content | {"global_step": 7, "lr_schedulers": []}, path)
    import_vae(path, tmp_path / "out", "cheff", norm_groups=GROUPS)
    record = json.loads((tmp_path / "out" / "import.json").read_text())
    assert record["left_out"] == ["label_head", "loss"]
    assert record["source"] == "a.ckpt"
    assert record["scaling_factor"] == 0.18215


def test_safetensors_at_the_top_and_halves_give_the_same(weights, tmp_path):
    halves = {name: value.half() for name, value in weights.items()}
    save_file(halves, tmp_path / "a.safetensors")
    torch.save(halves, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        import_vae(tmp_path / name, tmp_path / f"out-{name}", None, 0.5, GROUPS)
    one, other = (tmp_path / f"out-a.{kind}" for kind in ("safetensors", "pth"))
    name = "diffusion_pytorch_model.safetensors"
    assert (one / name).read_bytes() == (other / name).read_bytes()
    assert load_codec(one).scale == 0.5
    assert json.loads((one / "import.json").read_text())["dtype"] == "float16"


def without(weights, *endings):
    return {name: value for name, value in weights.items() if not name.endswith(endings)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: without(w, "encoder.norm_out.weight", "encoder.norm_out.bias"),
            r"no encoder\.norm_out\.weight \(2 of \d+ tensors are missing\)",
        ),
        (
            lambda w: without(w, "encoder.conv_in.weight"),
            r"no encoder\.conv_in\.weight, at the top",
        ),
        (lambda w: without(w, "post_quant_conv.weight"), r"no post_quant_conv\.weight"),
        (
            lambda w: w | {"encoder.down.1.attn.0.q.weight": torch.zeros(16, 16, 1, 1)},
            r"encoder\.down\.1\.attn\.0\.q\.weight .*attention in a level",
        ),
        (
            lambda w: w | {"decoder.extra.bias": torch.zeros(1)},
            r"decoder\.extra\.bias .*unexpected",
        ),
        (lambda w: w | {"quantize.embedding.weight": torch.zeros(1)}, "a VQ autoencoder"),
        (
            lambda w: w | {"decoder.norm_out.bias": torch.zeros(9)},
            r"decoder\.norm_out\.bias is \(9,\), expected \(8,\)",
        ),
        (
            lambda w: w | {"quant_conv.weight": torch.zeros(4, 6, 1, 1)},
            "quant_conv maps 6 channels to 4, and latents have 3",
        ),
        (
            lambda w: w | {"decoder.norm_out.bias": torch.full((8,), torch.nan)},
            r"decoder\.norm_out\.bias holds numbers that are not finite",
        ),
        (lambda _: {"encoder.down_blocks.0.x": torch.zeros(1)}, "already in diffusers' layout"),
        (lambda _: {"visual.x": torch.zeros(1)}, "its names begin with visual"),
    ],
)
def test_weights_that_are_not_such_an_autoencoder_are_refused(weights, tmp_path, change, message):
    path = write(change(weights), tmp_path / "a.ckpt")
    with pytest.raises(ContractError, match=message):
        import_vae(path, tmp_path / "out", "cheff", norm_groups=GROUPS)
    assert [found.name for found in tmp_path.iterdir()] == ["a.ckpt"]


class Callback:
    """Stands for what Lightning keeps in its checkpoints."""

    def __init__(self, path):
        self.path = path


class Shell(Callback):
    """Runs a command of the system when it is read back."""

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Source(Callback):
    """Runs Python when it is read back."""

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


def test_what_a_trainer_keeps_beside_the_weights_is_not_run(weights, tmp_path):
    ran = tmp_path / "ran"
    beside = {"callbacks": {Callback: {"best": Callback("x")}}, "hyper": Source(ran)}
    torch.save({"state_dict": weights} | beside, tmp_path / "a.ckpt")
    import_vae(tmp_path / "a.ckpt", tmp_path / "out", "cheff", norm_groups=GROUPS)
    assert load_codec(tmp_path / "out").channels == 3
    assert not ran.exists()
    torch.load(tmp_path / "a.ckpt", weights_only=False)  # it would have run
    assert ran.exists()


def test_files_that_cannot_be_read_are_refused(weights, tmp_path):
    path = write(weights, tmp_path / "a.ckpt")

    def refuse(name, message):
        with pytest.raises(ContractError, match=message):
            import_vae(tmp_path / name, tmp_path / "out", "cheff", norm_groups=GROUPS)

    refuse("none.ckpt", r"none\.ckpt: no such file")
    (tmp_path / "empty.ckpt").touch()
    refuse("empty.ckpt", r"empty\.ckpt: the file is empty")
    (tmp_path / "cut.ckpt").write_bytes(path.read_bytes()[:-5000])
    refuse("cut.ckpt", r"cut\.ckpt: .*truncated")
    save_file(weights, tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-9])
    refuse("cut.safetensors", r"cut\.safetensors: .*truncated")
    (tmp_path / "text.pt").write_text("not weights at all")
    refuse("text.pt", r"text\.pt: ")
    torch.save({"state_dict": weights, "x": Shell(tmp_path / "ran")}, tmp_path / "code.ckpt")
    refuse("code.ckpt", r"beside tensors it holds posix\.system, .*save_file")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"a": Callback("x")}))
    refuse("plain.pkl", r"plain\.pkl: ")
    torch.save([1, 2], tmp_path / "list.pt")
    refuse("list.pt", "holds a list, expected tensors by name")
    torch.save({"state_dict": {}}, tmp_path / "none.pt")
    refuse("none.pt", "no tensor in it")


def test_what_a_checkpoint_cannot_say_must_be_given(weights, tmp_path):
    path = write(weights, tmp_path / "a.ckpt")
    for options, message in (
        ({}, "does not say its scale factor; give --family ddl_cxr or cheff"),
        ({"family": "chef"}, "no family 'chef'; there are ddl_cxr, cheff"),
        ({"family": "ddl_cxr"}, "3 channels at 1/4 of a film's size, but ddl_cxr's has 4 at 1/8"),
        ({"scale": 0.0}, "--scale must be above 0"),
        ({"scale": 1.0, "norm_groups": 32}, "do not divide into 32 groups; give --norm-groups"),
    ):
        with pytest.raises(ContractError, match=message):
            import_vae(path, tmp_path / "out", **({"norm_groups": GROUPS} | options))


def test_the_command_makes_a_folder_once(weights, tmp_path):
    words = ["import_vae", str(write(weights, tmp_path / "a.ckpt")), str(tmp_path / "out")]
    words += ["--family", "cheff", "--norm-groups", str(GROUPS)]
    done = CliRunner().invoke(cxrfuture.app, words)
    assert done.exit_code == 0, done.output
    assert load_codec(tmp_path / "out").channels == 3
    again = CliRunner().invoke(cxrfuture.app, words)
    assert isinstance(again.exception, ContractError)
    assert "exists; name a new folder" in str(again.exception)


@pytest.mark.parametrize(("name", "expected"), [("ddl_cxr", 83_697_781), ("ehrxdiff", 55_312_063)])
def test_the_shipped_configs_have_the_papers_number_of_weights(name, expected):
    """specs ddl-cxr 7, ehrxdiff 9.1; on the meta device, so that none is drawn."""
    config = read_config(VaeConfig, "fit_vae", name)
    with torch.device("meta"):
        vae = Vae(config.model_copy(update={"first_logvar": 0.0}), seed=1)
    assert sum(weight.numel() for weight in vae.parameters()) == expected


def test_the_discriminator_is_a_patchgan_of_three_layers():
    """Isola's: 2.77 M weights for colour, 26 x 26 patches of a film of 224, hinges on none."""
    critic = Discriminator(3, seed=1)
    weights = sum(weight.numel() for weight in critic.parameters())
    expected = 64 * (3 * 16 + 1) + 64 * 128 * 16 + 128 * 256 * 16 + 256 * 512 * 16
    expected += 512 * 16 + 1 + 2 * (128 + 256 + 512)
    assert weights == expected
    (real,) = critic(torch.zeros(1, 3, 224, 224))
    assert real.shape == (1, 1, 26, 26)
