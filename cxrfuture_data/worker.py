"""A worker process of the loader: positions in, a batch in shared memory out. It needs no torch.

Started by ``crew.py`` as ``python -m cxrfuture_data.worker FILE``; ends with the process that
started it, however that ends.
"""

import mmap
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from cxrfuture_data.channel import receive, send
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.fill import Filler
from cxrfuture_data.manifest import Manifest
from cxrfuture_data.schema import ContractError
from cxrfuture_data.slot import arrays_over
from cxrfuture_data.source import source_of, source_settings
from cxrfuture_data.split import Split
from cxrfuture_data.tensor_fields import Draw, Job
from cxrfuture_data.view import View


def setup_of(split: Split, view: View, draw: Draw) -> dict[str, Any]:
    """What a worker must know, as JSON holds it."""
    return {
        "source": source_settings(split.dataset.source),
        "manifest": split.dataset.manifest.model_dump(mode="json"),
        "split": split.name,
        "kind": split.kind,
        "view": view.settings(),
        "draw": asdict(draw),
    }


class Worker:
    """Fills the slots it was sent. Nothing else can fail: there is one reply to each batch."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self.setup = setup
        self.slots: dict[int, mmap.mmap] = {}
        self.expected: list[int] = []

    @cached_property
    def filler(self) -> Filler:
        setup = self.setup
        dataset = Dataset(source_of(setup["source"]), Manifest.model_validate(setup["manifest"]))
        split = dataset.split(setup["split"], setup["kind"])
        return Filler(split, View(**setup["view"]))

    def obey(self, message: dict[str, Any], files: list[int]) -> dict[str, Any] | None:
        """The reply, if one is due."""
        if "slot_bytes" in message:
            self.slots[message["slot"]] = mmap.mmap(files[0], message["slot_bytes"])
            os.close(files[0])
            return None
        if "expect" in message:
            self.expected = message["expect"]
            return None
        if self.expected:
            self.filler.expect(np.array(self.expected, np.int64))
            self.expected = []
        positions = np.array(message["positions"], np.int64)
        memory = np.frombuffer(self.slots[message["slot"]], np.uint8)
        self.filler.fill(
            Job(
                positions,
                self.filler.columns.key_bytes(positions),
                Draw(**self.setup["draw"] | {"epoch": message["epoch"]}),
                arrays_over(memory, self.filler.arrangement(positions)),
            )
        )
        return {"done": message["batch"]}


def main() -> None:
    # Both go to a whole process group; the loader's own process decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    worker: Worker | None = None
    while (received := receive(channel)) is not None:
        message, files = received
        try:
            if worker is None:
                worker = Worker(message)
                continue
            reply = worker.obey(message, files)
        except ContractError as error:
            reply = {"error": str(error)}
        except Exception:  # told to the loader, which raises it in the user's own process
            reply = {"failure": traceback.format_exc()}
        if reply is not None:
            with suppress(ConnectionError):  # the loader is gone, as the next message will say
                send(channel, reply)


if __name__ == "__main__":
    main()
