"""The autoencoder's trainer on eighteen films of two shapes."""

import json
import os
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from ranks import run_ranks
from safetensors.torch import load_file
from test_perceptual import write_perceptual
from tiny_cache import make_cache, put_rows
from tiny_train import vae_config

from cxrfuture_data.codec import load_codec
from cxrfuture_data.schema import FINDINGS, ContractError
from train import fit_vae as trainer
from train.films import open_films, read_labels
from train.fit_vae import VaeInputs, fit_vae
from train.settings import VaeConfig, read_config
from train.vae_plan import VaePlan, centre, crop

ALL_TERMS = {"adversarial_weight": 0.5, "adversarial_from_step": 2, "label_weight": 1.0}
SLOW = vae_config().optimiser.model_dump() | {"learning_rate": 2e-4}


def write_images(folder, size=32):
    """Films 0..15: bright on the left (even) or on the right (odd). 14, 15: valid.

    Film 16 could not be read, and film 17 is a test patient's.
    """
    films = np.zeros((17, size, size), np.uint8)
    films[0::2, :, : size // 2] = 255
    films[1::2, :, size // 2 :] = 255
    hashes = [f"{number:02d}" * 32 for number in range(18)]
    rows_made = hashes[:16] + hashes[17:]
    put_rows(folder, make_cache(folder.parent / "cache"), rows_made, films)
    rows = {
        "dicom_id": [f"d{number}" for number in range(18)],
        "outcome": ["ok"] * 16 + ["truncated", "ok"],
        "split": ["train"] * 14 + ["valid"] * 2 + ["train", "test"],
        "sha256": hashes,
    }
    pq.write_table(pa.table(rows), folder / "film.parquet")
    return folder


def write_cohort(folder):
    """Film d<n> is of study n; odd studies have Edema, even ones have not; 3 is in no label file.

    Study 5 has an uncertain Pneumonia, and nothing else is mentioned.
    """
    folder.mkdir()
    ids = {"dicom_id": [f"d{n}" for n in range(18)], "study_id": list(range(18))}
    pq.write_table(pa.table(ids), folder / "film.parquet")
    studies = [n for n in range(18) if n != 3]
    columns = {name: pa.array([None] * len(studies), pa.int8()) for name in FINDINGS}
    columns["Edema"] = pa.array([n % 2 for n in studies], pa.int8())
    columns["Pneumonia"] = pa.array([-1 if n == 5 else None for n in studies], pa.int8())
    pq.write_table(pa.table({"study_id": studies} | columns), folder / "label.parquet")
    return folder


pytestmark = pytest.mark.usefixtures("one_thread", "new_accelerator")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vae")


@pytest.fixture(scope="module")
def images(folder):
    return write_images(folder / "image")


@pytest.fixture(scope="module")
def inputs(folder, images):
    return VaeInputs(images, write_cohort(folder / "cohort"))


def fit(inputs, out, seed=5, **changes):
    """Train, and give the losses of each step."""
    AcceleratorState._reset_state(reset_partial_state=True)
    fit_vae(inputs, out, vae_config(**changes), seed)
    return [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]


def steps(count):
    return {"epochs": None, "steps": count}


def test_films_are_those_of_the_split_that_could_be_read(images):
    assert len(open_films(images, "train")) == 14
    assert len(open_films(images, "test")) == 1
    valid = open_films(images, "valid")
    assert valid.dicom_ids == ["d14", "d15"]
    assert valid.read(0)[0, 0] == 255  # film 14, bright on the left
    assert valid.read(1)[0, 0] == 0  # film 15


def test_labels_are_those_of_the_films_study(inputs):
    labels = read_labels(inputs.cohort, ["d5", "d2", "d3", "elsewhere"])
    edema, pneumonia = FINDINGS.index("Edema"), FINDINGS.index("Pneumonia")
    assert labels[:2, edema].tolist() == [1, 0]
    assert labels[0, pneumonia] == -1
    assert np.isnan(labels[1, pneumonia])
    assert np.isnan(labels[2:]).all()


def test_the_loss_falls_and_films_come_back(images, tmp_path):
    rows = fit(VaeInputs(images), tmp_path / "out", seed=3)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["steps"] == len(rows) == 40
    assert (metrics["train_films"], metrics["valid_films"]) == (14, 2)
    assert metrics["l1_last"] < 0.5 * metrics["l1_first"]
    assert (metrics["perceptual"], metrics["adversarial"], metrics["label"]) == ("off",) * 3
    codec = load_codec(tmp_path / "out")
    film = torch.from_numpy(open_films(images, "valid").read(0).copy())[None]
    drawn = codec.decode(codec.encode(film)[0])[0].float()
    assert drawn[:, :12].mean() > drawn[:, -12:].mean() + 100
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_seed_gives_the_same_bytes_and_replaces_the_old_ones(inputs, tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("b", 1)):
        fit(
            inputs,
            tmp_path / name,
            seed,
            length={"epochs": 1, "steps": None},
            optimiser=SLOW,
            loss=ALL_TERMS,
        )
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "config.json",
        "config.yaml",
        "diffusion_pytorch_model.safetensors",
        "loss.jsonl",
        "metrics.json",
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["steps"] == 3  # 14 // 4


def test_what_is_fitted_is_not_fitted_again(inputs, tmp_path, capfd):
    fit(inputs, tmp_path / "vae", length=steps(2))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "vae").iterdir()}
    fit(inputs, tmp_path / "vae", length=steps(2))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "vae").iterdir()} == before
    assert "is up to date" in capfd.readouterr().err
    fit(inputs, tmp_path / "vae", length=steps(3))
    assert len((tmp_path / "vae" / "loss.jsonl").read_text().splitlines()) == 3


