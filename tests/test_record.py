import dataclasses
import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from safetensors.numpy import load, save

from cxrfuture_data import ContractError, Film, ImageSample, PairSample, StaySample, Window
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES
from cxrfuture_data.level import Levels
from cxrfuture_data.record import decode, encode, members_of
from cxrfuture_data.sample import GenerationWindow, History
from cxrfuture_data.schema import (
    COMORBIDITIES,
    EVENT_TABLES,
    FINDINGS,
    KINDS,
    PHENOTYPES,
    STATIC,
    TENSORS_OF_KIND,
    WIDE_VARIABLES,
)

START = datetime(2150, 1, 1, 6, 30)
DESCRIBED = dict.fromkeys(ATTRIBUTES) | {"pneumonia": 1, "consolidation": 0}
CHANGED = dict.fromkeys(CHANGE_ATTRIBUTES) | {"atelectasis": "worsened"}
HISTORY = History(
    bmi=27.5,
    earlier_admissions=1,
    comorbidities={name: i % 2 for i, name in enumerate(COMORBIDITIES)},
)
PHENOTYPED = {name: i % 2 for i, name in enumerate(PHENOTYPES)}


def film(number, png=b"png", levels=None):
    return Film(
        study_id=number,
        dicom_id=f"d{number}",
        taken_at=START + timedelta(hours=number),
        view="AP",
        labels={finding: (1, 0, -1, None)[i % 4] for i, finding in enumerate(FINDINGS)},
        attributes=DESCRIBED if number else {},
        mean=np.full((4, 2, 2), number, np.float16),
        logvar=np.full((4, 2, 2), -1, np.float16),
        png=png,
        levels=levels,
    )


def window(hours=3, events=2):
    hourly = np.full((hours, 17), np.nan, np.float32)
    return Window(
        start_at=START,
        end_at=START + timedelta(hours=12),
        latest_event_at=START + timedelta(hours=2, microseconds=5),
        latest_known_at=None,
        variables="benchmark",
        hourly=hourly,
        hourly_start_hours=0.5,
        event_row=np.arange(events, dtype=np.int32),
        event_hours=np.arange(events, dtype=np.float32),
        event_end_hours=np.array([np.nan, np.inf], np.float32)[:events],
        event_table=np.zeros(events, np.uint8),
    )


def generation():
    return GenerationWindow(
        start_at=START - timedelta(hours=10),
        end_at=START + timedelta(hours=2.5),
        latest_event_at=START + timedelta(hours=2),
        latest_known_at=None,
        hourly=np.arange(4 * 17, dtype=np.float32).reshape(4, 17),
        hourly_start_hours=0.25,
    )


def sample_of(kind, png=b"png", **changes):
    common = {
        "key": "0123456789abcdef",
        "recipe": "ddl_cxr",
        "split": "train",
        "subject_id": 7,
        "hadm_id": None,
        "stay_id": None,
        "age": 50,
        "sex": "F",
    }
    if kind == "image":
        static = np.zeros(0, np.float32)
        return ImageSample(**common | {"image": film(1, png), "static": static} | changes)
    common |= {"previous": film(0, png), "window": window(), "died_in_hospital": True}
    common |= {"race": "WHITE", "insurance": None, "history": HISTORY}
    if kind == "stay":
        own = {"hours_since_previous": 2.5, "phenotypes": PHENOTYPED, "readmitted": None}
        own |= {"prediction_at": START + timedelta(hours=2.5), "remaining_hours": 30.25}
        own |= {"icu_transfer": False, "label": None, "generation": generation()}
        return StaySample(**common | own | changes)
    own = {"target": film(12, png), "gap_hours": 12.0, "is_null_event": False}
    return PairSample(**common | own | {"changes": CHANGED} | changes)


OUTCOMES = {
    "died_in_hospital": 1,
    "icu_transfer": 0,
    "label": None,
    "phenotypes": PHENOTYPED,
    "readmitted": None,
    "remaining_hours": 30.25,
}


