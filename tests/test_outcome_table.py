"""DDL-CXR's tables of outcomes and of who is in a dataset, on numbers that are known."""

import csv
import io
import json
import os

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import rankdata
from tiny_build import build_dataset

import cxrfuture_data
from cxrfuture_data.schema import PHENOTYPES, ContractError
from train.outcome_compare import average_ranks
from train.table import fill, read_table
from train.table_text import as_rich, title_of, to_csv, to_json

# Of each table, a row and what the paper says in it (specs ddl-cxr 11).
PUBLISHED = {
    1: ("DDL-CXR", [[0.470, 0.003], [0.740, 0.002], [0.523, 0.011], [0.822, 0.009]]),
    2: ("DrFuse", [[0.773, 0.008], [0.802, 0.012], [0.717, 0.023], [0.757, 0.041], [0.723, 0.013]]),
    3: ("Shock", [[0.590], [0.584], [0.582], [0.592], [0.572], [0.587], [0.586]]),
    5: ("w/o aux", [[0.461, 0.003], [0.718, 0.012], [0.495, 0.026], [0.811, 0.009]]),
    6: ("LDM stage (pairs)", [[8545], [1392], [2353]]),
    7: ("Negative/Positive", [[5.89], [5.94], [5.77]]),
    8: ("Shock", [[1157], [192], [357], [0.23], [0.22], [0.24], [0.18]]),
    9: ("Height", [[170, 1.1], [170, 1.5]]),
    10: ("DAFT", [[0.448, 0.004], [0.460, 0.011], [0.478, 0.010], [0.508, 0.015], [0.395, 0.007]]),
    13: ("DDL-CXR", [[0.470, 0.003], [0.457, 0.003], [0.433, 0.011]]),
    14: ("DrFuse", [[0.460, 0.004], [0.430, 0.013], [0.415, 0.030]]),
}
LDM = {"task": "ddl_cxr", "without": []}
MMTM, DAFT = ({"name": name, "fidelity": "corrected"} for name in ("mmtm", "daft"))
UNI_EHR = {"name": "uni_ehr", "record": {"encoder": "transformer"}}


def cell(value, **more):
    return {"value": value, "sd": None, "seeds": 1} | more


def row(model, generator=None, share=1.0, **found):
    """``found``: cells of an outcome."""
    settings = {"task": "fusion", "share": share, "model": {"without": []} | model}
    if generator is not None:
        settings["generator"] = generator
    empty = {"cells": {}, "labels": {}, "groups": {}, "settings": settings, "runs": []}
    return {outcome: empty | of for outcome, of in found.items()}


def outcomes(rows, stays=1483, **data):
    gaps = {"<12": {"stays": 400, "positives": 80}, ">=36": {"stays": 500, "positives": 50}}
    return {
        "data": {
            "origin": "all SIMULATED",
            "recipe": "ddl_cxr",
            "made_from": "x",
            "split": "test",
            "stays": stays,
            "patients": 1324,
            "training": {"stays": 5142, "patients": 4538},
        }
        | data,
        "scored": {"seeds": [0, 1], "draws": 10, "level": 0.95, "bins": 10},
        "outcomes": {"mortality": {"labels": ["In-hospital death"], "groups": {"gap": gaps}}},
        "rows": rows,
        "compared": [],
        "ranks": {},
    }


@pytest.fixture
def write(tmp_path):
    """Writes an outcomes.json into a folder, each newer than the one before."""
    written = []

    def write(name, value):
        path = tmp_path / name / "outcomes.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(value))
        written.append(path)
        os.utime(path, (len(written), len(written)))
        return tmp_path

    return write


def plain(filled):
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(as_rich(filled))
    return console.export_text()


@pytest.mark.parametrize("number", sorted(PUBLISHED))
def test_the_papers_numbers(number):
    table = read_table(f"ddl_cxr.{number}")
    title, values = PUBLISHED[number]
    (found,) = [row for row in table.rows if row.title == title]
    assert [found.paper[column.name] for column in table.columns][: len(values)] == values
    names = {column.name for column in table.columns}
    assert all(set(row.paper) <= names for row in table.rows)
    assert len({row.title for row in table.rows}) == len(table.rows)


