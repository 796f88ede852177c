"""A small outcomes.json by hand: three models, death and three phenotypes, 200 stays.

What a page that is shared must not show is in it: ids, dates and paths in the runs, and groups of
fewer than ten.
"""

import copy
from typing import Any

from train.results_cell import BEFORE

Json = dict[str, Any]

MODELS = {"ddl_cxr": 0.80, "mmtm": 0.75, "tabular": 0.60}  # AUROC of death
LABELS = {
    "mortality": ["In-hospital death"],
    "phenotypes": ["Shock", "Other liver diseases", "Rare"],
}
POSITIVES = {"In-hospital death": 40, "Shock": 60, "Other liver diseases": 50, "Rare": 4}
STAYS, PATIENTS = 200, 160
# grouping -> group -> stays, deaths. Of race two are small; of devices one alone; of view none.
GROUPS = {
    "gap": {"<12": (120, 20), "12-24": (80, 20)},
    "sex": {"female": (110, 22), "male": (90, 18)},
    "race": {"ASIAN": (14, 3), "BLACK": (36, 7), "WHITE": (150, 30)},
    "devices": {"absent": (60, 13), "present": (121, 21), "uncertain": (19, 6)},
    "view": {"AP": (150, 25), "PA": (50, 15)},
}
SECRETS = ("/home/anna", "12345678", "2026-11-29", "0123456789abcdef")


def make_outcomes() -> Json:
    """As json.loads gives it."""
    outcomes = {
        name: {"labels": labels, "stays": STAYS, "left_out": 0, "groups": _counts(name)}
        for name, labels in LABELS.items()
    }
    rows = {
        model: {name: _row(model, auroc, name) for name in LABELS}
        for model, auroc in MODELS.items()
    }
    return copy.deepcopy(
        {
            "data": {
                "origin": "all SIMULATED",
                "recipe": "ddl_cxr",
                "made_from": SECRETS[3] * 4,
                "split": "test",
                "stays": STAYS,
                "patients": PATIENTS,
                "training": {"stays": 1200, "patients": 900},
            },
            "scored": {"seeds": [0, 1], "draws": 1000, "level": 0.95, "bins": 10},
            "outcomes": outcomes,
            "rows": rows,
            "compared": _compared(),
            "ranks": {
                name: {
                    metric: {"ddl_cxr": 1.0, "mmtm": 2.25, "tabular": 2.75}
                    for metric in ("auprc", "auroc")
                }
                for name in LABELS
            },
        }
    )


def make_short() -> Json:
    """Of death alone, which is quicker to draw."""
    result = make_outcomes()
    for of in (result["outcomes"], result["ranks"], *result["rows"].values()):
        del of["phenotypes"]
    result["compared"] = [one for one in result["compared"] if one["outcome"] == "mortality"]
    return result


def cell(value: float | None, width: float = 0.05) -> Json:
    """With an interval as wide on both sides; of no value, of nothing."""
    ends = {"low": None, "high": None} if value is None else _ends(value, width)
    sd = None if value is None else 0.011
    return {"value": value, "sd": sd, "seeds": 2, "draws_left_out": 3, **ends}


def _ends(value: float, width: float) -> Json:
    return {"low": round(value - width, 6), "high": round(value + width, 6)}


def _counts(outcome: str) -> Json:
    """Of phenotypes nearly all have one."""
    return {
        grouping: {
            name: {"stays": stays, "positives": deaths if outcome == "mortality" else stays - 1}
            for name, (stays, deaths) in groups.items()
        }
        for grouping, groups in GROUPS.items()
    }


def _row(model: str, auroc: float, outcome: str) -> Json:
    labels = LABELS[outcome]
    run = f"{SECRETS[0]}/study/{model}/{SECRETS[2]}"
    scores = {"auprc": cell(auroc / 2), "auroc": cell(auroc)}
    return {
        "runs": [{"run": f"{run}/{seed}", "seed": seed, "steps": 1500} for seed in (0, 1)],
        "settings": {"generated": f"{SECRETS[0]}/ldm", "subject_id": int(SECRETS[1])},
        "cells": {
            **scores,
            "brier": cell(0.121),
            "ece": cell(0.031, 0.01),
            "brier_uncalibrated": cell(0.152),
            "ece_uncalibrated": cell(0.093, 0.01),
        },
        "labels": {
            name: {**scores, "stays": STAYS, "positives": POSITIVES[name]} for name in labels
        },
        "groups": {
            grouping: {name: _group(auroc, grouping, name) for name in groups}
            for grouping, groups in GROUPS.items()
        },
        "curves": {name: _curves(auroc) for name in labels},
        "reliability": {name: _bins(POSITIVES[name]) for name in labels},
        "reliability" + BEFORE: {name: _bins(POSITIVES[name]) for name in labels},
        "decision": {name: _decision(POSITIVES[name] / STAYS) for name in labels},
        "attention": {"names": ["ehr", "film"], "mean": [0.625, 0.375]}
        if model != "tabular"
        else None,
    }


def _group(auroc: float, grouping: str, name: str) -> Json:
    """View PA is far above all stays and AP far below; the others are as all."""
    value = auroc + {"view": {"PA": 0.1, "AP": -0.1}}.get(grouping, {}).get(name, 0.0)
    return {"auprc": cell(value / 2), "auroc": cell(value)}


def _curves(auroc: float) -> Json:
    grid = [i / 50 for i in range(51)]
    power = 1 / auroc - 1
    return {
        "roc": [[x, x**power] for x in grid],
        "pr": [[x, 1 - x * (1 - auroc / 2)] for x in grid],
    }


def _bins(positives: int) -> list[Json]:
    """Half of the stays, with a quarter of the positives, and a third; one bin is small."""
    filled = {0: (100, positives // 4), 3: (95, positives - positives // 4 - 4), 9: (5, 4)}
    return [
        {
            "low": q / 10,
            "high": (q + 1) / 10,
            "stays": filled.get(q, (0, 0))[0],
            "predicted": (q + 0.5) / 10 if q in filled else None,
            "observed": filled[q][1] / filled[q][0] if q in filled else None,
        }
        for q in range(10)
    ]


def _decision(share: float) -> list[Json]:
    thresholds = [i / 40 for i in range(1, 40)]
    return [
        {
            "threshold": t,
            "net_benefit": share * (1 - t) ** 2,
            "treat_all": share - (1 - share) * t / (1 - t),
        }
        for t in thresholds
    ]


def _compared() -> list[Json]:
    """The first differs clearly from the last, and no others do."""
    pairs = {
        ("ddl_cxr", "mmtm"): (0.05, -0.02, 0.11, 0.215),
        ("ddl_cxr", "tabular"): (0.2, 0.123, 0.287, 0.002),
        ("mmtm", "tabular"): (0.15, -0.01, 0.3, 0.061),
    }
    return [
        {"outcome": outcome, "metric": metric, "first": first, "second": second}
        | dict(zip(("difference", "low", "high", "p"), values, strict=True))
        for outcome in LABELS
        for metric in ("auprc", "auroc")
        for (first, second), values in pairs.items()
    ]
