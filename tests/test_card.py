"""README.md and croissant.json of a dataset: proven, alike everywhere, and true."""

import re
import socket

import pytest
import yaml
from sample_values import values_of
from tiny_build import build_dataset, leave_out_film, write_build

from cxrfuture_data import ContractError, decode, open_dataset
from cxrfuture_data.manifest import CARD_FILE, CROISSANT_FILE
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.verify import verify
from etl import shard
from etl.documents import documents_of
from etl.guard import scan
from etl.shard_facts import CREDENTIALED, OPEN, SIMULATED

DOCUMENTS = (CARD_FILE, CROISSANT_FILE)
REAL = {"mimic_iv": "3.1", "mimic_cxr_jpg": "2.1.0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    shard_params = {"samples_per_shard": 4, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("card"), "ddl_cxr", shard=shard_params)


def as_if(folder, licence, tables, films):
    """The documents that the same shards would have, were they not simulated."""
    manifest = open_dataset(folder).manifest
    simulated = manifest.simulated.model_copy(update={"tables": tables, "films": films})
    update = {"licence": licence, "simulated": simulated, "sources": REAL}
    documents = documents_of(folder, manifest.model_copy(update=update))
    return {name: data.decode() for name, data in documents.items()}


@pytest.fixture(scope="module")
def real(folder):
    return as_if(folder, CREDENTIALED, tables=False, films=False)


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_dataset_json_has_their_hashes_and_was_written_after_them(folder):
    listed = open_dataset(folder).manifest.documents
    assert listed == {name: file_sha256(folder / name) for name in DOCUMENTS}
    written = [(folder / name).stat().st_mtime_ns for name in (*DOCUMENTS, "dataset.json")]
    assert written == sorted(written)


def test_they_say_nothing_of_the_machine(folder):
    for name in DOCUMENTS:
        text = (folder / name).read_text()
        assert str(folder.parents[2]) not in text
        assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)


@pytest.fixture
def built(tmp_path):
    """Params, recipe and folder of a dataset to spoil."""
    params, recipe = write_build(tmp_path, "ehrxdiff", shard={"workers": 1})
    shard.run(params, recipe)
    return params, recipe, params.build("ehrxdiff", "shard")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_that_is_altered_or_lost_is_found_and_written_again_alone(built, name):
    params, recipe, dataset = built
    path = dataset / name
    right = path.read_bytes()
    tars = {tar: tar.stat().st_mtime_ns for tar in dataset.rglob("*.tar")}
    path.write_bytes(right + b"x")
    with pytest.raises(ContractError, match=f"{name}: altered since it was built"):
        verify(dataset)
    path.unlink()
    with pytest.raises(ContractError, match=f"{name}: missing"):
        verify(dataset)
    shard.run(params, recipe)
    verify(dataset)
    assert path.read_bytes() == right
    assert {tar: tar.stat().st_mtime_ns for tar in dataset.rglob("*.tar")} == tars


def test_the_card_counts_samples_and_patients(folder):
    card = (folder / CARD_FILE).read_text()
    assert "| pair | train | 15 | 8 |\n" in card
    assert "| image | test | 2 | 2 |\n" in card
    assert "| cohort | pair | gap | 30 | 6 | 24 |\n" in card
    assert "Few stay samples: train 8 of 8 patients, valid 2 of 2 patients" in card


def test_it_names_every_member_and_tensor_with_its_shape(folder):
    card = (folder / CARD_FILE).read_text()
    for kind in ("pair", "stay", "image"):
        samples = open_dataset(folder).split("train", kind)
        section = card.split(f"\n### {kind}\n")[1].split("\n#")[0]
        assert re.findall(r"^\| `([a-z.]+)` ", section, re.M)[: len(samples.columns.members)] == [
            *samples.columns.members
        ]
    assert "| `target_mean` | float16 | (4, 4, 4) |" in card
    assert "| `hourly` | float32 | (T, 17) |" in card
    assert "Glucose (mg/dL)" in card


def test_hugging_face_loads_the_folder_by_the_front_matter(folder, tmp_path, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    datasets = pytest.importorskip("datasets")
    for config in front_matter((folder / CARD_FILE).read_text())["configs"]:
        kind = config["config_name"]
        found = datasets.load_dataset(
            str(folder), kind, streaming=True, cache_dir=str(tmp_path / "cache")
        )
        assert sorted(found) == ["test", "train", "valid"]
        for split, rows in found.items():
            ours = open_dataset(folder).split(split, kind)
            assert list(map(values_of, map(decode, rows))) == list(map(values_of, ours))


@pytest.mark.parametrize("number", [0, 1])
def test_its_snippets_run(folder, monkeypatch, number):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folder)
    code = re.findall(r"```python\n(.*?)```", (folder / CARD_FILE).read_text(), re.DOTALL)[number]
    names = {}
    exec(compile(code, CARD_FILE, "exec"), names)
    assert names["sample"].key == open_dataset(folder).split("train", "pair").key(0)


