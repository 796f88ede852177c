"""croissant.json is valid Croissant 1.1, and what it describes is what is there."""

import io
import json
import logging
import logging.handlers
import tarfile

import numpy as np
import pytest
from tiny_build import build_datasets

from cxrfuture_data import open_dataset
from cxrfuture_data.manifest import CROISSANT_FILE
from cxrfuture_data.publish import file_sha256
from etl.documents import documents_of
from etl.shard_facts import CREDENTIALED

mlcroissant = pytest.importorskip("mlcroissant")

RECIPES = {"ddl_cxr": "png", "future": "levels"}
EXTRACTED = "mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH"
RESPONSIBLE = (
    "data_collection",
    "data_collection_missing_data",
    "data_imputation_protocol",
    "data_annotation_protocol",
    "machine_annotation_tools",
    "data_biases",
    "data_use_cases",
    "data_limitations",
    "personal_sensitive_information",
    "data_release_maintenance_plan",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return build_datasets(tmp_path_factory, RECIPES)


@pytest.fixture(scope="module")
def folder(folders):
    return folders["ddl_cxr"]


@pytest.fixture(scope="module")
def seen(folders):
    """Each dataset as mlcroissant sees it, and what was logged meanwhile."""
    logged = logging.handlers.BufferingHandler(1000)
    logged.setLevel(logging.WARNING)
    logging.getLogger().addHandler(logged)
    found = {
        recipe: mlcroissant.Dataset(jsonld=str(folder / CROISSANT_FILE))
        for recipe, folder in folders.items()
    }
    logging.getLogger().removeHandler(logged)
    return found, [record.getMessage() for record in logged.buffer]


@pytest.fixture
def described(seen, tmp_path, monkeypatch):
    """Tars are unpacked here: its own cache takes tars of one name for one."""
    found = seen[0]["ddl_cxr"]
    monkeypatch.setattr(EXTRACTED, type(found.metadata.ctx.folder)(tmp_path))
    return found


def test_mlcroissant_has_no_error_and_no_warning(seen):
    found, logged = seen
    issues = [one.metadata.ctx.issues for one in found.values()]
    assert [(one.errors, one.warnings) for one in issues] == [(set(), set())] * 2
    assert logged == []


def test_without_its_licence_mlcroissant_does_warn(folder):
    """So the test above can fail."""
    value = json.loads((folder / CROISSANT_FILE).read_text())
    del value["license"], value["recordSet"]
    assert mlcroissant.Dataset(jsonld=value).metadata.ctx.issues.warnings


def test_it_conforms_and_says_how_it_may_be_used(described, folder):
    metadata = described.metadata
    assert metadata.conforms_to == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert metadata.ctx.is_v1_1()
    assert metadata.ctx.is_live_dataset is False
    assert metadata.version.startswith("7.0.0+")
    assert all(getattr(metadata, name) for name in RESPONSIBLE)
    value = json.loads((folder / CROISSANT_FILE).read_text())
    assert value["usageInfo"]["termCode"] == "DUO_0000004"


def test_of_patients_it_has_the_agreement_and_its_conditions(folder):
    manifest = open_dataset(folder).manifest
    simulated = manifest.simulated.model_copy(update={"tables": False, "films": False})
    sources = {"mimic_iv": "3.1", "mimic_cxr_jpg": "2.1.0"}
    update = {"licence": CREDENTIALED, "simulated": simulated, "sources": sources}
    real = documents_of(folder, manifest.model_copy(update=update))
    value = json.loads(real[CROISSANT_FILE])
    assert value["license"].startswith("https://physionet.org/content/mimiciv/view-license/")
    agreement, *terms = value["usageInfo"]
    assert agreement["url"].startswith("https://physionet.org/content/mimiciv/view-dua/")
    assert [term["termCode"] for term in terms] == ["DUO_0000042", "DUO_0000026"]
    assert value["datePublished"] == "2024-10-11"
    assert "de-identified" in value["rai:personalSensitiveInformation"][0].lower()
    issues = mlcroissant.Dataset(jsonld=value | {"recordSet": []}).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_file_is_there_with_its_size_and_hash(folders, recipe):
    folder = folders[recipe]
    value = json.loads((folder / CROISSANT_FILE).read_text())
    files = [one for one in value["distribution"] if one["@type"] == "cr:FileObject"]
    for one in files:
        path = folder / one["contentUrl"]
        assert one["sha256"] == file_sha256(path)
        assert one["contentSize"] == f"{path.stat().st_size} B"
    listed = {one["@id"] for one in files}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in listed if name.endswith(".tar")} == {
        name for name in found if name.endswith(".tar")
    }
    left_out = {name for name in found - listed if "/" not in name}
    assert left_out == {"dataset.json", "ledger.json", CROISSANT_FILE}


def test_films_are_read_out_of_the_tars(described, folder):
    read = {
        (one["pair_films/key"].decode(), one["pair_films/role"].decode()): np.asarray(
            one["pair_films/film"]
        )
        for one in described.records("pair_films")
    }
    samples = [
        sample
        for split in ("train", "valid", "test")
        for sample in open_dataset(folder).split(split, "pair")
    ]
    assert len(read) == 2 * len(samples) == 46
    for sample in samples:
        for role in ("previous", "target"):
            assert np.array_equal(read[sample.key, role], getattr(sample, role).pixels())


def test_so_is_what_samples_say(described, folder):
    read = {
        one["stay_json/key"].decode(): json.loads(one["stay_json/json"])
        for one in described.records("stay_json")
    }
    samples = open_dataset(folder).split("valid", "stay")
    for position in range(len(samples)):
        assert read[samples.key(position)] == samples.facts(position)
    assert len(read) == 12


@pytest.mark.parametrize(
    ("recipe", "kind"), [("ddl_cxr", "image"), ("future", "stay"), ("future", "pair")]
)
def test_the_paths_of_its_fields_are_those_of_sample_json(folders, recipe, kind, tmp_path):
    """mlcroissant 1.1 opens no JSON inside a tar, so one sample is unpacked for it."""
    value = json.loads((folders[recipe] / CROISSANT_FILE).read_text())
    with tarfile.open(folders[recipe] / "test" / f"{kind}-000000.tar") as tar:
        name = next(name for name in tar.getnames() if name.endswith(".sample.json"))
        text = tar.extractfile(name).read()
    (tmp_path / name).write_bytes(text)
    (files,) = [one for one in value["distribution"] if one["@id"] == f"{kind}_samples"]
    del files["containedIn"]
    records = [one for one in value["recordSet"] if one["@id"] in (kind, "splits")]
    (tmp_path / CROISSANT_FILE).write_text(
        json.dumps(value | {"distribution": [files], "recordSet": records})
    )
    unpacked = mlcroissant.Dataset(jsonld=str(tmp_path / CROISSANT_FILE))
    (record,) = unpacked.records(kind)
    facts = json.load(io.BytesIO(text))
    fields = {one["@id"]: one for one in records[1]["field"]}
    assert record.keys() == fields.keys()
    for name, read in record.items():
        expected = facts
        for part in fields[name]["name"].split("/"):
            expected = expected[part]
        assert shown(read) == expected, name


def shown(value):
    if isinstance(value, bytes):
        return value.decode()
    return value.isoformat() if hasattr(value, "isoformat") else value
