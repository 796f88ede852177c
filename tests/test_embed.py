"""Embedding: MiniLM on this machine, and a remote endpoint played by a local HTTP server."""

import base64
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cxrfuture_data.cache_rows import ENTRY
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from etl import embed
from etl.embedder import open_embedder
from etl.params import Params
from etl.recipe import read_recipe
from etl.remote_pace import Pace

ROOT = Path(__file__).resolve().parent.parent
RECIPE = read_recipe("ehrxdiff")
KEY_NAME = "CXRFUTURE_TEST_KEY"
TEXTS = ["pear", "apple", "fig", "apple", "Zinc", "éclair", "plum"]
SORTED = ["Zinc", "apple", "fig", "pear", "plum", "éclair"]  # by UTF-8 bytes, each once


def read_test_params(build, **changes):
    value = read_yaml(ROOT / "params.yaml")
    value["paths"] |= {"build": str(build)}
    remote = value["embed"]["remote"] | changes.pop("remote", {})
    value["embed"] |= {**changes, "remote": remote}
    return parse_settings(Params, value, "test")


def write_window(build, texts):
    """One window of these events; each text has an id, and a text that no window holds has one."""
    folder = build / RECIPE.name
    for stage in ("window", "event"):
        (folder / stage).mkdir(parents=True, exist_ok=True)
    numbers = {text: number for number, text in enumerate(dict.fromkeys([*texts, "unused"]), 100)}
    pl.DataFrame(
        {"key": ["k"] * len(texts), "text_id": [numbers[text] for text in texts]},
        {"key": str, "text_id": pl.UInt64},
    ).write_parquet(folder / "window" / "window_event.parquet")
    pl.DataFrame(
        {"text_id": list(numbers.values()), "text": list(numbers)},
        {"text_id": pl.UInt64, "text": str},
    ).write_parquet(folder / "event" / "text.parquet")


def results(build):
    folder = build / RECIPE.name / "embed"
    done = json.loads((folder / "done.json").read_text())
    return (
        np.load(folder / "table.npy", allow_pickle=False),
        pl.read_parquet(folder / "text.parquet"),
        done,
    )


def vector_of(text, dim=5):
    """The server's vector of a text: its length, first code point and so on, exact in fp16."""
    return [len(text), ord(text[0]), len(text) / 8, -1.0, 0.5][:dim]


