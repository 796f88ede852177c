"""One reading of the loader's bench, in a child process with the interpreter of its way."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etl.bench_loader_peers import last_line
from etl.bench_loader_server import BUCKET
from etl.bench_peer.reading import FACTS

PATIENCE = 240  # seconds after which a reading is given up
LITDATA_BEST = {"LITDATA_BATCH_DECODE": "0", "LITDATA_ITEM_SHUFFLE_WINDOW": "0"}
AS_MEASURED = {"CXRFUTURE_BENCH_HOURS": "as measured"}  # what the peers give
QUIET = {"LITDATA_DISABLE_VERSION_CHECK": "1"}  # or LitData asks the package index


@dataclass(frozen=True)
class Way:
    """A library with settings. ``folder``: that of its format, which it writes itself from the one
    it is ``prepared_from``; ``peer``: whose environment it needs, None: ours; ``url``: of its
    format on the server, None: it is read locally only."""

    name: str
    module: str
    folder: str
    peer: str | None = None
    prepared_from: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None


_S3 = f"s3://{BUCKET}"
WAYS = {
    way.name: way
    for way in (
        Way("ours", "etl.bench_loader_ours", "ours", url=f"{{http}}/{BUCKET}/ours"),
        Way("ours, as measured", "etl.bench_loader_ours", "ours", settings=AS_MEASURED),
        Way("memory", "etl.bench_peer.memory_peer", "arrays"),
        Way("webdataset", "etl.bench_peer.webdataset_peer", "ours", url=f"{{http}}/{BUCKET}/ours"),
        Way(
            "litdata",
            "etl.bench_peer.litdata_peer",
            "litdata",
            "litdata",
            "arrays",
            LITDATA_BEST,
            f"{_S3}/litdata",
        ),
        Way("litdata default", "etl.bench_peer.litdata_peer", "litdata", "litdata", "arrays"),
        Way(
            "mosaicml",
            "etl.bench_peer.mosaicml_peer",
            "mosaicml",
            "mosaicml",
            "arrays",
            url=f"{_S3}/mosaicml",
        ),
        Way(
            "energon",
            "etl.bench_peer.energon_peer",
            "energon",
            "energon",
            "ours",
            url=f"msc://{BUCKET}/energon",
        ),
    )
}


class Failed(Exception):
    """A child that ended without a result, in a line."""


@dataclass(frozen=True)
class Place:
    """Where the samples lie: the folder, and the server's URL if they are read from it."""

    root: Path
    url: str | None = None


@dataclass(frozen=True)
class Reading:
    batch_size: int
    workers: int
    seed: int


def prepare(way: Way, python: Path, root: Path) -> None:
    """Write the way's own format, if it has one and it is not there yet."""
    target = root / way.folder
    if way.prepared_from is None or target.exists():
        return
    source = root / way.prepared_from
    _run_child(way, python, root, ["prepare", str(source), str(target)], {})


def read_once(way: Way, python: Path, place: Place, reading: Reading) -> dict[str, Any]:
    """Read with nothing cached: two epochs of the folder, or one of the server's."""
    local, cache = place.root / way.folder, place.root.with_name("cache")
    source = str(local)
    environment = {"TMPDIR": str(cache)}  # what a library leaves there goes with it
    if place.url is not None:
        assert way.url is not None
        source = way.url.format(http=place.url)
        environment |= client_environment(place.url)
        environment["MSC_CONFIG"] = str(_write_storage_settings(place.root.parent, place.url))
    arguments = ["read", source, str(local), "--cache", str(cache / "fetched")]
    for name, value in {
        "batch-size": reading.batch_size,
        "workers": reading.workers,
        "seed": reading.seed,
        "epochs": 1 if place.url is not None else 2,
    }.items():
        arguments += [f"--{name}", str(value)]
    cache.mkdir()
    try:
        said = _run_child(way, python, place.root, arguments, environment)
    finally:
        shutil.rmtree(cache)
    lines = [line for line in said.splitlines() if line.startswith(FACTS)]
    if not lines:
        raise Failed("it printed no result")
    return json.loads(lines[-1].removeprefix(FACTS))


def client_environment(url: str) -> dict[str, str]:
    """What makes clients of S3 ask the server, and nobody else."""
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _write_storage_settings(folder: Path, url: str) -> Path:
    """Where the bucket is, for Energon's storage client, which reads it from a file."""
    options = {"base_path": BUCKET, "endpoint_url": url, "region_name": "us-east-1"}
    profile = {"storage_provider": {"type": "s3", "options": options}}
    path = folder / "msc.json"
    path.write_text(json.dumps({"profiles": {BUCKET: profile}}))
    return path


def _run_child(
    way: Way, python: Path, root: Path, arguments: list[str], environment: Mapping[str, str]
) -> str:
    """Its output. A peer's interpreter sees nothing of ours but the package ``etl``."""
    paths = os.pathsep.join(sys.path) if way.peer is None else str(_lone_etl(root.parent))
    try:
        done = subprocess.run(
            [str(python), "-m", way.module, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **QUIET, **way.settings, **environment, "PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"given up after {PATIENCE} seconds") from None
    if done.returncode:
        raise Failed(last_line(done.stderr) or f"exit {done.returncode}")
    return done.stdout


def _lone_etl(folder: Path) -> Path:
    """A folder that holds ``etl`` and nothing else."""
    path = folder / "path"
    path.mkdir(exist_ok=True)
    if not (path / "etl").exists():
        (path / "etl").symlink_to(Path(__file__).resolve().parent)
    return path