def plain(value):
    """Nested dicts that compare with ==; NaN as text."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, [str(number) for number in value.ravel()])
    return value


def change_json(members, **changes):
    facts = json.loads(members["sample.json"]) | changes
    return members | {"sample.json": json.dumps(facts).encode()}


def change_tensor(members, **changes):
    tensors = load(members["tensors.safetensors"]) | changes
    return members | {"tensors.safetensors": save(tensors)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("png", [b"png", None])
def test_a_sample_survives_its_bytes(kind, png):
    sample = sample_of(kind, png)
    found = decode(encode(sample, films="png" if png is not None else "none"))
    assert type(found) is type(sample)
    assert plain(found) == plain(sample)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_those_of_the_kind_and_equal_samples_give_equal_bytes(kind):
    members = encode(sample_of(kind), films="png")
    assert tuple(members) == members_of(kind, films="png")
    assert members == encode(sample_of(kind), films="png")
    assert set(load(members["tensors.safetensors"])) == set(TENSORS_OF_KIND[kind])


def test_levels_survive_their_bytes_and_a_prefix_of_them_will_do():
    levels = Levels(b"0123456789", {64: 4, 128: 10})
    films = {"previous": film(0, None, levels), "target": film(12, None, levels)}
    sample = sample_of("pair", **films)
    members = encode(sample, films="levels")
    assert tuple(members) == members_of("pair", films="levels")
    assert members["target.levels"] == b"0123456789"
    assert json.loads(members["sample.json"])["target"]["levels"] == [[64, 4], [128, 10]]
    assert plain(decode(members)) == plain(sample)
    assert decode(members | {"target.levels": b"0123"}).target.levels.largest == 64
    without = {name: data for name, data in members.items() if ".levels" not in name}
    assert decode(without).target.levels is None
    assert json.loads(encode(sample, films="none")["sample.json"])["target"]["levels"] is None


@pytest.mark.parametrize(
    "levels",
    [{}, [], [64, 4], [[64]], [[64, 4], [64, 5]], [[64, 4], [128, 4]], [[0, 4]], [["64", 4]]],
)
def test_levels_that_do_not_rise_are_refused(levels):
    members = encode(sample_of("image"), films="png")
    image = json.loads(members["sample.json"])["image"] | {"levels": levels}
    with pytest.raises(ContractError, match="levels of image are not sizes and their bytes"):
        decode(change_json(members, image=image))


def test_levels_and_what_is_said_of_them_come_together():
    members = encode(sample_of("image"), films="png")
    with pytest.raises(ContractError, match=r"image.levels, of which sample.json says nothing"):
        decode(
            {("image.levels" if name == "image.png" else name): m for name, m in members.items()}
        )
    with pytest.raises(ContractError, match="members"):
        decode(members | {"image.levels": b"both"})
    prefix = film(1, None, Levels(b"0123", {64: 4, 128: 10}))
    for wrong in (prefix, film(1, b"png"), film(1, None)):
        with pytest.raises(ContractError, match="image: a film without its levels"):
            encode(sample_of("image", image=wrong), films="levels")


def test_a_stay_without_a_film_has_the_same_members_and_survives_its_bytes():
    sample = sample_of("stay", previous=None, hours_since_previous=None)
    members = encode(sample, films="png")
    assert tuple(members) == members_of("stay", films="png")
    assert members["previous.png"] == b""
    facts = json.loads(members["sample.json"])
    assert (facts["previous"], facts["labels"], facts["attributes"]) == (
        None,
        {"previous": None},
        {"previous": {}},
    )
    assert facts["has"]["previous"] is False
    tensors = load(members["tensors.safetensors"])
    assert tensors["previous_mean"].shape == tensors["previous_logvar"].shape == (0, 0, 0)
    assert tensors["previous_mean"].dtype == np.float16
    for films in ("png", "levels", "none"):
        assert plain(decode(encode(sample, films=films))) == plain(sample)


def test_a_stay_of_which_no_film_is_generated_has_an_empty_record():
    sample = sample_of("stay", generation=None)
    members = encode(sample, films="png")
    assert json.loads(members["sample.json"])["generation"] is None
    assert load(members["tensors.safetensors"])["generation_hourly"].shape == (0, 17)
    assert plain(decode(members)) == plain(sample)


def test_what_is_known_of_a_sample_is_spelled_out_in_json():
    facts = json.loads(encode(sample_of("stay"), films="png")["sample.json"])
    assert facts["outcomes"] == OUTCOMES
    assert facts["prediction_at"] == "2150-01-01T09:00:00"
    assert facts["history"]["comorbidities"]["dementia"] == 0
    facts = json.loads(encode(sample_of("pair"), films="png")["sample.json"])
    assert facts["outcomes"] == {"died_in_hospital": 1}
    assert facts["is_null_event"] is False
    assert facts["attributes"] == {"previous": {}, "target": DESCRIBED}
    assert facts["changes"] == CHANGED


def test_unknown_phenotypes_are_null_and_unknown_static_values_are_nan():
    unknown = sample_of("stay", phenotypes=None)
    assert decode(encode(unknown, films="png")).phenotypes is None
    static = np.array([1, 60, 1, np.nan, 120, 80, np.nan, 150], np.float32)
    members = encode(sample_of("image", static=static), films="png")
    assert json.loads(members["sample.json"])["has"]["static"] is True
    assert np.array_equal(decode(members).static, static, equal_nan=True)
    assert len(static) == len(STATIC)


def test_a_film_without_its_png_cannot_be_kept():
    with pytest.raises(ContractError, match="target: a film without its PNG"):
        encode(sample_of("pair", target=film(12, None)), films="png")


def test_has_is_true_where_the_array_is_not_empty():
    empty = sample_of("pair", window=window(hours=0, events=2))
    assert json.loads(encode(empty, films="png")["sample.json"])["has"] == {
        "hourly": False,
        "events": True,
        "static": False,
        "previous": True,
    }


def test_printing_a_sample_shows_its_key_and_no_patient():
    assert repr(sample_of("stay")) == "StaySample(key='0123456789abcdef')"


def with_attributes(members, changes):
    return change_json(members, attributes={"previous": {}, "target": DESCRIBED | changes})


HAS = {"hourly": True, "events": True, "static": False, "previous": True}

REFUSALS = {
    "a member too many": (lambda m: m | {"code.pyd": b"x"}, "members"),
    "a film missing": (lambda m: {k: v for k, v in m.items() if k != "target.png"}, "members"),
    "no sample.json": (lambda m: {k: v for k, v in m.items() if k != "sample.json"}, "no member"),
    "broken json": (lambda m: m | {"sample.json": b"{"}, "not a JSON object"),
    "unknown kind": (lambda m: change_json(m, kind="triplet"), "kind 'triplet'"),
    "unknown split": (lambda m: change_json(m, split="dev"), "split 'dev'"),
    "unknown key": (lambda m: change_json(m, extra=1), "unknown ['extra']"),
    "age as text": (lambda m: change_json(m, age="50"), "age is str"),
    "sex unknown": (lambda m: change_json(m, sex="X"), "sex 'X'"),
    "other key": (lambda m: m | {"__key__": "other"}, "says key"),
    "a tensor missing": (
        lambda m: m | {"tensors.safetensors": save({"hourly": np.zeros((3, 17), np.float32)})},
        "missing ['event_end_hours'",
    ),
    "wrong dtype": (
        lambda m: change_tensor(m, event_row=np.zeros(2, np.int64)),
        "event_row is int64; it must be int32",
    ),
    "wrong shape": (
        lambda m: change_tensor(m, hourly=np.zeros((4, 17), np.float32)),
        "hourly has shape (4, 17); expected (3, 17)",
    ),
    "latents that differ": (
        lambda m: change_tensor(m, target_mean=np.zeros((4, 2, 3), np.float16)),
        "target_mean has shape (4, 2, 3); expected (4, 2, 2)",
    ),
    "a table beyond those known": (
        lambda m: change_tensor(m, event_table=np.full(2, len(EVENT_TABLES), np.uint8)),
        f"beyond the {len(EVENT_TABLES)}",
    ),
    "a set of variables unheard of": (
        lambda m: change_json(
            m, window=json.loads(m["sample.json"])["window"] | {"variables": "narrow"}
        ),
        "variables 'narrow'; known are benchmark, wide",
    ),
    "the columns of another set": (
        lambda m: change_json(
            m, window=json.loads(m["sample.json"])["window"] | {"variables": "wide"}
        ),
        f"hourly has shape (3, 17); expected (3, {len(WIDE_VARIABLES)})",
    ),
    "a history without its comorbidities": (
        lambda m: change_json(m, history={"bmi": None, "earlier_admissions": 0}),
        "history: missing ['comorbidities']",
    ),
    "a race that is no text": (lambda m: change_json(m, race=1), "race is int"),
    "not safetensors": (lambda m: m | {"tensors.safetensors": b"\x80\x04pickle"}, "safetensors"),
    "has that lies": (
        lambda m: change_json(m, has=HAS | {"hourly": False}),
        "has is",
    ),
    "null event as a number": (lambda m: change_json(m, is_null_event=1), "is_null_event is int"),
    "a pair without a film": (lambda m: change_json(m, previous=None), "previous is NoneType"),
    "a change unheard of": (
        lambda m: change_json(m, changes=CHANGED | {"atelectasis": "better"}),
        "a change is none of improved, worsened, no change, null",
    ),
    "a change of what is not compared": (
        lambda m: change_json(m, changes={"Edema": "improved"}),
        "changes: missing ['atelectasis'",
    ),
    "an attribute too few": (
        lambda m: change_json(m, attributes={"previous": {}, "target": {"pneumonia": 1}}),
        "attributes of target: missing ['consolidation'",
    ),
    "an attribute of -1": (
        lambda m: with_attributes(m, {"pneumonia": -1}),
        "an attribute of target is none of 1, 0, null",
    ),
    "an attribute that is a list": (
        lambda m: with_attributes(m, {"pneumonia": [1]}),
        "an attribute of target is none of 1, 0, null",
    ),
    "a label of 2": (
        lambda m: change_json(
            m, labels={role: dict.fromkeys(FINDINGS, 2) for role in ("previous", "target")}
        ),
        "none of 1, 0, -1, null",
    ),
}


def without_film(members, **changes):
    """A stay's members where the film is null, and what else is changed."""
    nothing = {"previous": None, "hours_since_previous": None, "attributes": {"previous": {}}}
    return change_json(members, **nothing | {"labels": {"previous": None}} | changes)