def test_every_term_is_trained_with_and_named(inputs, tmp_path, tmp_path_factory):
    weights = write_perceptual(tmp_path / "lpips.safetensors")
    given = VaeInputs(inputs.images, inputs.cohort, [weights])
    loss = ALL_TERMS | {"perceptual_weight": 0.1}
    rows = fit(
        given, tmp_path / "out", length=steps(4), image_channels=3, optimiser=SLOW, loss=loss
    )
    assert all(row["perceptual"] > 0 and row["label"] > 0 for row in rows)
    assert all(row["rec"] == pytest.approx(row["l1"] + 0.1 * row["perceptual"]) for row in rows)
    assert [row["discriminator"] > 0 for row in rows] == [False, False, True, True]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["perceptual"] == "on"
    assert metrics["adversarial"] == "from step 2"
    assert load_codec(tmp_path / "out").autoencoder.config.in_channels == 3


def test_perceptual_weights_that_are_not_given_are_named_absent(inputs, tmp_path, capfd):
    rows = fit(inputs, tmp_path / "out", length=steps(2), loss={"perceptual_weight": 1.0})
    assert "perceptual absent" in capfd.readouterr().err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["perceptual"] == "absent"
    assert [row["perceptual"] for row in rows] == [0, 0]


def test_perceptual_weights_that_are_not_there_are_refused(inputs, tmp_path):
    given = VaeInputs(inputs.images, inputs.cohort, [tmp_path / "vgg.pth"])
    with pytest.raises(ContractError, match=r"vgg\.pth: no such file"):
        fit(given, tmp_path / "out", loss={"perceptual_weight": 1.0})


def test_the_label_term_needs_a_cohort(images, tmp_path):
    with pytest.raises(ContractError, match="the label term needs a cohort folder"):
        fit(VaeInputs(images), tmp_path / "out", loss=ALL_TERMS)
    with pytest.raises(ContractError, match="run `cxrfuture cohort`, or set label_weight 0"):
        fit(VaeInputs(images, tmp_path), tmp_path / "out", loss=ALL_TERMS)


def stop_after(monkeypatch, count):
    """The trainer is sent a SIGTERM in its so manieth step."""
    whole = trainer.backward
    calls = []

    def backward(*args):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(*args)

    monkeypatch.setattr(trainer, "backward", backward)


