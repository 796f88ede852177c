"""Objects through fsspec: listed, read and written; whatever fails is one line without keys."""

import subprocess
import sys
from pathlib import Path

import pytest
from object_server import BUCKET, KEY, SECRET, forget_connections

from cxrfuture_data.object_store import ObjectStore, is_url
from cxrfuture_data.schema import ContractError

ROOT = Path(__file__).resolve().parent.parent
URL = f"s3://{BUCKET}/some/prefix"


def test_nothing_of_it_is_imported_before_a_url_is_used():
    modules = "cxrfuture, cxrfuture_data.object_store, cxrfuture_data.transfer, etl.film_task"
    code = f"import sys, {modules}, cxrfuture_data.cache_rows, etl.cache; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"fsspec", "s3fs", "botocore", "aiobotocore", "aiohttp"} & set(listed)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("s3://bucket", True), ("gs://b/p", True), ("/data/films", False), ("s3:/b", False)],
)
def test_a_url_is_told_from_a_folder(text, is_one):
    assert is_url(text) is is_one


def test_a_url_that_cannot_be_listed_or_holds_a_key_is_refused_without_it():
    with pytest.raises(ContractError, match="not the URL of an object store"):
        ObjectStore("https://example.org/films")
    with pytest.raises(ContractError, match="in the environment") as caught:
        ObjectStore(f"s3://{KEY}:hidden@{BUCKET}/films")
    assert KEY not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_what_was_written_is_listed_and_read(bucket):
    store = ObjectStore(URL)
    assert store.list_all() == {}
    store.write("a/b.bin", b"0123456789")
    bucket.put("some/prefix/c.bin", b"xyz")
    bucket.put("some/prefixed.bin", b"of another prefix")
    listed = store.list_all()
    assert {name: one.bytes for name, one in listed.items()} == {"a/b.bin": 10, "c.bin": 3}
    assert store.entries() == (["a"], {"c.bin": listed["c.bin"]})
    assert store.read("a/b.bin") == b"0123456789"
    assert store.read_ranges([("a/b.bin", 2, 4), ("c.bin", 1, 3)]) == [b"23", b"yz"]
    assert store.look("a/b.bin") == listed["a/b.bin"]
    store.remove(["a/b.bin", "never.bin"])
    assert list(store.list_all()) == ["c.bin"]


def test_another_content_is_another_version(bucket):
    store = ObjectStore(URL)
    store.write("x", b"one")
    first = store.list_all()["x"]
    assert store.list_all()["x"] == first
    store.write("x", b"two")
    assert store.list_all()["x"].version != first.version


def test_a_missing_object_and_a_missing_bucket_are_told_apart(bucket):
    with pytest.raises(FileNotFoundError, match="no-such-key"):
        ObjectStore(URL).read("no-such-key")
    assert ObjectStore(URL).look("no-such-key") is None
    with pytest.raises(ContractError, match=r"no-such-bucket.*no such bucket"):
        ObjectStore("s3://no-such-bucket/x").list_all()


def test_a_busy_server_is_asked_again(bucket):
    ObjectStore(URL).write("x", b"data")
    bucket.fail("GET .*/x", times=2, status=503)
    assert ObjectStore(URL).read("x") == b"data"


def test_a_server_that_stays_busy_is_one_line(bucket):
    ObjectStore(URL).write("x", b"data")
    bucket.fail("GET .*/x", status=503)
    with pytest.raises(ContractError, match=r"prefix/x: the object store fails \(\w+\)") as caught:
        ObjectStore(URL).read("x")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_cut_connection_is_tried_again(bucket):
    ObjectStore(URL).write("x", b"0123456789" * 1000)
    bucket.fail("GET .*/x", times=1, is_cut=True)
    assert ObjectStore(URL).read("x", 10_000) == b"0123456789" * 1000


def test_an_object_of_another_size_than_listed_is_refused(bucket, monkeypatch):
    monkeypatch.setattr("cxrfuture_data.object_store.SECONDS_BETWEEN_READS", 0.0)
    ObjectStore(URL).write("x", b"12345")
    with pytest.raises(ContractError, match="5 bytes, but 9 were listed"):
        ObjectStore(URL).read("x", 9)


def test_a_slow_server_ends_in_a_clear_error(bucket, monkeypatch):
    import fsspec.config

    ObjectStore(URL).write("x", b"data")
    slow = {"config_kwargs": {"read_timeout": 0.2, "retries": {"max_attempts": 0}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", slow)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 2)
    forget_connections()
    bucket.fail("GET .*/x", seconds=1.0)
    with pytest.raises(ContractError, match=r"the object store fails \(\w*Timeout\w*\)"):
        ObjectStore(URL).read("x")


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_wrong_credentials_are_one_line_that_shows_no_key(bucket, code):
    bucket.fail(".", status=403, code=code)
    with pytest.raises(ContractError, match=r"access refused.*AWS_PROFILE") as caught:
        ObjectStore(URL).list_all()
    said = str(caught.value) + repr(caught.value.__cause__)
    assert KEY not in said
    assert SECRET not in said
    assert "\n" not in said
    assert caught.value.__suppress_context__


def test_no_credentials_at_all_are_named(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_connections()
    with pytest.raises(ContractError, match=r"access refused.*AWS_PROFILE"):
        ObjectStore(URL).list_all()


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ContractError, match=r"gs://b/p: .*pip install .*remote"):
        ObjectStore("gs://b/p").list_all()