class Endpoint(ThreadingHTTPServer):
    """Speaks the embeddings API and notes every request; ``script`` answers instead, in turn."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.script = []
        self.rows = lambda texts: [(index, vector_of(text)) for index, text in enumerate(texts)]

    @property
    def inputs(self):
        return [body["input"] for _, _, body in self.requests]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((time.monotonic(), self.path, body))
        assert self.headers["Authorization"] == "Bearer secret"
        if self.server.script:
            status, headers, payload = self.server.script.pop(0)
            return self.answer(status, headers, payload)
        data = [
            {"object": "embedding", "index": index, "embedding": self.encode(vector, body)}
            for index, vector in self.server.rows(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        payload = {"object": "list", "data": data, "model": body["model"], "usage": usage}
        return self.answer(200, {}, json.dumps(payload))

    def encode(self, vector, body):
        if body.get("encoding_format") != "base64":
            return vector
        return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()

    def answer(self, status, headers, payload):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload.encode())))
        self.end_headers()
        self.wfile.write(payload.encode())


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv(KEY_NAME, "secret")
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def remote_params(build, server, **changes):
    remote = {
        "base_url": f"http://127.0.0.1:{server.server_port}/v1",
        "model": "m",
        "api_key_env": KEY_NAME,
        "batch_size": 2,
        "concurrency": 1,
        "requests_per_minute": 60_000,
        "attestation": "our own server, nothing is kept",
    }
    return read_test_params(build, backend="remote", remote=remote | changes)


# --- remote


def test_each_distinct_text_has_its_row(tmp_path, endpoint):
    write_window(tmp_path, TEXTS)
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    table, texts, done = results(tmp_path)
    assert texts["text"].to_list() == SORTED
    assert texts["row"].to_list() == [0, 1, 2, 3, 4, 5]
    # printf 'fig' | sha256sum
    assert texts["sha256"][2].startswith("8c39c63488260c31")
    assert table.dtype == np.float16
    assert table.flags["C_CONTIGUOUS"]
    assert table.tolist() == [vector_of(text) for text in SORTED]
    assert done["model"]["dim"] == 5
    assert (done["model"]["name"], done["model"]["backend"], done["texts"]) == ("m", "remote", 6)
    assert done["attestation"] == "our own server, nothing is kept"
    assert "secret" not in json.dumps(done)


def test_ids_that_read_alike_share_a_row(tmp_path, endpoint):
    # After the word-piece round trip two texts may read the same.
    write_window(tmp_path, ["b", "a"])
    folder = tmp_path / RECIPE.name
    ids = pl.Series("text_id", [9, 7, 8, 9], pl.UInt64)
    pl.DataFrame([ids]).write_parquet(folder / "window" / "window_event.parquet")
    known = pl.Series("text_id", [7, 8, 9, 5], pl.UInt64)
    texts = pl.DataFrame([known, pl.Series("text", ["b", "a", "b", "unused"])])
    texts.write_parquet(folder / "event" / "text.parquet")
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert results(tmp_path)[1]["text"].to_list() == ["a", "b"]
    rows = pl.read_parquet(folder / "embed" / "text_row.parquet")
    assert rows.rows() == [(7, 1), (8, 0), (9, 1)]


def test_requests_hold_at_most_a_batch(tmp_path, endpoint):
    write_window(tmp_path, TEXTS)
    embed.run(remote_params(tmp_path, endpoint, batch_size=4), RECIPE)
    assert [len(texts) for texts in endpoint.inputs] == [4, 2]
    assert {path for _, path, _ in endpoint.requests} == {"/v1/embeddings"}


def test_answers_are_put_in_order_by_their_index(tmp_path, endpoint):
    endpoint.rows = lambda texts: [(i, vector_of(t)) for i, t in enumerate(texts)][::-1]
    write_window(tmp_path, TEXTS)
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert results(tmp_path)[0].tolist() == [vector_of(text) for text in SORTED]


def test_too_many_requests_is_tried_again(tmp_path, endpoint):
    endpoint.script = [(429, {"retry-after-ms": "50"}, "{}"), (500, {"retry-after-ms": "1"}, "{}")]
    write_window(tmp_path, ["fig"])
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert endpoint.inputs == [["fig"]] * 3
    assert endpoint.requests[1][0] - endpoint.requests[0][0] >= 0.05
    assert results(tmp_path)[0].tolist() == [vector_of("fig")]


def test_requests_keep_the_pace_allowed(tmp_path, endpoint):
    write_window(tmp_path, TEXTS)
    params = remote_params(tmp_path, endpoint, batch_size=1, requests_per_minute=600)
    started = time.monotonic()
    embed.run(params, RECIPE)
    assert time.monotonic() - started >= 0.5  # five pauses of a tenth of a second
    assert len(endpoint.requests) == 6


def test_pace_does_not_save_up_unused_calls():
    now, pauses = [100.0], []
    pace = Pace(60, clock=lambda: now[0], sleep=pauses.append)
    pace.wait()  # the first call is free
    now[0] += 0.25
    pace.wait()
    now[0] += 50.0
    pace.wait()
    pace.wait()
    assert pauses == [0.75, 1.0]


def test_a_failed_run_keeps_what_was_paid_for(tmp_path, endpoint):
    write_window(tmp_path, TEXTS)
    params = remote_params(tmp_path, endpoint)
    answer = endpoint.rows
    endpoint.rows = lambda texts: answer(texts) if "pear" not in texts else []
    with pytest.raises(ContractError):
        embed.run(params, RECIPE)
    assert endpoint.inputs == [SORTED[:2], SORTED[2:4]]
    assert not (tmp_path / RECIPE.name / "embed" / "done.json").exists()
    endpoint.rows = answer
    embed.run(params, RECIPE)
    assert endpoint.inputs[2:] == [SORTED[2:4], SORTED[4:]]
    embed.run(params, RECIPE)
    assert len(endpoint.requests) == 4
    assert results(tmp_path)[0].tolist() == [vector_of(text) for text in SORTED]


def test_another_recipe_or_build_pays_for_no_text_again(tmp_path, endpoint):
    for name, texts in (("one", TEXTS), ("two", [*TEXTS[::-1], "kiwi"])):
        write_window(tmp_path / name, texts)
        params = remote_params(tmp_path / name, endpoint)
        cache = params.cache.model_copy(update={"folder": str(tmp_path / "cache")})
        embed.run(params.model_copy(update={"cache": cache}), RECIPE)
    assert endpoint.inputs == [SORTED[:2], SORTED[2:4], SORTED[4:], ["kiwi"]]


def test_a_model_that_changes_under_its_name_is_refused(tmp_path, endpoint):
    write_window(tmp_path, TEXTS)
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    endpoint.rows = lambda texts: [(i, [1.0] * 7) for i in range(len(texts))]
    write_window(tmp_path, [*TEXTS, "kiwi"])
    with pytest.raises(ContractError, match="length"):
        embed.run(remote_params(tmp_path, endpoint), RECIPE)


def test_a_dry_run_sends_and_writes_nothing(tmp_path, endpoint, capsys, monkeypatch):
    write_window(tmp_path, TEXTS)
    monkeypatch.delenv(KEY_NAME)
    params = remote_params(tmp_path, endpoint, attestation="", usd_per_million_tokens=1e6)
    embed.run_dry(params, RECIPE, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["texts"], found["cached"], found["requests"]) == (6, 0, 3)
    assert found["usd"] == found["tokens"] > 0
    assert endpoint.requests == []
    assert not (tmp_path / RECIPE.name / "embed").exists()
    monkeypatch.setenv(KEY_NAME, "secret")
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    embed.run_dry(params, RECIPE, as_json=True)
    assert json.loads(capsys.readouterr().out)["cached"] == 6


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda texts: [(0, [1.0, 2.0])], "1 vectors for 2 texts"),
        (lambda texts: [(i, [1.0] * (3 + i)) for i in range(2)], r"lengths \[3, 4\]"),
        (lambda texts: [(i, [float("nan"), 1.0]) for i in range(2)], "not finite"),
        (lambda texts: [(i, [1e6, 1.0]) for i in range(2)], "fp16 cannot hold"),
        (lambda texts: [(0, [1.0, 2.0])] * 2, "2 vectors for 2 texts"),
    ],
)
def test_wrong_vectors_are_refused(tmp_path, endpoint, rows, message):
    endpoint.rows = rows
    write_window(tmp_path, ["fig", "plum"])
    with pytest.raises(ContractError, match=message):
        embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert not (tmp_path / RECIPE.name / "embed" / "table.npy").exists()


@pytest.mark.parametrize(
    ("status", "payload"),
    [(401, '{"error": "no"}'), (400, '{"error": "cannot embed secret-text"}'), (200, "<html>")],
)
def test_errors_name_the_host_and_never_a_text(tmp_path, endpoint, status, payload):
    endpoint.script = [(status, {}, payload)]
    write_window(tmp_path, ["secret-text"])
    with pytest.raises(ContractError, match=r"127\.0\.0\.1") as caught:
        embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert "secret-text" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "\n" not in str(caught.value)


def test_a_redirect_is_not_followed(tmp_path, endpoint):
    elsewhere = f"http://127.0.0.1:{endpoint.server_port}/elsewhere"
    endpoint.script = [(307, {"Location": elsewhere}, "{}")]
    write_window(tmp_path, ["fig"])
    with pytest.raises(ContractError, match="307"):
        embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert [path for _, path, _ in endpoint.requests] == ["/v1/embeddings"]


@pytest.mark.parametrize("name", ["attestation", "base_url", "model"])
def test_remote_without_its_terms_is_refused(tmp_path, endpoint, name):
    write_window(tmp_path, ["fig"])
    with pytest.raises(ContractError, match=rf"embed\.remote\.{name} is empty.*data use") as caught:
        embed.run(remote_params(tmp_path, endpoint, **{name: "  "}), RECIPE)
    assert "minilm" in str(caught.value)
    assert endpoint.requests == []


def test_remote_without_a_key_is_refused(tmp_path, endpoint, monkeypatch):
    monkeypatch.delenv(KEY_NAME)
    with pytest.raises(ContractError, match=f"{KEY_NAME} is not set"):
        embed.run(remote_params(tmp_path, endpoint), RECIPE)


def test_no_texts_give_an_empty_table(tmp_path, endpoint):
    write_window(tmp_path, [])
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert results(tmp_path)[0].shape == (0, 0)
    assert endpoint.requests == []
    embed.run(read_test_params(tmp_path), RECIPE)
    table, texts, done = results(tmp_path)
    assert table.shape == (0, 384)
    assert texts.shape == (0, 3)
    assert done["model"]["dim"] == 384


def test_a_shorter_run_has_a_shorter_table(tmp_path, endpoint):
    write_window(tmp_path, TEXTS)
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    write_window(tmp_path, TEXTS[:1])
    embed.run(remote_params(tmp_path, endpoint), RECIPE)
    assert results(tmp_path)[0].tolist() == [vector_of("pear")]
    assert len(endpoint.requests) == 3


def test_embed_before_window_says_so(tmp_path):
    with pytest.raises(ContractError, match="stage `window` first"):
        embed.run(read_test_params(tmp_path), RECIPE)


# --- MiniLM


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_minilm_fills_the_table_and_goes_on(tmp_path, no_network):
    write_window(tmp_path, TEXTS)
    embed.run(read_test_params(tmp_path), RECIPE)
    table, _, done = results(tmp_path)
    assert table.shape == (6, 384)
    assert np.linalg.norm(table.astype(float), axis=1) == pytest.approx(np.ones(6), abs=2e-3)
    assert done["model"]["name"] == "all-MiniLM-L6-v2"
    assert "attestation" not in done
    folder = tmp_path / RECIPE.name / "embed"
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (shard,) = (tmp_path / "cache" / "embedding").glob("*/*.index")
    shard.write_bytes(shard.read_bytes()[: 4 * ENTRY.itemsize + 3])  # as a kill would leave it
    (folder / "done.json").unlink()
    embed.run(read_test_params(tmp_path), RECIPE)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == whole
    assert len(list(shard.parent.glob("*.index"))) == 2


def test_a_missing_model_package_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("etl.local_folder.MINILM_PACKAGE", "no_such_package")
    with pytest.raises(ContractError, match="pip install"):
        open_embedder(read_test_params(tmp_path).embed)
