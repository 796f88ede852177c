"""Small builds of several recipes, checked, and what a report says of them."""

from collections import Counter

import numpy as np
import polars as pl
from tiny_build import add_null_event, leave_out_film, write_build

from cxrfuture_data.dataset import open_dataset
from cxrfuture_data.schema import SPLITS
from etl import check, shard
from etl.report.facts import Counts, Flow, Numbers, Spread
from etl.report.gather import gather

RECIPES = ("ddl_cxr", "ehrxdiff_null", "future", "diff3m", "medfuse")
SMALL = {"samples_per_shard": 4, "workers": 1}


def build(root, name, change=None):
    """The stages up to check; ``change`` alters the inputs of shard."""
    params, recipe = write_build(root, name, shard=SMALL)
    folder = params.build(recipe.name)
    films = folder / "image" / "film.parquet"
    numbered = pl.int_range(pl.len())
    flags = {"inverted": numbered % 5 == 0, "view_suspected": pl.lit(None, dtype=pl.Boolean)}
    pl.read_parquet(films).with_columns(**flags).write_parquet(films)
    if name == "ehrxdiff_null":
        add_null_event(folder, 1)
    if name == "medfuse":
        leave_out_film(folder, 12)
    if change is not None:
        change(folder)
    shard.run(params, recipe)
    return params, recipe


def keep_builds(tmp_path_factory):
    """A function of a recipe's name: its params, recipe and report, built when first asked for."""
    made = {}

    def find(name):
        if name not in made:
            params, recipe = build(tmp_path_factory.mktemp(name), name)
            check.run(params, recipe)
            made[name] = params, recipe, gather(params, recipe)
        return made[name]

    return find


def pretend_checked(params, recipe):
    """What `check` leaves behind, of a build that it would refuse."""
    for name, text in {"check.json": "[]", "reproduction.csv": "measure\n"}.items():
        path = params.build(recipe.name, "check", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def items(report):
    return {item.key: item for section in report.sections for item in section.items}


def cells(counts):
    """row -> column -> value."""
    return {
        row: dict(zip(counts.columns, values, strict=True))
        for row, values in zip(counts.rows, counts.values, strict=True)
    }


def facts_of(params, recipe, kind):
    """sample.json of every sample, by split."""
    dataset = open_dataset(params.build(recipe.name, "shard"))
    found = {}
    for split in SPLITS:
        samples = dataset.split(split, kind, films=False)
        found[split] = [samples.facts(at) for at in range(len(samples))]
        samples.close()
    return found


def tally(facts, name_of):
    """As a table of words: row -> split -> how many."""
    found = {split: Counter(name_of(one) for one in ones) for split, ones in facts.items()}
    rows = {row for counted in found.values() for row in counted}
    return {row: {split: counted[row] for split, counted in found.items()} for row in rows}


def require_whole(item):
    if isinstance(item, Flow):
        for one, following in zip(item.filters, item.filters[1:], strict=False):
            assert one.after == following.before
    if not isinstance(item, Counts | Numbers | Spread):
        return
    assert len(item.rows) == len(set(item.rows)) == len(item.values)
    assert all(len(row) == len(item.columns) for row in item.values)
    if isinstance(item, Numbers):
        assert len(item.rests_on) == len(item.rows)
        assert all(item.values[row][column] is not None for row, column in item.marked)
    if isinstance(item, Counts) and item.of is not None:
        values, of = np.array(item.values), np.array(item.of)
        assert (values <= of).all()
        if item.rows_add_up:
            assert (values.sum(axis=0) == of[0]).all()
        elif item.columns_add_up:
            assert (values.sum(axis=1) == of[:, 0]).all()
