"""The bench of a training step: it runs every way, tells the ratios, and compares equal weights."""

import json
import textwrap

import pytest
import yaml
from tiny_train import vae_config
from typer.testing import CliRunner

import cxrfuture
from cxrfuture_data.schema import ContractError
from train.bench import AUTHORS, AUTHORS_PLAIN, ENCODING, OURS, TrainBench, bench_train

TINY = ["unet.channels=[32, 64]", "unet.norm_groups=32", "unet.heads=2", "history.width=16"]

# Stands for the authors' module: CompVis's computation by tests/compvis_unet.py.
PEER = """
import torch
from compvis_unet import Published, Shape, published_weights


class UNetModel(torch.nn.Module):
    def __init__(self, model_channels, channel_mult, num_res_blocks, num_heads, context_dim,
                 in_channels, out_channels, **_):
        super().__init__()
        channels = tuple(model_channels * times for times in channel_mult)
        shape = Shape(channels, (True,) * len(channels), num_res_blocks, in_channels,
                      out_channels, context_dim)
        self.names = list(weights := published_weights(shape))
        self.values = torch.nn.ParameterList(weights.values())
        self.heads = num_heads

    def state_dict(self):
        return dict(zip(self.names, (value.detach() for value in self.values)))

    def forward(self, value, timestep, context):
        weights = dict(zip(self.names, self.values))
        return Published(weights, 32, lambda _: self.heads)(value, timestep, context)
"""


@pytest.fixture
def vae(tmp_path):
    path = tmp_path / "vae.yaml"
    path.write_text(yaml.safe_dump(vae_config().model_dump(mode="json")))
    return path


def test_all_ways_are_measured_beside_the_authors(tmp_path, vae):
    place = tmp_path / "authors" / "ldm" / "modules" / "diffusionmodules"
    place.mkdir(parents=True)
    (place / "openaimodel.py").write_text(textwrap.dedent(PEER))
    chosen = TrainBench(
        "ddl_cxr-tiny", TINY, tmp_path / "authors", str(vae), 2, 3, rounds=1, small=None
    )
    result = bench_train(chosen)
    assert set(result["ways"]) == {OURS, AUTHORS, AUTHORS_PLAIN, f"{OURS}, {ENCODING}"}
    assert result["ways"][OURS]["weights"] == result["ways"][AUTHORS]["weights"]
    for peer in (AUTHORS, AUTHORS_PLAIN):
        facts, ways = result["peers"][peer], result["ways"]
        assert facts["difference"] < 1e-4
        assert facts["ratio"] == ways[peer]["median"] / ways[OURS]["median"]
    for facts in result["ways"].values():
        assert len(facts["seconds"]) == 1
        assert facts["median"] > 0
        assert facts["peak_mb"] > 50
    assert result["latent"] == "4 x 4 x 4"


def test_without_a_checkout_there_is_no_peer(vae):
    words = ["bench", "train", "ddl_cxr-tiny", "--vae", str(vae), "--hours", "3", "--rounds", "1"]
    for change in TINY:
        words += ["--set", change]
    done = CliRunner().invoke(cxrfuture.app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["peers"] == {}
    assert set(result["cached"]) == {OURS, "ddl_cxr-tiny"}
    assert all(facts["ratio"] > 0 for facts in result["cached"].values())


def test_what_cannot_be_a_peer_is_refused(tmp_path, vae):
    def refuse(changes, message):
        chosen = TrainBench("ddl_cxr-tiny", changes, tmp_path, str(vae), 1, 2, 1, None)
        with pytest.raises(ContractError, match=message):
            bench_train(chosen)

    refuse(TINY, "no folder ldm in it; give --authors a checkout")
    (tmp_path / "ldm").mkdir()
    refuse(TINY, r"openaimodel cannot be imported: no module ldm\.modules")
    (tmp_path / "ldm" / "modules").mkdir()
    (tmp_path / "ldm" / "modules" / "diffusionmodules").mkdir()
    module = tmp_path / "ldm" / "modules" / "diffusionmodules" / "openaimodel.py"
    module.write_text("import no_such_module")
    refuse(TINY, "no module no_such_module; run: pip install no_such_module")
    module.write_text("")
    refuse([*TINY, "unet.norm_groups=16"], "the authors' UNet has 32 groups")
