"""The bench of a training step: it runs every way, tells the ratios, and compares equal weights."""

import importlib
import sys

import pytest
import torch
import yaml
from tiny_train import vae_config
from typer.testing import CliRunner

import cxrfuture
from cxrfuture_data.schema import ContractError
from train.bench import AUTHORS, AUTHORS_PLAIN, ENCODING, OURS, TrainBench, bench_train, orders_of
from train.bench_model import authors_unet, read_order
from train.bench_step import Bench, answer
from train.tasks import read_task_settings

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
    (place / "openaimodel.py").write_text(PEER)
    chosen = TrainBench(
        "ddl_cxr-tiny", TINY, tmp_path / "authors", str(vae), 2, 3, rounds=1, small=None
    )
    result = bench_train(chosen)
    ways = result["ways"]
    assert set(ways) == {OURS, AUTHORS, AUTHORS_PLAIN, f"{OURS}, {ENCODING}"}
    assert ways[OURS]["weights"] == ways[AUTHORS]["weights"] > 0
    assert 0 < result["difference"] < 1e-4
    for peer in (AUTHORS, AUTHORS_PLAIN):
        assert result["peers"][peer]["ratio"] == ways[peer]["median"] / ways[OURS]["median"]
    for facts in ways.values():
        assert len(facts["seconds"]) == 1
        assert facts["median"] > 0
        assert facts["peak_mb"] > 50
    assert result["latent"] == "4 x 4 x 4"


def test_without_a_checkout_there_is_no_peer(tmp_path, vae):
    chosen = TrainBench("ddl_cxr-tiny", TINY, None, str(vae), 1, 2, rounds=1, small="ddl_cxr-tiny")
    orders = orders_of(chosen, tmp_path)
    assert list(orders) == [OURS, "ddl_cxr-tiny"]
    assert orders[OURS].settings.unet.channels == [32, 64]
    assert orders["ddl_cxr-tiny"].settings.unet.channels == [16, 32, 48]
    assert read_order(orders[OURS].line()) == orders[OURS]


@pytest.mark.parametrize("word", ["step", "encode"])
def test_a_step_trains_every_weight(tmp_path, vae, word):
    chosen = TrainBench("ddl_cxr-tiny", TINY, None, str(vae), 1, 2, rounds=1, small=None)
    bench = Bench(orders_of(chosen, tmp_path)[OURS])
    before = {name: value.clone() for name, value in bench.model.state_dict().items()}
    assert answer(bench, word)["processor"] > 0
    after = bench.model.state_dict()
    assert all(not torch.equal(value, after[name]) for name, value in before.items())
    assert (bench.autoencoder is None) == (word == "step")


def test_the_authors_unet_is_found_or_its_lack_is_said(tmp_path, monkeypatch):
    settings = read_task_settings("ddl_cxr-tiny", TINY).unet
    monkeypatch.syspath_prepend(tmp_path)

    def refuse(settings, message):
        for name in [name for name in sys.modules if name.split(".")[0] == "ldm"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        with pytest.raises(ContractError, match=message):
            authors_unet(settings, 4, 16)

    refuse(settings, r"openaimodel cannot be imported: no module ldm")
    place = tmp_path / "ldm" / "modules" / "diffusionmodules"
    place.mkdir(parents=True)
    (place / "openaimodel.py").write_text("import no_such_module")
    refuse(settings, "no module no_such_module; run: pip install no_such_module")
    (place / "openaimodel.py").write_text("")
    others = settings.model_copy(update={"norm_groups": 16})
    refuse(others, "the authors' UNet has 32 groups")


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    words = ["bench", "train", "ddl_cxr-tiny", "--authors", str(tmp_path)]
    done = CliRunner().invoke(cxrfuture.app, words)
    assert isinstance(done.exception, ContractError)
    assert "no folder ldm in it; give --authors a checkout" in str(done.exception)