def test_the_tables_of_the_paper_agree_with_each_other():
    """What the paper prints twice: overall scores in four tables, phenotypes in two."""
    first = {row.title: row.paper for row in read_table("ddl_cxr.1").rows}
    for number, metric in ((2, "mortality.auroc"), (10, "mortality.auprc")):
        for of in read_table(f"ddl_cxr.{number}").rows[1:]:
            assert of.paper[metric] == first[of.title][metric]
    for number, outcome in ((13, "phenotypes"), (14, "mortality")):
        for of in read_table(f"ddl_cxr.{number}").rows:
            assert of.paper[f"{outcome}.auprc.100"] == first[of.title][f"{outcome}.auprc"]
            assert of.paper[f"{outcome}.auroc.100"] == first[of.title][f"{outcome}.auroc"]
    for short, long in zip(
        read_table("ddl_cxr.3").rows, read_table("ddl_cxr.12").rows, strict=True
    ):
        for name, said in short.paper.items():
            assert said[0] == long.paper[name][0]
    assert [row.title for row in read_table("ddl_cxr.3").rows[:-1]] == list(PHENOTYPES)


@pytest.mark.parametrize("number", [3, 11, 12])
def test_average_ranks_are_the_papers(number):
    """The paper's ranks are of numbers before they were rounded: where its three digits tie, it
    knows which is larger, so its rank lies between the lowest and the highest of the tied. Each
    of 25 times seven ranks adds up to 28, the paper's as ours."""
    *rows, last = read_table(f"ddl_cxr.{number}").rows
    models = [column.name for column in read_table(f"ddl_cxr.{number}").columns]
    printed = {name: np.array([row.paper[name][0] for row in rows]) for name in models}
    ours = average_ranks(printed)
    paper = {name: last.paper[name][0] for name in models}
    values = -np.array(list(printed.values()))
    low, high = (rankdata(values, method=m, axis=0).mean(axis=1) for m in ("min", "max"))
    for i, name in enumerate(models):
        assert low[i] <= paper[name] <= high[i]
        assert ours[name] == pytest.approx((low[i] + high[i]) / 2)
        assert ours[name] == pytest.approx(paper[name], abs=0.11)
    assert sum(ours.values()) == pytest.approx(28)
    assert sum(paper.values()) == pytest.approx(28)


def test_without_outcomes_the_paper_stands_alone(tmp_path):
    filled = fill(read_table("ddl_cxr.1"), tmp_path)
    assert "ours: no outcomes yet" in title_of(filled)
    assert set(filled.cells.values()) == {None}
    notes = "\n".join(filled.notes)
    assert "MMTM: cxrfuture train fusion-mmtm --set outcome=OUTCOME --seed SEED" in notes
    assert "cxrfuture outcomes build/study/fusion/* --dataset build/ddl_cxr/shard" in notes


def test_rows_are_found_by_model_and_generator(write):
    def found(value):
        return {"mortality": {"cells": {"auprc": cell(value), "auroc": cell(value + 0.001)}}}

    rows = {
        "published": row(MMTM | {"fidelity": "published"}, **found(0.10)),
        "a": row(MMTM, **found(0.11)),
        "half": row(DAFT, share=0.5, **found(0.12)),
        "last": row({"name": "ddl_cxr", "without": ["latent"]}, **found(0.13)),
        "gan": row({"name": "ddl_cxr"}, {"task": "gan"}, **found(0.14)),
        "no": row({"name": "ddl_cxr"}, LDM | {"without": ["window"]}, **found(0.15)),
        "ours": row({"name": "ddl_cxr"}, LDM, **found(0.16)),
    }
    runs = write("one", outcomes(rows))

    def values(number):
        cells = fill(read_table(f"ddl_cxr.{number}"), runs).cells
        return {
            title: of["mortality.auprc"]["value"] for title, of in cells.items() if of is not None
        }

    assert values(1) == {
        "MMTM": 0.11,
        "GAN-based": 0.14,
        "DDL-CXR": 0.16,
        "Last-CXR (no z1; the paper's Table 5)": 0.13,
    }
    assert values(5) == {"Last-CXR (no z1)": 0.13, "w/o EHR in LDM": 0.15, "DDL-CXR": 0.16}
    shared = fill(read_table("ddl_cxr.14"), runs).cells
    assert shared["DAFT"] == {
        "mortality.auprc.50": cell(0.12),
        "mortality.auroc.50": cell(0.121),
    }
    assert shared["MMTM"].keys() == {"mortality.auprc.100", "mortality.auroc.100"}
    notes = "\n".join(fill(read_table("ddl_cxr.14"), runs).notes)
    assert "MMTM: cxrfuture train fusion-mmtm --set outcome=mortality --set share=SHARE" in notes


