"""CompVis's UNet, written again by its weights' names, gives what the converted one does."""

import json

import pytest
import torch
from compvis_unet import Published, Shape, published_weights
from safetensors.torch import save_file

from cxrfuture_data.schema import ContractError
from train.model.compvis_unet import Heads
from train.unet_checkpoint import EMA_PREFIX, import_unet, load_unet

GROUPS = 4
TWO = Heads(count=2)


@pytest.fixture(scope="module")
def weights():
    return published_weights()


def write(weights, path, prefix=""):
    torch.save({"state_dict": {prefix + name: value for name, value in weights.items()}}, path)
    return path


def averages(weights):
    """As an average over steps is kept: below its own prefix, without dots."""
    kept = {EMA_PREFIX + name.replace(".", ""): value for name, value in weights.items()}
    return kept | {
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(7),
    }


def convert(path, heads=TWO, which="raw"):
    out = path.with_suffix(".out")
    import_unet(path, out, heads=heads, which=which, norm_groups=GROUPS)
    return load_unet(out)


def inputs(shape, tokens=5, side=8):
    random = torch.Generator().manual_seed(2)
    value = torch.randn(2, shape.in_channels, side, 2 * side, generator=random)
    context = torch.randn(2, tokens, shape.context, generator=random)
    return value, torch.tensor([3, 941]), context


SHAPES = {  # beside their heads
    "ddl_cxr": (Shape(res_blocks=2), Heads(width=4)),  # the released code: heads of one width
    "paper": (Shape(), TWO),
    "ehrxdiff": (
        Shape((8, 16, 24, 24), (False, True, True, True), 2, in_channels=6, out_channels=3),
        TWO,
    ),
    "only the smallest": (Shape((8, 16), (False, False)), Heads(width=8)),
    "stable-diffusion": (Shape((8, 16, 16), (True, True, False), in_channels=4), Heads(count=4)),
    "matrices, deeper": (Shape(depth=2, matrices=True), TWO),
}


@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_the_converted_one_gives_equal_outputs(tmp_path, name):
    shape, heads = SHAPES[name]
    weights = published_weights(shape)
    unet = convert(write(weights, tmp_path / "a.ckpt"), heads)
    published = Published(weights, GROUPS, lambda width: heads.count or width // heads.width)
    value, timestep, context = inputs(shape)
    expected = published(value, timestep, context)
    found = unet(value, timestep, encoder_hidden_states=context).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    masked = unet(
        value,
        timestep,
        encoder_hidden_states=torch.cat([context, torch.full_like(context, 9.0)], 1),
        encoder_attention_mask=torch.arange(10).expand(2, -1) < 5,
    ).sample
    torch.testing.assert_close(masked, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_number_of_heads_matters(weights, tmp_path):
    value, timestep, context = inputs(Shape())
    two, four = (
        convert(write(weights, tmp_path / f"{count}.ckpt"), Heads(count=count))(
            value, timestep, encoder_hidden_states=context
        ).sample
        for count in (2, 4)
    )
    assert (two - four).abs().max() > 1e-3


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "module."])
def test_weights_are_found_below_a_prefix_and_the_rest_is_left_out(weights, tmp_path, prefix):
    below = {prefix + name: value for name, value in weights.items()}
    more = {"first_stage_model.encoder.conv_in.weight": torch.zeros(1), "betas": torch.zeros(9)}
    more |= {"cond_stage_model.cls_token": torch.zeros(1, 1, 12)}
    unet = convert(write(below | more, tmp_path / "a.ckpt"))
    torch.testing.assert_close(unet.conv_in.weight, weights["input_blocks.0.0.weight"])
    record = json.loads((tmp_path / "a.out" / "import.json").read_text())
    assert record["left_out"] == ["cond_stage_model", "first_stage_model"]
    assert record["source"] == "a.ckpt"
    assert record["heads"] == [2, 2, 2]


def test_averages_and_raw_weights_are_told_apart(weights, tmp_path):
    other = published_weights(seed=2)
    below = {f"model.diffusion_model.{name}": value for name, value in weights.items()}
    write(below | averages(other), tmp_path / "both.ckpt")
    write(averages(other), tmp_path / "averages.ckpt")
    write(other, tmp_path / "other.ckpt")
    expected = convert(tmp_path / "other.ckpt").state_dict()
    for name in ("both", "averages"):
        unet = convert(tmp_path / f"{name}.ckpt", which="ema")
        torch.testing.assert_close(dict(unet.state_dict()), dict(expected), atol=0, rtol=0)
    raw = tmp_path / "raw"
    import_unet(tmp_path / "both.ckpt", raw, heads=TWO, which="raw", norm_groups=GROUPS)
    torch.testing.assert_close(load_unet(raw).conv_out.weight, weights["out.2.weight"])
    with pytest.raises(ContractError, match=r"no averages .* give --weights raw"):
        convert(write(other, tmp_path / "none.ckpt"), which="ema")


