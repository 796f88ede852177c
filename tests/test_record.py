import dataclasses
import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from safetensors.numpy import load, save

from cxrfuture_data import ContractError, Film, ImageSample, PairSample, StaySample, Window
from cxrfuture_data.record import decode, encode, members_of
from cxrfuture_data.schema import FINDINGS, KINDS, TENSORS_OF_KIND

START = datetime(2150, 1, 1, 6, 30)


def film(number, png=b"png"):
    return Film(
        study_id=number,
        dicom_id=f"d{number}",
        taken_at=START + timedelta(hours=number),
        view="AP",
        labels={finding: (1, 0, -1, None)[i % 4] for i, finding in enumerate(FINDINGS)},
        mean=np.full((4, 2, 2), number, np.float16),
        logvar=np.full((4, 2, 2), -1, np.float16),
        png=png,
    )


def window(hours=3, events=2):
    hourly = np.full((hours, 17), np.nan, np.float32)
    return Window(
        start_at=START,
        end_at=START + timedelta(hours=12),
        latest_event_at=START + timedelta(hours=2, microseconds=5),
        latest_known_at=None,
        hourly=hourly,
        hourly_start_hours=0.5,
        event_row=np.arange(events, dtype=np.int32),
        event_hours=np.arange(events, dtype=np.float32),
        event_table=np.zeros(events, np.uint8),
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
    if kind == "stay":
        return StaySample(**common | {"hours_since_previous": 2.5} | changes)
    return PairSample(**common | {"target": film(12, png), "gap_hours": 12.0} | changes)


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
    found = decode(encode(sample))
    assert type(found) is type(sample)
    assert plain(found) == plain(sample)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_those_of_the_kind_and_equal_samples_give_equal_bytes(kind):
    members = encode(sample_of(kind))
    assert tuple(members) == members_of(kind, films=True)
    assert members == encode(sample_of(kind))
    assert set(load(members["tensors.safetensors"])) == set(TENSORS_OF_KIND[kind])


def test_has_is_true_where_the_array_is_not_empty():
    empty = sample_of("pair", window=window(hours=0, events=2))
    assert json.loads(encode(empty)["sample.json"])["has"] == {
        "hourly": False,
        "events": True,
        "static": False,
    }


def test_printing_a_sample_shows_its_key_and_no_patient():
    assert repr(sample_of("stay")) == "StaySample(key='0123456789abcdef')"


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
        "missing ['event_hours'",
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
    "a table beyond the seven": (
        lambda m: change_tensor(m, event_table=np.full(2, 7, np.uint8)),
        "beyond the 7",
    ),
    "not safetensors": (lambda m: m | {"tensors.safetensors": b"\x80\x04pickle"}, "safetensors"),
    "has that lies": (
        lambda m: change_json(m, has={"hourly": False, "events": True, "static": False}),
        "has is",
    ),
    "a label of 2": (
        lambda m: change_json(
            m, labels={role: dict.fromkeys(FINDINGS, 2) for role in ("previous", "target")}
        ),
        "none of 1, 0, -1, null",
    ),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_anything_else_is_refused_by_name(reason):
    spoil, words = REFUSALS[reason]
    with pytest.raises(ContractError) as error:
        decode(spoil(encode(sample_of("pair"))))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
