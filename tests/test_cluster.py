"""image, latent and embed on a Ray cluster of two nodes: the bytes of the local run, also when a
node is lost in the middle."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import test_embed
import test_image
import test_latent
from postgres_server import find_binaries, run_server
from ray_cluster import Lingering, Odd, Unready, two_nodes
from tiny_cache import make_cache, put_rows

from cxrfuture_data.cache_rows import ENTRY
from cxrfuture_data.schema import ContractError
from etl import cache_ledger, cluster, embed, image, image_demand, latent
from etl.cluster import Crew, each_on_ray
from etl.cluster_node import Site, code_versions
from etl.embed_task import EmbedderOpener, EmbedTask
from etl.embedder import open_embedder
from etl.image import preprocessing
from etl.params import ExecutorParams

pytest.importorskip("ray", reason="ray is not installed: pip install 'cxrfuture[ray]'")

BINARIES = find_binaries()
ON_RAY = ExecutorParams(kind="ray", address="")
# Larger than the other tests' films, so that there is time to lose a node.
LARGER = test_latent.SHIPPED.model_copy(
    update={"image": test_latent.SHIPPED.image.model_copy(update={"size": 128})}
)


@pytest.fixture(scope="module")
def nodes():
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder,  # sockets: short paths
        two_nodes(Path(folder)) as started,
    ):
        yield started


@pytest.fixture
def both(nodes):
    """Both nodes are there, if one was lost by the test before."""
    nodes.add_second()
    return nodes


@pytest.fixture
def losses(monkeypatch):
    """Of each loss of a worker that the driver sees, whether it had work. Work starts when all
    workers are ready, so that a slow one has some to lose."""
    seen = []
    count, take = cluster._Hall._count_loss, cluster._Hall._take

    def note(hall, piece, error):
        seen.append(piece is not None)
        count(hall, piece, error)

    def take_all(hall, call, worker, piece):
        opening = [call for call, (_, its) in hall._calls.items() if its is None]
        if piece is None and opening and not seen:
            hall._ray.wait(opening, num_returns=len(opening), timeout=60)
        return take(hall, call, worker, piece)

    monkeypatch.setattr(cluster._Hall, "_count_loss", note)
    monkeypatch.setattr(cluster._Hall, "_take", take_all)
    return seen


def on_ray(params, address=""):
    executor = ExecutorParams(kind="ray", address=address)
    return params.model_copy(update={"executor": executor})


@pytest.fixture
def losing(both, tmp_path, monkeypatch, losses):
    """The second node is lost while its worker has its second piece of work in hand."""
    mark, second = tmp_path / "lingers", both.second.node_id

    def with_a_lingerer(crew, *rest):
        return each_on_ray(replace(crew, opener=Lingering(crew.opener, second, mark)), *rest)

    def wait_and_lose():
        deadline = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        both.lose_second()

    for module in (image_demand, latent, embed):
        monkeypatch.setattr(module, "each_on_ray", with_a_lingerer)
    thread = threading.Thread(target=wait_and_lose)
    thread.start()
    yield
    thread.join()
    assert True in losses


def crew_of(folder, opener, cpus=1, stage="image"):
    return Crew(stage=stage, opener=opener, cache=make_cache(folder), cpus=cpus)


# image


def write_ten_films(folder):
    films = [(100 + number // 4, f"d{number}") for number in range(10)]
    for number, (_, dicom) in enumerate(films):
        test_image.write_film(folder / "files" / f"{dicom}.jpg", number)
    (folder / "files" / "d3.jpg").write_text("no film")
    return films


def write_alike_films(folder, count):
    """One film, other bytes; each takes a while to read."""
    files = folder / "files"
    test_image.write_film(files / "d0.jpg", 0, 1500, 1800)
    for number in range(1, count):
        (files / f"d{number}.jpg").write_bytes((files / "d0.jpg").read_bytes() + bytes([number]))
    return [(1, f"d{number}") for number in range(count)]


def test_films_on_two_nodes_give_the_bytes_of_a_local_run(both, tmp_path):
    films = write_ten_films(tmp_path / "cxr")
    for name in ("local", "ray"):
        test_image.write_cohort(tmp_path / name, films, tmp_path / "cxr")
        params = test_image.read_test_params(tmp_path / name, films_per_shard=2)
        image.run(on_ray(params) if name == "ray" else params, test_image.RECIPE)
    assert test_image.result_bytes(tmp_path / "ray") == test_image.result_bytes(tmp_path / "local")
    assert not list((tmp_path / "ray" / "cache").glob("run-*"))


def test_films_survive_the_loss_of_a_node(losing, tmp_path):
    films = write_alike_films(tmp_path / "cxr", 60)
    for name in ("local", "ray"):
        test_image.write_cohort(tmp_path / name, films, tmp_path / "cxr")
    params = test_image.read_test_params(tmp_path / "ray", films_per_shard=8)
    image.run(on_ray(params), test_image.RECIPE)
    # What the lost node had recorded was not read again: rows are each there once.
    assert test_image.rows_of(tmp_path / "ray") == 60
    image.run(test_image.read_test_params(tmp_path / "local"), test_image.RECIPE)
    assert test_image.result_bytes(tmp_path / "ray") == test_image.result_bytes(tmp_path / "local")


@pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL server is installed")
def test_a_ledger_in_postgresql_is_one_for_machines_to_share(both, tmp_path, monkeypatch):
    films = write_ten_films(tmp_path / "cxr")
    for name in ("local", "ray"):
        test_image.write_cohort(tmp_path / name, films, tmp_path / "cxr")
    image.run(test_image.read_test_params(tmp_path / "local"), test_image.RECIPE)
    with run_server(BINARIES) as server:
        server.create("ledger")
        params = test_image.read_test_params(tmp_path / "ray", films_per_shard=2)
        shared = params.cache.model_copy(update={"ledger": server.url("ledger")})
        # As from another machine: only SQLite forbids it.
        monkeypatch.setattr(cluster.socket, "gethostname", lambda: "first")
        image.run(on_ray(params.model_copy(update={"cache": shared})), test_image.RECIPE)
        cache_ledger._open.cache_clear()
    assert test_image.result_bytes(tmp_path / "ray") == test_image.result_bytes(tmp_path / "local")


RUN_IN_A_CHILD = """
import sys
from test_image import RECIPE, read_test_params
from etl import image
from etl.params import ExecutorParams
if __name__ == "__main__":
    params = read_test_params(sys.argv[1], films_per_shard=8)
    executor = ExecutorParams(kind="ray", address=sys.argv[2])
    image.run(params.model_copy(update={"executor": executor}), RECIPE)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_ends_leaves_no_worker_and_a_local_run_goes_on(both, tmp_path, sent):
    films = write_alike_films(tmp_path / "cxr", 120)
    for name in ("ended", "whole"):
        test_image.write_cohort(tmp_path / name, films, tmp_path / "cxr")
    script = tmp_path / "child.py"
    script.write_text(RUN_IN_A_CHILD)
    with (tmp_path / "said").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "ended"), both.address],
            stderr=said,
            start_new_session=True,
        )
    deadline = time.monotonic() + 30
    while test_image.rows_of(tmp_path / "ended") < 10 and child.poll() is None:
        assert time.monotonic() < deadline, (tmp_path / "said").read_text()
        time.sleep(0.005)
    child.send_signal(sent)
    assert child.wait(20) in (-sent, 1, 130), (tmp_path / "said").read_text()
    ended = -1
    while ended != (ended := test_image.rows_of(tmp_path / "ended")):
        time.sleep(2)
    assert 10 <= ended < 120
    for name in ("ended", "whole"):
        image.run(test_image.read_test_params(tmp_path / name), test_image.RECIPE)
    assert test_image.result_bytes(tmp_path / "ended") == test_image.result_bytes(
        tmp_path / "whole"
    )


