import json

import pytest

from cxrfuture_data.publish import digest, publish, read_done, write_done


def write_half_and_raise(path):
    with publish(path) as part:
        part.write_text("half")
        raise RuntimeError


def test_a_body_that_raises_leaves_neither_the_name_nor_the_part(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(RuntimeError):
        write_half_and_raise(path)
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_raises_keeps_the_last_good_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("good")
    with pytest.raises(RuntimeError):
        write_half_and_raise(path)
    assert path.read_text() == "good"


def test_the_name_appears_only_after_the_body(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with publish(path) as part:
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_done_record_counts_only_for_the_inputs_it_was_made_from(tmp_path):
    record = tmp_path / "done.json"
    write_done(record, "abc", {"rows": 3})
    assert read_done(record, "abc") == {"made_from": "abc", "rows": 3}
    assert read_done(record, "abd") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": 3}'])
def test_a_broken_done_record_is_no_record(tmp_path, text):
    record = tmp_path / "done.json"
    record.write_text(text)
    assert read_done(record, "abc") is None


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_json_refuses_what_json_cannot_spell(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_done(tmp_path / "done.json", "abc", {"mean": float("nan")})
    assert not (tmp_path / "done.json").exists()


def test_a_done_record_is_plain_json(tmp_path):
    write_done(tmp_path / "done.json", "abc")
    assert json.loads((tmp_path / "done.json").read_text()) == {"made_from": "abc"}
