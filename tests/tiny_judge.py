"""The smallest classifier, made and trained a little without the loop of fit.py."""

import json

import torch
from tiny_build import SIZE, add_null_event, write_build
from tiny_train import fit_settings

from cxrfuture_data import open_dataset
from etl import shard
from train.classifier import ClassifierSettings, ClassifierTask
from train.task import Moment

DEVICE = torch.device("cpu")


def build_pairs(root, recipe_name="ehrxdiff_null"):
    """A dataset whose recipe's films are as small as they are; with one null event in train and
    one in test, and its folder."""
    params, recipe = write_build(root, recipe_name, shard={"workers": 1})
    for subject in (1, 11):
        add_null_event(params.build(recipe.name), subject)
    shard.run(params, recipe)
    dataset = params.build(recipe.name, "shard")
    change_manifest(dataset, lambda manifest: manifest["recipe"]["body"]["image"].update(size=SIZE))
    return dataset


def change_manifest(dataset, change):
    """Apply a function to what dataset.json says."""
    path = dataset / "dataset.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def classifier_settings(**changes):
    """Two stages of one block on films as they come."""
    value = {
        "task": "classifier",
        "recipe": "ddl_cxr",
        "network": {
            "stem": 8,
            "channels": [8, 16],
            "depths": [1, 1],
            "layer": "basic",
            "norm_groups": 4,
        },
        "film_size": None,
        "augment": False,
        "weights": {"findings": 1.0, "attributes": 1.0, "age": 1.0, "sex": 1.0},
        "optimiser": {"learning_rate": 5e-3, "betas": [0.9, 0.999], "weight_decay": 0.0},
        "select_by": "loss",
        "patience": None,
        "fold": None,
    }
    return ClassifierSettings.model_validate(fit_settings() | value | changes)


def classifier_task(dataset, **changes):
    return ClassifierTask(classifier_settings(**changes), open_dataset(dataset))


def batches(task, split="train", batch_size=8):
    chosen = task.select(task.data.split(split, "pair"))
    return list(chosen.loader(batch_size, task.view, rank=0, world_size=1, training=False))


def train(task, batch, steps, seed=0):
    """The model after steps on one batch, and the losses of each."""
    torch.manual_seed(seed)
    model = task.build().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=task.settings.optimiser.learning_rate)
    rows = []
    for step in range(steps):
        losses = task.losses_of(model, batch, Moment(seed, step, steps, DEVICE))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        rows.append({name: value.item() for name, value in losses.items()})
    return model, rows