@pytest.mark.parametrize("stopped", [3, 4])  # 4: the step after which validation is due
def test_a_run_that_is_stopped_goes_on_as_if_it_were_not(inputs, tmp_path, monkeypatch, stopped):
    settings = {
        "length": steps(6),
        "dropout": 0.2,
        "valid_steps": 4,
        "optimiser": SLOW,
        "loss": ALL_TERMS,
    }
    expected = fit(inputs, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        stop_after(patch, stopped)
        with pytest.raises(SystemExit) as left:
            fit(inputs, tmp_path / "cut", **settings)
    assert left.value.code == 128 + signal.SIGTERM
    assert not (tmp_path / "cut").exists()
    assert [path.name for path in (tmp_path / "cut.run").glob("checkpoint-*")] == [
        f"checkpoint-{stopped:06d}"
    ]
    assert fit(inputs, tmp_path / "cut", **settings) == expected
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes(), path.name
    assert not (tmp_path / "cut.run").exists()


def test_a_run_that_is_killed_goes_on_from_its_newest_checkpoint(inputs, tmp_path, monkeypatch):
    """After step 5 of 6, with a checkpoint of step 4 and a best of step 2 or later."""
    settings = {"length": steps(6), "checkpoint_steps": 4, "valid_steps": 2}
    expected = fit(inputs, tmp_path / "whole", **settings)
    whole = trainer.backward

    def backward(run, vae, critic, step):
        if step == 5:
            raise KeyboardInterrupt
        return whole(run, vae, critic, step)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "backward", backward)
        with pytest.raises(KeyboardInterrupt):
            fit(inputs, tmp_path / "cut", **settings)
    assert (tmp_path / "cut.run" / "loss.jsonl").read_text().count("\n") == 5
    assert fit(inputs, tmp_path / "cut", **settings) == expected
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("stopped", "looks"), [(3, 2), (4, 2), (5, 1)])
def test_a_look_at_validation_films_is_neither_lost_nor_repeated(
    inputs, tmp_path, monkeypatch, stopped, looks
):
    """It is due after steps 4 and 6; a run that is told to stop leaves it to the next."""
    settings = {"length": steps(6), "valid_steps": 4}
    with monkeypatch.context() as patch:
        stop_after(patch, stopped)
        with pytest.raises(SystemExit):
            fit(inputs, tmp_path / "out", **settings)
    seen = []
    whole = trainer.valid_errors
    monkeypatch.setattr(trainer, "valid_errors", lambda *by: seen.append(1) or whole(*by))
    fit(inputs, tmp_path / "out", **settings)
    assert len(seen) == looks


def test_a_run_of_other_settings_is_moved_aside(inputs, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(SystemExit):
            fit(inputs, tmp_path / "out")
    rows = fit(inputs, tmp_path / "out", seed=6, length=steps(2))
    assert len(rows) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.run-1"]


def test_a_checkpoint_holds_no_pickle(inputs, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(SystemExit):
            fit(inputs, tmp_path / "out", optimiser=SLOW, loss=ALL_TERMS)
    names = sorted(path.name for path in (tmp_path / "out.run" / "checkpoint-000003").iterdir())
    assert names == [
        "best.safetensors",
        "critic.safetensors",
        "critic_optimiser.safetensors",
        "optimiser.safetensors",
        "state.json",
        "vae.safetensors",
    ]


def test_the_best_of_the_validated_weights_are_published(inputs, tmp_path, monkeypatch):
    """Steps 1 to 4 are said to reconstruct at 0.4, 0.2, 0.3 and 0.2: the first 0.2 is kept."""
    errors = iter([0.4, 0.2, 0.3, 0.2])
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "valid_errors", lambda *_: (next(errors), 0.0))
        fit(inputs, tmp_path / "out", length=steps(4), valid_steps=1)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["published_step"], metrics["rec_valid"]) == (2, 0.2)
    fit(inputs, tmp_path / "two", length=steps(2), valid_steps=1)
    name = "diffusion_pytorch_model.safetensors"
    found, expected = load_file(tmp_path / "out" / name), load_file(tmp_path / "two" / name)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_accumulated_parts_train_as_one(inputs, tmp_path):
    """Without terms whose scale each part finds for itself."""
    one = fit(inputs, tmp_path / "one", length=steps(3))
    parts = fit(inputs, tmp_path / "parts", length=steps(3), accumulate=4)
    for row, other in zip(one, parts, strict=True):
        assert other == pytest.approx(row, rel=1e-4)


@pytest.mark.slow
def test_two_ranks_train_as_one(inputs, tmp_path):
    """Real processes over gloo; then with every term, which need only run."""
    length = {"length": steps(3), "optimiser": SLOW}
    one = fit(inputs, tmp_path / "one", **length)
    runs = []
    for name, loss in (("two", {}), ("all", ALL_TERMS)):
        config = vae_config(**length, loss=loss, accumulate=1 if name == "two" else 2)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
        place = [inputs.images, tmp_path / name, "--cohort", inputs.cohort]
        runs.append([*place, "--config", path, "--seed", 5])
    assert run_ranks(2, "train.fit_vae", *runs).count("2 ranks") == 2
    for name in ("two", "all"):
        rows = [json.loads(line) for line in (tmp_path / name / "loss.jsonl").open()]
        if name == "two":
            for row, other in zip(one, rows, strict=True):
                assert other == pytest.approx(row, rel=1e-4)
        assert len(rows) == 3