def test_a_simulated_card_says_so_and_asks_for_nothing(folder):
    card = (folder / CARD_FILE).read_text()
    matter = front_matter(card)
    assert (matter["license"], matter["license_name"]) == ("other", "simulated-of-no-patient")
    assert "extra_gated_prompt" not in matter
    assert "\nSIMULATED: a program invented these patients" in card
    assert f"no patient's terms bind it: {SIMULATED}" in card


def test_the_card_of_patients_has_their_terms(real):
    card = real[CARD_FILE]
    matter = front_matter(card)
    assert matter["license"] == "other"
    assert matter["license_name"] == "physionet-credentialed-health-data-license-1.5.0"
    assert matter["license_link"].startswith("https://physionet.org/")
    assert "credentialed user of PhysioNet" in matter["extra_gated_prompt"]
    assert len(matter["extra_gated_fields"]) == 2
    for words in ("under MIMIC's terms", "who has not signed", "online services", "patient's care"):
        assert words in card
    assert "SIMULATED" not in card
    for doi in ("10.13026/kpb9-mt58", "10.13026/jsn5-t979", "10.1038/s41597-022-01899-x"):
        assert doi in card
    assert "MIMIC-IV-Ext-" in card


def test_the_card_of_patients_has_no_exact_and_no_small_count(real):
    card = real[CARD_FILE]
    assert "| cohort | pair | gap | about 30 | <10 | about 20 |\n" in card
    assert "| pair | train | about 20 | <10 |\n" in card
    sections = "".join(card.split("\n## ")[3:5])  # cohort, splits
    assert sections.startswith("Cohort")
    cells = re.findall(r"(?<=\| )[^|\n]+(?= \|)", sections)
    numbers = [cell for cell in cells if re.search(r"\d", cell)]
    assert len(numbers) == 2 * 3 + 9 * 2
    assert all(re.fullmatch(r"<10|about [\d,]*0", number) for number in numbers)
    few = re.findall(r"^- Few .*", card, re.M)
    assert len(few) == 3
    assert not re.search(r"(?<!about )(?<!<)\b\d", " ".join(few).replace("<10", ""))


def test_films_simulated_on_open_tables_have_the_open_terms(folder):
    licence = f"tables: {OPEN}; films: {SIMULATED}"
    card = as_if(folder, licence, tables=False, films=True)[CARD_FILE]
    assert front_matter(card)["license"] == "odbl"
    assert "The films are SIMULATED" in card
    assert "extra_gated_prompt" not in card


def test_films_simulated_on_credentialed_tables_have_the_strict_terms(folder):
    licence = f"tables: {CREDENTIALED}; films: {SIMULATED}"
    card = as_if(folder, licence, tables=False, films=True)[CARD_FILE]
    assert "extra_gated_prompt" in front_matter(card)


def test_the_guard_passes_them_and_still_finds_what_leaks(real, tmp_path):
    for name, text in real.items():
        (tmp_path / name).write_text(text)
    assert scan(tmp_path).findings == ()
    patient = 10_000_000 + 4_321_987
    (tmp_path / CARD_FILE).write_text(real[CARD_FILE] + f"\nsubject_id {patient} was left out\n")
    assert [hit.kind for hit in scan(tmp_path).findings] == ["id"]


def test_a_dataset_without_samples_has_a_card_without_configurations(tmp_path):
    import polars as pl

    params, recipe = write_build(tmp_path, "ehrxdiff", shard={"workers": 1})
    path = params.build("ehrxdiff", "cohort", "pair.parquet")
    pl.read_parquet(path).head(0).write_parquet(path)
    shard.run(params, recipe)
    card = params.build("ehrxdiff", "shard", CARD_FILE).read_text()
    assert "configs" not in front_matter(card)
    assert "| pair | train | 0 | 0 |\n" in card


def test_a_stay_without_a_film_is_allowed_for(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr", shard={"workers": 1})
    leave_out_film(params.build("ddl_cxr"), subject=1)
    shard.run(params, recipe)
    text = params.build("ddl_cxr", "shard", CROISSANT_FILE).read_text()
    assert '"pair_films"' in text
    assert '"stay_films"' not in text
