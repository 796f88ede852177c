"""A dataset pushed to an object store and pulled again is the same, or there is none."""

import json

import pytest
from object_server import BUCKET
from tiny_build import build_dataset
from typer.testing import CliRunner

from cxrfuture import app
from cxrfuture_data import transfer
from cxrfuture_data.schema import ContractError
from cxrfuture_data.transfer import pull, push
from cxrfuture_data.verify import verify

URL = f"s3://{BUCKET}/sets/ddl_cxr"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_dataset(
        tmp_path_factory.mktemp("built"), "ddl_cxr", shard={"samples_per_shard": 5}
    )


@pytest.fixture
def dataset(built, tmp_path):
    """A copy to spoil."""
    import shutil

    return shutil.copytree(built, tmp_path / "dataset")


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != transfer.TRANSFER_FILE
    }


def names(bucket):
    return {name.removeprefix("sets/ddl_cxr/") for name in bucket.names("sets")}


def test_what_is_pulled_is_what_was_pushed(bucket, dataset, tmp_path):
    sent = push(dataset, URL, "")
    assert names(bucket) == {*files_of(dataset), transfer.TRANSFER_FILE}
    assert sent.files == sent.copied == len(files_of(dataset)) - 1
    got = pull(URL, tmp_path / "pulled")
    assert files_of(tmp_path / "pulled") == files_of(dataset)
    assert (got.files, got.bytes) == (sent.files, sent.bytes)
    verify(tmp_path / "pulled")


def test_dataset_json_is_the_last_object(bucket, dataset):
    bucket.requests.clear()
    push(dataset, URL, "")
    puts = [request for request in bucket.requests if request.startswith("PUT")]
    assert [put.rpartition("/")[2] for put in puts[-2:]] == [transfer.TRANSFER_FILE, "dataset.json"]


def test_a_push_that_was_broken_off_goes_on(bucket, dataset, tmp_path):
    name = next(name for name in sorted(files_of(dataset)) if name.endswith(".tar"))
    bucket.fail(f"PUT .*{name}", status=403, code="AccessDenied")
    with pytest.raises(ContractError, match="access refused"):
        push(dataset, URL, "")
    assert "dataset.json" not in names(bucket)
    with pytest.raises(ContractError, match="nothing was pushed there, or not to its end"):
        pull(URL, tmp_path / "pulled")
    there = len(names(bucket))
    bucket.faults.clear()
    assert push(dataset, URL, "").copied == len(files_of(dataset)) - 1 - there
    assert push(dataset, URL, "").copied == 0


def test_an_object_that_was_damaged_is_sent_again(bucket, dataset):
    push(dataset, URL, "")
    name = next(name for name in names(bucket) if name.endswith(".tar"))
    data = bucket.get(f"sets/ddl_cxr/{name}")
    bucket.put(f"sets/ddl_cxr/{name}", data[:-1] + bytes([data[-1] ^ 1]))
    assert push(dataset, URL, "").copied == 1
    assert bucket.get(f"sets/ddl_cxr/{name}") == data


def test_without_a_hash_of_the_store_s_own_objects_are_read_back(bucket, dataset, monkeypatch):
    push(dataset, URL, "")
    name = next(name for name in names(bucket) if name.endswith(".tar"))
    data = bucket.get(f"sets/ddl_cxr/{name}")
    bucket.put(f"sets/ddl_cxr/{name}", bytes([data[0] ^ 1]) + data[1:])
    monkeypatch.setattr("cxrfuture_data.object_store._MD5", _Never())
    monkeypatch.setattr(transfer, "RANGE_BYTES", 20_000)
    assert push(dataset, URL, "").copied == 1


class _Never:
    def fullmatch(self, _):
        return None


def test_a_pull_that_was_broken_off_goes_on(bucket, dataset, tmp_path):
    push(dataset, URL, "")
    folder = tmp_path / "pulled"
    name = next(name for name in sorted(files_of(dataset)) if name.endswith(".tar"))
    bucket.fail(f"GET .*{name}", status=403, code="AccessDenied")
    with pytest.raises(ContractError, match="access refused"):
        pull(URL, folder)
    assert not (folder / "dataset.json").exists()
    assert not list(folder.rglob("*.part"))
    here = len(files_of(folder))
    bucket.faults.clear()
    assert 0 < pull(URL, folder).copied <= len(files_of(dataset)) - 1 - here + 8
    assert files_of(folder) == files_of(dataset)
    assert pull(URL, folder).copied == 0


