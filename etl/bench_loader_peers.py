"""The environments of the loader's bench: each peer lives in one of its own, beside the same torch.

They cannot share ours: LitData and MosaicML Streaming want torchvision, which breaks diffusers
beside the CPU build of torch, and MosaicML Streaming an older transformers.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

READY = "ready.txt"  # holds what was installed; written last


@dataclass(frozen=True)
class Peer:
    """A library to install, with what its script needs besides."""

    name: str
    packages: tuple[str, ...]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("litdata", ("litdata==0.2.76",)),
        Peer("mosaicml", ("mosaicml-streaming==0.13.0",)),
        Peer(
            "energon",
            ("megatron-energon==7.4.1", "multi-storage-client[boto3]==1.3.1", "safetensors"),
        ),
    )
}


class NotInstalled(Exception):
    """Why a peer's environment cannot be made, in a line."""


def peer_python(peer: Peer, folder: Path) -> Path:
    """The interpreter of a peer below ``folder``, whose environment is made at the first call."""
    home = folder.expanduser() / peer.name
    wanted = [f"torch=={version('torch').partition('+')[0]}", *peer.packages]
    python = home / "bin" / "python"
    ready = home / READY
    try:
        if python.exists() and ready.exists() and ready.read_text().split() == wanted:
            return python
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        for command in _commands(home, python, wanted):
            _run(command)
        ready.write_text("\n".join(wanted))
    except OSError as error:
        raise NotInstalled(f"{error.filename or folder}: {error.strerror}") from None
    return python


def _commands(home: Path, python: Path, wanted: list[str]) -> list[list[str]]:
    """With uv, which resolves in seconds what pip may not in minutes; else with pip."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return [
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", *wanted],
        ]
    return [
        [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *wanted],
    ]


def _run(command: list[str]) -> None:
    environment = dict(os.environ)
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    if wheels and Path(wheels).is_dir():  # uv does not read pip's settings
        environment.setdefault("UV_FIND_LINKS", wheels)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise NotInstalled(last_line(done.stderr) or f"exit {done.returncode}")


def last_line(text: str) -> str:
    """The last line that says anything, at most 200 characters of it."""
    return next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "")
