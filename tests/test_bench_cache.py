"""Benches of the cache and of the latent stage: they do the work they time."""

import json

import pytest
from tiny_mimic import tiny_params
from typer.testing import CliRunner

import cxrfuture
from etl import bench_latent
from etl.bench_cache import ROWS


def test_bench_cache_writes_and_reads_every_kind():
    words = ["bench", "cache", "--megabytes", "1", "--rounds", "1", "--json"]
    result = json.loads(CliRunner().invoke(cxrfuture.app, words).stdout)
    assert set(result["rows"]) == set(ROWS)
    for facts in result["rows"].values():
        assert facts["count"] > 1
        assert facts["write"]["ratio"] > 0
        assert facts["read"]["mb_per_second"] > 0
    plain, ours = (
        sum(facts["write"][key] for facts in result["rows"].values())
        for key in ("plain_seconds", "seconds")
    )
    assert result["ratio"] == pytest.approx(plain / ours)


def test_bench_latent_encodes_every_film(tmp_path, monkeypatch):
    made = []

    def make(*given):
        made.append(bench_cache(*given))
        return made[-1]

    bench_cache = bench_latent.make_cache
    monkeypatch.setattr(bench_latent, "make_cache", make)
    params = tiny_params(tmp_path)
    result = bench_latent.bench_latent(params, None, 6, 32, 2, tmp_path)
    assert (result["films"], result["devices"]) == (6, ["cpu"])
    assert result["ratio"] > 0
    assert result["processor_ratio"] > 0
    assert [len(cache.rows(space)) for cache, _, space in made] == [6, 6]