# latent


def write_larger_images(build, count=600):
    """Images of noise and weights: what latent reads."""
    images = np.random.default_rng(0).integers(0, 256, (count, 128, 128), np.uint8)
    folder = build / LARGER.name / "image"
    hashes = [f"{number:04d}" * 16 for number in range(count)]
    rule = preprocessing(LARGER.image).facts()
    put_rows(folder, make_cache(build / "cache"), hashes, images, {"preprocessing": rule})
    names = [f"d{number}" for number in range(count)]
    table = pl.DataFrame({"dicom_id": names, "outcome": ["ok"] * count, "sha256": hashes})
    table.write_parquet(folder / "film.parquet")
    test_latent.save_autoencoder(build / LARGER.name / "fit_vae")


def latent_params(build, **changes):
    params = test_latent.read_test_params(build)
    changes = {"cpu_threads": 1, "films_per_shard": 20, **changes}
    return params.model_copy(update={"latent": params.latent.model_copy(update=changes)})


def read_latents(build):
    return test_latent.read_latents(build).tobytes()


def test_latents_of_two_nodes_of_which_one_is_lost_have_the_bytes_of_a_local_run(losing, tmp_path):
    write_larger_images(tmp_path, 120)
    latent.run(on_ray(latent_params(tmp_path)), LARGER)
    spread = read_latents(tmp_path)
    table = (tmp_path / LARGER.name / "latent" / "latent.parquet").read_bytes()
    shutil.rmtree(tmp_path / "cache" / "latent")
    latent.run(latent_params(tmp_path), LARGER)
    assert read_latents(tmp_path) == spread
    assert (tmp_path / LARGER.name / "latent" / "latent.parquet").read_bytes() == table