def test_groups_and_prevalence(write):
    found = {
        "cells": {"auroc": cell(0.8, sd=0.01, low=0.7, high=0.9)},
        "labels": {"In-hospital death": {"stays": 1480, "positives": 148}},
        "groups": {"gap": {"<12": {"auroc": cell(0.85)}, ">=36": {"auroc": cell(None)}}},
    }
    runs = write("one", outcomes({"a": row({"name": "medfuse"}, mortality=found)}))
    filled = fill(read_table("ddl_cxr.2"), runs)
    assert filled.cells["MedFuse"]["mortality.auroc.gap.<12"] == cell(0.85)
    assert filled.cells["prevalence, %"] == {
        "mortality.auroc": {"value": 10.0},
        "mortality.auroc.gap.<12": {"value": 20.0},
        "mortality.auroc.gap.>=36": {"value": 10.0},
    }
    text = plain(filled)
    line = next(line for line in text.splitlines() if "MedFuse" in line)
    words = " ".join(line.split())
    assert words.startswith(
        "MedFuse 0.793 ± 0.003 0.800 ± 0.010 0.812 ± 0.004 0.850 0.762 ± 0.007 -"
    )
    assert "[0.700, 0.900]" in text
    assert "1,483 test stays of 1,324 patients, 5,142 of training; 2 seeds" in text


def test_labels_are_rows_and_ranks_are_over_the_models_that_are_there(write):
    """Of the first label the models are equal, of all others MMTM is the better."""

    def found(value):
        of = {name: {"auprc": cell(value)} for name in PHENOTYPES}
        return {"phenotypes": {"labels": of | {PHENOTYPES[0]: {"auprc": cell(0.5)}}}}

    rows = {
        "a": row(MMTM, **found(0.7)),
        "b": row(DAFT, **found(0.6)),
        "c": row({"name": "tabular"}, **found(0.9)),  # not of the table
    }
    filled = fill(read_table("ddl_cxr.3"), write("one", outcomes(rows)))
    assert filled.cells["Shock"] == {"mmtm": cell(0.7), "daft": cell(0.6)}
    assert filled.cells["Average Rank"] == {
        "mmtm": {"value": pytest.approx((1.5 + 24) / 25)},
        "daft": {"value": pytest.approx((1.5 + 48) / 25)},
    }
    notes = "\n".join(filled.notes)
    assert "Uni-EHR: cxrfuture train" in notes
    assert "MMTM: cxrfuture train" not in notes


