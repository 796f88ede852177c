"""What a raw label becomes under each policy, over every value; labelers and the radiologist."""

import numpy as np
import polars as pl
import pytest
from tiny_mimic import write_table
from tiny_stages import SUBJECT, build, film, heart_rates

from cxrfuture_data.labels import (
    DDL_CXR,
    FINDING_CHANGES,
    LabelPolicy,
    change_labels,
    ddl_cxr_codes,
    said_changes,
    targets,
)
from cxrfuture_data.schema import FINDINGS, ContractError
from etl import cohort, ingest
from etl.recipe import LabelRule

# Present, absent, uncertain, blank. A blank holds 0 in a batch; whatever it holds must not matter.
RAW = np.array([1, 0, -1, 0], np.int8)
KNOWN = np.array([True, True, True, False])

GRID = {
    ("ignore", "negative"): ([1, 0, 0, 0], [1, 1, 0, 1]),
    ("ignore", "masked"): ([1, 0, 0, 0], [1, 1, 0, 0]),
    ("zeros", "negative"): ([1, 0, 0, 0], [1, 1, 1, 1]),
    ("zeros", "masked"): ([1, 0, 0, 0], [1, 1, 1, 0]),
    ("ones", "negative"): ([1, 0, 1, 0], [1, 1, 1, 1]),
    ("ones", "masked"): ([1, 0, 1, 0], [1, 1, 1, 0]),
    ("multiclass", "negative"): ([1, 0, 2, 0], [1, 1, 1, 1]),
    ("multiclass", "masked"): ([1, 0, 2, 0], [1, 1, 1, 0]),
}


@pytest.mark.parametrize("policy", GRID)
@pytest.mark.parametrize("blank", [0, 1, -1, 7])
def test_every_label_under_every_policy(policy, blank):
    raw = np.where(KNOWN, RAW, np.int8(blank))
    target, weight = targets(raw, KNOWN, LabelPolicy(*policy))
    assert (target.tolist(), weight.tolist()) == GRID[policy]
    assert (target.dtype, weight.dtype) == (np.int64, np.float32)


def test_a_batch_keeps_its_shape():
    raw, known = np.tile(RAW, (3, 5, 1)), np.tile(KNOWN, (3, 5, 1))
    target, weight = targets(raw, known, LabelPolicy("multiclass", "masked"))
    assert target.shape == weight.shape == (3, 5, 4)
    assert np.array_equal(target[2, 4], [1, 0, 2, 0])


def test_ddl_cxr_takes_a_finding_as_present_only_where_it_is_said_to_be():
    target, weight = targets(RAW, KNOWN, DDL_CXR)
    assert (target.tolist(), weight.tolist()) == ([1, 0, 0, 0], [1, 1, 1, 1])


def test_ddl_cxr_codes_uncertain_absent_present_and_blank():
    assert ddl_cxr_codes(np.array([-1, 0, 1, 0], np.int8), KNOWN).tolist() == [0, 1, 2, 3]


def test_what_is_no_raw_label_is_refused():
    with pytest.raises(ContractError, match="label 2 is none of 1, 0, -1"):
        targets(np.array([1, 2]), np.array([True, True]), DDL_CXR)
    with pytest.raises(ContractError, match=r"labels are \(2,\), but known is \(1,\)"):
        ddl_cxr_codes(np.array([1, 0]), np.array([True]))


# Two studies a pair apart; CheXpert knows both, NegBio the first alone, and says otherwise.
def labelled(findings):
    return {
        "cxr_metadata": [film("a", 0, 1), film("b", 20, 2)],
        "chartevents": heart_rates(*range(1, 20)),
        "cxr_negbio": [{"subject_id": SUBJECT, "study_id": study, **findings} for study in (1, 2)],
    }


