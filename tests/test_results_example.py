"""Example stays of the results page: which films are shown, and of what dataset."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_build import build_dataset
from tiny_judge import change_manifest
from tiny_outcomes import make_short
from tiny_page import Page
from tiny_predicted import write_run
from tiny_train import vae_config

from cxrfuture_data import open_dataset
from cxrfuture_data.codec import weights_digest
from cxrfuture_data.schema import ContractError
from train.model.vae import build_autoencoder
from train.outcome_evaluation import Request, evaluate_outcomes
from train.results_example import read_examples
from train.results_film import Source
from train.results_page import render_page, write_results
from train.results_text import NOTHING
from train.vae_run import publish_autoencoder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two test stays, each with a film ten hours after its last; latents drawn of both."""
    root = tmp_path_factory.mktemp("examples")
    dataset, codec = build_dataset(root, "ddl_cxr"), root / "codec"
    publish_autoencoder(build_autoencoder(vae_config(), seed=1), codec, {})
    change_manifest(dataset, lambda manifest: manifest["weights"].update(vae=weights_digest(codec)))
    data = open_dataset(dataset)
    keys = data.split("test", "stay").columns["key"].tolist()
    (root / "generated").mkdir()
    path = root / "generated" / "stay-test-0.safetensors"
    save_file({"latents": np.zeros((len(keys), 4, 4, 4), np.float16)}, path)
    record = {"keys": keys, "dataset": data.manifest.made_from}
    path.with_suffix(".json").write_text(json.dumps(record))
    return Source(dataset, codec, root / "generated")


def test_examples_show_previous_generated_and_actual_film(source):
    made_from = open_dataset(source.dataset).manifest.made_from
    examples = read_examples(source, "test", made_from)
    assert len(examples) == 2
    # Patient 11 (a man of 51) or 12; the last film 38 hours before, the next ten hours after it.
    assert sorted(found.title.partition(": ")[2] for found in examples) == [
        "man of 51 years, left hospital alive",
        "woman of 52 years, left hospital alive",
    ]
    for found in examples:
        assert [film.caption for film in found.films] == [
            "PA, 38 h before the prediction",
            "for the prediction, 38 h after the previous film",
            "AP, 10 h after the previous film, 28 h before the prediction",
        ]
        assert "Heart Rate" in found.vitals
    page = Page(render_page(make_short(), examples=examples))
    assert page.wrong == []
    assert len(page.all("img")) == 6
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))


def test_examples_are_of_the_evaluated_dataset(source):
    with pytest.raises(ContractError, match="not the dataset that was evaluated"):
        read_examples(source, "test", "0" * 64)


def test_a_page_of_an_evaluation(source, tmp_path):
    """Of eight stays, one with the outcome: the numbers are on the page, and none when shared."""
    columns = open_dataset(source.dataset).split("train", "stay").columns
    keys = columns["key"].tolist()
    rows = []
    for name, logits in (("mmtm", columns["subject_id"]), ("daft", -columns["subject_id"])):
        run = tmp_path / name / "0"
        write_run(run, keys, logits, split="train", attention=np.tile([0.25, 0.75], (8, 1)))
        rows.append(tmp_path / name)
    request = Request(rows=rows, dataset=source.dataset, split="train", draws=20)
    found = evaluate_outcomes(request, tmp_path / "out")
    pages = []
    for is_shareable in (False, True):
        out = tmp_path / f"{is_shareable}.html"
        write_results(tmp_path / "out" / "outcomes.json", out, is_shareable=is_shareable)
        pages.append(Page(out.read_text()))
    caption = next(name for name in pages[0].tables if name.startswith("AUPRC and AUROC"))
    for name, title in (("mmtm", "MMTM"), ("daft", "DAFT")):
        cell = found["rows"][name]["mortality"]["cells"]["auroc"]
        ends = f"[{cell['low']:.3f}, {cell['high']:.3f}]"
        assert pages[0].row(caption, title)[2] == f"{cell['value']:.3f} {ends}"
        assert set(pages[1].row(caption, title)[1:]) == {NOTHING}
    assert [page.wrong for page in pages] == [[], []]
