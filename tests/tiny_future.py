"""The smallest settings of `future` that have every part, and what is known of made-up samples."""

from dataclasses import fields

import torch
from tiny_train import fit_settings

from train.future import FutureSettings
from train.model.known import Known
from train.model.shape import DataShape, TransformerSettings

SHAPE = DataShape(channels=3, hour_columns=5, event_width=6)


def model_settings(**changes):
    value = {
        "patch": 2,
        "width": 16,
        "context_depth": 1,
        "depth": 2,
        "heads": 2,
        "expansion": 2,
        "dropout": 0.0,
        "gradient_checkpointing": False,
    }
    return TransformerSettings.model_validate(value | changes)


def future_settings(**changes):
    modalities = ("previous", "hours", "events", "demographics")
    value = {
        "task": "future",
        "recipe": "future",
        "model": model_settings().model_dump(),
        "max_events": None,
        "use": dict.fromkeys(modalities, True),
        "drop": dict.fromkeys(modalities, 0.1),
        "flow": {"time": "logit_normal", "centre": 0.0, "spread": 1.0},
        "findings_weight": 0.5,
        "changes_weight": 0.25,
        "sampler": {"method": "euler", "evaluations": 4},
        "guidance": dict.fromkeys(modalities, 1.0),
        "optimiser": {"learning_rate": 3e-3, "betas": [0.9, 0.99], "weight_decay": 0.0},
        "ema_decay": 0.9,
        "valid_steps": None,
        "select_by": "loss",
        "patience": None,
        "fold": None,
    }
    return FutureSettings.model_validate(fit_settings() | value | changes)


def make_known(hours=3, events=4, samples=2, seed=0, grid=(4, 6)):
    """All hours and events are real, and every number is random."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=random)

    start = normal(samples, events).abs() * 5
    return Known(
        previous=normal(samples, SHAPE.channels, *grid),
        hours=normal(samples, hours, SHAPE.hour_columns),
        is_hour=torch.ones(samples, hours, dtype=torch.bool),
        event=normal(samples, events, SHAPE.event_width).half(),
        is_event=torch.ones(samples, events, dtype=torch.bool),
        event_hours=start,
        event_end_hours=start + 1,
        event_runs=normal(samples, events) > 0,
        event_table=(normal(samples, events) > 0).to(torch.uint8),
        gap_hours=normal(samples).abs() * 10,
        window_start_hours=torch.zeros(samples),
        age=60 + 10 * normal(samples),
        is_male=normal(samples) > 0,
        bmi=28 + normal(samples),
        bmi_known=torch.ones(samples, dtype=torch.bool),
        comorbidities=normal(samples, 17) > 0,
        has_history=torch.ones(samples, dtype=torch.bool),
        is_given=torch.ones(samples, 4, dtype=torch.bool),
    )


def pad(known, hours, events, seed=9):
    """More hours and events that are not real, full of numbers that are not 0."""
    random = torch.Generator().manual_seed(seed)
    padded = {field.name: getattr(known, field.name) for field in fields(Known)}
    for name, value in padded.items():
        more = events if name.startswith(("event", "is_event")) else hours
        if name not in {"hours", "is_hour", "is_event"} and not name.startswith("event"):
            continue
        shape = (len(value), more, *value.shape[2:])
        filling = torch.randint(0, 2, shape, generator=random).to(value.dtype)
        if name in {"is_hour", "is_event"}:
            filling = torch.zeros(shape, dtype=torch.bool)
        padded[name] = torch.cat([value, filling], dim=1)
    return Known(**padded)
