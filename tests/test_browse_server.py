"""The server of `cxrfuture browse`: who comes in, what it answers, and what breaks."""

import io
import json
import shutil

import numpy as np
import pytest
from object_server import BUCKET
from PIL import Image
from starlette.testclient import TestClient
from tiny_browse import HOST, PORT, TOKEN, ask, enter, make_client, refusal, tile_dataset
from tiny_build import (
    TEXTS,
    build_dataset,
    build_uneven,
    film_level,
)

from cxrfuture_data import open_dataset
from cxrfuture_data.browse.app import make_app
from cxrfuture_data.browse.catalogue import Catalogue
from cxrfuture_data.browse.door import HEADERS, Door
from cxrfuture_data.browse.drawn import Drawn
from cxrfuture_data.collate import hourly_rule
from cxrfuture_data.hourly import COLUMNS, scaled_columns
from cxrfuture_data.hourly import VARIABLES as BENCHMARK
from cxrfuture_data.schema import FINDINGS, VARIABLE_SETS
from cxrfuture_data.transfer import push
from cxrfuture_data.view import View
from cxrfuture_data.wide import fill_wide

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TRAIN = {"split": "train", "kind": "pair"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_uneven(tmp_path_factory.mktemp("browse"), filmless=9)


@pytest.fixture(scope="module")
def client(folder):
    return enter(folder)


@pytest.fixture(scope="module")
def dataset(folder):
    return open_dataset(folder)


@pytest.fixture(scope="module")
def future(tmp_path_factory):
    root = tmp_path_factory.mktemp("future")
    return build_dataset(root, "future", shard={"workers": 1, "keep_films": "levels"})


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def key_of(dataset, split="train", kind="pair", at=0):
    return dataset.split(split, kind).key(at)


def test_a_token_opens_once_and_the_cookie_stays(folder):
    client = make_client(folder)
    for address in ("/", "/api/dataset", "/static/x", "/bokeh/bokeh.min.js", "/?token=wrong", "/x"):
        answer = client.get(address)
        assert answer.status_code == 403
        assert "cxrfuture browse" in answer.text
    first = client.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
    assert client.get("/").status_code == 200
    again = client.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert "set-cookie" not in again.headers
    client.cookies.clear()
    assert client.get("/", params={"token": TOKEN}).status_code == 403
    client.cookies.set(f"cxrfuture-{PORT}", "x" * 43)
    assert client.get("/api/dataset").status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (f"127.0.0.1:{PORT}", 200),
        (f"localhost:{PORT}", 200),
        ("127.0.0.1", 400),
        ("127.0.0.1:8001", 400),
        (f"rebound.example:{PORT}", 400),
        (f"[::1]:{PORT}", 400),
        ("", 400),
    ],
)
def test_only_the_own_address_is_answered(folder, host, status):
    client = enter(folder)
    session = client.cookies[f"cxrfuture-{PORT}"]
    headers = {"host": host, "cookie": f"cxrfuture-{PORT}={session}"}
    assert client.get("/api/dataset", headers=headers).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_only_get_is_answered(client, method):
    answer = client.request(method, "/api/dataset")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "address",
    ["/", "/api/dataset", "/bokeh/bokeh.min.js", "/nothing", "/api/samples?where=x", "/static/x"],
)
def test_every_answer_is_guarded(client, folder, address):
    for one in (client, make_client(folder)):
        found = one.get(address).headers
        assert found["content-security-policy"] == POLICY
        assert {name: found[name] for name in HEADERS} == HEADERS
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Cache-Control"] == "no-store"


def test_the_dataset_is_described(client, folder, dataset):
    facts = ask(client, "/api/dataset")
    assert facts["recipe"] == "ddl_cxr"
    assert facts["origin"] == "all SIMULATED"
    assert facts["splits"]["train"] == {"pair": 16, "stay": 8, "image": 8}
    assert list(facts["splits"]) == ["train", "valid", "test"]
    assert facts["first"] == TRAIN | {"key": key_of(dataset)}
    columns = {column["name"]: column for column in facts["columns"]["pair"]}
    assert (columns["age"]["min"], columns["age"]["max"]) == (41, 52)  # of all splits
    assert columns["race"]["values"] == ["not recorded", "WHITE"]
    assert columns["target.Edema"]["form"] == "finding"
    assert columns["age"]["values"] is None
    assert not {"subject_id", "study_id", "taken_at"} & {n.rpartition(".")[2] for n in columns}