def spoil(name):
    def change(bucket):
        data = bucket.get(f"sets/ddl_cxr/{name}")
        bucket.put(f"sets/ddl_cxr/{name}", data[:-1] + bytes([data[-1] ^ 1]))

    return change


def cut(name):
    def change(bucket):
        bucket.put(f"sets/ddl_cxr/{name}", bucket.get(f"sets/ddl_cxr/{name}")[:-1])

    return change


def lose(name):
    def change(bucket):
        bucket.client().delete_object(Bucket=BUCKET, Key=f"sets/ddl_cxr/{name}")

    return change


def lead_astray(bucket):
    record = json.loads(bucket.get(f"sets/ddl_cxr/{transfer.TRANSFER_FILE}"))
    record["files"][0]["name"] = "../outside"
    bucket.put(f"sets/ddl_cxr/{transfer.TRANSFER_FILE}", json.dumps(record).encode())


def list_less(bucket):
    record = json.loads(bucket.get(f"sets/ddl_cxr/{transfer.TRANSFER_FILE}"))
    record["files"] = [one for one in record["files"] if not one["name"].endswith(".tar")]
    bucket.put(f"sets/ddl_cxr/{transfer.TRANSFER_FILE}", json.dumps(record).encode())


def list_no_card(bucket):
    record = json.loads(bucket.get(f"sets/ddl_cxr/{transfer.TRANSFER_FILE}"))
    record["files"] = [one for one in record["files"] if one["name"] != "README.md"]
    bucket.put(f"sets/ddl_cxr/{transfer.TRANSFER_FILE}", json.dumps(record).encode())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil("train/pair-000000.tar"), "not what was pushed"),
        (cut("train/pair-000000.tar"), "not what was pushed"),
        (lose("train/pair-000000.tar"), "no such object"),
        (spoil("README.md"), "not what was pushed"),
        (lose("croissant.json"), "no such object"),
        (cut("dataset.json"), "of another dataset.json"),
        (lose("transfer.json"), "nothing was pushed there"),
        (lead_astray, "not the record of a pushed dataset"),
        (list_less, "is not the one that dataset.json names"),
        (list_no_card, "README.md is not the one that dataset.json names"),
    ],
)
def test_what_is_not_what_was_pushed_is_refused(bucket, dataset, tmp_path, change, words):
    push(dataset, URL, "")
    change(bucket)
    with pytest.raises(ContractError, match=words):
        pull(URL, tmp_path / "pulled")
    assert not (tmp_path / "pulled" / "dataset.json").exists()
    assert not (tmp_path / "outside").exists()


def test_a_file_that_was_altered_here_is_not_sent(bucket, dataset):
    path = dataset / "train" / "pair-000000.tar"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ContractError, match="altered since it was built"):
        push(dataset, URL, "")
    assert "dataset.json" not in names(bucket)


def test_another_dataset_is_not_written_over(bucket, dataset, tmp_path):
    push(dataset, URL, "")
    pull(URL, tmp_path / "pulled")
    text = (dataset / "dataset.json").read_text()
    (dataset / "dataset.json").write_text(text + "\n")
    with pytest.raises(ContractError, match="holds another dataset; choose another prefix"):
        push(dataset, URL, "")
    (tmp_path / "pulled" / "dataset.json").write_text(text + "\n")
    with pytest.raises(ContractError, match="holds another dataset; name another folder"):
        pull(URL, tmp_path / "pulled")


def test_data_of_patients_needs_an_attestation_which_is_recorded(bucket, dataset, tmp_path):
    facts = json.loads((dataset / "dataset.json").read_text())
    facts["simulated"]["tables"] = False
    (dataset / "dataset.json").write_text(json.dumps(facts))
    bucket.requests.clear()
    with pytest.raises(ContractError, match="say with --attest who allowed it"):
        push(dataset, URL, " ")
    assert bucket.requests == []
    push(dataset, URL, "our own bucket, under our DUA")
    pull(URL, tmp_path / "pulled")
    record = json.loads((tmp_path / "pulled" / transfer.TRANSFER_FILE).read_text())
    assert record["attestation"] == "our own bucket, under our DUA"


def test_the_commands(bucket, dataset, tmp_path):
    run = CliRunner().invoke
    pushed = run(app, ["push", str(dataset), URL], catch_exceptions=False)
    assert "of them sent" in pushed.output
    pulled = run(app, ["pull", URL, str(tmp_path / "pulled")], catch_exceptions=False)
    assert "of them fetched" in pulled.output
    with pytest.raises(ContractError, match="no URL; write s3://bucket/prefix"):
        push(dataset, str(tmp_path / "elsewhere"), "")
