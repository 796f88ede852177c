"""The search of a learning rate: a budget of runs, and the best of them by a score."""

import json

import pytest
import yaml
from accelerate.state import AcceleratorState
from tiny_build import build_dataset

from cxrfuture_data.schema import ContractError
from train.sweep import drawn_rate, sweep
from train.tasks import read_task_settings

SMALL = ["batch_size=8", "length={epochs: null, steps: 3}", "valid_steps=1", "outcome=phenotypes"]


def test_the_best_rate_is_that_of_the_best_look(tmp_path):
    AcceleratorState._reset_state(reset_partial_state=True)
    dataset = build_dataset(tmp_path, "ddl_cxr", shard={"workers": 1})
    settings = read_task_settings("fusion-tabular-tiny", SMALL)
    out = tmp_path / "out"
    for _ in range(2):  # done runs are not done again
        sweep(dataset, out, settings, draws=3, rates=(1e-4, 1.0), seed=0)
    found = json.loads((out / "sweep.json").read_text())["found"]
    scores = [row["auprc"] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert {row["draw"] for row in found} == {0, 1, 2}
    for row in found:
        metrics = json.loads((out / f"draw-{row['draw']}" / "metrics.json").read_text())
        assert metrics["best_valid"] == row["auprc"]
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["optimiser"]["learning_rate"] == found[0]["learning_rate"]
    assert read_task_settings(str(out / "best.yaml")).task == "fusion"
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "draw-0",
        "draw-1",
        "draw-2",
    ]


def test_rates_are_even_on_a_logarithmic_scale():
    rates = [drawn_rate(number, (1e-5, 1e-3), 0) for number in range(2000)]
    assert min(rates) >= 1e-5
    assert max(rates) <= 1e-3
    assert sum(rate < 1e-4 for rate in rates) / 2000 == pytest.approx(0.5, abs=0.04)
    assert drawn_rate(0, (1e-5, 1e-3), 1) != rates[0]


@pytest.mark.parametrize("rates", [(0.0, 1.0), (1.0, 0.1)])
def test_rates_that_are_none_are_refused(rates, tmp_path):
    settings = read_task_settings("fusion-tabular-tiny")
    with pytest.raises(ContractError, match="give 0 < low <= high"):
        sweep(tmp_path, tmp_path, settings, draws=1, rates=rates, seed=0)