def test_rows_are_those_of_the_columns(client, dataset):
    found = ask(client, "/api/samples", **TRAIN, offset=3, limit=4, show="target.Edema,bmi")
    columns = dataset.columns("train", "pair")
    assert (found["total"], found["matching"], len(found["rows"])) == (16, 16, 4)
    for at, row in zip(range(3, 7), found["rows"], strict=True):
        assert row["position"] == at
        assert row["key"] == columns["key"][at]
        assert row["age"] == columns["age"][at]
        assert row["target.view"] == columns["target.view"][at]
        edema = columns["target.Edema"][at]
        words = {1: "present", 0: "absent", -1: "uncertain"}
        assert row["target.Edema"] == words.get(edema, "not said")
        assert row["bmi"] is None
    assert ask(client, "/api/samples", **TRAIN, offset=90)["rows"] == []


def test_a_position_has_its_neighbours_in_the_order_asked_for(client):
    asked = TRAIN | {"sort": "-age", "where": [{"column": "sex", "is": "==", "value": "M"}]}
    keys = [row["key"] for row in ask(client, "/api/samples", **asked)["rows"]]
    for at, key in enumerate(keys):
        found = ask(client, "/api/position", **asked, key=key)
        assert found == {
            "position": at,
            "matching": len(keys),
            "previous_key": keys[at - 1] if at else None,
            "next_key": keys[at + 1] if at + 1 < len(keys) else None,
        }
    others = [{"column": "sex", "is": "==", "value": "F"}]
    left_out = ask(client, "/api/position", **TRAIN, where=others, key=keys[0])
    assert left_out["position"] is left_out["next_key"] is None


def test_a_pair_is_what_its_sample_says(client, dataset):
    sample = next(s for s in dataset.split("train", "pair") if s.subject_id == 2)
    found = ask(client, f"/api/sample/train/pair/{sample.key}")
    assert found["headline"] == "10.0 h from the previous film to the target"
    assert found["demographics"][:2] == [
        {"name": "age", "value": "42 years"},
        {"name": "sex", "value": "F"},
    ]
    assert found["outcomes"] == [{"name": "died in hospital", "value": "yes"}]
    assert found["window"] == {"hours": 10.0, "start": 0.0, "end": 10.0, "zero": "previous film"}
    assert [film["role"] for film in found["films"]] == ["previous", "target"]
    assert [film["hours"] for film in found["films"]] == [0.0, 10.0]
    words = {1: "present", 0: "absent", -1: "uncertain", None: "not said"}
    for row, finding in zip(found["labels"], FINDINGS, strict=True):
        assert row["finding"] == finding
        assert row["previous"] == words[sample.previous.labels[finding]]
        assert row["target"] == words[sample.target.labels[finding]]
        both = (sample.previous.labels[finding], sample.target.labels[finding])
        known = {(0, 1): "new", (1, 0): "resolved", (0, 0): "unchanged"}
        assert row["change"] == known.get(both, "not known")
    ids = {row["name"]: row["value"] for row in found["ids"]}
    assert (ids["subject_id"], ids["hadm_id"]) == ("2", "1002")
    assert ids["target: dicom_id"] == sample.target.dicom_id
    rest = json.dumps({name: value for name, value in found.items() if name != "ids"})
    assert sample.target.dicom_id not in rest
    assert "2150-" not in rest


def test_provenance_is_where_the_bytes_lie(client, dataset, folder):
    key = key_of(dataset, at=5)
    found = ask(client, f"/api/sample/train/pair/{key}")
    facts = {row["name"]: row["value"] for row in found["provenance"]}
    words = facts["sample.json"].replace(",", "").split()
    size, start = int(words[0]), int(words[4])
    data = (folder / facts["shard"]).read_bytes()[start : start + size]
    assert json.loads(data)["key"] == key
    assert facts["made from"] == dataset.manifest.made_from


@pytest.mark.parametrize("kind", ["pair", "stay", "image"])
def test_films_are_the_pixels_of_the_sample(client, dataset, kind):
    sample = dataset.split("train", kind)[0]
    films = ask(client, f"/api/sample/train/{kind}/{sample.key}")["films"]
    for film in films:
        answer = client.get(film["url"])
        assert answer.headers["content-type"] == "image/png"
        pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
        expected = getattr(sample, film["role"]).pixels()
        assert np.array_equal(pixels, expected)
        assert pixels.shape == (film["height"], film["width"])
        assert pixels[0, 0] in {film_level(sample.subject_id, number) for number in range(3)}


