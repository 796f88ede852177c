"""The smallest settings of EHRXDiff's three tasks, on the pairs of ``tiny_build``."""

from dataclasses import replace

import torch
from tiny_build import build_dataset
from tiny_train import fit_settings

from train.clip import ClipSettings
from train.ehrxdiff import EhrxdiffSettings
from train.table_classifier import TableClassifierSettings
from train.task import Moment

MOST_EVENTS = 6
FILM = {"pixels": 32, "patch": 16, "layers": 1, "heads": 2, "weights": None}  # 5 tokens
EVENTS = {"layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0}
ROWS = (  # of Table IV: what is attended to, whether the latent is concatenated
    ([], True),
    (["latent"], False),
    (["film"], False),
    (["events"], False),
    (["events"], True),
    (["events", "film"], True),
    (["events", "film", "latent"], False),
)


def build_events(folder, recipe="ehrxdiff"):
    """15 training pairs with films of 32 pixels, latents of 4 x 4 x 4 and 3 events of 8 numbers."""
    return build_dataset(folder, recipe, shard={"workers": 1, "keep_films": "png"})


def condition(**changes):
    value = {"attend": ["events", "film", "latent"], "concatenate": False, "tokens": 7, "width": 16}
    value |= {"max_events": MOST_EVENTS, "film": FILM, "events": EVENTS}
    return value | changes


def ehrxdiff_settings(conditioned=None, **changes):
    value = {
        "task": "ehrxdiff",
        "recipe": "ehrxdiff",
        "fidelity": "corrected",
        "select_by": "loss",
        "patience": None,
        "fold": None,
        "clip": None,
        "unet_weights": None,
        "unet": {
            "channels": [8, 16],
            "attends": [False, True],
            "res_blocks": 1,
            "heads": 2,
            "head_width": None,
            "norm_groups": 4,
            "gradient_checkpointing": False,
        },
        "condition": condition(**(conditioned or {})),
        "event_dropout": 0.0,
        "sampler": {"steps": 3, "eta": 1.0, "guidance": 1.0},
    }
    return EhrxdiffSettings.model_validate(fit_settings() | value | changes)


def clip_settings(**changes):
    value = {
        "task": "clip",
        "recipe": "ehrxdiff",
        "fidelity": "corrected",
        "select_by": "loss",
        "patience": None,
        "fold": None,
        "width": 16,
        "max_events": MOST_EVENTS,
        "film": FILM,
        "events": EVENTS,
    }
    return ClipSettings.model_validate(fit_settings() | value | changes)


def table_settings(**changes):
    value = {
        "task": "table_classifier",
        "recipe": "ehrxdiff",
        "fidelity": "corrected",
        "select_by": "loss",
        "patience": None,
        "fold": None,
        "input": "events",
        "labels": "findings",
        "with_previous_labels": False,
        "clip": None,
        "max_events": MOST_EVENTS,
        "events": EVENTS,
        "history": {"width": 16, "feedforward": 16, "heads": 2, "layers": 1, "dropout": 0.0},
    }
    return TableClassifierSettings.model_validate(fit_settings() | value | changes)


def build_model(task, seed=0):
    torch.manual_seed(seed)
    return task.build()


def shake(model, seed=1, spread=0.1):
    """Random numbers where training starts from zeros, so that every input matters."""
    random = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        with torch.no_grad():
            weight.add_(spread * torch.randn(weight.shape, generator=random))
    return model


def batch_of(task, count, split="train"):
    """The first samples in the order of keys, not augmented."""
    samples = task.select(task.data.split(split, "pair"))
    return next(iter(samples.loader(count, task.view, training=False)))


def rows_of(batch, rows):
    """Some samples of a batch."""
    from cxrfuture_data.batch import field_names

    chosen = {name: getattr(batch, name)[rows] for name in field_names(batch)}
    return replace(batch, keys=[batch.keys[row] for row in rows], **chosen)


def with_random_events(batch, lengths, seed=3):
    """Windows of so many events that no two samples share."""
    samples, longest, width = len(batch.keys), max(lengths), batch.event.shape[2]
    event = torch.randn(
        samples, longest, width, generator=torch.Generator().manual_seed(seed)
    ).half()
    is_event = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return replace(batch, event=event * is_event[..., None], is_event=is_event)


def moment(step=0, purpose="train", seed=5):
    return Moment(seed, step, 100, torch.device("cpu"), purpose)


def fit_briefly(task, model, batch, steps, rate):
    """The losses of a few steps of Adam on one and the same batch."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    found = []
    for step in range(steps):
        loss = task.losses_of(model, batch, moment(step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    return found
