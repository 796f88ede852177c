"""The remote embedder against a server that answers late, short, wrong, or not at all."""

import hashlib
import logging
import random
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from etl.embedder import open_embedder
from etl.params import Params
from etl.remote_pace import Budget, Pace, pause_before, read_retry_after
from tests.embedding_server import KEY, KEY_NAME, running_server, vector_of

ROOT = Path(__file__).resolve().parent.parent
SECRET = "chartevents itemid Secret"
TEXTS = [f"{SECRET} value {number} mmHg" for number in range(10)]  # 6 words, 38 characters


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(KEY_NAME, KEY)
    with running_server() as server:
        yield server


def open_model(server, is_estimating=False, **changes):
    value = read_yaml(ROOT / "params.yaml")
    remote = value["embed"]["remote"] | {
        "base_url": server.url,
        "model": "m",
        "api_key_env": KEY_NAME,
        "batch_size": 2,
        "concurrency": 1,
        "requests_per_minute": 60_000,
        "retries": 2,
        "timeout_seconds": 5,
        "attestation": "our own server",
    }
    value["embed"] |= {"backend": "remote", "remote": remote | changes}
    return open_embedder(parse_settings(Params, value, "test").embed, is_estimating)


def expected(texts, dim=6):
    return np.array([vector_of(text, dim) for text in texts], np.float32)


def take(model, texts=TEXTS):
    """What came before the error, by position, and the error."""
    found, error = {}, None
    try:
        for positions, vectors in model.embed_each(texts):
            found |= dict(zip(positions.tolist(), vectors.tolist(), strict=True))
    except ContractError as caught:
        error = caught
    return found, error


def require_clean(error):
    """One line that names the host, and neither a text nor the key."""
    assert "127.0.0.1" in str(error)
    assert SECRET not in str(error)
    assert KEY not in str(error)
    assert "\n" not in str(error)
    assert error.__suppress_context__


# --- what goes well


@pytest.mark.parametrize("concurrency", [1, 4])
def test_every_text_has_its_vector(server, concurrency):
    model = open_model(server, concurrency=concurrency)
    assert model.facts.dim is None
    assert np.array_equal(model.embed(TEXTS), expected(TEXTS))
    assert (model.facts.dim, model.facts.full_dim) == (6, 6)
    assert model.usage.texts == 10
    assert model.usage.tokens == 60
    assert model.usage.requests == 5
    assert model.usage.usd == pytest.approx(60 * 0.10 / 1e6)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_rows_out_of_order_are_put_in_order(server):
    server.reverse = True
    assert np.array_equal(open_model(server).embed(TEXTS), expected(TEXTS))


def test_requests_run_at_once_up_to_the_setting(server):
    server.script = lambda body, number: time.sleep(0.1)
    open_model(server, concurrency=3, batch_size=1).embed(TEXTS)
    assert server.most_under_way == 3


def test_azure_is_asked_as_azure_wants(server):
    url = server.url.removesuffix("/v1")
    model = open_model(server, kind="azure", base_url=url, api_version="2024-10-21")
    model.embed(TEXTS[:2])
    assert server.paths == ["/openai/deployments/m/embeddings?api-version=2024-10-21"]
    assert server.headers[0]["api-key"] == KEY
    assert "Authorization" not in server.headers[0]


def test_azure_without_a_version_is_refused(server):
    with pytest.raises(ContractError, match=r"api_version is empty"):
        open_model(server, kind="azure")


def test_a_server_without_a_key_is_asked(server, monkeypatch):
    monkeypatch.delenv(KEY_NAME)
    assert open_model(server, api_key_env="").embed(TEXTS).shape == (10, 6)


def test_no_texts_ask_nothing(server):
    assert open_model(server).embed([]).shape == (0, 0)
    assert server.bodies == []


# --- dimensions


def test_the_server_cuts(server):
    server.vector = lambda text: vector_of(text, 4)
    model = open_model(server, dimensions=4)
    assert model.facts.dim == 4
    assert np.array_equal(model.embed(TEXTS), expected(TEXTS, 4))
    assert server.bodies[0]["dimensions"] == 4


def test_a_server_that_does_not_cut_is_refused(server):
    _, error = take(open_model(server, dimensions=4))
    assert "length 6 where embed.remote.dimensions is 4" in str(error)