def test_of_levels_the_smallest_that_will_do_is_read(future):
    client, data = enter(future), open_dataset(future)
    sample = data.split("train", "pair", film_size=None)[0]
    url = f"/film/train/pair/{sample.key}/previous.png"
    for size in ("", "?size=1", "?size=9999"):
        pixels = np.asarray(Image.open(io.BytesIO(client.get(url + size).content)))
        assert np.array_equal(pixels, sample.previous.pixels())  # 32 pixels have one level


def test_a_stay_without_a_film_counts_from_its_window(client, dataset):
    stays = dataset.split("valid", "stay")
    with_film, without = sorted(stays, key=lambda stay: stay.previous is None)
    found = ask(client, f"/api/sample/valid/stay/{without.key}")
    assert found["films"] == []
    assert found["window"] == {"hours": 48.0, "start": 0.0, "end": 48.0, "zero": "window start"}
    assert refusal(client, f"/film/valid/stay/{without.key}/previous.png")[0] == 404
    found = ask(client, f"/api/sample/valid/stay/{with_film.key}")
    assert found["window"] == {
        "hours": 48.0,
        "start": -10.0,  # the film was taken ten hours later
        "end": 38.0,
        "zero": "previous film",
    }


def test_an_image_has_no_window(client, dataset):
    found = ask(client, f"/api/sample/train/image/{key_of(dataset, kind='image')}")
    assert (found["window"], found["events"], found["hourly"]) == (None, [], [])
    address = f"/chart/train/image/{key_of(dataset, kind='image')}/hourly"
    assert refusal(client, address) == (404, "an image has no window, and no chart of it")


def test_events_come_with_their_texts(future):
    client, data = enter(future), open_dataset(future)
    sample = data.split("train", "pair")[0]
    found = ask(client, f"/api/sample/train/pair/{sample.key}")
    assert [event["text"] for event in found["events"]] == list(TEXTS)
    assert [event["hours"] for event in found["events"]] == sample.window.event_hours.tolist()
    tables = ["labevents", "labevents", "prescriptions"]
    assert [event["table"] for event in found["events"]] == tables
    assert found["event_tables"] == {"labevents": 2, "prescriptions": 1}
    some = ask(client, f"/api/sample/train/pair/{sample.key}", events_from=1, events_limit=1)
    assert (some["events"], some["events_total"]) == (found["events"][1:2], 3)


@pytest.mark.parametrize("kind", ["pair", "stay"])
def test_hours_are_filled_as_the_loader_fills_them(client, dataset, kind):
    """Of the benchmark's variables, scaled back from the batch."""
    samples = dataset.split("train", kind)
    sample = samples[0]
    found = ask(client, f"/api/sample/train/{kind}/{sample.key}")["hourly"]
    assert [row["variable"] for row in found] == [variable.name for variable in BENCHMARK]
    heart = next(row for row in found if row["variable"] == "Heart Rate")
    first, second = 80 + sample.subject_id, 90 + sample.subject_id
    assert heart["values"][:5] == [None, first, None, second, None]
    assert heart["imputed"][:5] == [86, first, first, second, second]
    assert heart["hours"][0] == {"pair": 0.5, "stay": -9.5}[kind]
    first_one = samples.where(np.arange(len(samples)) == 0)
    loader = first_one.loader(1, View(kind=kind, hours=True), training=False)
    hours = next(iter(loader)).hours[0].numpy()
    loader.close()
    moments = hourly_rule(dataset, kind).moments
    at = scaled_columns(COLUMNS)[:-1]
    unscaled = hours[:, at] * moments.std[:-1] + moments.mean[:-1]
    ours = np.array([row["imputed"] for row in found if row["categories"] is None]).T
    assert ours == pytest.approx(unscaled[: len(ours)], rel=1e-5, abs=1e-5)


