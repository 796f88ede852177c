"""Fusion models of the shipped tiny configs, and stays made by hand for them to see."""

from pathlib import Path

import torch

import train
from cxrfuture_data.settings import parse_settings, read_yaml
from train.fusion.daft import Daft, DaftSettings
from train.fusion.ddl_cxr import DdlCxrFusion, DdlCxrFusionSettings
from train.fusion.medfuse import MedFuse, MedFuseSettings
from train.fusion.mmtm import Mmtm, MmtmSettings
from train.fusion.seen import Seen, Shape, Target, outcome_loss
from train.fusion.tabular import Tabular, TabularSettings
from train.fusion.uni_cxr import UniCxr, UniCxrSettings
from train.fusion.uni_ehr import UniEhr, UniEhrSettings

CONFIGS = Path(train.__file__).parent / "config"
# By ``model.name``.
MODELS = {
    "ddl_cxr": (DdlCxrFusionSettings, DdlCxrFusion),
    "uni_ehr": (UniEhrSettings, UniEhr),
    "uni_cxr": (UniCxrSettings, UniCxr),
    "tabular": (TabularSettings, Tabular),
    "mmtm": (MmtmSettings, Mmtm),
    "daft": (DaftSettings, Daft),
    "medfuse": (MedFuseSettings, MedFuse),
}
NAMES = (
    "ddl_cxr",
    "last_cxr",
    "uni_ehr",
    "uni_ehr_lstm",
    "uni_cxr",
    "tabular",
    "mmtm",
    "daft",
    "medfuse",
)
SHAPE = Shape(hour_columns=6, latent=(2, 8, 8), labels=3)
PUBLISHED = {"fidelity": "published"}


def read_model(config):
    """The block ``model`` of a shipped config."""
    return read_yaml(CONFIGS / f"fusion-{config}.yaml")["model"]


def build(name, shape=SHAPE, seed=0, **changes):
    """A model of ``fusion-<name>-tiny``, without dropout, on films as they come, in eval mode."""
    block = read_model(f"{name}-tiny")
    for part in ("film", "record", "transformer"):
        if part in block:
            still = {"film_size": None} if part == "film" else {"dropout": 0.0}
            block[part] |= still | changes.pop(part, {})
    torch.manual_seed(seed)
    return build_block(block | changes, shape).eval()


def build_block(block, shape=SHAPE):
    settings, model = MODELS[block["name"]]
    return model(parse_settings(settings, block, "test"), shape)


def random_seen(stays=6, hours=5, pixels=32, seed=0, shape=SHAPE):
    """Stay i has 1 + i % hours hours; every third stay has no film, and no latent of it."""
    random = torch.Generator().manual_seed(seed)
    places = torch.arange(stays)
    is_hour = torch.arange(hours) < (1 + places % hours)[:, None]  # (B, T)
    has_film = places % 3 != 2
    film = torch.randint(256, (stays, 1, pixels, pixels), dtype=torch.uint8, generator=random)
    generated = torch.randn(stays, *shape.latent, generator=random)
    return Seen(
        hours=torch.randn(stays, hours, shape.hour_columns, generator=random) * is_hour[..., None],
        is_hour=is_hour,
        film=film * has_film[:, None, None, None],
        has_film=has_film,
        generated=generated * has_film[:, None, None, None],
        age=20 + 60 * torch.rand(stays, generator=random),
        is_male=torch.rand(stays, generator=random) < 0.5,
        is_real=torch.ones(stays, dtype=torch.bool),
    )


def random_target(stays=6, labels=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    is_present = torch.rand(stays, labels, generator=random) < 0.5
    return Target(is_present, torch.ones_like(is_present), torch.ones(labels))


def total_loss(model, seen, target):
    """As the task adds it up."""
    answer = model(seen)
    own = model.losses_of(answer, target, seen)
    return outcome_loss(answer.logits, target, seen.is_real) + sum(own.values())


def pad(seen, more, value=0.0):
    """The same stays in a batch whose longest has so many hours more."""
    stays, _, columns = seen.hours.shape
    return seen._replace(
        hours=torch.cat([seen.hours, torch.full((stays, more, columns), value)], dim=1),
        is_hour=torch.cat([seen.is_hour, torch.zeros(stays, more, dtype=torch.bool)], dim=1),
    )


def rows_of(seen, rows):
    return Seen(*(part[rows] for part in seen))
