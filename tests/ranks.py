"""A command in several ranks, as torchrun starts it, but forked by one process that imports once.

`python ranks.py RANKS MODULE JSON`: each list in JSON holds the arguments of a run of the module.
torchrun itself is started by `test_fit.py`.
"""

import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_ranks(ranks: int, module: str, *runs: Sequence[object]) -> str:
    """Run ``python -m module`` with each list of arguments in turn; what was said of it."""
    listed = json.dumps([[str(word) for word in run] for run in runs])
    done = subprocess.run(
        [sys.executable, __file__, str(ranks), module, listed],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def fork_ranks(ranks: int, module: str, arguments: list[str]) -> int:
    """How many of the ranks failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(ranks):
        child = os.fork()
        if child == 0:
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            place |= {"RANK": rank, "LOCAL_RANK": rank}
            place |= {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
            os.environ.update({name: str(value) for name, value in place.items()})
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            sys.exit()
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    # What the commands import when they run.
    for heavy in ("diffusers.models.autoencoders.autoencoder_kl", "train.fit", "train.tasks"):
        importlib.import_module(heavy)
    importlib.import_module(sys.argv[2])
    for run in json.loads(sys.argv[3]):
        if fork_ranks(int(sys.argv[1]), sys.argv[2], run):
            sys.exit(1)