def test_wide_hours_are_filled_as_the_loader_fills_them(future):
    client, data = enter(future), open_dataset(future)
    sample = data.split("train", "pair")[0]
    found = ask(client, f"/api/sample/train/pair/{sample.key}")["hourly"]
    rule = hourly_rule(data, "pair")
    filled, observed = fill_wide(sample.window.hourly, rule)
    assert pytest.approx(filled, rel=1e-5) == np.array([row["imputed"] for row in found]).T
    assert [[value is not None for value in row["values"]] for row in found] == observed.T.tolist()
    names = [variable.name for variable in VARIABLE_SETS["wide"]]
    fluid = found[names.index("Fluid intake")]
    assert set(fluid["imputed"]) == {0.0}  # what runs is 0 in an hour without a value
    samples = data.split("train", "pair")
    first_one = samples.where(np.arange(len(samples)) == 0)
    loader = first_one.loader(1, View(kind="pair", hours=True), training=False)
    hours = next(iter(loader)).hours[0].numpy()
    loader.close()
    scaled = (filled - rule.mean) / rule.std
    assert hours[: len(scaled), : len(names)] == pytest.approx(scaled, abs=1e-5)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_hold_what_the_sample_holds(future, theme):
    client, data = enter(future), open_dataset(future)
    key = key_of(data)
    timeline = client.get(f"/chart/train/pair/{key}/timeline", params={"theme": theme})
    assert timeline.json()["root_id"]
    assert all(text in timeline.text for text in TEXTS)
    assert "3 events by table, over 10.0 hours" in timeline.text
    hourly = client.get(f"/chart/train/pair/{key}/hourly", params={"theme": theme}).text
    for row in ask(client, f"/api/sample/train/pair/{key}")["hourly"]:
        words = f"{row['variable']} ({row['unit']})"
        assert (words in hourly) == bool(row["measured"] and row["unit"])
    assert refusal(client, f"/chart/train/pair/{key}/timeline", theme="blue")[0] == 400
    assert refusal(client, f"/chart/train/pair/{key}/pie")[0] == 404


def test_an_empty_window_has_its_charts(client, dataset):
    null = next(s for s in dataset.split("train", "pair") if s.is_null_event)
    words = client.get(f"/chart/train/pair/{null.key}/timeline").text
    assert "no events in this window" in words
    words = client.get(f"/chart/train/pair/{null.key}/hourly").text
    assert "No hourly value was measured" in words


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/api/sample/train/pair/xyz", 404, "no sample 'xyz' among these 16 pairs"),
        ("/api/sample/nowhere/pair/xyz", 404, "no split 'nowhere' in this dataset"),
        ("/api/sample/train/video/xyz", 404, "no kind 'video' in this dataset"),
        ("/film/train/pair/KEY/image.png", 404, "has no film 'image'"),
        ("/film/train/pair/KEY/generated-0.png", 404, "has no film 'generated-0'"),
        ("/nothing", 404, "no page /nothing"),
        ("/static/../app.py", 404, "no page"),
        ("/api/samples?offset=-1", 400, "offset '-1'; give a whole number from 0"),
        ("/api/samples?sort=agee", 400, "no column 'agee' of pairs; did you mean 'age'?"),
        ("/api/samples?show=sexx", 400, "did you mean 'sex'?"),
    ],
)
def test_what_is_not_there_is_one_line(client, dataset, address, status, words):
    found, line = refusal(client, address.replace("KEY", key_of(dataset)))
    assert (found, words in line) == (status, True), line


def damage(folder, dataset, member, key):
    """Change the last byte of a member."""
    columns = dataset.columns("train", "pair")
    at, column = columns.find(key), columns.places.members.index(member)
    path = folder / "train" / columns.shards[columns.places.shard[at]]
    data = bytearray(path.read_bytes())
    data[columns.places.offset[at, column] + columns.places.size[at, column] - 1] ^= 1
    path.unlink()
    path.write_bytes(data)
    return f"train/{path.name}"


@pytest.mark.parametrize("member", ["sample.json", "tensors.safetensors", "previous.png"])
def test_a_broken_member_is_one_line_and_the_server_goes_on(copy, dataset, member):
    client, key = enter(copy), key_of(dataset, at=2)
    name = damage(copy, dataset, member, key)
    address = f"/api/sample/train/pair/{key}"
    if member == "previous.png":
        address = f"/film/train/pair/{key}/previous.png"
    status, line = refusal(client, address)
    assert status == 500
    assert all(word in line for word in (name, key, member, "altered", "cxrfuture verify"))
    other = key_of(dataset, at=3)
    assert ask(client, f"/api/sample/train/pair/{other}")["key"] == other