def test_a_retried_task_encodes_only_what_is_missing(tmp_path, monkeypatch):
    write_larger_images(tmp_path, 6)
    params = latent_params(tmp_path, films_per_shard=6)
    latent.run(params, LARGER)
    whole = read_latents(tmp_path)
    space = latent.open_stage_rows(tmp_path / LARGER.name / "latent").space
    hashes = tuple(f"{number:04d}" * 16 for number in range(6))
    cache = make_cache(tmp_path / "cache")
    task = latent.LatentTask(cache=cache, space=space, hashes=hashes)
    shard = test_latent.shards_of(tmp_path)[0].with_suffix(".index")
    shard.write_bytes(shard.read_bytes()[: 3 * ENTRY.itemsize])  # as a lost worker left it
    crews = []
    monkeypatch.setattr(latent, "each_on_ray", lambda crew, *_: crews.append(crew) or [])
    images = latent.open_stage_rows(tmp_path / LARGER.name / "image")
    latent.encode_on_ray([task], tmp_path / LARGER.name / "fit_vae", params, images, print)
    assert crews[0].opener.open()(task, True) == 6
    assert len(cache.rows(space)) == 6
    assert cache.rows(space).read(hashes).tobytes() == whole


def test_an_error_of_the_encoder_is_the_one_line_of_a_local_run(both, tmp_path):
    write_larger_images(tmp_path, 4)
    weights = test_latent.save_autoencoder(
        tmp_path / "nan", change=lambda model: model.quant_conv.bias.fill_(float("nan"))
    )
    params = latent_params(tmp_path, weights=str(weights))
    said = []
    for each in (params, on_ray(params)):
        with pytest.raises(ContractError, match="not finite") as caught:
            latent.run(each, LARGER)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]


# embed


def test_embeddings_of_two_nodes_of_which_one_is_lost_have_the_bytes_of_a_local_run(
    losing, tmp_path, monkeypatch
):
    words = [f"drug {number} {'slowly ' * (number % 7)}" for number in range(160)]
    monkeypatch.setattr(embed, "TEXTS_PER_TASK", 10)
    for name in ("local", "ray"):
        test_embed.write_window(tmp_path / name, words)
    embed.run(on_ray(test_embed.read_test_params(tmp_path / "ray")), test_embed.RECIPE)
    embed.run(test_embed.read_test_params(tmp_path / "local"), test_embed.RECIPE)
    names = ("table.npy", "text.parquet", "text_row.parquet", "done.json")
    spread, local = (
        [(tmp_path / one / test_embed.RECIPE.name / "embed" / name).read_bytes() for name in names]
        for one in ("ray", "local")
    )
    assert spread == local


def test_a_retried_task_embeds_only_what_is_missing(tmp_path):
    params = test_embed.read_test_params(tmp_path).embed
    facts = open_embedder(params).facts
    cache, space = make_cache(tmp_path), embed.embedding_space(facts, facts.dim)
    task = EmbedTask(cache=cache, space=space, hashes=("ab" * 32, "cd" * 32), texts=("a", "b"))
    with cache.write(space) as writer:
        writer.add(["ab" * 32], np.zeros((1, facts.dim), np.float16))
    work = EmbedderOpener(params, facts.digest).open()
    assert work(task, True) == 2
    assert len(cache.rows(space)) == 2
    assert work(task, True) == 2
    assert len(cache.rows(space)) == 2
    with pytest.raises(ContractError, match="other files of model"):
        EmbedderOpener(params, "0" * 64).open()


