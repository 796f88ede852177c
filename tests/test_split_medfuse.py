"""MedFuse's and DrFuse's split: every sample once, one split for all tasks, and no film of a test
patient in training (specs fusion-baselines 4.4, 18)."""

from itertools import pairwise

import pytest
from tiny_medfuse import hospital, length
from tiny_stages import (
    HADM,
    STAY,
    SUBJECT,
    at,
    build,
    film,
    icu_stay,
    patient,
)

from cxrfuture_data.schema import ContractError
from etl.check import check_tables
from etl.recipe import read_recipe


def test_the_whole_partial_test_set_is_there_once(tmp_path):
    # 20 patients, every other one without a film: all are samples, each once, in one split.
    built = hospital(tmp_path)
    stays = built.rows("cohort", "stay", "stay_id, split, previous_dicom_id IS NULL")
    assert sorted(stay for stay, _, _ in stays) == [STAY + n for n in range(20)]
    test = [is_unpaired for _, split, is_unpaired in stays if split == "test"]
    assert len(test) == 4  # ceil(0.2 x 20)
    assert {is_unpaired for _, _, is_unpaired in stays} == {True, False}
    valid = [stay for stay, split, _ in stays if split == "valid"]
    assert len(valid) == 2  # ceil(0.1 x 16)


def test_all_tasks_share_one_split(tmp_path):
    # Mortality drops the short stays of every third patient; who is left keeps the split.
    short = [icu_stay(**length(24 if n % 3 == 0 else 96)) for n in range(20)]
    splits = [
        dict(hospital(tmp_path / name, name, short).rows("cohort", "stay", "stay_id, split"))
        for name in ("medfuse", "medfuse_phenotyping", "drfuse")
    ]
    assert len(splits[0]) == 13
    assert len(splits[1]) == 20
    assert splits[1] == splits[2]
    assert splits[0].items() <= splits[1].items()


def test_rules_without_stays_of_the_benchmark_cannot_deal_its_patients(tmp_path):
    tables = {
        "cxr_metadata": [film("a", 5, 1), film("b", 7, 2)],
        "outputevents": [
            {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(6), "itemid": 9, "value": 50}
        ],
    }
    split = read_recipe("ehrxdiff").split.model_copy(update={"method": "benchmark_patients"})
    with pytest.raises(ContractError, match="the rules of ehrxdiff take no stay of the benchmark"):
        build(tmp_path, "ehrxdiff", tables, until="cohort", split=split)


def test_films_of_test_patients_are_not_trained_on_and_those_of_strangers_are(tmp_path):
    # Films of radiology pre-training: any view and date, of labelled studies.
    stranger = {"subject_id": 77, "viewposition": "LATERAL"}
    films = [film(f"{n}", -5000, 100 + n, subject_id=SUBJECT + n) for n in range(20)]
    films += [
        film("side", 3, 200, **stranger),
        film("view unknown", 3, 201, subject_id=77, viewposition=None),
    ]
    films += [film("unlabelled", 3, 202, subject_id=77), film("nobody", 3, 203, subject_id=78)]
    built = hospital(tmp_path, films=films, patients=[patient(77)], unlabelled={202})
    images = {row[0]: row[1:] for row in built.rows("cohort", "image", "dicom_id, split, view")}
    splits = dict(built.rows("cohort", "stay", "stay_id - 30000001, split"))
    assert {int(name): split for name, (split, _) in images.items() if name.isdigit()} == splits
    assert images["side"] == ("train", "LATERAL")
    assert images["view unknown"] == ("train", "")
    assert built.removed("cohort", "image") == {
        "study without labels": 1,
        "patient of unknown age or sex": 1,
    }
    assert check_tables(built.params, built.recipe)


def test_a_patient_dealt_to_test_without_a_sample_keeps_its_films_out_of_training(tmp_path):
    everyone = dict(hospital(tmp_path / "all").rows("cohort", "split", "subject_id, split"))
    (first, *_) = sorted(subject for subject, split in everyone.items() if split == "test")
    n = first - SUBJECT
    stays = [icu_stay(**length(24 if n == number else 96)) for number in range(20)]
    films = [film("a", -5000, 1, subject_id=first)]
    built = hospital(tmp_path / "short", stays=stays, films=films)
    assert STAY + n not in built.column("cohort", "stay", "stay_id")
    assert built.rows("cohort", "image", "dicom_id, split") == [("a", "test")]


def test_the_ledger_chains_and_ends_at_what_is_kept(tmp_path):
    built = hospital(tmp_path)
    drops = built.drops("cohort")
    for unit in {drop.unit for drop in drops}:
        chain = [drop for drop in drops if drop.unit == unit]
        assert all(first.after == second.before for first, second in pairwise(chain))
    last = {drop.unit: drop.after for drop in drops}
    assert last["stay"] == len(built.rows("cohort", "stay")) == 20
    assert last["stay with a film"] == 10
    assert last["image"] == len(built.rows("cohort", "image")) == 10
