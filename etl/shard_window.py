"""The windows of a shard's samples, read from the stages before once a shard.

Shapes: T hours of a window; V variables of the recipe's set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cxrfuture_data.sample import Array, GenerationWindow, Window
from cxrfuture_data.schema import VARIABLE_SETS, ContractError

EVENT_FILE = "event.parquet"
Tables = Mapping[Any, pl.DataFrame]  # by (key,)


@dataclass(frozen=True)
class WindowSource:
    build: Path  # build/<recipe>
    work: Path  # of shard, which holds EVENT_FILE
    kind: str
    variables: str  # the set of hourly variables
    keys: Sequence[str]  # of the shard's samples, in their order

    def window(self, row: Mapping[str, Any]) -> Window:
        """The window of a row of shard_rows."""
        events = self._events.get((row["key"],), self._no_events)
        return Window(
            start_at=row["window_start_at"],
            end_at=row["window_end_at"],
            latest_event_at=row["latest_event_at"],
            latest_known_at=row["latest_known_at"],
            variables=self.variables,
            hourly=self._record(self._hourly, row["key"], row["hours"]),
            hourly_start_hours=row["hourly_start_hours"],
            event_row=events["event_row"].to_numpy().astype(np.int32),
            event_hours=events["hours"].to_numpy().astype(np.float32),
            event_end_hours=events["end_hours"].fill_null(np.nan).to_numpy().astype(np.float32),
            event_table=events["event_table"].to_numpy().astype(np.uint8),
        )

    def generation(self, row: Mapping[str, Any]) -> GenerationWindow | None:
        """That of a stay's film; None where the recipe generates none."""
        if row["generation_start_at"] is None:
            return None
        return GenerationWindow(
            start_at=row["generation_start_at"],
            end_at=row["window_end_at"],
            latest_event_at=row["generation_latest_event_at"],
            latest_known_at=row["generation_latest_known_at"],
            hourly=self._record(self._generation_hourly, row["key"], row["generation_hours"]),
            hourly_start_hours=row["generation_hourly_start_hours"],
        )

    def _record(self, measured: Tables, key: str, hours: int) -> Array:
        """(T, V) float32, NaN where nothing was measured in that hour."""
        names = [variable.name for variable in VARIABLE_SETS[self.variables]]
        record = np.full((hours, len(names)), np.nan, np.float32)
        found = measured.get((key,))
        if found is None:
            return record
        hour = found["hour"].to_numpy()
        if hour[-1] >= hours:
            raise ContractError(
                f"window/hourly.parquet: {key}: hour {hour[-1]} of {hours}; "
                "run `cxrfuture window` again"
            )
        record[hour] = found.select(names).cast(pl.Float32).fill_null(np.nan).to_numpy()
        return record

    @cached_property
    def _hourly(self) -> Tables:
        return self._by_key(self.build / "window" / "hourly.parquet", self.kind, "hour")

    @cached_property
    def _generation_hourly(self) -> Tables:
        return self._by_key(self.build / "window" / "hourly.parquet", "generation", "hour")

    @cached_property
    def _events(self) -> Tables:
        return self._by_key(self.work / EVENT_FILE, self.kind, "position")

    @cached_property
    def _no_events(self) -> pl.DataFrame:
        return pl.read_parquet(self.work / EVENT_FILE, n_rows=0)

    def _by_key(self, path: Path, kind: str, order: str) -> Tables:
        """The rows of the shard's samples. The file is sorted, so most of it is never read."""
        wanted = (
            (pl.col("kind") == kind)
            & pl.col("key").is_between(pl.lit(self.keys[0]), pl.lit(self.keys[-1]))
            & pl.col("key").is_in(self.keys)
        )
        rows = pl.scan_parquet(path).filter(wanted).collect(engine="streaming")
        return rows.sort("key", order).partition_by("key", as_dict=True, maintain_order=True)