def test_safetensors_and_halves_give_the_same(weights, tmp_path):
    halves = {name: value.half() for name, value in weights.items()}
    save_file(halves, tmp_path / "a.safetensors")
    torch.save(halves, tmp_path / "b.pth")
    one, other = convert(tmp_path / "a.safetensors"), convert(tmp_path / "b.pth")
    torch.testing.assert_close(dict(one.state_dict()), dict(other.state_dict()), atol=0, rtol=0)
    assert one.conv_in.weight.dtype == torch.float32
    assert json.loads((tmp_path / "a.out" / "import.json").read_text())["dtype"] == "float16"


def test_a_converted_one_can_be_trained(weights, tmp_path):
    unet = convert(write(weights, tmp_path / "a.ckpt"))
    value, timestep, context = inputs(Shape())
    unet(value, timestep, encoder_hidden_states=context).sample.square().mean().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in unet.parameters())


def without(weights, start):
    return {name: value for name, value in weights.items() if not name.startswith(start)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: without(w, "output_blocks.3.0.out_layers.3."),
            r"no output_blocks\.3\.0\.out_layers\.3\.weight \(2 of \d+ tensors are missing\)",
        ),
        (lambda w: without(w, "input_blocks.0.0.weight"), r"no input_blocks\.0\.0\.weight, at the"),
        (lambda w: without(w, "out.2."), r"no out\.2\.weight"),
        (lambda w: without(w, "middle_block.1."), r"no middle_block\.1\.proj_in\.weight"),
        (
            lambda w: w | {"output_blocks.0.7.extra.bias": torch.zeros(1)},
            r"output_blocks07extrabias \(1 such\): unexpected",
        ),
        (lambda w: w | {"label_emb.weight": torch.zeros(9, 32)}, "conditioned on classes"),
        (lambda w: w | {"id_predictor.1.weight": torch.zeros(9)}, "of a VQ autoencoder's codes"),
        (
            lambda w: w | {"input_blocks.1.1.qkv.weight": torch.zeros(24, 8, 1)},
            r"attention without a context \(input_blocks11qkvweight\)",
        ),
        (
            lambda w: w | {"input_blocks.1.0.emb_layers.1.weight": torch.zeros(16, 32)},
            r"input_blocks\.1\.0\.emb_layers\.1\.weight is \(16, 32\), expected \(8, 32\)",
        ),
        (
            lambda w: w | {"out.0.bias": torch.full((8,), torch.nan)},
            r"out\.0\.bias holds numbers that are not finite",
        ),
        (
            lambda w: (
                without(w, "input_blocks.3.")
                | {"input_blocks.3.0.op.weight": w["input_blocks.2.0.op.weight"]}
            ),
            "residual blocks; they must be alike",
        ),
        (lambda _: {"down_blocks.0.x": torch.zeros(1)}, "already in diffusers' layout"),
        (lambda _: {"encoder.x": torch.zeros(1)}, "its names begin with encoder"),
    ],
)
def test_weights_that_are_not_such_a_unet_are_refused(weights, tmp_path, change, message):
    path = write(change(weights), tmp_path / "a.ckpt")
    with pytest.raises(ContractError, match=message):
        convert(path)
    assert [found.name for found in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_file_cut_short_is_refused(weights, tmp_path):
    path = write(weights, tmp_path / "whole.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ContractError, match=r"cut\.ckpt: .*truncated"):
        convert(tmp_path / "cut.ckpt")
    with pytest.raises(ContractError, match=r"none\.ckpt: no such file"):
        convert(tmp_path / "none.ckpt")


def test_what_a_checkpoint_cannot_say_must_be_given(weights, tmp_path):
    path = write(weights, tmp_path / "a.ckpt")
    for options, message in (
        ({}, "does not say its attention heads; give --family ddl_cxr or ehrxdiff"),
        ({"family": "ddl"}, "no family 'ddl'; there are ddl_cxr, ehrxdiff"),
        ({"family": "ddl_cxr"}, "8 channels do not divide by 16, a head's width"),
        ({"family": "ehrxdiff"}, "not ehrxdiff's: 8 channels in, 4 out, 8 at the first level"),
        ({"heads": Heads(count=3)}, "8 channels do not divide by 3, heads"),
        ({"heads": Heads(2, 4)}, "give either --heads or --head-width"),
        ({"heads": TWO, "norm_groups": 32}, "do not divide into 32 groups; give --norm-groups"),
    ):
        with pytest.raises(ContractError, match=message):
            import_unet(
                path, tmp_path / "out", **({"norm_groups": GROUPS, "which": "raw"} | options)
            )
    (tmp_path / "out").mkdir()
    with pytest.raises(ContractError, match="exists; name a new folder"):
        import_unet(path, tmp_path / "out", heads=TWO)
    with pytest.raises(ContractError, match=r"no config\.json in it; make it with"):
        load_unet(tmp_path / "out")
