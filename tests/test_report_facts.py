"""The numbers of a report, counted again from every sample.json or by hand."""

import statistics
from collections import Counter

import numpy as np
import polars as pl
import pytest
from tiny_gathered import cells, facts_of, items, keep_builds, tally

from cxrfuture_data.labels import FINDING_CHANGES, FINDING_OF_ATTRIBUTE
from cxrfuture_data.manifest import DropRow
from cxrfuture_data.schema import COMORBIDITIES, FINDINGS, PHENOTYPES, SPLITS
from etl.report.facts_attrition import flows_of
from etl.report.facts_people import charlson_scores, first_of_each_patient, group_race
from etl.report.tally import Bins, Heading, count_bins, summarise


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    return keep_builds(tmp_path_factory)


def said(value):
    return {True: "yes", False: "no", None: "not known"}[value]


@pytest.mark.parametrize(("name", "kind"), [("future", "pair"), ("future", "stay")])
def test_table_1_counts_each_patient_once(builds, name, kind):
    params, recipe, report = builds(name)
    every, found = facts_of(params, recipe, kind), items(report)
    facts = {split: first_of_each(ones) for split, ones in every.items()}
    assert {split: len(ones) for split, ones in facts.items()} == {
        "train": 8,
        "valid": 2,
        "test": 2,
    }
    words = {
        "sex": lambda one: {"F": "female", "M": "male"}[one["sex"]],
        "race": lambda one: (one["race"] or "not known").replace("WHITE", "White"),
        "insurance": lambda one: one["insurance"] or "not known",
        "age": lambda one: f"{int(one['age']) // 10}0-{int(one['age']) // 10}9",
    }
    for column, name_of in words.items():
        assert cells(found[f"{kind}_{column}"]) == tally(facts, name_of)
    died = tally(every, lambda one: said(one["outcomes"]["died_in_hospital"]))
    assert cells(found[f"{kind}_died"]) == died
    for name in COMORBIDITIES:
        expected = {
            split: sum(
                one["history"]["earlier_admissions"] > 0 and one["history"]["comorbidities"][name]
                for one in ones
            )
            for split, ones in facts.items()
        }
        assert cells(found[f"{kind}_comorbidity"])[name] == expected
    spread = found[f"{kind}_patient_spread"]
    for column, split in enumerate(SPLITS):
        ages = [one["age"] for one in facts[split]]
        summary = spread.values[spread.rows.index("Age, years")][column]
        assert (summary.count, summary.missing) == (len(ages), 0)
        assert summary.mean == pytest.approx(statistics.mean(ages))
        assert summary.sd == pytest.approx(statistics.stdev(ages))
        assert summary.median == statistics.median(ages)


def first_of_each(facts):
    """The first sample, in time, of each patient."""
    found = {}
    for one in sorted(facts, key=lambda one: one.get("prediction_at") or one["target"]["taken_at"]):
        found.setdefault(one["ids"]["subject_id"], one)
    return list(found.values())


def test_a_patients_first_sample_is_the_earliest():
    subjects = np.array([7, 5, 7, 5])
    times = np.array(["2150-01-04", "2150-01-02", "2150-01-01", "2150-01-03"], "datetime64[us]")
    assert first_of_each_patient(subjects, times).tolist() == [1, 2]


def test_samples_patients_and_films_of_each_split(builds):
    params, recipe, report = builds("ddl_cxr")
    found = items(report)
    for kind, words in {"pair": "pairs", "stay": "stays", "image": "images"}.items():
        facts = facts_of(params, recipe, kind)
        roles = {"pair": ("previous", "target"), "stay": ("previous",), "image": ("image",)}[kind]
        ids = {
            "samples": lambda one: {one["key"]},
            "patients": lambda one: {one["ids"]["subject_id"]},
            "films": lambda one, roles=roles: {one[role]["dicom_id"] for role in roles},
        }
        for key, ids_of in ids.items():
            expected = {
                split: len(set().union(*map(ids_of, ones))) for split, ones in facts.items()
            }
            assert cells(found[key])[words] == expected
    # Patient 3's last film is broken: 23 of 24 pairs, and 35 of 36 films.
    expected = {"pairs": 23, "stays": 12, "images": 12, "patients": 12, "films": 35}
    assert dict(report.headline) == expected


