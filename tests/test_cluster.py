"""image, latent and embed on a Ray cluster of two nodes: the bytes of the local run, also when a
node is lost in the middle."""

import tempfile
from pathlib import Path

import pytest
import test_image
from ray_cluster import two_nodes

from etl import image
from etl.params import ExecutorParams

pytest.importorskip("ray", reason="ray is not installed: pip install 'cxrfuture[ray]'")

ON_RAY = ExecutorParams(kind="ray", address="")


@pytest.fixture(scope="module")
def nodes():
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # sockets: short paths
        with two_nodes(Path(folder)) as started:
            yield started


@pytest.fixture
def both(nodes):
    """Both nodes are there, if one was lost by the test before."""
    nodes.add_second()
    return nodes


def on_ray(params):
    return params.model_copy(update={"executor": ON_RAY})


def test_films_on_two_nodes_give_the_bytes_of_a_local_run(both, tmp_path):
    films = [(100 + number // 4, f"d{number}") for number in range(10)]
    for number, (_, dicom) in enumerate(films):
        test_image.write_film(tmp_path / "cxr" / "files" / f"{dicom}.jpg", number)
    (tmp_path / "cxr" / "files" / "d3.jpg").write_text("no film")
    for name in ("local", "ray"):
        test_image.write_cohort(tmp_path / name, films, tmp_path / "cxr")
        params = test_image.read_test_params(tmp_path / name, films_per_shard=2)
        image.run(on_ray(params) if name == "ray" else params, test_image.RECIPE)
    assert test_image.result_bytes(tmp_path / "ray") == test_image.result_bytes(tmp_path / "local")
    assert not list((tmp_path / "ray" / "cache").glob("run-*"))
