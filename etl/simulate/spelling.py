"""Text columns without formatting: every value is a place in a pool of ready strings."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from etl.simulate.draw import Array

# Highest value a pool holds with 0, 1 and 2 decimals.
_LIMITS = (60_000, 2_000, 200)


class Pool:
    """Strings, and where the numbers lie among them. Place 0 is empty."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = sorted(set(texts))
        self._place = {word: place for place, word in enumerate(words, start=1)}
        strings: list[str | None] = [None, *words]
        self._zero: list[int] = []
        for decimals, limit in enumerate(_LIMITS):
            scale = 10**decimals
            edge = limit if decimals else 100
            self._zero.append(len(strings) + edge * scale)
            strings += [f"{q / scale:.10g}" for q in range(-edge * scale, limit * scale + 1)]
        self._strings = pl.Series(strings, dtype=pl.String)

    def number(self, value: Array, decimals: int) -> Array:
        """Places of numbers, rounded to at most two decimals; NaN is empty."""
        scale = 10**decimals
        known = np.where(np.isnan(value), 0, value)
        low = -_LIMITS[decimals] if decimals else -100
        whole = np.rint(np.clip(known, low, _LIMITS[decimals]) * scale).astype(np.int32)
        return np.asarray(np.where(np.isnan(value), 0, whole + self._zero[decimals]))

    def words(self, words: Iterable[str | None]) -> Array:
        """Places of words given when the pool was made."""
        return np.array([0 if word is None else self._place[word] for word in words], np.int32)

    def spell(self, places: Array) -> pl.Series:
        """The strings."""
        return self._strings.gather(pl.Series(np.asarray(places, dtype=np.uint32)))


def name(texts: Iterable[str | None], places: Array) -> pl.Series:
    """``texts[places]`` as a column."""
    return pl.Series(list(texts), dtype=pl.String).gather(
        pl.Series(np.asarray(places, dtype=np.uint32))
    )


def provider(bits: Array) -> pl.Series:
    """Provider ids such as P03YMR, out of 600."""
    return name(PROVIDERS, np.asarray(bits) % np.uint64(len(PROVIDERS)))


def _provider_ids(count: int) -> tuple[str, ...]:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ids = set()
    for number in range(count):
        rest, text = number * 69_061 % 36**4, ""
        for _ in range(4):
            rest, digit = divmod(rest, 36)
            text += digits[digit]
        ids.add(f"P{text[0]}{number % 10}{text[1:]}")
    return tuple(sorted(ids))


PROVIDERS = _provider_ids(600)
CAREGIVERS = tuple(range(144, 99_000, 331))
