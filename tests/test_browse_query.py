"""Conditions and orders on columns: the same as asking every sample in turn."""

import json
import math

import numpy as np
import pytest
from tiny_browse import tile_columns
from tiny_build import build_dataset, build_uneven

from cxrfuture_data import open_dataset
from cxrfuture_data.browse.column import columns_of
from cxrfuture_data.browse.listing import Listing
from cxrfuture_data.browse.problem import Problem
from cxrfuture_data.browse.query import choose, read_conditions
from cxrfuture_data.labels import FINDING_CHANGES
from cxrfuture_data.schema import COMORBIDITIES, FINDINGS, KINDS

SAMPLES = 300


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By recipe. Of ddl_cxr patient 1 has a null event, and the stay of patient 2 no film."""
    ddl_cxr = build_uneven(tmp_path_factory.mktemp("query"), filmless=2)
    future = build_dataset(tmp_path_factory.mktemp("future"), "future", shard={"workers": 1})
    return {"ddl_cxr": ddl_cxr, "future": future}


@pytest.fixture(scope="module")
def listings(folders):
    """Of every kind: the columns of 300 samples that repeat some."""
    ddl_cxr, future = (open_dataset(folders[name]) for name in ("ddl_cxr", "future"))
    sources = {"pair": ddl_cxr, "stay": future, "image": ddl_cxr}
    return {
        kind: Listing(tile_columns(sources[kind].columns("train", kind), SAMPLES), kind)
        for kind in KINDS
    }


def positions(listing, *conditions, find="", sort=""):
    rows = [dict(zip(("column", "is", "value"), one, strict=True)) for one in conditions]
    return choose(listing, read_conditions(json.dumps(rows)), find, sort).tolist()


def meets(value, how, wanted):
    """In plain Python; what is not known is None."""
    if value is None:
        return False
    if how == "in":
        return value in wanted
    if how == "contains":
        return wanted.lower() in value.lower()
    return {
        "==": lambda: value == wanted,
        "!=": lambda: value != wanted,
        ">=": lambda: value >= wanted,
        "<=": lambda: value <= wanted,
    }[how]()


@pytest.mark.parametrize("kind", KINDS)
def test_every_condition_is_as_if_each_sample_were_asked(listings, kind):
    listing = listings[kind]
    asked = 0
    for column in columns_of(kind):
        values = [listing.value(column.name, at) for at in range(SAMPLES)]
        known = sorted({value for value in values if value is not None})
        if not known:
            continue
        wanted = known[len(known) // 2]
        is_number = column.form == "number"
        hows = ("==", "!=", ">=", "<=") if is_number else ("==", "!=", "contains")
        for how, value in [*((how, wanted) for how in hows), ("in", known[::2])]:
            expected = [at for at in range(SAMPLES) if meets(values[at], how, value)]
            assert positions(listing, (column.name, how, value)) == expected, (column, how)
            asked += 1
    assert asked > 70


@pytest.mark.parametrize("kind", KINDS)
def test_every_order_is_stable_and_ends_with_what_is_not_known(listings, kind):
    listing = listings[kind]
    for column in columns_of(kind):
        values = [listing.value(column.name, at) for at in range(SAMPLES)]
        if column.form == "number":
            ranks = [math.nan if value is None else value for value in values]
        else:
            words = listing.words(column.name).values
            ranks = [words.index(value) for value in values]
        for sign, sort in ((1, column.name), (-1, f"-{column.name}")):
            expected = sorted(
                range(SAMPLES),
                key=lambda at: (math.isnan(ranks[at]), sign * np.nan_to_num(ranks[at])),
            )
            assert positions(listing, sort=sort) == expected, sort


def test_columns_say_what_the_samples_say(folders):
    """Each word and number, from the samples in the tars."""
    data = open_dataset(folders["ddl_cxr"])
    listing = Listing(data.columns("train", "pair"), "pair")
    words = {1: "present", 0: "absent", -1: "uncertain", None: "not said"}
    changes = {(0, 1): "new", (1, 0): "resolved", (0, 0): "unchanged"}
    for at, sample in enumerate(data.split("train", "pair")):
        assert listing.value("age", at) == sample.age
        assert listing.value("sex", at) == sample.sex
        assert listing.value("gap_hours", at) == sample.gap_hours
        assert listing.value("events", at) == len(sample.window.event_row)
        assert listing.value("hours", at) == len(sample.window.hourly)
        assert listing.value("window_hours", at) == sample.gap_hours
        assert listing.value("is_null_event", at) == ("yes" if sample.is_null_event else "no")
        assert listing.value("died_in_hospital", at) == ("yes" if sample.died_in_hospital else "no")
        assert listing.value("race", at) == (sample.race or "not recorded")
        assert listing.value("bmi", at) is None
        assert listing.value("previous.view", at) == sample.previous.view
        for finding in FINDINGS:
            before, after = sample.previous.labels[finding], sample.target.labels[finding]
            assert listing.value(f"previous.{finding}", at) == words[before]
            assert listing.value(f"target.{finding}", at) == words[after]
            said = sample.changes.get(finding.lower())
            expected = changes.get((before, after), "not known")
            if (before, after) == (1, 1) and said:
                code = {"improved": "better", "worsened": "worse", "no change": "unchanged"}
                expected = code[said]
            assert listing.value(f"change.{finding}", at) == expected
    assert {listing.value("change.Pneumonia", at) for at in range(listing.samples)} <= {
        *FINDING_CHANGES,
        "not known",
    }


def test_of_stays_too(folders):
    data = open_dataset(folders["future"])
    listing = Listing(data.columns("train", "stay"), "stay")
    words = {True: "yes", False: "no", None: "not known"}
    for at, sample in enumerate(data.split("train", "stay")):
        assert listing.value("hours_since_previous", at) == sample.hours_since_previous
        assert listing.value("previous.has", at) == words[sample.previous is not None]
        assert listing.value("icu_transfer", at) == words[sample.icu_transfer]
        assert listing.value("readmitted", at) == words[sample.readmitted]
        assert listing.value("remaining_hours", at) == sample.remaining_hours
        assert listing.value("label", at) == sample.label
        assert listing.value("bmi", at) == sample.history.bmi
        for name in COMORBIDITIES:
            found = listing.value(f"comorbidity.{name}", at)
            assert found == words[bool(sample.history.comorbidities[name])]


def test_what_is_not_known_is_found_as_null(listings):
    listing = listings["stay"]
    unknown = [at for at in range(SAMPLES) if listing.value("bmi", at) is None]
    assert 0 < len(unknown) < SAMPLES
    assert positions(listing, ("bmi", "==", None)) == unknown
    others = sorted(set(range(SAMPLES)) - set(unknown))
    assert positions(listing, ("bmi", "!=", None)) == others
    assert positions(listing, ("bmi", ">=", -1e9)) == others


def test_conditions_all_hold(listings):
    listing = listings["pair"]
    one, two = ("age", ">=", 50), ("sex", "==", "F")
    both = set(positions(listing, one)) & set(positions(listing, two))
    assert positions(listing, one, two) == sorted(both)
    assert positions(listing) == list(range(SAMPLES))


@pytest.mark.parametrize("length", [0, 1, 2, 15, 16, 17])
def test_a_key_is_found_by_its_beginning(listings, length):
    listing = listings["pair"]
    keys = [listing.key(at) for at in range(SAMPLES)]
    for key in (keys[0], keys[14], keys[-1], "zzzz"):
        prefix = (key + "0")[:length]
        expected = [at for at in range(SAMPLES) if keys[at].startswith(prefix)]
        assert positions(listing, find=prefix) == expected


def test_keys_meet_conditions_as_words_do(listings):
    listing = listings["pair"]
    keys = [listing.key(at) for at in range(SAMPLES)]
    assert positions(listing, ("key", "==", keys[7])) == [7]
    assert positions(listing, ("key", "in", [keys[9], keys[3], "x"])) == [3, 9]
    assert positions(listing, ("key", "!=", keys[0])) == list(range(1, SAMPLES))
    expected = [at for at in range(SAMPLES) if "77" in keys[at]]
    assert positions(listing, ("key", "contains", "77")) == expected
    assert positions(listing, sort="-key") == list(range(SAMPLES))[::-1]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("[", "where: not JSON"),
        ("{}", "a JSON list of conditions"),
        ("[1]", "a condition has column, is and value"),
        ('[{"column": "age", "is": ">", "value": 1}]', "is '>'; it is one of =="),
        ('[{"column": "agee", "is": ">=", "value": 1}]', "did you mean 'age'?"),
        ('[{"column": "target.edema", "is": "==", "value": "present"}]', "'target.Edema'?"),
        ('[{"column": "target.Edema", "is": "==", "value": "presnt"}]', "did you mean 'present'?"),
        ('[{"column": "target.Edema", "is": "in", "value": ["yes"]}]', "there are absent, present"),
        ('[{"column": "target.Edema", "is": "in", "value": "present"}]', "give a list of words"),
        ('[{"column": "target.Edema", "is": "==", "value": 1}]', "target.Edema is a word"),
        ('[{"column": "sex", "is": ">=", "value": "F"}]', "sex is a word"),
        ('[{"column": "age", "is": "==", "value": "old"}]', "age is a number"),
        ('[{"column": "age", "is": "contains", "value": 4}]', "age is a number"),
        ('[{"column": "age", "is": "in", "value": 4}]', "age is a number"),
        ('[{"column": "age", "is": "==", "value": true}]', "age is a number"),
        ('[{"column": "key", "is": ">=", "value": "a"}]', "a key is a word"),
        ('[{"column": "key", "is": "==", "value": null}]', "a key is a word"),
        ('[{"column": null, "is": "==", "value": "a"}]', "where: column None"),
    ],
)
def test_a_condition_without_sense_is_refused(listings, where, words):
    with pytest.raises(Problem) as error:
        choose(listings["pair"], read_conditions(where), "", "")
    assert error.value.status == 400
    assert words in str(error.value)


def test_of_no_samples_there_are_none(listings):
    listing = listings["pair"]
    empty = Listing(listing.stored.take(np.zeros(0, np.int64)), "pair")
    for column in columns_of("pair"):
        assert empty.facts(column.name)["min"] is None
        wanted = 1 if column.form == "number" else (column.values or ("x",))[0]
        assert positions(empty, (column.name, "==", wanted), sort=column.name) == []
    assert positions(empty, find="a") == []
