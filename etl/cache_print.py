"""What `cxrfuture cache` prints: sizes, damage, and what may go."""

import json
from pathlib import Path
from typing import Any

from cxrfuture_data.console import progress
from cxrfuture_data.schema import ContractError
from etl.cache import open_cache
from etl.cache_care import (
    SpaceSize,
    cut_waste,
    days_since,
    find_damage,
    measure_spaces,
    remove_space,
    repair,
    unused_spaces,
)
from etl.params import Params


def print_stats(params: Params, as_json: bool) -> None:
    """Every space: what it holds, how it was made, when a stage last used it."""
    cache = open_cache(params)
    sizes = measure_spaces(cache)
    if as_json:
        print(json.dumps([_facts(size) for size in sizes], indent=1))
        return
    for size in sizes:
        days = days_since(size.used_at)
        used = "use unknown" if days is None else f"used {days:,.1f} days ago"
        repeated = f" ({size.repeated:,} repeated)" if size.repeated else ""
        waste = f", {size.waste / 1e6:,.1f} MB of it waste" if size.waste else ""
        held = f"{size.rows:,} rows{repeated}, {size.bytes / 1e9:,.3f} GB{waste}"
        print(f"{size.space.name}: {held}; {used}")
        row = f"{size.space.dtype} {'x'.join(map(str, size.space.shape))}"
        print(f"    {row} by {_made_by(size)}")
    total = sum(size.bytes for size in sizes)
    print(f"{cache}: {len(sizes)} spaces, {total / 1e9:,.2f} GB")


def verify_cache(params: Params, is_repairing: bool) -> None:
    """Check every row by its checksum. Damaged rows are an error, or are taken out."""
    cache = open_cache(params)
    sizes = measure_spaces(cache)
    damaged = 0
    with progress("cache verify", sum(size.rows for size in sizes), "rows") as advance:
        for size in sizes:
            for damage in find_damage(cache, size.space, advance):
                damaged += len(damage.rows)
                print(f"{damage.index}: {len(damage.rows):,} damaged rows, first {damage.rows[0]}")
                if is_repairing:
                    repair(cache, damage)
    if damaged and not is_repairing:
        raise ContractError(
            f"{cache}: {damaged:,} damaged rows; run `cxrfuture cache verify --repair`, then"
            " the stages that made them"
        )
    done = f"{damaged:,} damaged rows taken out" if damaged else "all whole"
    print(f"{cache}: {sum(size.rows for size in sizes):,} rows, {done}")


def collect_garbage(params: Params, builds: list[Path], days: float, is_removing: bool) -> None:
    """Spaces that no build uses any more, nor any stage used for ``days``; and torn ends."""
    cache = open_cache(params)
    if cache.store is not None and not params.cache.ledger:
        raise ContractError(
            f"{cache.store}: other machines may use rows there that no record here names; set"
            " cache.ledger to the PostgreSQL that all of them share, or remove them with the"
            " store's own tools"
        )
    kept = [params.build(), *builds]
    for build in builds:
        if not build.is_dir():
            raise ContractError(f"{build}: no such build; its rows would count as unused")
    unused = [size for size in unused_spaces(cache, kept) if _is_old(size, days)]
    for size in unused:
        verb = "removed" if is_removing else "unused"
        print(f"{size.space.name}: {verb}, {size.rows:,} rows, {size.bytes / 1e9:,.2f} GB")
        if is_removing:
            remove_space(cache, size.space)
    won = sum(size.bytes for size in unused)
    if is_removing:
        won += sum(cut_waste(cache, space) for space in cache.spaces())
        print(f"{cache}: {won / 1e9:,.2f} GB freed")
    else:
        print(f"{cache}: {won / 1e9:,.2f} GB could go; add --remove to remove them")


def _is_old(size: SpaceSize, days: float) -> bool:
    since = days_since(size.used_at)
    return since is None or since >= days


def _made_by(size: SpaceSize) -> str:
    facts = size.space.facts
    if size.space.kind == "embedding":
        return str(facts["model"])
    rule = facts.get("preprocessing", facts)
    film = f"{rule.get('size')} px, {rule.get('fit')}, {rule.get('resample')}, {rule.get('decode')}"
    if size.space.kind == "image":
        return film
    return f"weights {str(facts['weights'])[:8]}, {facts['precision']}, {film}"


def _facts(size: SpaceSize) -> dict[str, Any]:
    return {
        "space": size.space.name,
        "facts": dict(size.space.facts),
        "shape": list(size.space.shape),
        "dtype": size.space.dtype,
        "shards": size.shards,
        "rows": size.rows,
        "repeated": size.repeated,
        "bytes": size.bytes,
        "waste": size.waste,
        "used_at": size.used_at,
    }
