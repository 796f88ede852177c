"""Pieces of work spread over a Ray cluster, each given to a worker that holds what it needs.

A piece whose worker was lost goes to another one. Workers write to the cache themselves and hand
back little. Ray is imported when it is used.
"""

import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrfuture_data.console import say
from cxrfuture_data.schema import ContractError
from etl.cache import Cache
from etl.cluster_node import Opener, Site, Worker, code_versions
from etl.params import ExecutorParams

MAXIMUM_LOSSES = 3  # of one piece of work, or of workers in a row before any is ready
SECONDS_BETWEEN_LOOKS = 1.0  # at the nodes: some may have gone or come
SECONDS_TO_CONNECT = 5.0
SECONDS_WORTH_SAYING = 30.0  # that no worker is there yet


@dataclass(frozen=True, kw_only=True)
class Crew:
    """The workers of a stage: how each starts and what it takes of a node. With ``gpu``, one GPU
    each where the cluster has any, else ``cpus`` processors. ``files`` must be seen by all."""

    stage: str
    opener: Opener
    cache: Cache
    cpus: int
    gpu: bool = False
    files: tuple[Path, ...] = ()


@dataclass
class Piece:
    """Work, and how many workers were lost with it."""

    work: Any
    losses: int = 0


def each_on_ray(
    crew: Crew, works: Iterable[Any], count: int, params: ExecutorParams
) -> Iterator[Any]:
    """The result of each of ``count`` pieces of work as it is done.

    Raises ContractError if Ray, the cluster or its nodes are not fit for it, with what a piece of
    work raised, or when a piece lost its worker too often.
    """
    if crew.cache.store is not None:
        raise ContractError(
            f"{crew.stage}: executor.kind ray needs a cache folder that all nodes share, and"
            f" cache.folder is {crew.cache.store}; name such a folder, or set executor.kind: local"
        )
    with _joined(crew.stage, params) as ray, _marked(crew.cache.folder) as mark:
        site = Site(
            host=socket.gethostname(),
            code=code_versions(),
            files={path: path.stat().st_size for path in (mark, *crew.files)},
            is_one_machine=crew.cache.ledger.url.startswith("sqlite"),
        )
        hall = _Hall(ray, crew, site, count)
        try:
            yield from hall.run(iter(works))
        finally:
            hall.dismiss()