@pytest.mark.parametrize(("labeler", "edema"), [("chexpert", 1), ("negbio", -1)])
def test_findings_come_from_the_recipes_labeler(tmp_path, labeler, edema):
    tables = labelled({"Edema": -1.0})
    rule = LabelRule(findings=labeler)
    built = build(tmp_path, "ddl_cxr", tables, until="cohort", labels=rule)
    expected = [(1, edema, None), (2, edema, None)]
    assert built.rows("cohort", "label", 'study_id, "Edema", "Fracture"') == expected


def test_a_pair_needs_both_studies_in_the_recipes_labeler(tmp_path):
    tables = labelled({"Edema": 1.0})
    tables["cxr_negbio"] = tables["cxr_negbio"][:1]
    built = build(tmp_path, "ddl_cxr", tables, until="cohort", labels=LabelRule(findings="negbio"))
    assert built.rows("cohort", "pair") == []


def test_a_labeler_that_is_not_there_is_asked_for(tmp_path):
    films = [film("a", 0, 1), film("b", 20, 2)]
    rule = LabelRule(findings="negbio")
    with pytest.raises(ContractError, match=r"needs mimic-cxr-2\.0\.0-negbio\.csv\.gz"):
        build(tmp_path, "ddl_cxr", {"cxr_metadata": films}, until="cohort", labels=rule)


def test_the_radiologists_labels_are_those_of_every_study_read(tmp_path):
    """Also of studies outside the cohort; before release 2.1.0 there are none."""
    tables = {
        "cxr_metadata": [film("a", 0, 1), film("b", 20, 2)],
        "chartevents": heart_rates(*range(1, 20)),
    }
    built = build(tmp_path, "ddl_cxr", tables, until="cohort")
    assert built.rows("cohort", "radiologist_label") == []
    read = [
        {"study_id": 9, "Airspace Opacity": 1.0, "Edema": 0.0},
        {"study_id": 2, "Airspace Opacity": -1.0},
    ]
    write_table(tmp_path / "mimic-cxr-jpg", "cxr_radiologist", read, ".csv")
    ingest.run(built.params)
    cohort.run(built.params, built.recipe)
    rows = built.rows("cohort", "radiologist_label", 'study_id, "Lung Opacity", "Edema"')
    assert rows == [(2, -1, None), (9, 1, 0)]
    path = built.params.build("ddl_cxr", "cohort", "radiologist_label.parquet")
    assert pl.read_parquet_schema(path).names() == ["study_id", *FINDINGS]


def of_edema(value):
    """A label of Edema alone, the others not mentioned: (1, 14) labels and known."""
    labels, known = np.zeros((1, 14), np.int8), np.zeros((1, 14), bool)
    column = FINDINGS.index("Edema")
    if value is not None:
        labels[0, column], known[0, column] = value, True
    return labels, known


@pytest.mark.parametrize(
    ("before", "after", "said", "change"),
    [
        (0, 1, None, "new"),
        (1, 0, None, "resolved"),
        (0, 0, None, "unchanged"),
        (1, 1, None, None),
        (1, 1, "worsened", "worse"),
        (1, 1, "improved", "better"),
        (1, 1, "no change", "unchanged"),
        (0, 1, "worsened", "new"),
        (1, 0, "improved", "resolved"),
        (0, 0, "worsened", "unchanged"),
        (-1, 1, "worsened", None),
        (1, -1, None, None),
        (None, 1, "worsened", None),
        (0, None, None, None),
    ],
)
def test_how_a_finding_changed(before, after, said, change):
    comparisons = said_changes(
        [{"pulmonary edema/hazy opacity": said, "enlarged hilum": "improved"}]
    )
    codes, known = change_labels(of_edema(before), of_edema(after), comparisons)
    column = FINDINGS.index("Edema")
    assert known.sum() == (change is not None)
    assert known[0, column] == (change is not None)
    assert codes[0, column] == (FINDING_CHANGES.index(change) if change else 0)


def test_what_persists_may_count_as_unchanged():
    silent = said_changes([{}])
    codes, known = change_labels(of_edema(1), of_edema(1), silent, persisting="unchanged")
    column = FINDINGS.index("Edema")
    assert (codes[0, column], known[0, column]) == (FINDING_CHANGES.index("unchanged"), True)
