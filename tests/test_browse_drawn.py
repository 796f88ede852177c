"""Generated films and anomaly maps in the server of `cxrfuture browse`."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from tiny_browse import ask, enter, refusal
from tiny_build import LATENT, build_dataset
from tiny_judge import change_manifest
from tiny_train import vae_config

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.browse.drawn import Drawn
from cxrfuture_data.codec import load_codec, weights_digest
from cxrfuture_data.generated import LATENTS
from train.anomaly import GAP
from train.generate import file_of
from train.model.vae import build_autoencoder
from train.picture import write_films
from train.vae_run import publish_autoencoder

SIDE = 16


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A dataset, the autoencoder that it says it is of, latents of pairs by two seeds and of stays
    by one, and the anomaly map of one film."""
    root = tmp_path_factory.mktemp("drawn")
    folder = build_dataset(root, "ddl_cxr", shard={"workers": 1})
    codec = root / "codec"
    publish_autoencoder(build_autoencoder(vae_config(), seed=1), codec, {})
    change_manifest(folder, lambda manifest: manifest["weights"].update(vae=weights_digest(codec)))
    dataset = open_dataset(folder)
    for kind, seed in (("pair", 0), ("pair", 1), ("stay", 0)):
        write_latents(root / "run", dataset, kind, seed)
    write_anomaly(root / "anomaly", dataset.split("test", "image").key(0))
    return root


@pytest.fixture(scope="module")
def folder(build):
    return build / "build" / "ddl_cxr" / "shard"


@pytest.fixture(scope="module")
def client(build, folder):
    return enter(
        folder,
        generated=build / "run" / "generated",
        anomaly=build / "anomaly",
        autoencoder=build / "codec",
    )


def write_latents(run, dataset, kind, seed):
    """As `cxrfuture generate` does, of all training samples but the first."""
    keys = dataset.split("train", kind).columns["key"].tolist()[1:]
    latents = np.random.default_rng(seed).normal(size=(len(keys), *LATENT)).astype(np.float16)
    path = file_of(run, kind, "train", seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({LATENTS: latents}, path)
    facts = {"keys": keys, "dataset": dataset.manifest.made_from}
    path.with_suffix(".json").write_text(json.dumps(facts))


def write_anomaly(folder, key):
    """As `cxrfuture anomaly` does: the film is 10, what came back 20, the map 30."""
    panels = np.stack([np.full((SIDE, SIDE), grey, np.uint8) for grey in (10, 20, 30)])
    write_films(folder / "films" / f"{key}.png", panels[None], GAP)
    rows = [{"made_from": "x"}, {"key": key, "error": 0.25, "largest": 0.5}]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def pixels_of(client, url):
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def drawn_films(client, kind, key, split="train"):
    films = ask(client, f"/api/sample/{split}/{kind}/{key}")["films"]
    return [film for film in films if film["role"] not in ("previous", "target", "image")]


@pytest.mark.parametrize(("kind", "seeds"), [("pair", [0, 1]), ("stay", [0])])
def test_a_latent_of_each_seed_is_decoded(build, client, folder, kind, seeds):
    keys = open_dataset(folder).split("train", kind).columns["key"].tolist()
    films = drawn_films(client, kind, keys[3])
    assert [film["seed"] for film in films] == seeds
    codec = load_codec(build / "codec")
    for film, seed in zip(films, seeds, strict=True):
        latents = np.random.default_rng(seed).normal(size=(len(keys) - 1, *LATENT))
        latent = torch.from_numpy(latents[2:3].astype(np.float16))
        assert np.array_equal(pixels_of(client, film["url"]), codec.decode(latent)[0].numpy())
    assert drawn_films(client, kind, keys[0]) == []
    assert drawn_films(client, kind, open_dataset(folder).split("test", kind).key(0), "test") == []
    status, line = refusal(client, f"/film/train/{kind}/{keys[3]}/generated-7.png")
    assert (status, "has no film 'generated-7'" in line) == (404, True)


def test_without_an_autoencoder_the_reason_is_said(build, folder):
    client = enter(folder, generated=build / "run" / "generated")
    key = open_dataset(folder).split("train", "stay").key(1)
    (film,) = drawn_films(client, "stay", key)
    assert (film["url"], film["reason"]) == (None, "a latent; give --autoencoder to see the film")
    assert refusal(client, f"/film/train/stay/{key}/generated-0.png")[0] == 404
    assert ask(client, "/api/dataset")["has_generated"]
    assert not ask(enter(folder), "/api/dataset")["has_generated"]


def test_the_map_and_what_came_back_are_cut_from_their_picture(client, folder):
    keys = open_dataset(folder).split("test", "image").columns["key"].tolist()
    films = drawn_films(client, "image", keys[0], "test")
    assert [film["role"] for film in films] == ["reconstruction", "anomaly"]
    for film, grey in zip(films, (20, 30), strict=True):
        assert np.array_equal(pixels_of(client, film["url"]), np.full((SIDE, SIDE), grey))
    scores = ask(client, f"/api/sample/test/image/{keys[0]}")["scores"]
    assert scores == [{"name": "error", "value": "0.25"}, {"name": "largest", "value": "0.5"}]
    assert drawn_films(client, "image", keys[1], "test") == []
    assert ask(client, f"/api/sample/test/image/{keys[1]}")["scores"] == []
    assert refusal(client, f"/film/test/image/{keys[1]}/anomaly.png")[0] == 404


def test_what_is_damaged_later_is_one_line(build, folder, tmp_path):
    run = shutil.copytree(build / "run", tmp_path / "run")
    anomaly = shutil.copytree(build / "anomaly", tmp_path / "anomaly")
    data = open_dataset(folder)
    pair, image = data.split("train", "pair").key(1), data.split("test", "image").key(0)
    drawn = {"anomaly": anomaly, "autoencoder": build / "codec"}
    client = enter(folder, generated=run / "generated", **drawn)
    (run / "generated" / "train-0.safetensors").write_bytes(b"no")
    (anomaly / "films" / f"{image}.png").write_bytes(b"no")
    status, line = refusal(client, f"/film/train/pair/{pair}/generated-0.png")
    assert (status, "train-0.safetensors: no file of latents" in line) == (500, True)
    status, line = refusal(client, f"/film/test/image/{image}/anomaly.png")
    assert (status, "no PNG" in line) == (500, True)
    assert client.get(f"/film/train/pair/{pair}/generated-1.png").status_code == 200


def test_what_does_not_fit_is_refused_at_the_start(build, folder, tmp_path):
    dataset = open_dataset(folder)

    def refused(words, **drawn):
        with pytest.raises(ContractError, match=words):
            Drawn(dataset, **drawn)

    refused("no generated latents; run `cxrfuture generate RUN` first", generated=tmp_path)
    refused("no films of anomalies", anomaly=tmp_path)
    refused(r"no config\.json", autoencoder=tmp_path)
    other = tmp_path / "other"
    publish_autoencoder(build_autoencoder(vae_config(), seed=2), other, {})
    refused("not the autoencoder of this dataset's latents", autoencoder=other)
    run = shutil.copytree(build / "run" / "generated", tmp_path / "generated")
    record = run / "train-0.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"dataset": "another"}))
    refused("of another dataset; generate again", generated=run)
    record.write_text("{")
    refused("cannot be read; generate again", generated=run)