def test_findings_changes_and_views_of_pairs(builds):
    params, recipe, report = builds("ehrxdiff_null")
    found, facts = items(report), facts_of(params, recipe, "pair")
    states = {1: "present", 0: "absent", -1: "uncertain", None: "not mentioned"}
    for split, ones in facts.items():
        expected = {
            finding: Counter(states[one["labels"]["target"].get(finding)] for one in ones)
            for finding in FINDINGS
        }
        for finding, row in cells(found[f"pair_{split}_findings"]).items():
            assert row == {state: expected[finding][state] for state in states.values()}
    pairs = [one for ones in facts.values() for one in ones]
    for row, before in cells(found["pair_views"]).items():
        for column, count in before.items():
            both = [(one["previous"]["view"], one["target"]["view"]) for one in pairs]
            assert count == both.count((row, column))
    true_pairs = [one for one in pairs if not one["is_null_event"]]
    assert len(pairs) == len(true_pairs) + 1
    assert sum(found["null_pairs"].values[0]) == 1
    for finding, row in cells(found["pair_changes"]).items():
        expected = Counter(change_of(one, finding) for one in true_pairs)
        assert row == {state: expected[state] for state in (*FINDING_CHANGES, "unknown")}


def change_of(pair, finding):
    before, after = (pair["labels"][role].get(finding) for role in ("previous", "target"))
    if {before, after} & {None, -1}:
        return "unknown"
    if (before, after) == (1, 1):
        (attribute,) = [a for a, f in FINDING_OF_ATTRIBUTE.items() if f == finding] or [None]
        words = {"improved": "better", "worsened": "worse", "no change": "unchanged"}
        return words.get(pair["changes"].get(attribute), "unknown")
    return {(0, 1): "new", (1, 0): "resolved", (0, 0): "unchanged"}[before, after]


def test_gaps_and_stays_without_a_film(builds):
    # All films are ten hours apart; the null event is left out. One test stay has no film.
    gaps = cells(items(builds("ehrxdiff_null")[2])["pair_gap"])
    assert gaps["6-12 h"] == {"train": 15, "valid": 4, "test": 4}
    assert sum(sum(row.values()) for row in gaps.values()) == 23
    found = items(builds("medfuse")[2])
    assert cells(found["stay_gap"])["no film"] == {"train": 0, "valid": 0, "test": 1}
    assert cells(found["stay_gap"])["36-48 h"] == {"train": 8, "valid": 2, "test": 1}
    assert cells(found["stay_previous_view"])["no film"] == {"train": 0, "valid": 0, "test": 1}


def test_phenotypes_of_stays(builds):
    params, recipe, report = builds("ddl_cxr")
    facts = facts_of(params, recipe, "stay")
    table = cells(items(report)["stay_phenotypes"])
    for name in PHENOTYPES:
        expected = {
            split: sum(one["outcomes"]["phenotypes"][name] for one in ones)
            for split, ones in facts.items()
        }
        assert table[name] == expected


def test_events_and_hours_by_hand(builds):
    # Events at hours 1, 2 (labevents) and 4 (prescriptions); a pair's window is ten hours long, a
    # stay's 48. Heart rate in two hours of each window.
    found = items(builds("future")[2])
    pairs = {"train": 15, "valid": 4, "test": 4}
    coverage = cells(found["pair_coverage"])
    assert coverage.pop("labevents") == coverage.pop("prescriptions") == pairs
    # A table that the recipe reads and that has no event is told too.
    assert set(coverage) == set(builds("future")[1].events.tables) - {"labevents", "prescriptions"}
    assert all(not any(row.values()) for row in coverage.values())
    of_pairs = cells(found["pair_event_hours"])
    assert {c: n for c, n in of_pairs["labevents"].items() if n} == {"8-12 h": 46}
    assert {c: n for c, n in of_pairs["prescriptions"].items() if n} == {"4-8 h": 23}
    of_stays = cells(found["stay_event_hours"])
    assert {c: n for c, n in of_stays["labevents"].items() if n} == {"44-48 h": 24}
    hours = found["pair_hours_measured"]
    assert cells(hours)["Heart Rate"] == {split: 2 * count for split, count in pairs.items()}
    assert hours.of[0] == [10 * count for count in pairs.values()]
    assert cells(found["pair_samples_measured"])["Heart Rate"] == pairs
    assert cells(found["pair_samples_measured"])["pH"] == dict.fromkeys(SPLITS, 0)


