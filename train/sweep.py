"""A search for the learning rate, of the same budget for every model: `cxrfuture sweep CONFIG`.

So many runs, each as long as the config says, at rates drawn evenly on a logarithmic scale; the
best by what the config selects by, on validation samples (MedFuse's own: ten draws of 1e-5 to 1e-3,
specs fusion-baselines 14). The n-th draw of a seed is the same for all configs and any budget.
"""

import json
import math
from pathlib import Path

from accelerate import PartialState

from cxrfuture_data import ContractError
from cxrfuture_data.console import say
from cxrfuture_data.publish import write_json
from train.draw import seed_of
from train.fit import METRICS_FILE, fit
from train.outcome_metric import RANKED
from train.run_log import write_config
from train.settings import FitSettings

SWEEP_FILE, BEST_FILE = "sweep.json", "best.yaml"


def sweep(
    dataset: Path,
    out: Path,
    settings: FitSettings,
    *,
    draws: int,
    rates: tuple[float, float],
    seed: int,
) -> None:
    """Publish OUT/sweep.json, every draw and its look, and OUT/best.yaml, a config with the best
    rate; runs that are done are not done again."""
    low, high = rates
    if not 0 < low <= high:
        raise ContractError(f"sweep: rates from {low:g} to {high:g}; give 0 < low <= high")
    chosen = [drawn_rate(number, rates, seed) for number in range(draws)]
    changed = [_with_rate(settings, rate) for rate in chosen]
    for number, one in enumerate(changed):
        fit(dataset, out / f"draw-{number}", one, seed)
    if not PartialState().is_main_process:
        return
    looks = [
        json.loads((out / f"draw-{number}" / METRICS_FILE).read_text())["best_valid"]
        for number in range(draws)
    ]
    order = sorted(range(draws), key=looks.__getitem__, reverse=settings.select_by in RANKED)
    write_config(out / BEST_FILE, changed[order[0]])
    found = [{"learning_rate": chosen[n], settings.select_by: looks[n], "draw": n} for n in order]
    write_json(out / SWEEP_FILE, {"draws": draws, "rates": rates, "seed": seed, "found": found})
    best = order[0]
    say(
        f"sweep: best of {draws} at {chosen[best]:.2e}, {settings.select_by} {looks[best]:.4f}; "
        f"cxrfuture train {out / BEST_FILE}"
    )


def drawn_rate(number: int, rates: tuple[float, float], seed: int) -> float:
    """The learning rate of a draw: of four digits, as a config would have it."""
    share = seed_of("sweep", seed, number) / 2**63
    low, high = (math.log(rate) for rate in rates)
    return float(f"{math.exp(low + share * (high - low)):.3e}")


def _with_rate(settings: FitSettings, rate: float) -> FitSettings:
    optimiser = settings.optimiser.model_copy(update={"learning_rate": rate})
    return settings.model_copy(update={"optimiser": optimiser})
