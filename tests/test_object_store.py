"""Objects through fsspec: listed, read and written; whatever fails is one line without keys."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from object_server import BUCKET, KEY, SECRET, forget_connections
from range_server import run_range_server

from cxrfuture_data.object_store import ObjectStore, Unanswered, is_url
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


def test_a_url_that_holds_a_key_is_refused_without_it():
    with pytest.raises(ContractError, match="not the URL of an object store"):
        ObjectStore("/data/films")
    for scheme in ("s3", "https", "hf"):
        with pytest.raises(ContractError, match="in the environment") as caught:
            ObjectStore(f"{scheme}://{KEY}:hidden@{BUCKET}/films")
        assert KEY not in str(caught.value)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.list_all(),
        lambda store: store.entries(),
        lambda store: store.write("x", b""),
        lambda store: store.upload("x", Path("x")),
        lambda store: store.remove(["x"]),
    ],
)
def test_a_web_server_is_neither_listed_nor_written(use):
    store = ObjectStore("https://example.org/films?sig=hidden")
    with pytest.raises(
        ContractError, match=r"^https://example.org/films: a web server has no list"
    ):
        use(store)


def test_a_web_server_is_read_whole_and_by_ranges(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"0123456789")
    with run_range_server(tmp_path) as server:
        store = ObjectStore(server.url).below("a")
        assert store.read("x") == b"0123456789"
        assert store.read("x", 10) == b"0123456789"
        assert store.look("x").bytes == 10
        assert store.look("y") is None
        asked = [("x", 2, 4), ("x", 0, 3), ("x", 8, 99), ("x", 10, 12)]
        assert store.read_ranges(asked) == [b"23", b"012", b"89", b""]
        with pytest.raises(FileNotFoundError, match=r"/a/y$"):
            store.read_ranges([("y", 0, 1)])


def test_the_query_of_a_url_is_sent_and_never_shown(tmp_path):
    (tmp_path / "x").write_bytes(b"0123456789")
    with run_range_server(tmp_path) as server:
        store = ObjectStore(f"{server.url}/?sig=hidden").below("folder")
        assert store.url == f"{server.url}/folder?sig=hidden"
        assert str(store) == f"{server.url}/folder"
        assert "hidden" not in repr(store)
        assert ObjectStore(f"{server.url}?sig=hidden").read_ranges([("x", 0, 2)]) == [b"01"]
        for status, what in ((403, "access refused.*signed URL"), (500, "the object store fails")):
            server.fail("GET", times=1, status=status)
            with pytest.raises(ContractError, match=rf"x: {what}") as caught:
                store.read("x")
            assert f"(HTTP {status})" in str(caught.value)
            assert "hidden" not in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_range_that_takes_too_long_is_given_up(tmp_path):
    (tmp_path / "x").write_bytes(b"0123456789")
    with run_range_server(tmp_path) as server:
        server.fail("0-3", times=1, seconds=5.0)
        with pytest.raises(Unanswered, match=r"x: the object store fails \(TimeoutError\)"):
            ObjectStore(server.url).read_ranges([("x", 0, 4), ("x", 4, 8)], seconds=0.2)


READ_HF = """
from cxrfuture_data.object_store import ObjectStore
store = ObjectStore("hf://datasets/a/b@main/train")
print(store.read_ranges([("x.tar", 2, 4), ("x.tar", 8, 99)]), store.read("x.tar"))
try:
    store.read_ranges([("y.tar", 0, 1)])
except FileNotFoundError as error:
    print(error)
"""


def test_hf_is_read_by_ranges(tmp_path):
    tree = [{"type": "file", "path": "train/x.tar", "size": 10, "oid": "0" * 40}]
    facts = {"id": "a/b", "sha": "0" * 40, "private": False, "tags": [], "siblings": []}
    for name, text in {
        "api/datasets/a/b/revision/main": json.dumps(facts),
        "api/datasets/a/b/tree/main/train": json.dumps(tree),
        "datasets/a/b/resolve/main/train/x.tar": "0123456789",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with run_range_server(tmp_path) as server:
        assert run_hf(READ_HF, HF_ENDPOINT=server.url) == [
            "[b'23', b'89'] b'0123456789'",
            "hf://datasets/a/b@main/train/y.tar",
        ]
        assert "GET /datasets/a/b/resolve/main/train/x.tar 2-3" in server.requests


def test_hf_without_a_network_is_one_line():
    code = """
from cxrfuture_data.object_store import ObjectStore
try:
    ObjectStore("hf://datasets/a/b/train").read_ranges([("x.tar", 0, 1)])
except ValueError as error:
    print(error)
"""
    (said,) = run_hf(code, HF_HUB_OFFLINE="1")
    assert said.startswith("hf://datasets/a/b/train/x.tar: the object store fails (OfflineMode")


def run_hf(code: str, **environment: str) -> list[str]:
    """In a process of its own: the driver reads its settings when it is imported."""
    pytest.importorskip("huggingface_hub")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        # An embedder that another test opened in this process has set it offline.
        env=os.environ | {"HF_HUB_OFFLINE": "0"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


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
