"""One set of tars, many readers: each gives the values that ``open_dataset`` gives."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import webdataset
from sample_values import values_of
from tiny_build import build_datasets
from torch.utils.data import DataLoader

from cxrfuture_data import ContractError, decode, open_dataset
from cxrfuture_data.hugging_face import features_of
from cxrfuture_data.record import members_of

ROOT = Path(__file__).resolve().parent.parent
FILMS = {"ddl_cxr": "png", "future": "levels"}  # between them all kinds, and both ways of keeping
KINDS = [("ddl_cxr", "pair"), ("ddl_cxr", "stay"), ("ddl_cxr", "image"), ("future", "pair")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return build_datasets(tmp_path_factory, FILMS)


def tars_of(folder, kind, split="train"):
    return sorted(str(path) for path in (folder / split).glob(f"{kind}-*.tar"))


def values_of_each(samples: Any) -> list[Any]:
    return [values_of(sample) for sample in samples]


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_stock_webdataset(folders, recipe, kind):
    dataset = open_dataset(folders[recipe])
    for split in dataset.manifest.splits:
        tars = tars_of(folders[recipe], kind, split)
        stock = webdataset.WebDataset(tars, shardshuffle=False).map(decode)
        assert values_of_each(stock) == values_of_each(dataset.split(split, kind))


def test_stock_webdataset_gives_the_members_byte_for_byte(folders):
    samples = open_dataset(folders["ddl_cxr"]).split("train", "pair")
    names = members_of("pair", films="png")
    for position, row in enumerate(
        webdataset.WebDataset(tars_of(folders["ddl_cxr"], "pair"), shardshuffle=False)
    ):
        assert {name for name in row if not name.startswith("__")} == set(names)
        assert json.loads(row["sample.json"]) == samples.facts(position)


def test_a_member_has_one_header_of_512_bytes(folders):
    with tarfile.open(tars_of(folders["ddl_cxr"], "pair")[0]) as tar:
        members = tar.getmembers()
    assert members
    assert all(member.offset_data - member.offset == 512 for member in members)


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_a_torch_loader_with_workers(folders, method, workers):
    pairs = open_dataset(folders["ddl_cxr"]).split("train", "pair")
    expected = values_of_each(pairs)  # opens tars before the workers start
    loader = DataLoader(
        pairs, batch_size=4, num_workers=workers, collate_fn=list, multiprocessing_context=method
    )
    assert [values_of(pair) for batch in loader for pair in batch] == expected


@pytest.fixture
def load_dataset(tmp_path, monkeypatch):
    """Hugging Face's, offline, with a cache of its own."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    datasets = pytest.importorskip("datasets")

    def load(tars, **more):
        files = {"train": tars}
        return datasets.load_dataset(
            "webdataset", data_files=files, cache_dir=str(tmp_path), **more
        )["train"]

    return load


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_hugging_face_datasets(folders, load_dataset, recipe, kind, streaming):
    tars, features = tars_of(folders[recipe], kind), features_of(kind, films=FILMS[recipe])
    rows = load_dataset(tars, features=features, streaming=streaming)
    samples = open_dataset(folders[recipe]).split("train", kind)
    assert values_of_each(map(decode, rows)) == values_of_each(samples)


def test_hugging_face_rounds_the_numbers_of_sample_json(folders, load_dataset, tmp_path):
    row = next(iter(webdataset.WebDataset(tars_of(folders["ddl_cxr"], "pair"), shardshuffle=False)))
    members = {name: row[name] for name in members_of("pair", films="png")}
    facts = json.loads(members["sample.json"]) | {"gap_hours": 10.123456789012345}
    with webdataset.TarWriter(str(tmp_path / "one.tar"), encoder=False) as tar:
        line = json.dumps(facts).encode()
        tar.write({"__key__": facts["key"]} | members | {"sample.json": line})
    rows = load_dataset([str(tmp_path / "one.tar")], features=features_of("pair", films="png"))
    assert decode(rows[0]).gap_hours == pytest.approx(10.123456789012345, abs=1e-10)


def test_hugging_face_is_named_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ContractError, match=r"datasets.*pip install"):
        features_of("pair", films="none")


READERS = (ROOT / "docs" / "readers.md").read_text()
SNIPPETS = dict(re.findall(r"^## ([^\n]*)\n```python\n(.*?)```", READERS, re.DOTALL | re.MULTILINE))


def test_the_page_is_short_and_has_a_snippet_for_each_reader():
    assert READERS.count("\n") <= 80
    assert len(SNIPPETS) == READERS.count("\n## ") == 5


@pytest.mark.parametrize("reader", SNIPPETS)
def test_its_python_runs(folders, monkeypatch, reader):
    code = SNIPPETS[reader]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folders["ddl_cxr"].parents[2])
    if "megatron" not in code:
        for name in re.findall(r"^from (datasets) import", code, re.MULTILINE):
            pytest.importorskip(name)
        exec(compile(code, "readers.md", "exec"), {})
        return
    python = os.environ.get("CXRFUTURE_ENERGON_PYTHON")
    if python is None:
        pytest.skip("CXRFUTURE_ENERGON_PYTHON names no interpreter that has megatron-energon")
    code += "\nassert [type(pair).__name__ for pair in batch] == ['PairSample'] * 8\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