def test_films_by_outcome_and_suspicion(builds):
    params, recipe, report = builds("future")
    films = pl.read_parquet(params.build(recipe.name, "image", "film.parquet")).to_dicts()
    found = items(report)
    expected = tally(
        {split: [f for f in films if f["split"] == split] for split in SPLITS},
        lambda film: film["outcome"],
    )
    assert cells(found["film_outcome"]) == expected
    assert expected["truncated"] == {"train": 1, "valid": 0, "test": 0}
    inverted = Counter(f["split"] for f in films if f["inverted"] and f["outcome"] == "ok")
    assert cells(found["film_suspicion"])["looks inverted"] == dict(inverted)
    assert sum(cells(found["film_suspicion"])["looks as if it were not frontal"].values()) == 0


def test_bytes_are_those_on_disk(builds):
    params, recipe, report = builds("diff3m")
    found, folder = items(report), params.build(recipe.name)
    for stage, row in cells(found["stage_bytes"]).items():
        files = [path for path in (folder / stage).rglob("*") if path.is_file()]
        assert row["bytes"] == sum(path.stat().st_size for path in files)
    for split, size in cells(found["shard_bytes"])["images"].items():
        assert size == sum(path.stat().st_size for path in (folder / "shard" / split).glob("*.tar"))


def test_a_flow_begins_anew_where_a_count_does():
    drops = [
        ("cohort", "film", "lateral", 10, 4),
        ("cohort", "pair", "far", 5, 1),
        ("image", "film", "missing", 5, 1),
        ("shard", "pair", "target film missing", 4, 2),
    ]
    rows = [
        DropRow(stage=s, unit=u, reason=r, before=b, removed=m, after=b - m)
        for s, u, r, b, m in drops
    ]
    flows = {flow.unit: [(f.before, f.after) for f in flow.filters] for flow in flows_of(rows)}
    assert flows == {"film": [(10, 6)], "pair": [(5, 4), (4, 2)], "film, image": [(5, 4)]}


def test_races_are_grouped_by_their_first_word():
    spelt = ["WHITE - RUSSIAN", "BLACK/AFRICAN AMERICAN", "HISPANIC OR LATINO", "WHITE", ""]
    found = group_race(np.array(spelt)).tolist()
    assert found == ["White", "Black", "Hispanic", "White", ""]


def test_charlsons_score_counts_the_graver_form_only():
    table = np.zeros((4, len(COMORBIDITIES)), np.int8)
    for row, names in enumerate(
        (
            (),
            ("dementia", "renal disease"),
            ("malignancy", "metastatic solid tumour"),
            COMORBIDITIES,
        )
    ):
        for name in names:
            table[row, COMORBIDITIES.index(name)] = 1
    # All: ten of 1, four of 2, one of 3, two of 6, less two of 1 and one of 2.
    assert charlson_scores(table).tolist() == [0, 3, 6, 10 + 8 + 3 + 12 - 4]


def test_a_bin_holds_its_lower_edge_and_not_its_upper():
    bins = Bins((0, 6, 12), ("0-6", "6-12", "12 or more"))
    values = {"train": np.array([0, 5.9, 6, 12, 500, np.nan])}
    found = cells(count_bins(Heading("gap", "", ""), values, bins))
    counts = {row: columns["train"] for row, columns in found.items()}
    assert counts == {"0-6": 2, "6-12": 1, "12 or more": 2, "not known": 1}


def test_a_summary_of_four_numbers_and_one_unknown():
    found = summarise(np.array([1.0, 2, 3, 6, np.nan]))
    assert (found.count, found.missing, found.mean, found.median) == (4, 1, 3.0, 2.5)
    assert (found.low, found.high) == (1.75, 3.75)
    assert found.sd == pytest.approx(statistics.stdev([1, 2, 3, 6]))
    nothing = summarise(np.array([np.nan]))
    assert (nothing.count, nothing.missing, nothing.mean, nothing.sd) == (0, 1, None, None)