def test_a_tar_that_is_missing_or_cut_is_one_line(copy, dataset):
    client, key = enter(copy), key_of(dataset, at=15)
    path = copy / dataset.split("train", "pair").shard(15)
    data = path.read_bytes()
    path.unlink()
    status, line = refusal(client, f"/api/sample/train/pair/{key}")
    assert status == 500
    assert all(word in line for word in (path.name, key, "no such shard", "cxrfuture verify"))
    path.write_bytes(data[:2000])
    client = enter(copy)
    status, line = refusal(client, f"/film/train/pair/{key}/target.png")
    assert status == 500
    assert all(word in line for word in (path.name, key, "cxrfuture verify"))
    assert ask(client, "/api/samples", **TRAIN)["total"] == 16


def test_damaged_columns_and_texts_are_one_line(copy, future, tmp_path):
    (copy / "valid" / "stay.safetensors").unlink()
    client = enter(copy)
    status, line = refusal(client, "/api/samples?split=valid&kind=stay")
    assert (status, "stay.safetensors: no such file" in line) == (500, True)
    assert ask(client, "/api/samples", **TRAIN)["total"] == 16
    other = shutil.copytree(future, tmp_path / "future")
    (other / "embeddings" / "text.jsonl").write_text('"one"\n')
    status, line = refusal(enter(other), f"/api/sample/train/pair/{key_of(open_dataset(other))}")
    assert (status, "no row 1; rebuild" in line) == (500, True)


def test_without_films_there_is_a_reason(tmp_path):
    folder = build_dataset(tmp_path, "ddl_cxr", shard={"workers": 1, "keep_films": "none"})
    client, key = enter(folder), key_of(open_dataset(folder))
    for film in ask(client, f"/api/sample/train/pair/{key}")["films"]:
        assert (film["url"], film["reason"]) == (None, "films are not kept in this build")
    status, line = refusal(client, f"/film/train/pair/{key}/target.png")
    assert (status, "build with shard.keep_films" in line) == (404, True)


def test_a_fault_of_ours_is_guarded_too(folder, monkeypatch):
    """Even an error that nobody foresaw has the headers."""
    client = enter(folder)
    monkeypatch.setattr("cxrfuture_data.browse.app.headline", lambda sample: 1 / 0)
    answer = client.get(f"/api/sample/train/pair/{key_of(open_dataset(folder))}")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == POLICY


def test_of_many_samples_the_right_ones_come(copy, dataset):
    """And no tar is opened: there is none."""
    tile_dataset(copy, "train", "pair", 100_000)
    for path in copy.glob("*/*.tar"):
        path.unlink()
    client, columns = enter(copy), open_dataset(copy).columns("train", "pair")
    where = [
        {"column": "age", "is": ">=", "value": 65},
        {"column": "target.view", "is": "==", "value": "PA"},
        {"column": "target.Edema", "is": "in", "value": ["present", "uncertain"]},
    ]
    found = ask(client, "/api/samples", **TRAIN, where=where, sort="-gap_hours", limit=50)
    edema = columns["target.Edema"]
    mask = (columns["age"] >= 65) & (columns["target.view"] == "PA") & (abs(edema) == 1)
    chosen = np.flatnonzero(mask)
    order = chosen[np.argsort(-columns["gap_hours"][chosen], kind="stable")]
    assert (found["total"], found["matching"]) == (100_000, mask.sum())
    assert found["matching"] > 1000
    assert [row["key"] for row in found["rows"]] == columns["key"][order[:50]].tolist()
    asked = {"where": where, "sort": "-gap_hours", "key": columns["key"][order[777]]}
    place = ask(client, "/api/position", **TRAIN, **asked)
    keys = [str(columns["key"][order[at]]) for at in (776, 778)]
    assert (place["position"], place["previous_key"], place["next_key"]) == (777, *keys)


def test_a_pushed_dataset_is_browsed_where_it_lies(folder, dataset, bucket, tmp_path):
    push(folder, f"s3://{BUCKET}/ddl_cxr", "")
    far = open_dataset(f"s3://{BUCKET}/ddl_cxr", cache=tmp_path)
    client = TestClient(Door(make_app(Catalogue(far, Drawn(far))), PORT, TOKEN), base_url=HOST)
    client.get("/", params={"token": TOKEN})
    assert ask(client, "/api/samples", **TRAIN)["total"] == 16
    sample = dataset.split("train", "pair")[4]
    found = ask(client, f"/api/sample/train/pair/{sample.key}")
    pixels = np.asarray(Image.open(io.BytesIO(client.get(found["films"][1]["url"]).content)))
    assert np.array_equal(pixels, sample.target.pixels())
