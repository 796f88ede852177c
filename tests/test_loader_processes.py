"""The loader among processes: ranks, workers, and what happens when any of them is killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tiny_loader import VIEW, iterate, write_pairs

from cxrfuture_data import ContractError, open_dataset

HERE = Path(__file__).parent
LIMIT = 60  # seconds until something counts as hanging
STEP_SAMPLES, STEPS, EPOCH_STEPS = 8, 14, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("processes") / "dataset", 63)


@pytest.fixture
def pairs(folder):
    return open_dataset(folder).split("train", "pair")


@pytest.fixture(scope="module")
def whole(folder):
    """The global steps of two epochs without an interruption."""
    loader = open_dataset(folder).split("train", "pair").loader(STEP_SAMPLES, VIEW, seed=3)
    return [*iterate(loader), *iterate(loader)]


def workers_of(pid):
    """The loader's workers among the children of a process, in the order of their start."""
    children = chain(*(p.read_text().split() for p in Path(f"/proc/{pid}/task").glob("*/children")))
    found = sorted(int(child) for child in children)
    return [child for child in found if b"cxrfuture_data.worker" in command_of(child)]


def command_of(pid):
    """Empty of a process that has ended, also of a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def await_end(pids):
    until = time.monotonic() + LIMIT
    while any(map(command_of, pids)):
        assert time.monotonic() < until, "orphans"
        time.sleep(0.05)


def start(arguments, **variables):
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | variables
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start_run(folder, into, ranks, workers):
    arguments = [HERE / "loader_run.py", folder, into, STEP_SAMPLES, workers, STEPS]
    return [start(arguments, RANK=str(rank), WORLD_SIZE=str(ranks)) for rank in range(ranks)]


def seen(into, step, ranks):
    """What all ranks together were given in a step."""
    parts = [(into / f"seen-{step}-{rank}").read_text().split() for rank in range(ranks)]
    return [int(number) for number in chain(*parts)]


@pytest.fixture(scope="module")
def killed(folder, tmp_path_factory):
    """A run of two ranks, with a worker each, killed about a random step; its folder."""
    into = tmp_path_factory.mktemp("killed")
    last = random.Random(6).randrange(2, STEPS - 2)
    ranks = start_run(folder, into, 2, 1)
    until = time.monotonic() + LIMIT
    while not (into / f"seen-{last}-1").exists() or not (into / "state.pt").exists():
        assert time.monotonic() < until, [rank.poll() for rank in ranks]
        time.sleep(0.01)
    workers = [*workers_of(ranks[0].pid), *workers_of(ranks[1].pid)]
    for rank in ranks:
        rank.kill()
    for rank in ranks:
        rank.communicate(timeout=LIMIT)
    assert len(workers) == 2
    await_end(workers)
    return into


@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (4, 0)])
def test_a_killed_run_of_two_goes_on_as_one_and_as_four(
    folder, killed, whole, tmp_path, ranks, workers
):
    """It sees every sample that was left, in the same global steps, and none of the others."""
    shutil.copy(killed / "state.pt", tmp_path)
    state = torch.load(killed / "state.pt", weights_only=True)
    first = state["epoch"] * EPOCH_STEPS + state["position"] // STEP_SAMPLES
    assert 0 < first < STEPS
    assert [seen(killed, step, 2) for step in range(first)] == whole[:first]
    for rank in start_run(folder, tmp_path, ranks, workers):
        said, _ = rank.communicate(timeout=LIMIT)
        assert rank.returncode == 0, said
    assert not any(tmp_path.glob(f"seen-{first - 1}-*"))
    assert [seen(tmp_path, step, ranks) for step in range(first, STEPS)] == whole[first:]


def test_a_rank_that_stops_early_does_not_stop_another(folder):
    """Ranks are those of the environment; the loader never waits for another rank."""
    code = """if True:
        import sys
        from itertools import islice
        from tiny_loader import VIEW, iterate
        from cxrfuture_data import open_dataset
        split = open_dataset(sys.argv[1]).split("train", "pair")
        loader = split.loader(4, VIEW, seed=3, workers=1)
        print(list(islice(iterate(loader), int(sys.argv[2]))))
    """
    runs = [
        start(["-c", code, folder, steps], RANK=str(rank), WORLD_SIZE="2")
        for rank, steps in enumerate((100, 2))
    ]
    said = [run.communicate(timeout=LIMIT)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    loader = open_dataset(folder).split("train", "pair").loader(8, VIEW, seed=3)
    steps = list(iterate(loader))
    assert said[0] == f"{[step[:4] for step in steps]}\n"
    assert said[1] == f"{[step[4:] for step in steps[:2]]}\n"


def test_a_checkpoint_of_accelerate_holds_the_loader(pairs, whole, tmp_path):
    accelerator = Accelerator(cpu=True)
    loader = pairs.loader(STEP_SAMPLES, VIEW, seed=3, workers=1)
    accelerator.register_for_checkpointing(loader)
    batches = iterate(loader)
    assert [next(batches) for _ in range(3)] == whole[:3]
    accelerator.save_state(str(tmp_path))
    assert list(batches) == whole[3:7]
    accelerator.load_state(str(tmp_path))
    assert list(iterate(loader)) == whole[3:7]
    loader.close()
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("number", [0, 1])
def test_a_worker_that_is_killed_is_named_and_the_loader_goes_on(pairs, whole, number):
    loader = pairs.loader(STEP_SAMPLES, VIEW, seed=3, workers=2)
    batches = iterate(loader)
    found = [next(batches)]
    workers = workers_of(os.getpid())
    os.kill(workers[number], signal.SIGKILL)
    with pytest.raises(ContractError) as death:
        found.extend(batches)
    assert str(death.value) == (
        f"worker {number} of the loader died (signal SIGKILL; was memory short?); start again from "
        "the last checkpoint, with fewer workers or smaller batches"
    )
    await_end(workers)
    assert [*found, *iterate(loader)] == whole[:7]
    assert list(iterate(loader)) == whole[7:]
    assert len(loader._pool.made) <= 6  # two of each worker, two at hand: those of the dead too
    again = workers_of(os.getpid())
    assert len(again) == 2
    loader.close()
    await_end(again)


def test_workers_import_nothing_from_the_folder_one_is_in(pairs, whole, tmp_path, monkeypatch):
    for name in ("socket", "numpy", "cxrfuture_data"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the right one')")
    monkeypatch.chdir(tmp_path)
    loader = pairs.loader(STEP_SAMPLES, VIEW, seed=3, workers=1)
    assert list(iterate(loader)) == whole[:7]
    loader.close()


def read_on(batches, found):
    """On a busy machine the worker may have made all of them before it was stopped."""
    found.extend(batches)
    time.sleep(5)


def read_on_and_wait(batches, found):
    """A quick worker may have made all before it was stopped: then the interrupt comes here."""
    read_on(batches, found)
    time.sleep(LIMIT)


def test_an_interrupted_wait_for_a_worker_loses_and_mixes_up_nothing(pairs, whole):
    """As Ctrl-C in a notebook: the cell is run again with the same loader."""
    loader = pairs.loader(STEP_SAMPLES, VIEW, seed=3, workers=1)
    batches = iterate(loader)
    found = [next(batches) for _ in range(2)]
    (worker,) = workers_of(os.getpid())
    os.kill(worker, signal.SIGSTOP)
    threading.Timer(1, os.kill, (worker, signal.SIGCONT)).start()
    threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        read_on_and_wait(batches, found)
    rest = [] if len(found) == 7 else iterate(loader)
    assert [*found, *rest] == whole[:7]
    assert list(iterate(loader)) == whole[7:]
    loader.close()


READ_ON = """if True:
    import signal, sys, time
    from tiny_loader import VIEW, iterate
    from cxrfuture_data import open_dataset
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    split = open_dataset(sys.argv[1]).split("train", "pair")
    loader = split.loader(9, VIEW, seed=3, workers=2)
    for batch in range(7 * 200):
        if batch % 7 == 0:
            batches = iterate(loader)
        next(batches)
        time.sleep(0.02)
        if batch == 1:
            print("begun", flush=True)
        if len(sys.argv) > 2 and batch == 40:
            print("done", flush=True)
            break
"""


def test_workers_end_with_the_process_that_started_them(folder):
    main = start(["-c", READ_ON, folder])
    assert main.stdout.readline() == "begun\n"
    workers = workers_of(main.pid)
    assert len(workers) == 2
    main.kill()
    assert main.communicate(timeout=LIMIT)[0] == ""  # no worker has its last words either
    await_end(workers)


def test_a_signal_to_all_is_for_the_main_process_to_obey(folder):
    """As SLURM's SIGTERM and a terminal's Ctrl-C, which go to the whole group."""
    main = start(["-c", READ_ON, folder, "briefly"])
    assert main.stdout.readline() == "begun\n"
    workers = workers_of(main.pid)
    os.killpg(main.pid, signal.SIGTERM)
    os.killpg(main.pid, signal.SIGINT)
    assert main.communicate(timeout=LIMIT)[0] == "done\n"
    assert main.returncode == 0
    await_end(workers)
