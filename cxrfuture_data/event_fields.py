"""Fields of a batch that come from a window's events: their embeddings, times and tables."""

import numpy as np

from cxrfuture_data.columns import Columns
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.order import Positions
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import ContractError
from cxrfuture_data.tensor_fields import Job, Shape, bytes_of
from cxrfuture_data.tensor_layout import TensorLayout
from cxrfuture_data.tensor_reader import Target
from cxrfuture_data.view import View

# tensor -> dtype; each is a field of the batch too
ARRAYS = {
    "event_row": np.int32,
    "event_hours": np.float32,
    "event_end_hours": np.float32,
    "event_table": np.uint8,
}
NO_EVENT = -1  # in event_row, where there is no event or it has no embedding
_FILLINGS = dict.fromkeys(ARRAYS, b"\0") | {"event_row": b"\xff"}  # each byte where none is
_WIDTHS = {name: np.dtype(dtype).itemsize for name, dtype in ARRAYS.items()}


class EventFields:
    """(B, E, ...) each; E is the most events of a sample of the batch, at most the view's."""

    def __init__(self, view: View, columns: Columns, dataset: Dataset) -> None:
        self.view = view
        self.embeddings = dataset.manifest.embeddings
        # (R, D); from far away it comes whole, so only a view of vectors asks for it
        self.table = dataset.embeddings if view.events == "vectors" else None
        most = np.iinfo(np.int64).max if view.max_events is None else view.max_events
        asked = view.events != "none"
        self.lengths = np.minimum(columns["events"].astype(np.int64), most) * asked
        self.is_null = np.zeros(columns.samples, np.bool_)
        if asked and view.null_events == "zeros" and "is_null_event" in columns.names:
            self.is_null = columns["is_null_event"]
        window = (columns["end_at"] - columns["start_at"]).astype(np.int64)
        self.window_hours = (window / 1e6 / 3600).astype(np.float32)

    def longest(self, positions: Positions) -> int:
        """E of these samples."""
        if self.view.max_events is not None and self.is_null[positions].any():
            return self.view.max_events
        return int(self.lengths[positions].max())

    def shapes(self, count: int, longest: int) -> dict[str, Shape]:
        shape = (count, longest)
        width = longest if self.view.events == "vectors" else 0
        return {
            **{name: (shape, dtype) for name, dtype in ARRAYS.items()},
            "is_event": (shape, np.bool_),
            "event_runs": (shape, np.bool_),
            "event": ((count, width, self.embeddings.dimensions), np.float16),
        }

    def begin(self, job: Job) -> dict[str, Target]:
        """No tensor is read to its place: of many events the newest are kept."""
        self.counts = self.lengths[job.positions].tolist()
        self.rows = [(name, width, bytes_of(job.out[name])) for name, width in _WIDTHS.items()]
        self.places = job.out["is_event"].shape[1]
        return {}

    def add(self, row: int, layout: TensorLayout, member: memoryview) -> None:
        """Copy the newest events of a sample; ``member``: its bytes."""
        count = self.counts[row]
        for name, width, memory in self.rows:
            last = layout.spans[name][1]
            begin, end = row * self.places * width, (row + 1) * self.places * width
            middle = begin + count * width
            memory[begin:middle] = member[last - count * width : last]
            memory[middle:end] = _FILLINGS[name] * (end - middle)

    def finish(self, job: Job) -> None:
        out, counts = job.out, self.lengths[job.positions]
        is_event = out["is_event"]
        if not is_event.size:
            return
        np.less(np.arange(is_event.shape[1]), counts[:, None], out=is_event)
        self._require_rows(out["event_row"], is_event)
        ends, hours = out["event_end_hours"], out["event_hours"]
        np.isposinf(ends, out=out["event_runs"])
        np.copyto(ends, hours, where=np.isnan(ends))
        whole = self.window_hours[job.positions][:, None]
        np.copyto(ends, np.broadcast_to(whole, ends.shape), where=out["event_runs"])
        if self.table is not None:
            for row, count in enumerate(counts.tolist()):
                event, rows = out["event"][row], out["event_row"][row, :count]
                np.take(self.table, rows, axis=0, out=event[:count], mode="clip")
                event[count:] = 0
        is_event[self.is_null[job.positions]] = True

    def _require_rows(self, rows: Array, is_event: Array) -> None:
        """Every event has an embedding."""
        strange = rows[is_event & ((rows < 0) | (rows >= self.embeddings.rows))]
        if strange.size:
            raise ContractError(
                f"an event has row {strange[0]} of {self.embeddings.rows} embeddings; "
                "run `cxrfuture verify`"
            )