class _Hall:
    """The workers that run, each idle or with one call out."""

    def __init__(self, ray: Any, crew: Crew, site: Site, count: int) -> None:
        self._ray = ray
        self._crew = crew
        self._site = site
        self._count = count  # of pieces that are not back
        self._needs = self._needs_of_a_worker()
        self._idle: list[Any] = []
        self._calls: dict[Any, tuple[Any, Piece | None]] = {}  # of pieces; None: of open
        self._left: deque[Piece] = deque()  # by workers that were lost
        self._lost_unready = 0
        self._looked_at = 0.0

    def run(self, works: Iterator[Any]) -> Iterator[Any]:
        """Give out work until none is left and all is back."""
        started, is_said = time.monotonic(), False
        while self._give(works) or any(piece for _, piece in self._calls.values()):
            done, _ = self._ray.wait(list(self._calls), timeout=SECONDS_BETWEEN_LOOKS)
            for call in done:
                worker, piece = self._calls.pop(call)
                is_back, result = self._take(call, worker, piece)
                self._give(works)
                if is_back and piece is not None:
                    self._count -= 1
                    yield result
            is_late = time.monotonic() - started > SECONDS_WORTH_SAYING
            if is_late and not is_said and not any(piece for _, piece in self._calls.values()):
                say(f"{self._crew.stage}: waits for a worker on the Ray cluster ({self._needs})")
                is_said = True

    def dismiss(self) -> None:
        """End all workers, whatever they do."""
        for worker in [*self._idle, *(worker for worker, _ in self._calls.values())]:
            self._ray.kill(worker)

    def _give(self, works: Iterator[Any]) -> bool:
        """A piece to every idle worker, and more workers if there is room; whether any work waits
        for one."""
        while self._idle and self._fill(works):
            worker, piece = self._idle.pop(), self._left.popleft()
            call = worker.run.remote(piece.work, piece.losses > 0)
            self._calls[call] = worker, piece
        if self._idle or not self._fill(works):
            return False
        if not self._calls or time.monotonic() - self._looked_at > SECONDS_BETWEEN_LOOKS:
            self._looked_at = time.monotonic()
            for _ in range(min(self._room(), self._count) - len(self._calls)):
                self._start()
        return True

    def _fill(self, works: Iterator[Any]) -> bool:
        """Whether a piece is left, looked up among works if none came back."""
        if not self._left:
            self._left.extend(Piece(work) for _, work in zip(range(1), works, strict=False))
        return bool(self._left)

    def _start(self) -> None:
        options = {f"num_{name}s": count for name, count in self._needs.items()}
        maker = self._ray.remote(Worker).options(**options, max_restarts=0, max_task_retries=0)
        worker = maker.remote(self._crew.opener)
        self._calls[worker.open.remote(self._site)] = worker, None

    def _take(self, call: Any, worker: Any, piece: Piece | None) -> tuple[bool, Any]:
        """Whether a call came back, and its result."""
        errors = self._ray.exceptions
        try:
            result = self._ray.get(call)
        except errors.RayTaskError as error:
            if isinstance(error.cause, ContractError):
                raise ContractError(str(error.cause)) from None
            raise error.cause or error from error
        except errors.RayError as error:
            self._ray.kill(worker)
            self._count_loss(piece, error)
            return False, None
        if piece is None:
            if result is not None:
                raise ContractError(f"{self._crew.stage}: {result}")
            self._lost_unready = 0
        self._idle.append(worker)
        return True, result

    def _count_loss(self, piece: Piece | None, error: Exception) -> None:
        if piece is None:
            self._lost_unready += 1
            losses, what = self._lost_unready, "workers were lost one after the other when started"
        else:
            piece.losses += 1
            self._left.appendleft(piece)
            losses, what = piece.losses, "workers were lost one after the other at the same work"
        if losses >= MAXIMUM_LOSSES:
            raise ContractError(
                f"{self._crew.stage}: {losses} {what} (Ray: {_last_line(error)}); look at their"
                " memory, then run the stage again: it goes on where it stopped"
            ) from None

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _needs_of_a_worker(self) -> dict[str, int]:
        has_gpu = any(node.get("GPU", 0) >= 1 for node in self._nodes())
        return {"gpu": 1, "cpu": 1} if self._crew.gpu and has_gpu else {"cpu": self._crew.cpus}

    def _room(self) -> int:
        """How many workers the nodes hold that are there now."""
        needs = self._needs.items()
        room = sum(
            min(int(node.get(name.upper(), 0) // count) for name, count in needs)
            for node in self._nodes()
        )
        if not room:
            wanted = " and ".join(f"{count} {name.upper()}" for name, count in needs)
            raise ContractError(
                f"{self._crew.stage}: no node of the Ray cluster has {wanted} for a worker; start"
                " nodes that have, or ask for less (latent.cpu_threads)"
            )
        return room


@contextmanager
def _joined(stage: str, params: ExecutorParams) -> Iterator[Any]:
    """Ray, connected; left again if it was not before."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # of a cluster that is started here
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ContractError(
            f"{stage}: {error.name} is not installed, and executor.kind is ray; run: pip install"
            " 'cxrfuture[ray]', or set executor.kind: local"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    address = params.address or os.environ.get("RAY_ADDRESS", "")
    if address not in ("", "auto", "local"):
        _knock(stage, address)
    try:
        # An empty address: the cluster that runs on this machine, or else one for this run.
        ray.init(
            address=address or None,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # connection, version, half-started: Ray raises what it likes
        raise ContractError(
            f"{stage}: no Ray cluster at {address or 'this machine'} ({_last_line(error)}); see"
            " executor.address and docs/cluster.md"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(stage: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    reason = "not host:port of a head node"
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
            return
        except OSError as error:
            reason = str(error)
    raise ContractError(
        f"{stage}: no Ray cluster answers at {address} ({reason}); set executor.address to that of"
        " a head node (host:6379), or start one: ray start --head"
    )


@contextmanager
def _marked(folder: Path) -> Iterator[Path]:
    """A file in a folder that no other folder has, for others to see that it is the same."""
    mark = folder / f"run-{uuid.uuid4().hex}"
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:200]}" if lines else type(error).__name__
