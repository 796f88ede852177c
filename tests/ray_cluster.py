"""A Ray cluster of two nodes on this machine, for tests; its noise and files are kept away."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrfuture_data.schema import ContractError

ROOT = Path(__file__).resolve().parent.parent
HEAD, SECOND = "127.0.0.2", "127.0.0.3"  # Ray takes 127.0.0.1 for the machine's outer address
OBJECT_STORE_BYTES = 80 << 20
# A lost node is noticed within two seconds, not half a minute.
HEALTH = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "health_check_timeout_ms": 500,
}


@dataclass
class TwoNodes:
    """The head and, until it is lost, a second node; each holds one worker."""

    cluster: Any
    second: Any = None

    @property
    def address(self) -> str:
        return self.cluster.address

    def add_second(self) -> None:
        if self.second is None:
            self.second = self.cluster.add_node(
                num_cpus=1, node_ip_address=SECOND, object_store_memory=OBJECT_STORE_BYTES
            )

    def lose_second(self) -> None:
        """As when its machine stops: no process of it says goodbye."""
        lost, self.second = self.second, None
        self.cluster.remove_node(lost, allow_graceful=False)


@contextmanager
def two_nodes(folder: Path) -> Iterator[TwoNodes]:
    """Start them, connected to from this process; stop all at the end."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Workers must find this checkout, whatever is installed.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    # Ray notes the cluster's address in RAY_TMPDIR/ray, by default /tmp/ray, and does not make it.
    os.environ["RAY_TMPDIR"] = str(folder)
    (folder / "ray").mkdir()
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "node_ip_address": HEAD,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
            "temp_dir": str(folder),
            "_system_config": HEALTH,
        },
    )
    nodes = TwoNodes(cluster)
    try:
        nodes.add_second()
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address=HEAD,
        )
        yield nodes
    finally:
        ray.shutdown()
        cluster.shutdown()
        del os.environ["RAY_TMPDIR"]
        sys.stderr.flush()


@dataclass(frozen=True)
class Lingering:
    """Another's work, but for the worker on ``node``: after its first piece it takes one more,
    leaves ``mark`` and never comes back with it."""

    opener: Any
    node: str
    mark: Path

    def open(self) -> Callable[[Any, bool], Any]:
        import ray

        work = self.opener.open()
        is_to_be_lost = ray.get_runtime_context().get_node_id() == self.node
        pieces = 0

        def linger(piece: Any, is_again: bool) -> Any:
            nonlocal pieces
            if is_to_be_lost and pieces:
                self.mark.touch()
                time.sleep(600)
            pieces += 1
            return work(piece, is_again)

        return linger


@dataclass(frozen=True)
class Odd:
    """Work of which 7 is refused, 8 fails, 9 ends its process, and others come back doubled."""

    def open(self) -> Callable[[int, bool], tuple[int, bool]]:
        def work(number: int, is_again: bool) -> tuple[int, bool]:
            if number == 7:
                raise ContractError("films/d7.jpg: refused; look at it")
            if number == 8:
                raise OSError(28, "No space left on device", "cache/x.rows")
            if number == 9 or (number == 6 and not is_again):
                os._exit(1)
            return 2 * number, is_again

        return work


@dataclass(frozen=True)
class Unready:
    """Ends its process before it is ready."""

    def open(self) -> Callable[[int, bool], None]:
        os._exit(1)