def test_other_stays_are_left_out(write):
    def found(value):
        return {"mortality": {"cells": {"auprc": cell(value)}}}

    write("small", outcomes({"a": row(MMTM, **found(0.3))}, stays=20))
    write("valid", outcomes({"a": row(MMTM, **found(0.4))}, split="valid"))
    write("old", outcomes({"a": row(DAFT, **found(0.5))}))
    runs = write("new", outcomes({"a": row(UNI_EHR, **found(0.6))}))
    filled = fill(read_table("ddl_cxr.1"), runs)
    assert [title for title, of in filled.cells.items() if of] == ["Uni-EHR", "DAFT"]
    assert filled.others == 1
    assert "left out: 1 evaluations of other stays" in filled.notes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Stays and pairs of eight patients to train on; the second of them died."""
    return build_dataset(tmp_path_factory.mktemp("dataset"), "ddl_cxr")


def cells_of(number, dataset):
    return fill(read_table(f"ddl_cxr.{number}"), dataset=dataset).cells


def test_counts_of_a_dataset(dataset):
    found = cells_of(6, dataset)
    # Of patient 3 the pair that ends in a broken film is lost.
    assert {name: of["value"] for name, of in found["LDM stage (pairs)"].items()} == {
        "train": 15,
        "valid": 4,
        "test": 4,
    }
    assert found["Prediction stage (stays)"]["train"] == {"value": 8}
    found = cells_of(7, dataset)
    assert [found[name]["train"]["value"] for name in found] == [7, 1, 7.0]
    assert found["Negative/Positive"]["test"] == {"value": None}
    found = cells_of(8, dataset)
    columns = cxrfuture_data.open_dataset(dataset).columns("train", "stay")
    for i, name in enumerate(PHENOTYPES):
        # A stay of patient s has phenotype i where i is a multiple of s.
        count = sum(i % subject == 0 for subject in columns["subject_id"].tolist())
        assert found[name]["train.positives"] == {"value": count}
        assert found[name]["train.prevalence"] == {"value": count / 8}


def test_who_is_in_a_dataset(dataset):
    """Heart rate is 80 + s in hour 1 and 90 + s from hour 3 on, of 48; before it the default 86.
    Nothing else is measured."""
    found = {title: of["cohort"] for title, of in cells_of(9, dataset).items()}
    assert found["Sample size"]["value"] == 8
    assert found["Age"]["value"] == pytest.approx(44.5)
    assert found["Age"]["sd"] == pytest.approx(np.std(range(8), ddof=1))
    assert found["Gender (Men, %)"]["value"] == 50
    assert found["In-hospital mortality (%)"]["value"] == pytest.approx(100 / 8)
    means = [(86 + 2 * (80 + s) + 45 * (90 + s)) / 48 for s in range(1, 9)]
    assert found["Heart Rate"]["value"] == pytest.approx(np.mean(means))
    assert found["Heart Rate"]["sd"] == pytest.approx(np.std(means, ddof=1))
    assert found["Height"] == {"value": pytest.approx(170), "sd": pytest.approx(0)}
    assert found["GCS - motor response"]["value"] == "Obeys Commands"
    assert found["GCS - total"]["value"] == "15"


def test_words_stand_in_every_form_of_a_table(dataset):
    filled = fill(read_table("ddl_cxr.9"), dataset=dataset)
    assert "Obeys Commands" in plain(filled)
    assert "all SIMULATED, recipe ddl_cxr" in title_of(filled)
    lines = list(csv.DictReader(io.StringIO(to_csv(filled))))
    (line,) = [x for x in lines if (x["row"], x["column"]) == ("GCS - total", "cohort")]
    assert (line["paper"], line["value"], line["data"]) == ("15", "15", "all SIMULATED")
    value = json.loads(json.dumps(to_json(filled), allow_nan=False))
    assert value["rows"][0]["ours"] == {"cohort": {"value": 8}}
    assert value["rows"][0]["command"] == f"cxrfuture table ddl_cxr.9 --dataset {dataset}"


def test_a_dataset_of_another_recipe_is_refused(dataset):
    table = read_table("ddl_cxr.7").model_copy(update={"recipes": ["medfuse"]})
    with pytest.raises(ContractError, match="of recipe ddl_cxr; the table is of medfuse"):
        fill(table, dataset=dataset)


def test_without_a_dataset_the_paper_stands_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled = fill(read_table("ddl_cxr.6"))
    assert "ours: no dataset; give --dataset, as build/ddl_cxr/shard" in title_of(filled)
    assert "8545" in plain(filled)
