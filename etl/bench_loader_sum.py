"""What the readings of the loader's bench come to: medians and ratios. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

LOCAL, REMOTE = "local", "remote"
OURS = "ours"
SAME_WORK = "ours, as measured"  # gives what the others give
COMPARED = ("webdataset", "litdata", "mosaicml", "energon", "memory")  # each has a ratio_
Facts = Mapping[str, Any]  # what etl.bench_peer.reading.measure gave, or of a way its summary
Rows = Mapping[str, Facts]  # by way
Found = Mapping[str, Mapping[str, Rows]]  # by place, then by workers


def summarize(readings: Sequence[Facts]) -> dict[str, Any]:
    """Medians of a way's rounds. The first epoch of a child counts only where there is no other;
    its seconds begin with the making of the dataset."""
    rates = [
        epoch["samples"] / epoch["seconds"]
        for reading in readings
        for epoch in reading["epochs"][1:] or reading["epochs"]
    ]
    firsts = [reading["epochs"][0] for reading in readings]
    workers = [mb for reading in readings for mb in reading["memory"]["worker_mb"]]
    return {
        "samples_per_second": statistics.median(rates),
        "all_samples_per_second": rates,
        "first_epoch_samples_per_second": statistics.median(
            epoch["samples"] / epoch["seconds"] for epoch in firsts
        ),
        "first_batch_seconds": statistics.median(epoch["first_batch"] for epoch in firsts),
        "start_seconds": statistics.median(reading["start_seconds"] for reading in readings),
        "peak_mb": max(reading["peak_mb"] for reading in readings),
        "process_mb": statistics.median(reading["memory"]["process_mb"] for reading in readings),
        "worker_mb": statistics.median(workers) if workers else None,
        "shards_of_first": statistics.median(reading["shards"] for reading in readings),
    }


def ratios(found: Found) -> dict[str, float | None]:
    """``ratio_NAME``: our samples a second over those of NAME, locally without workers, and
    ``ratio_memory_same_work`` those of hours as measured; ``ratio_workers``: ours with two over
    ours with none. From the server, of any number of workers: ``ratio_remote_best``, our samples a
    second over the best of the others, and ``ratio_first_batch_best``, our seconds to the first
    batch over their least. None: a way of the two was not measured."""
    local = found[LOCAL]
    ours = _values(local.get("0", {}), "samples_per_second")
    result = {f"ratio_{name}": _over(ours.get(OURS), ours.get(name)) for name in COMPARED}
    result["ratio_memory_same_work"] = _over(ours.get(SAME_WORK), ours.get("memory"))
    two = _values(local.get("2", {}), "samples_per_second")
    result["ratio_workers"] = _over(two.get(OURS), ours.get(OURS))
    for name, key, best in (
        ("ratio_remote_best", "samples_per_second", max),
        ("ratio_first_batch_best", "first_batch_seconds", min),
    ):
        values = [_values(rows, key) for rows in found[REMOTE].values()]
        mine = [one[OURS] for one in values if OURS in one]
        others = [
            value for one in values for way, value in one.items() if way not in (OURS, SAME_WORK)
        ]
        result[name] = _over(best(mine, default=None), best(others, default=None))
    return result


def _values(rows: Rows, key: str) -> dict[str, float]:
    return {way: facts[key] for way, facts in rows.items() if key in facts}


def _over(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value / other
