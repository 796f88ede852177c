"""How fast, how often and how much a remote model may be asked: pace, pauses, budget."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cxrfuture_data.schema import ContractError

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0


@dataclass
class Pace:
    """Spaces calls evenly, so that no minute holds more requests or tokens than allowed.

    0 tokens a minute is no limit. Several threads may wait at once.
    """

    per_minute: int
    tokens_per_minute: int = 0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    next_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, tokens: int = 0) -> None:
        """Return when the next call, of so many tokens, may start."""
        with self._lock:
            now = self.clock()
            starts = max(now, self.next_at)
            gap = 60.0 / self.per_minute
            if self.tokens_per_minute:
                gap = max(gap, tokens * 60.0 / self.tokens_per_minute)
            self.next_at = starts + gap
        if now < starts:
            self.sleep(starts - now)

    def hold(self, seconds: float) -> None:
        """Start no call for so long: the server has said that it is too much."""
        with self._lock:
            self.next_at = max(self.next_at, self.clock() + seconds)


def pause_before(attempt: int, asked: float | None, rng: random.Random) -> float:
    """Seconds before the ``attempt``-th new try, from 1: doubling, shaken by up to half, and never
    less than the server asked for."""
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
    return max(pause * rng.uniform(0.5, 1.0), asked or 0.0)


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that an answer asks to wait (RFC 9110, 10.2.3: a number or a date); None: nothing."""
    milliseconds = _as_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _as_number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _as_number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


class Budget:
    """Tokens and money of one run, set aside before a request is sent. 0 is no limit.

    What is set aside is never less than a request can cost, so the limit is never passed.
    """

    def __init__(self, max_tokens: int, max_usd: float, usd_per_million: float) -> None:
        if max_usd and not usd_per_million:
            raise ContractError(
                "embed.remote.max_cost_usd needs embed.remote.usd_per_million_tokens, the price"
            )
        self._max_tokens = max_tokens
        self._max_usd = max_usd
        self._usd_per_token = usd_per_million / 1e6
        self._lock = threading.Lock()
        self._spent = 0
        self._aside = 0

    def usd(self, tokens: int) -> float:
        """The price of so many tokens."""
        return tokens * self._usd_per_token

    def set_aside(self, most: int) -> None:
        """Before a request that may cost up to ``most`` tokens."""
        with self._lock:
            if self._max_tokens:
                limit, setting = float(self._max_tokens), "max_tokens_total"
                self._require(most, limit, setting, self._max_tokens)
            if self._max_usd:
                self._require(most, self._max_usd / self._usd_per_token, "max_cost_usd")
            self._aside += most

    def settle(self, most: int, cost: int) -> None:
        """After it: what was set aside, and what it did cost."""
        with self._lock:
            self._aside -= most
            self._spent += cost

    def _require(self, most: int, limit: float, setting: str, value: float | None = None) -> None:
        if self._spent + self._aside + most <= limit:
            return
        shown = self._max_usd if value is None else value
        raise ContractError(
            f"embed: the next request (up to {most:,} tokens) could pass embed.remote.{setting} = "
            f"{shown:,}: {self._spent:,} tokens (${self.usd(self._spent):.4f}) are spent and "
            f"{self._aside:,} under way; what was answered is kept; raise it and run again"
        )
