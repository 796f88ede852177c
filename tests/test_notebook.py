"""docs/first_hour.ipynb runs to its end on any dataset with pairs, and is kept without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from tiny_build import build_dataset

from etl.guard import scan

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "first_hour.ipynb"
# With films and hours; with neither, but events.
BUILDS = {"ddl_cxr": "png", "ehrxdiff": "none"}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=BUILDS)
def outputs(request, tmp_path_factory):
    """What each cell gave, as it ran in a kernel of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    options = {"workers": 1, "keep_films": BUILDS[request.param]}
    dataset = build_dataset(folder, request.param, shard=options)
    book = nbformat.read(NOTEBOOK, 4)
    place = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(book, timeout=300, resources=place)  # a cell's error is raised
    environment = {"DATASET": str(dataset), "PYTHONPATH": str(ROOT), "MPLBACKEND": ""}
    client.execute(env=os.environ | environment)
    return [output for cell in book.cells for output in cell.get("outputs", [])]


def test_it_draws_its_five_figures(outputs):
    pictures = [one["data"]["image/png"] for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == 5
    assert all(len(picture) > 5_000 for picture in pictures)


def test_it_counts_the_samples_and_judges_the_model(outputs):
    text = "".join(one.get("text", "") for one in outputs)
    assert "simulated    tables: True  films: True" in text
    assert "15 pairs of 8 patients" in text
    assert "4 pairs: model 0." in text


def test_nothing_is_written_to_stderr(outputs):
    assert [one for one in outputs if one.get("name") == "stderr"] == []


def test_it_is_kept_without_outputs():
    book = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(book)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    # The guard would pass outputs of such a notebook, and a reader's may be of patients.
    assert "cxrfuture" not in book.metadata
    assert scan(ROOT, [Path("docs/first_hour.ipynb")]).findings == ()
