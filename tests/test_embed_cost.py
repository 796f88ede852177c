"""What `cxrfuture embed --dry-run` says, and the bench's texts and ratio."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from etl import embed_cost
from etl.bench_embed import bench_embed
from etl.bench_text import make_event_texts
from etl.embed_cost import estimate, measure_rate, print_estimate
from etl.embedder import open_embedder
from etl.params import Params
from tests.embedding_server import KEY_NAME

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def read(monkeypatch):
    monkeypatch.setenv(KEY_NAME, "secret")

    def read(backend="minilm", **remote):
        value = read_yaml(ROOT / "params.yaml")
        allowed = {"base_url": "http://127.0.0.1:9/v1", "api_key_env": KEY_NAME}
        value["embed"] |= {"backend": backend, "batch_size": 8}
        value["embed"]["remote"] |= allowed | {"attestation": "ours"} | remote
        return parse_settings(Params, value, "test")

    return read


def estimate_of(params, texts, cached=0, rate=None):
    return estimate(params.embed, open_embedder(params.embed), texts, cached, rate)


def test_a_local_run(read):
    found = estimate_of(read(), ["one two", "three"], cached=998, rate=0.5)
    assert (found.texts, found.cached, found.tokens, found.tokens_error) == (2, 998, 7, 0)
    assert found.counted_by == "tokenizer"
    assert (found.requests, found.usd, found.over_budget) == (0, None, None)
    assert found.hours == pytest.approx(4 / 3600)
    assert found.gigabytes == pytest.approx(1000 * 384 * 2 / 1e9)


def test_a_remote_run(read):
    remote = {"batch_size": 300, "requests_per_minute": 2, "usd_per_million_tokens": 0.5}
    found = estimate_of(read("remote", **remote), ["x" * 9] * 1000)
    assert (found.tokens, found.requests, found.counted_by) == (3000, 4, "characters")
    assert found.usd == pytest.approx(0.0015)
    assert (found.hours, found.hours_by) == (pytest.approx(2 / 60), "requests_per_minute")
    assert found.dim == 1536
    assert found.over_budget is None


def test_the_tighter_limit_decides(read):
    remote = {"batch_size": 300, "requests_per_minute": 2, "tokens_per_minute": 100}
    found = estimate_of(read("remote", **remote), ["x" * 9] * 1000)
    assert (found.hours, found.hours_by) == (pytest.approx(0.5), "tokens_per_minute")


def test_a_budget_that_will_not_do_is_named(read):
    texts = ["x" * 9] * 1000
    assert estimate_of(read("remote", max_tokens_total=2999), texts).over_budget == (
        "max_tokens_total"
    )
    assert estimate_of(read("remote", max_tokens_total=3000), texts).over_budget is None
    assert estimate_of(read("remote", max_cost_usd=0.0002), texts).over_budget == "max_cost_usd"


def test_an_unknown_dimension_is_said(read):
    found = estimate_of(read("remote", model="mine"), ["a"])
    assert (found.dim, found.gigabytes) == (None, None)
    assert estimate_of(read("remote", model="mine", dimensions=256), ["a"]).dim == 256


def test_many_texts_are_sampled_with_the_error_said(read, monkeypatch):
    monkeypatch.setattr(embed_cost, "TEXTS_COUNTED", 5000)
    monkeypatch.setattr(embed_cost, "TEXTS_SAMPLED", 1000)
    params = read("remote")
    texts = ["x" * length for length in np.random.default_rng(0).integers(1, 400, 20_000)]
    truth = sum(-(-len(text) // 4) for text in texts)
    found = estimate_of(params, texts)
    assert 0 < found.tokens_error < 0.05 * truth
    assert abs(found.tokens - truth) < 2 * found.tokens_error
    assert found.tokens != truth
    assert estimate_of(params, texts) == found


def test_nothing_to_embed(read):
    found = estimate_of(read(), [], cached=5)
    assert (found.tokens, found.requests, found.hours) == (0, 0, None)
    assert measure_rate(open_embedder(read().embed), []) is None


def test_it_is_printed(read, capsys):
    found = estimate_of(read("remote"), ["x" * 9] * 1000)
    print_estimate(found, Console(), as_json=True)
    assert json.loads(capsys.readouterr().out)["tokens"] == 3000
    said = io.StringIO()
    over = replace(found, tokens_error=7, over_budget="max_cost_usd", usd=1.5)
    print_estimate(over, Console(file=said, width=100))
    for words in ("1,000", "3,000 ± 7", "four characters", "$1.50", "embed.remote.max_cost_usd"):
        assert words in said.getvalue()


def test_the_rate_is_measured(read):
    assert measure_rate(open_embedder(read().embed), ["fig", "plum", "pear"]) > 0


def test_bench_texts_are_distinct_and_from_the_seed():
    texts = make_event_texts(3000, seed=1)
    assert len(set(texts)) == 3000
    assert texts == make_event_texts(3000, seed=1)
    assert texts != make_event_texts(3000, seed=2)
    # Those of the stage event, on a simulated hospital: 101 to 111.
    assert 80 < np.mean([len(text) for text in texts]) < 140


def test_the_bench_runs_both_and_counts_the_store(read):
    stored = []
    result = bench_embed(read(), 20, 1, lambda texts, batch: stored.append(batch[1].shape))
    assert sum(count for count, _ in stored) == 20
    assert result["ratio"] > 0.2
    assert result["embed"]["texts_per_second"] > 0
    assert result["peak_mb"] > 50


def test_the_bench_sends_nothing_away(read):
    with pytest.raises(ContractError, match="minilm or local"):
        bench_embed(read("remote"), 20, 1)