def test_we_cut(server):
    model = open_model(server, dimensions=4, cut="here")
    assert np.array_equal(model.embed(TEXTS), expected(TEXTS, 4))
    assert (model.facts.dim, model.facts.full_dim) == (4, 6)
    assert "dimensions" not in server.bodies[0]
    unit = open_model(server, dimensions=4, cut="here_unit")
    vectors = unit.embed(TEXTS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(10), abs=1e-6)
    wanted = expected(TEXTS, 4)
    assert vectors * np.linalg.norm(wanted, axis=1, keepdims=True) == pytest.approx(wanted)
    digests = {model.facts.digest, unit.facts.digest, open_model(server).facts.digest}
    assert len(digests) == 3


# --- truncation


def test_long_texts_are_cut_by_characters_and_counted(server):
    model = open_model(server, max_tokens=4)
    model.embed(["x" * 16, "y" * 17, "z" * 400])
    sent = [text for body in server.bodies for text in body["input"]]
    assert sent == ["x" * 16, "y" * 16, "z" * 16]
    assert model.usage.cut == 2
    assert model.count_tokens(["x", "x" * 5, "x" * 400]).tolist() == [1, 2, 4]


@pytest.fixture
def words(tmp_path):
    """A tokenizer of words that puts one token before each text and one after."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    known = {"[UNK]": 0, "[A]": 1, "[Z]": 2}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[A] $A [Z]", special_tokens=[("[A]", 1), ("[Z]", 2)]
    )
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)


def test_long_texts_are_cut_by_the_tokenizer(server, words):
    model = open_model(server, max_tokens=5, tokenizer=words)
    model.embed(["one two three", "one two three four", "fünf  sechs sieben  acht"])
    sent = [text for body in server.bodies for text in body["input"]]
    assert sent == ["one two three", "one two three", "fünf  sechs sieben"]
    assert model.usage.cut == 2
    assert model.count_tokens(["one", "one two three four"]).tolist() == [3, 5]
    assert model.facts.digest != open_model(server, max_tokens=5).facts.digest


def test_a_broken_tokenizer_is_named(server, tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ContractError, match=r"tokenizer\.json is no file"):
        open_model(server, tokenizer=str(path))
    path.write_text("{")
    with pytest.raises(ContractError, match=r"is no tokenizer\.json"):
        open_model(server, tokenizer=str(path))


# --- failures that pass


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_failure_is_tried_again(server, status):
    server.script = lambda body, number: (status, {}, "{}") if number == 0 else None
    model = open_model(server)
    assert np.array_equal(model.embed(TEXTS), expected(TEXTS))
    assert server.times[1] - server.times[0] >= 0.2  # half of the first pause at least
    assert model.usage.tokens == 60


def test_retry_after_is_honoured(server):
    header = {"Retry-After": "1"}
    server.script = lambda body, number: (429, header, "{}") if number == 0 else None
    open_model(server).embed(TEXTS[:2])
    assert server.times[1] - server.times[0] >= 1.0


def test_a_pause_asked_for_holds_all_threads(server):
    header = {"Retry-After": "1"}
    server.script = lambda body, number: (429, header, "{}") if number == 0 else time.sleep(0.2)
    open_model(server, concurrency=2).embed(TEXTS)
    first = server.times[0]
    assert sum(at - first < 0.95 for at in server.times) <= 3  # the two at once, and one let in


def test_a_failure_that_stays_is_an_error(server):
    server.script = lambda body, number: (500, {"retry-after-ms": "1"}, SECRET)
    found, error = take(open_model(server))
    assert found == {}
    assert "status 500 in 3 tries" in str(error)
    assert len(server.bodies) == 3
    require_clean(error)


def test_hours_of_waiting_are_refused(server):
    server.script = lambda body, number: (429, {"Retry-After": "7200"}, "{}")
    _, error = take(open_model(server))
    assert "asks to wait 7,200 s" in str(error)


def test_an_empty_purse_is_not_tried_again(server):
    payload = '{"error": {"code": "insufficient_quota", "message": "pay"}}'
    server.script = lambda body, number: (429, {}, payload)
    _, error = take(open_model(server))
    assert len(server.bodies) == 1
    assert "status 429" in str(error)


def hang_up(handler):
    handler.connection.close()


def hang_up_midway(handler):
    handler.answer(200, {}, '{"data": [', length=5000)
    handler.connection.close()


@pytest.mark.parametrize("failure", [hang_up, hang_up_midway])
def test_a_lost_connection_is_tried_again_and_may_be_billed(server, failure):
    server.script = lambda body, number: failure if number == 0 else None
    model = open_model(server, usd_per_million_tokens=1.0)
    assert np.array_equal(model.embed(TEXTS[:2]), expected(TEXTS[:2]))
    # 12 tokens by the server's count; the lost request at its most: bytes, and 2 a text.
    assert model.usage.tokens == 12 + sum(len(text) + 2 for text in TEXTS[:2])


def test_a_slow_server_is_an_error_after_its_tries(server):
    server.script = lambda body, number: time.sleep(0.6)
    _, error = take(open_model(server, timeout_seconds=0.2, retries=1))
    assert "APITimeoutError" in str(error)
    assert len(server.bodies) == 2
    require_clean(error)


# --- answers that are wrong


def change_of(payload):
    return lambda body, number: (200, {}, payload(body)) if number == 2 else None


WRONG = {
    "wrong dimension": (lambda s, b: s.payload(b, [[1.0] * 5] * 2), "length 5 after 6"),
    "two dimensions": (lambda s, b: s.payload(b, [[1.0] * 6, [1.0] * 5]), r"lengths [5, 6]"),
    "empty": (lambda s, b: s.payload(b, [[], []]), "lengths [0]"),
    "nan": (lambda s, b: s.payload(b, [[float("nan")] * 6] * 2), "not finite"),
    "inf": (lambda s, b: s.payload(b, [[float("inf")] * 6] * 2), "not finite"),
    "fewer": (lambda s, b: s.payload(b, [[1.0] * 6]), "1 vectors for 2 texts"),
    "more": (lambda s, b: s.payload(b, [[1.0] * 6] * 3), "3 vectors for 2 texts"),
    "none": (lambda s, b: '{"object": "list", "data": []}', "no embeddings"),
    "no JSON": (lambda s, b: f"<html>{SECRET}", "no embeddings"),
    "half a JSON": (lambda s, b: s.payload(b)[:-9], "no embeddings"),
    "another JSON": (lambda s, b: '{"a": 1}', "no embeddings"),
    "a list": (lambda s, b: "[1]", "no embeddings"),
    "text for numbers": (
        lambda s, b: '{"data": [{"index": 0, "embedding": ["a"]}, {"index": 1, "embedding": 3}]}',
        "no embeddings",
    ),
    "broken base64": (
        lambda s, b: '{"data": [{"index": 0, "embedding": "AAA"}, {"index": 1}]}',
        "no embeddings",
    ),
    "no index": (
        lambda s, b: '{"data": [{"embedding": [1]}, {"embedding": [1]}]}',
        "no embeddings",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_stops_and_keeps_the_rest(server, name):
    make, message = WRONG[name]
    server.script = change_of(lambda body: make(server, body))
    found, error = take(open_model(server))
    assert error is not None
    assert message in str(error)
    require_clean(error)
    assert found == dict(enumerate(expected(TEXTS[:4]).tolist()))
    assert len(server.bodies) == 3


def test_a_redirect_is_not_followed(server):
    server.script = lambda body, number: (307, {"Location": f"{server.url}/elsewhere"}, "{}")
    _, error = take(open_model(server))
    assert "status 307" in str(error)
    assert server.paths == ["/v1/embeddings"]


def test_what_is_under_way_when_one_fails_is_kept(server):
    def script(body, number):
        if TEXTS[0] in body["input"]:
            return 401, {}, "{}"
        return time.sleep(0.3)

    server.script = script
    found, error = take(open_model(server, concurrency=3))
    assert "status 401" in str(error)
    assert sorted(found) == [2, 3, 4, 5]
    assert len(server.bodies) == 3


def test_a_model_goes_on_after_an_error(server):
    server.script = lambda body, number: (401, {}, "{}") if number == 0 else None
    model = open_model(server)
    assert take(model)[1] is not None
    assert np.array_equal(model.embed(TEXTS), expected(TEXTS))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_text_is_named_by_its_hash_and_the_others_kept(server, status):
    bad = TEXTS[5]

    def script(body, number):
        return (status, {}, f'{{"error": "{bad}"}}') if bad in body["input"] else None

    server.script = script
    found, error = take(open_model(server, batch_size=8))
    assert hashlib.sha256(bad.encode()).hexdigest() in str(error)
    assert f"status {status}" in str(error)
    require_clean(error)
    assert sorted(found) == [0, 1, 2, 3, 4]


def test_nothing_is_logged(server, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.DEBUG)
    server.script = lambda body, number: (500, {}, "{}") if number == 0 else None
    open_model(server).embed(TEXTS)
    printed = capfd.readouterr()
    for said in (caplog.text, printed.out, printed.err):
        assert SECRET not in said
        assert KEY not in said


# --- permission


@pytest.mark.parametrize(
    "url", ["https://me:pass@host/v1", "https://host/v1?key=pass", "https://host/v1#pass"]
)
def test_an_address_with_a_secret_is_refused_and_not_shown(server, url):
    with pytest.raises(ContractError, match="user, query or fragment") as caught:
        open_model(server, base_url=url)
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize("url", ["host/v1", "ftp://host/v1", "https://", "http://[::1"])
def test_what_is_no_address_is_refused(server, url):
    with pytest.raises(ContractError, match="is no address"):
        open_model(server, base_url=url)


def test_a_model_opened_for_an_estimate_sends_nothing_unattested(server):
    model = open_model(server, is_estimating=True, attestation=" ")
    assert model.count_tokens(TEXTS).tolist() == [10] * 10
    with pytest.raises(ContractError, match="attestation is empty"):
        model.embed(TEXTS)
    assert server.bodies == []


def test_a_proxy_never_sees_plain_texts(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert open_model(server).embed(TEXTS[:2]).shape == (2, 6)


# --- budget


def test_the_budget_of_tokens_is_never_passed(server, words):
    # Two texts cost 16 tokens by this tokenizer (6 words, two marks), and by this server.
    server.usage = lambda texts: 8 * len(texts)
    model = open_model(server, max_tokens_total=35, tokenizer=words)
    found, error = take(model)
    assert "max_tokens_total = 35" in str(error)
    assert sorted(found) == [0, 1, 2, 3]
    assert (len(server.bodies), model.usage.tokens) == (2, 32)


def test_the_budget_of_money_is_never_passed(server, words):
    server.usage = lambda texts: 8 * len(texts)
    model = open_model(
        server, max_cost_usd=0.5, usd_per_million_tokens=10_000.0, tokenizer=words, concurrency=3
    )
    found, error = take(model)
    assert "max_cost_usd = 0.5" in str(error)
    assert len(found) == 6
    assert model.usage.usd == pytest.approx(0.48)


def test_without_a_tokenizer_the_most_a_text_can_cost_is_set_aside(server):
    server.usage = None
    model = open_model(server, max_tokens_total=90)
    found, error = take(model)
    assert sorted(found) == [0, 1]  # twice 38 bytes and 2
    assert "80 tokens" in str(error)


def test_the_budget_settles_to_what_it_cost():
    budget = Budget(max_tokens=100, max_usd=0, usd_per_million=0)
    budget.set_aside(90)
    with pytest.raises(ContractError, match="90 under way"):
        budget.set_aside(20)
    budget.settle(90, 30)
    budget.set_aside(70)
    with pytest.raises(ContractError, match="30 tokens"):
        budget.set_aside(1)


def test_money_without_a_price_is_refused(server):
    with pytest.raises(ContractError, match="usd_per_million_tokens"):
        open_model(server, max_cost_usd=1.0, usd_per_million_tokens=0)


# --- pace


def test_pace_counts_tokens_too():
    now, pauses = [100.0], []
    pace = Pace(600, tokens_per_minute=6000, clock=lambda: now[0], sleep=pauses.append)
    pace.wait(50)  # half a second's worth
    pace.wait(1)
    pace.wait(1)  # a tenth of a second for the request before
    pace.hold(9)
    pace.wait(1)
    assert pauses == pytest.approx([0.5, 0.6, 9.0])


def test_tokens_a_minute_slow_requests_down(server):
    # 38 characters are 10 tokens, two texts 20: at 12,000 a minute, a tenth of a second each.
    open_model(server, tokens_per_minute=12_000).embed(TEXTS)
    assert server.times[4] - server.times[0] >= 0.3  # the first is late: it opens the client


def test_pauses_double_are_shaken_and_end():
    rng = random.Random(0)
    for attempt, whole in [(1, 0.5), (2, 1.0), (3, 2.0), (8, 60.0), (30, 60.0)]:
        pauses = [pause_before(attempt, None, rng) for _ in range(200)]
        assert whole / 2 <= min(pauses) < max(pauses) <= whole
        assert len(set(pauses)) > 100
    assert pause_before(1, 7.5, rng) == 7.5


NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5", "retry-after-ms": "20"}, 0.02),
        ({"retry-after": "Sat, 28 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 28 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_is_read(headers, seconds):
    assert read_retry_after(headers, NOW) == seconds


def test_every_setting_of_identity_is_in_the_digest(server):
    base = open_model(server).facts.digest
    for change in ({"model": "n"}, {"base_url": server.url + "/x"}, {"max_tokens": 99}):
        assert open_model(server, **change).facts.digest != base
    for change in ({"batch_size": 9}, {"retries": 0}, {"attestation": "x"}, {"max_cost_usd": 1}):
        assert open_model(server, **change).facts.digest == base
