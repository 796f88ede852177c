"""What embedding would take, before a text is sent: tokens, requests, money, hours, gigabytes."""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, sqrt

from rich.console import Console
from rich.table import Table

from etl.embedder import Embedder, ModelFacts
from etl.params import EmbedParams, RemoteEmbedder

TEXTS_COUNTED = 100_000  # every text is counted up to so many; of more, a sample
TEXTS_SAMPLED = 20_000
TEXTS_MEASURED = 256
SEED = 0
SIGMAS = 1.96  # of a mean: 95 of 100 samples are nearer
BYTES_PER_NUMBER = 2  # fp16
REMOTE_DIMS = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is left to embed, and what it takes.

    ``tokens_error`` is half the width of a 95 % interval (0: every text was counted).
    ``counted_by`` is "tokenizer", or "characters" where four were taken for a token. ``usd`` is
    None where nothing is paid. ``hours`` and ``gigabytes`` (of the whole table, cached texts too)
    are None where the rate or the dimension is not known; ``hours_by`` says what limits.
    """

    model: str
    backend: str
    texts: int
    cached: int
    tokens: int
    tokens_error: int
    counted_by: str
    requests: int
    usd: float | None
    hours: float | None
    hours_by: str
    dim: int | None
    gigabytes: float | None
    over_budget: str | None  # the setting that would stop the run


def estimate(
    params: EmbedParams,
    embedder: Embedder,
    texts: Sequence[str],
    cached: int,
    texts_per_second: float | None = None,
) -> Estimate:
    """For ``texts``, distinct and not cached; ``cached`` is how many more the table holds.

    ``texts_per_second`` is that of a local model (measure_rate). Opens no connection.
    """
    facts = embedder.facts
    tokens, error = _count_tokens(embedder, texts)
    remote = params.remote if params.backend == "remote" else None
    requests = ceil(len(texts) / remote.batch_size) if remote else 0
    hours, hours_by = _hours(remote, len(texts), tokens, requests, texts_per_second)
    usd = tokens * remote.usd_per_million_tokens / 1e6 if remote else None
    dim = _dim(facts, remote)
    by_characters = remote is not None and not remote.tokenizer
    return Estimate(
        model=facts.name,
        backend=facts.backend,
        texts=len(texts),
        cached=cached,
        tokens=tokens,
        tokens_error=error,
        counted_by="characters" if by_characters else "tokenizer",
        requests=requests,
        usd=usd,
        hours=hours,
        hours_by=hours_by,
        dim=dim,
        gigabytes=(len(texts) + cached) * dim * BYTES_PER_NUMBER / 1e9 if dim else None,
        over_budget=_over_budget(remote, tokens, usd or 0.0),
    )


def _count_tokens(embedder: Embedder, texts: Sequence[str]) -> tuple[int, int]:
    """Tokens of all, and the error of that number."""
    if len(texts) <= TEXTS_COUNTED:
        return int(embedder.count_tokens(texts).sum()) if texts else 0, 0
    counts = embedder.count_tokens(random.Random(SEED).sample(texts, TEXTS_SAMPLED))
    error = SIGMAS * float(counts.std(ddof=1)) / sqrt(len(counts))
    return round(float(counts.mean()) * len(texts)), ceil(error * len(texts))


def _hours(
    remote: RemoteEmbedder | None,
    texts: int,
    tokens: int,
    requests: int,
    texts_per_second: float | None,
) -> tuple[float | None, str]:
    if remote is None:
        if not texts_per_second:
            return None, "not measured"
        return texts / texts_per_second / 3600, f"measured: {texts_per_second:,.0f} texts/s"
    by_requests = requests / remote.requests_per_minute / 60
    by_tokens = tokens / remote.tokens_per_minute / 60 if remote.tokens_per_minute else 0.0
    if by_tokens > by_requests:
        return by_tokens, "tokens_per_minute"
    return by_requests, "requests_per_minute"


def _dim(facts: ModelFacts, remote: RemoteEmbedder | None) -> int | None:
    if facts.dim is not None or remote is None:
        return facts.dim
    return REMOTE_DIMS.get(remote.model)


def _over_budget(remote: RemoteEmbedder | None, tokens: int, usd: float) -> str | None:
    if remote is None:
        return None
    if remote.max_tokens_total and tokens > remote.max_tokens_total:
        return "max_tokens_total"
    if remote.max_cost_usd and usd > remote.max_cost_usd:
        return "max_cost_usd"
    return None


def measure_rate(embedder: Embedder, texts: Sequence[str]) -> float | None:
    """Texts a second of a local model on a sample of them; takes seconds. None without texts."""
    if not texts:
        return None
    some = random.Random(SEED).sample(texts, min(TEXTS_MEASURED, len(texts)))
    embedder.embed(some[:1])  # loads the model
    started = time.perf_counter()
    embedder.embed(some)
    return len(some) / (time.perf_counter() - started)


def print_estimate(found: Estimate, console: Console, *, as_json: bool = False) -> None:
    """The estimate as a table, or as JSON on standard output."""
    if as_json:
        print(json.dumps(asdict(found), indent=1))
        return
    table = Table("", "", title=f"embed, {found.backend}: {found.model}", show_header=False)
    for name, value in _lines(found):
        table.add_row(name, value)
    console.print(table)
    if found.over_budget:
        console.print(f"embed.remote.{found.over_budget} would stop the run before its end")


def _lines(found: Estimate) -> list[tuple[str, str]]:
    tokens = f"{found.tokens:,}"
    if found.tokens_error:
        tokens += f" ± {found.tokens_error:,} (a sample of {TEXTS_SAMPLED:,} texts)"
    if found.counted_by == "characters":
        tokens += ", four characters taken for one"
    hours = "unknown" if found.hours is None else f"{found.hours:,.2f}"
    lines = [
        ("texts to embed", f"{found.texts:,}"),
        ("cached already", f"{found.cached:,}"),
        ("tokens", tokens),
        ("hours", f"{hours} ({found.hours_by})"),
        ("table", _table_size(found)),
    ]
    if found.usd is not None:
        lines[3:3] = [("requests", f"{found.requests:,}"), ("cost", f"${found.usd:,.2f}")]
    return lines


def _table_size(found: Estimate) -> str:
    if found.gigabytes is None:
        return "unknown: the model has not answered yet"
    return f"{found.gigabytes:,.3f} GB, {found.dim:,} numbers a text"