def test_a_remote_model_is_asked_by_the_driver_alone(tmp_path, monkeypatch, capsys):
    test_embed.write_window(tmp_path, ["pear", "fig"])
    params = test_embed.read_test_params(tmp_path)
    remote = params.embed.model_copy(update={"backend": "remote"})
    local = open_embedder(params.embed)
    monkeypatch.setattr(embed, "open_embedder", lambda *_: local)
    monkeypatch.setattr(embed, "each_on_ray", None)
    embed.run(on_ray(params).model_copy(update={"embed": remote}), test_embed.RECIPE)
    assert "remote model is asked from here alone" in capsys.readouterr().err


# any work


def test_work_comes_back_each_once_and_a_lost_piece_is_done_again(both, tmp_path, losses):
    found = sorted(each_on_ray(crew_of(tmp_path, Odd()), range(7), 7, ON_RAY))
    assert found == [(2 * number, number == 6) for number in range(7)]
    assert losses.count(True) == 1


def test_work_that_ends_its_worker_each_time_is_given_up(both, tmp_path):
    with pytest.raises(ContractError, match=r"^image: 3 workers were lost .* same work .*memory"):
        list(each_on_ray(crew_of(tmp_path, Odd()), [9, 1], 2, ON_RAY))


def test_workers_that_end_before_they_are_ready_are_given_up(both, tmp_path):
    with pytest.raises(ContractError, match=r"^image: 3 workers were lost .* when started"):
        list(each_on_ray(crew_of(tmp_path, Unready()), [1, 2], 2, ON_RAY))


def test_an_error_of_work_is_raised_as_it_is(both, tmp_path):
    with pytest.raises(ContractError, match=r"^films/d7.jpg: refused; look at it$"):
        list(each_on_ray(crew_of(tmp_path, Odd()), [7], 1, ON_RAY))
    with pytest.raises(OSError, match="No space left") as caught:
        list(each_on_ray(crew_of(tmp_path, Odd()), [8], 1, ON_RAY))
    assert (caught.value.errno, caught.value.filename) == (28, "cache/x.rows")


def test_a_worker_that_no_node_has_room_for_is_refused(both, tmp_path):
    with pytest.raises(ContractError, match=r"no node .* has 3 CPU .*latent.cpu_threads"):
        list(each_on_ray(crew_of(tmp_path, Odd(), cpus=3), [1], 1, ON_RAY))


# what must be so before


def test_an_address_where_nothing_answers_is_named(tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", "head"):
        with pytest.raises(ContractError, match=f"{address} .*executor.address"):
            list(
                each_on_ray(
                    crew_of(tmp_path, Odd()), [1], 1, ExecutorParams(kind="ray", address=address)
                )
            )


def test_ray_that_is_not_installed_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ContractError, match=r"ray is not installed.*cxrfuture\[ray\]"):
        list(each_on_ray(crew_of(tmp_path, Odd()), [1], 1, ON_RAY))


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "seen"
    path.write_text("x")
    return Site(
        host=socket.gethostname(), code=code_versions(), files={path: 1}, is_one_machine=True
    )


def test_a_machine_that_may_not_take_part_says_why(site, tmp_path):
    assert site.find_fault() is None
    other = replace(site, host="elsewhere")
    assert "SQLite" in other.find_fault()
    assert "cache.ledger" in other.find_fault()
    assert replace(other, is_one_machine=False).find_fault() is None
    older = replace(site, code={**site.code, "cxrfuture": "0" * 12})
    assert "install the same on both" in older.find_fault()
    assert f"{tmp_path}/none" in replace(site, files={tmp_path / "none": 1}).find_fault()
    assert "has 1 bytes" in replace(site, files={tmp_path / "seen": 2}).find_fault()


def test_a_node_of_other_code_is_refused_by_the_stage(both, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "code_versions", lambda: {**code_versions(), "pillow": "1.0"})
    with pytest.raises(ContractError, match=r"^image: pillow is .* and 1.0 on .*install the same"):
        list(each_on_ray(crew_of(tmp_path, Odd()), [1], 1, ON_RAY))


def test_a_second_machine_is_refused_where_the_ledger_is_sqlite(both, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.socket, "gethostname", lambda: "first")
    with pytest.raises(ContractError, match=r"^image: .* SQLite file that first uses; set cache.l"):
        list(each_on_ray(crew_of(tmp_path, Odd()), [1], 1, ON_RAY))


def test_the_executor_is_no_part_of_a_dataset_s_digest():
    from etl.shard_facts import params_digest

    params = test_image.read_test_params("build")
    assert params_digest(on_ray(params)) == params_digest(params)
