"""Rows of runs over the same stays: what outcomes.json says, against numbers known by hand."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from tiny_build import build_dataset
from tiny_predicted import write_run

import cxrfuture_data
from cxrfuture_data.schema import PHENOTYPES, ContractError
from train.outcome_compare import average_ranks, p_value
from train.outcome_evaluation import Request, evaluate_outcomes
from train.outcome_metric import macro

DRAWS = 200


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("dataset"), "ddl_cxr")


@pytest.fixture(scope="module")
def stays(dataset):
    """Eight; the second of the patients died, and phenotype i has every i-th."""
    return cxrfuture_data.open_dataset(dataset).split("train", "stay").columns


def evaluate(dataset, out, *rows, draws=DRAWS):
    return evaluate_outcomes(
        Request(rows=list(rows), dataset=dataset, split="train", draws=draws), out
    )


def by_patient(stays, numbers):
    """Eight numbers, of patients 1 to 8, in the order of the stays."""
    return np.array(numbers, np.float32)[stays["subject_id"] - 1]


def write_row(folder, keys, logits, **more):
    for seed, one in enumerate(logits):
        write_run(folder / "mortality" / str(seed), keys, one, seed=seed, split="train", **more)
    return folder


# The patient who died is second, first and fourth of eight.
SEEDS = [[9, 8, 7, 6, 5, 4, 3, 2], [1, 9, 2, 3, 4, 5, 6, 7], [9, 6, 8, 7, 5, 4, 3, 2]]


@pytest.fixture(scope="module")
def result(dataset, stays, tmp_path_factory):
    root = tmp_path_factory.mktemp("rows")
    keys = stays["key"].tolist()
    logits = [by_patient(stays, seed) for seed in SEEDS]
    weights = np.tile([0.25, 0.75], (8, 1))
    first = write_row(root / "mmtm", keys, logits, attention=weights)
    twin = write_row(root / "twin", keys[::-1], [one[::-1] for one in logits])
    best = write_row(root / "best", keys, [by_patient(stays, [0, 1, 0, 0, 0, 0, 0, 0])])
    found = evaluate(dataset, root / "out", first, twin, best)
    return found, root / "out"


def test_means_and_deviations_are_over_seeds(result):
    row = result[0]["rows"]["mmtm"]["mortality"]
    cell = row["cells"]["auroc"]
    values = [6 / 7, 1, 4 / 7]
    assert cell["value"] == pytest.approx(np.mean(values))
    assert cell["sd"] == pytest.approx(np.std(values, ddof=1))
    assert cell["seeds"] == 3
    assert row["cells"]["auprc"]["value"] == pytest.approx((1 / 2 + 1 + 1 / 4) / 3)
    assert row["labels"]["In-hospital death"]["auroc"] == cell
    assert row["labels"]["In-hospital death"]["positives"] == 1
    assert [run["seed"] for run in row["runs"]] == [0, 1, 2]
    assert row["attention"] == {"names": ["ehr", "film"], "mean": [0.25, 0.75]}
    assert cell["low"] <= cell["value"] <= cell["high"]
    # A draw has nobody who died, or nobody else, in (7 / 8)^8 of the cases.
    assert 0.2 < cell["draws_left_out"] / DRAWS < 0.5


def test_a_perfect_row_is_perfect(result):
    row = result[0]["rows"]["best"]["mortality"]
    for name in ("auroc", "auprc"):
        cell = row["cells"][name]
        assert (cell["value"], cell["low"], cell["high"], cell["sd"]) == (1, 1, 1, None)
    curve = row["curves"]["In-hospital death"]
    assert [y for _, y in curve["roc"]] == [1] * 51
    assert [x for x, _ in curve["pr"]] == pytest.approx(np.linspace(0, 1, 51))


def test_rows_that_say_the_same_do_not_differ(result):
    """The same predictions in another order: compared over the same draws they are equal."""
    found = result[0]
    assert (
        found["rows"]["twin"]["mortality"]["cells"] == found["rows"]["mmtm"]["mortality"]["cells"]
    )
    both = [x for x in found["compared"] if (x["first"], x["second"]) == ("mmtm", "twin")]
    assert [x["metric"] for x in both] == ["auprc", "auroc"]
    for one in both:
        assert (one["difference"], one["low"], one["high"], one["p"]) == (0, 0, 0, 1)
    assert len(found["compared"]) == 2 * 3
    assert found["ranks"]["mortality"]["auroc"] == {"mmtm": 2.5, "twin": 2.5, "best": 1}


def test_groups_are_of_stays(result):
    found = result[0]
    said = found["outcomes"]["mortality"]
    assert said["groups"]["gap"] == {">=36": {"stays": 8, "positives": 1}}
    assert said["groups"]["sex"] == {
        "female": {"stays": 4, "positives": 1},
        "male": {"stays": 4, "positives": 0},
    }
    row = found["rows"]["mmtm"]["mortality"]
    assert row["groups"]["gap"][">=36"]["auroc"] == row["cells"]["auroc"]
    # Of the women 2, 4, 6, 8 the one who died is first, first and second.
    assert row["groups"]["sex"]["female"]["auroc"]["value"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert row["groups"]["sex"]["male"]["auroc"]["value"] is None
    assert found["data"]["training"] == {"stays": 8, "patients": 8}
    assert found["data"]["origin"] == "all SIMULATED"


def test_the_files_hold_numbers_of_the_json(result):
    found, out = result
    assert json.loads((out / "outcomes.json").read_text()) == found
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["best"]["mortality"]["auroc"] == 1
    for name in ("roc", "pr", "reliability"):
        lines = list(csv.DictReader((out / f"{name}.csv").open()))
        assert {line["row"] for line in lines} == {"mmtm", "twin", "best"}
        assert {line["label"] for line in lines} == {"In-hospital death"}
    bins = found["rows"]["best"]["mortality"]["reliability"]["In-hospital death"]
    assert sum(one["stays"] for one in bins) == 8
    # sigmoid(0) and sigmoid(1): seven at .5 without the outcome, one at .73 with it.
    assert (bins[5]["stays"], bins[5]["predicted"], bins[5]["observed"]) == (7, 0.5, 0)
    assert (bins[7]["stays"], bins[7]["observed"]) == (1, 1)


def test_many_labels_are_scikit_learns(dataset, stays, tmp_path):
    random = np.random.default_rng(0)
    logits = random.integers(4, size=(8, len(PHENOTYPES))) - 2.0
    keys = stays["key"].tolist()
    row = write_run(tmp_path / "a", keys, logits, outcome="phenotypes", split="train", slope=2.0)
    found = evaluate(dataset, tmp_path, row)["rows"]["a"]["phenotypes"]
    present = stays["phenotypes"] == 1
    kept = [i for i in range(len(PHENOTYPES)) if 0 < present[:, i].sum() < 8]
    auroc = np.mean([roc_auc_score(present[:, i], logits[:, i]) for i in kept])
    auprc = np.mean([average_precision_score(present[:, i], logits[:, i]) for i in kept])
    assert found["cells"]["auroc"]["value"] == pytest.approx(auroc)
    assert found["cells"]["auprc"]["value"] == pytest.approx(auprc)
    for name, slope in (("brier", 2), ("brier_uncalibrated", 1)):
        said = 1 / (1 + np.exp(-slope * logits))
        expected = np.square(said - present)[:, kept].mean()
        assert found["cells"][name]["value"] == pytest.approx(expected)
    assert set(found["curves"]) == {PHENOTYPES[i] for i in kept}
    one_class = next(name for i, name in enumerate(PHENOTYPES) if i not in kept)
    assert found["labels"][one_class]["auroc"]["value"] is None


def test_only_stays_that_all_rows_have_are_compared(dataset, stays, tmp_path):
    keys, logits = stays["key"].tolist(), by_patient(stays, SEEDS[0])
    everyone = write_run(tmp_path / "all", keys, logits, split="train")
    is_paired = stays["subject_id"] != 1
    some = [key for key, kept in zip(keys, is_paired, strict=True) if kept]
    paired = write_run(tmp_path / "paired", some, logits[is_paired], split="train")
    found = evaluate(dataset, tmp_path, everyone, paired)
    assert found["outcomes"]["mortality"]["left_out"] == 1
    assert found["outcomes"]["mortality"]["stays"] == 7
    # Without the patient above her the one who died is first.
    for name in ("all", "paired"):
        assert found["rows"][name]["mortality"]["cells"]["auroc"]["value"] == 1


def test_without_draws_there_is_no_interval(dataset, stays, tmp_path):
    row = write_run(tmp_path / "a", stays["key"].tolist(), range(8), split="train")
    found = evaluate(dataset, tmp_path, row, draws=0)
    assert found["rows"]["a"]["mortality"]["cells"]["auroc"].keys() == {"value", "sd", "seeds"}


def test_the_generator_of_a_row_is_named(dataset, stays, tmp_path):
    folder = tmp_path / "ldm"
    (folder / "generated").mkdir(parents=True)
    record = {"settings": {"task": "ddl_cxr", "without": ["window"]}}
    (folder / "generated" / "stay-train-0.json").write_text(json.dumps(record))
    keys = stays["key"].tolist()
    settings = {"generated": str(folder / "generated")}
    row = write_run(tmp_path / "a", keys, range(8), split="train", settings=settings)
    found = evaluate(dataset, tmp_path, row)["rows"]["a"]["mortality"]["settings"]
    assert found["generator"] == record["settings"]
    assert found["model"] == {"name": "mmtm"}


def test_what_cannot_be_compared_is_refused(dataset, stays, tmp_path):
    keys = stays["key"].tolist()
    row = tmp_path / "row"
    with pytest.raises(ContractError, match=r"row: no run below it"):
        evaluate(dataset, tmp_path, row)
    write_run(row / "0", keys, range(8), split="train")
    write_run(row / "1", keys, range(8), split="train")
    with pytest.raises(ContractError, match=r"row/1: of the seed of .*row/0"):
        evaluate(dataset, tmp_path, row)
    write_run(row / "1", keys, range(8), split="train", seed=1, settings={"share": 0.5})
    with pytest.raises(ContractError, match=r"row/1: its share is not that of .*row/0"):
        evaluate(dataset, tmp_path, row)
    other = write_run(tmp_path / "b", ["a" * 16, *keys[1:]], range(8), split="train")
    with pytest.raises(ContractError, match=r"b: predictions of other samples"):
        evaluate(dataset, tmp_path, other)
    first = write_run(tmp_path / "0" / "c", keys, range(8), split="train")
    second = write_run(tmp_path / "1" / "c", keys, range(8), split="train")
    with pytest.raises(ContractError, match=r"1/c: of the seed of .*0/c"):
        evaluate(dataset, tmp_path, first, second)


def test_folders_of_one_name_are_one_row_and_runs_moved_aside_are_none(dataset, stays, tmp_path):
    keys = stays["key"].tolist()
    folders = [
        write_run(tmp_path / str(seed) / "c", keys, range(8), split="train", seed=seed)
        for seed in (0, 1)
    ]
    aside = write_run(tmp_path / "1" / "c" / "old", keys, range(8), split="train", seed=1)
    (aside / "moved_aside").touch()
    found = evaluate(dataset, tmp_path, *folders)
    assert list(found["rows"]) == ["c"]
    (row,) = found["rows"]["c"].values()
    assert [run["seed"] for run in row["runs"]] == [0, 1]


def test_p_values_by_hand():
    assert p_value(np.zeros(99)) == 1
    assert p_value(np.array([1.0] * 98 + [-1.0])) == pytest.approx(2 * 2 / 100)
    assert p_value(np.array([-1.0] * 99)) == pytest.approx(2 * 1 / 100)
    assert p_value(np.array([1.0, -1, np.nan])) == 1
    assert np.isnan(p_value(np.array([np.nan])))


def test_equal_ranks_are_shared():
    values = {"a": np.array([0.9, 0.5]), "b": np.array([0.8, 0.5]), "c": np.array([0.9, 0.6])}
    assert average_ranks(values) == {"a": 2, "b": 2.75, "c": 1.25}
    assert average_ranks({"a": np.array([np.nan])}) == {"a": None}


def test_shuffled_labels_leave_a_model_at_chance():
    """Scores that know 25 labels of 400 stays perfectly, scored against the labels of others."""
    random = np.random.default_rng(0)
    present = random.random((400, 25)) < 0.3
    known = np.ones_like(present)
    scores = present + 0.1 * random.random(present.shape)
    assert macro(scores, present, known)["auroc"] == 1
    found = macro(scores, random.permutation(present), known)
    assert found["auroc"] == pytest.approx(0.5, abs=0.03)
    assert found["auprc"] == pytest.approx(0.3, abs=0.03)