def test_bf16_trains(inputs, tmp_path):
    rows = fit(
        inputs, tmp_path / "out", precision="bf16", length=steps(4), optimiser=SLOW, loss=ALL_TERMS
    )
    assert np.isfinite([list(row.values()) for row in rows]).all()
    weights = load_file(tmp_path / "out" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_a_loss_that_is_no_number_stops_the_run(inputs, tmp_path):
    wild = vae_config().optimiser.model_dump() | {"learning_rate": 1e30}
    with pytest.raises(ContractError, match="lower the learning rate"):
        fit(inputs, tmp_path / "out", optimiser=wild)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_epoch_reads_each_film_once_for_any_ranks(ranks, accumulate):
    config = vae_config(batch_size=8, accumulate=accumulate)
    plans = [VaePlan(config, 5, 14, rank, ranks) for rank in range(ranks)]
    places = [
        place
        for step in range(7)
        for part in range(accumulate)
        for plan in plans
        for place in plan.places(step, part)
    ]
    assert places == list(range(56))
    films = [plans[0].film(place) for place in places]
    for epoch in range(4):
        assert sorted(films[epoch * 14 : (epoch + 1) * 14]) == list(range(14))
    assert films[:14] != films[14:28]


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ContractError, match="batch_size 4 is not a multiple of 3 ranks"):
        VaePlan(vae_config(), seed=1, films=15, rank=0, ranks=3)


def test_a_crop_is_a_square_of_the_film():
    film = np.arange(64, dtype=np.uint8).reshape(8, 8)
    part = crop(film, 5, np.random.default_rng(1))
    assert part.shape == (5, 5)
    assert (np.diff(part, axis=0) == 8).all()
    assert (crop(film, 8, np.random.default_rng(1)) == film).all()
    assert centre(film, 4)[0, 0] == film[2, 2]


def test_a_crop_larger_than_the_films_is_refused(images, tmp_path):
    with pytest.raises(ContractError, match=r"crop 64 is larger than the films \(32 x 32\)"):
        fit(VaeInputs(images), tmp_path / "out", crop=64)
    assert not (tmp_path / "out").exists()


def test_no_film_of_a_training_patient_is_refused(tmp_path):
    folder = tmp_path / "image"
    put_rows(folder, make_cache(tmp_path / "cache"), [], np.zeros((0, 32, 32), np.uint8))
    names = ("dicom_id", "outcome", "split", "sha256")
    pq.write_table(
        pa.table({name: pa.array([], pa.string()) for name in names}), folder / "film.parquet"
    )
    with pytest.raises(ContractError, match="no readable film of a training patient"):
        fit(VaeInputs(folder), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "size", "latent"),
    [("tiny", 224, (4, 28)), ("ddl_cxr", 224, (4, 28)), ("ehrxdiff", 256, (3, 64))],
)
def test_shipped_configs_make_latents_of_the_papers_shape(name, size, latent):
    config = read_config(VaeConfig, "fit_vae", name)
    assert (config.latent_channels, size // 2 ** (len(config.channels) - 1)) == latent
    assert all(width % config.norm_groups == 0 for width in config.channels)


def test_the_papers_learning_rates(tmp_path):
    rates = {}
    for name in ("ddl_cxr", "ehrxdiff"):
        config = read_config(VaeConfig, "fit_vae", name)
        rates[name] = config.optimiser.rate(config.batch_size)
    assert rates == {"ddl_cxr": pytest.approx(7.2e-5), "ehrxdiff": pytest.approx(2.88e-4)}


def test_an_unknown_config_is_refused_and_the_known_ones_named():
    with pytest.raises(ContractError, match=r"no config 'tniy'; did you mean 'tiny'\?"):
        read_config(VaeConfig, "fit_vae", "tniy")
    with pytest.raises(ContractError, match="no config 'x'; there are ddl_cxr, ehrxdiff, tiny"):
        read_config(VaeConfig, "fit_vae", "x")


def test_a_length_is_epochs_or_steps(tmp_path):
    text = vae_config().model_dump_json().replace('"epochs":null', '"epochs":3')
    (tmp_path / "both.yaml").write_text(text)
    with pytest.raises(ContractError, match="either epochs or steps"):
        read_config(VaeConfig, "fit_vae", str(tmp_path / "both.yaml"))