def with_outcome(members, phenotypes):
    return change_json(members, outcomes=OUTCOMES | {"phenotypes": phenotypes})


STAY_REFUSALS = {
    "labels of no film": (
        lambda m: without_film(m, labels={"previous": dict.fromkeys(FINDINGS, 1)}),
        "no previous film, but labels, attributes or hours of one",
    ),
    "hours since no film": (
        lambda m: without_film(m, hours_since_previous=2),
        "no previous film, but",
    ),
    "attributes of no film": (
        lambda m: without_film(m, attributes={"previous": {"pneumonia": 1}}),
        "no previous film, but",
    ),
    "a film that is and is not": (without_film, "previous_mean has shape (4, 2, 2); expected (0,"),
    "no hours since a film": (
        lambda m: change_json(m, hours_since_previous=None),
        "a previous film, but no hours_since_previous",
    ),
    "no labels of a film": (
        lambda m: change_json(m, labels={"previous": None}),
        "labels of previous is not an object",
    ),
    "an empty film": (lambda m: m | {"previous.png": b""}, "previous.png is empty"),
    "empty latents": (
        lambda m: change_tensor(
            m,
            previous_mean=np.zeros((0, 0, 0), np.float16),
            previous_logvar=np.zeros((0, 0, 0), np.float16),
        ),
        "a latent has shape (0, 0, 0), and no value",
    ),
    "a phenotype of 2": (
        lambda m: with_outcome(m, PHENOTYPED | {"Shock": 2}),
        "a phenotype is none of 0, 1",
    ),
    "a generation window without its end": (
        lambda m: change_json(m, generation={"hours": 4}),
        "generation: missing ['end_at'",
    ),
    "hours of no generation window": (
        lambda m: change_json(m, generation=None),
        "generation_hourly has shape (4, 17); expected (0, 17)",
    ),
    "a phenotype too few": (lambda m: with_outcome(m, {"Shock": 1}), "phenotypes: missing ['Acute"),
}


@pytest.mark.parametrize("reason", STAY_REFUSALS)
def test_a_stay_that_contradicts_itself_is_refused(reason):
    spoil, words = STAY_REFUSALS[reason]
    with pytest.raises(ContractError) as error:
        decode(spoil(encode(sample_of("stay"), films="png")))
    assert words in str(error.value)


def test_a_film_beside_a_missing_one_is_refused():
    members = encode(sample_of("stay", previous=None, hours_since_previous=None), films="png")
    with pytest.raises(ContractError, match=r"previous.png is empty, or there is no such film"):
        decode(members | {"previous.png": b"png"})


def test_static_values_are_all_eight_or_none():
    members = encode(sample_of("image", static=np.zeros(3, np.float32)), films="png")
    with pytest.raises(ContractError, match=r"static has shape \(3,\); expected \(8,\)"):
        decode(members)


@pytest.mark.parametrize("reason", REFUSALS)
def test_anything_else_is_refused_by_name(reason):
    spoil, words = REFUSALS[reason]
    with pytest.raises(ContractError) as error:
        decode(spoil(encode(sample_of("pair"), films="png")))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
