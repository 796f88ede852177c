"""Whole splits in memory, which the experiment's are small enough for. Shapes: N pairs."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cxrfuture_data.batch import PairBatch
from cxrfuture_data.split import Split
from cxrfuture_data.view import View

WINDOW_FIELDS = (
    *("hours", "is_hour", "event", "event_row", "is_event"),
    *("event_hours", "event_end_hours", "event_runs", "event_table"),
)
AT_ONCE = 64

Pairs = PairBatch[Tensor]


def read_all(pairs: Split, view: View) -> Pairs:
    """One batch of all pairs, in the order of their columns."""
    loader = pairs.loader(len(pairs), view, rank=0, world_size=1, training=False)
    (batch,) = loader
    loader.close()
    assert isinstance(batch, PairBatch)
    assert batch.keys == pairs.columns["key"].tolist()
    return batch


def parts_of(pairs: Pairs) -> list[Pairs]:
    """AT_ONCE pairs each."""
    names = [name for name in vars(pairs) if name != "keys"]
    found = []
    for start in range(0, len(pairs.keys), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        fields = {name: getattr(pairs, name)[rows] for name in names}
        found.append(replace(pairs, keys=pairs.keys[rows], **fields))
    return found


def shuffle_windows(pairs: Pairs, patients: npt.NDArray[np.int64]) -> Pairs:
    """Each pair with the window of another patient's; its gap, films and patient stay."""
    order = other_patients(patients)
    return replace(pairs, **{name: getattr(pairs, name)[order] for name in WINDOW_FIELDS})


def other_patients(patients: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,): for each pair one of another patient, each once."""
    order = np.argsort(patients, kind="stable")
    most = np.bincount(np.unique(patients, return_inverse=True)[1]).max()
    found = np.empty_like(order)
    found[order] = np.roll(order, most)
    return found
