"""The samples of a split and kind as a page lists them: columns as numbers, or as codes of words.

Everything comes from the dataset's columns file, mapped; no tar is opened. What a column gives is
kept once it was asked for. Shapes: N samples in the order of their keys.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.browse.column import CHANGE_WORDS, NOT_RECORDED, Column, columns_of
from cxrfuture_data.browse.problem import BAD_REQUEST, NOT_FOUND, Problem
from cxrfuture_data.columns import Columns
from cxrfuture_data.sample import Array
from cxrfuture_data.scalar_fields import scalar_fields
from cxrfuture_data.schema import COMORBIDITIES, FINDINGS, PHENOTYPES

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Words:
    """codes: (N,), an index in ``values`` each."""

    codes: Codes
    values: tuple[str, ...]


class Listing:
    """Asked by several threads: what two compute at once is the same."""

    def __init__(self, columns: Columns, kind: str) -> None:
        self.kind = kind
        self.stored = columns
        self.samples = columns.samples
        self.columns: Mapping[str, Column] = {column.name: column for column in columns_of(kind)}
        self._numbers: dict[str, npt.NDArray[np.float64]] = {}
        self._words: dict[str, Words] = {}

    def column(self, name: str) -> Column:
        """By name; another name is refused with the nearest one."""
        if name not in self.columns:
            near = difflib.get_close_matches(name, [*self.columns, "key"], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"{self.kind}s have 'age' and others"
            raise Problem(BAD_REQUEST, f"no column {name!r} of {self.kind}s; {hint}")
        return self.columns[name]

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """(N,); NaN: not known."""
        if name not in self._numbers:
            self._numbers[name] = self._read_numbers(name)
        return self._numbers[name]

    def words(self, name: str) -> Words:
        if name not in self._words:
            values = self.column(name).values
            if values is None:
                self._words[name] = _encode(self.stored.stored[f"text:{name}"])
            else:
                self._words[name] = Words(self._read_codes(name), values)
        return self._words[name]

    @cached_property
    def keys(self) -> Array:
        """(N,) bytes, in their order."""
        texts = self.stored.stored["text:key"]
        return np.ascontiguousarray(texts).view(f"S{texts.shape[1]}").ravel()

    def key(self, position: int) -> str:
        return bytes(self.keys[position]).decode()

    def find(self, key: str) -> int:
        """The position of a key."""
        at = self.stored.find(key)
        if at is None:
            raise Problem(NOT_FOUND, f"no sample {key!r} among these {self.samples:,} {self.kind}s")
        return at

    def facts(self, name: str) -> dict[str, Any]:
        """A column with the words, or the ends, that it has here."""
        column = self.columns[name]
        if column.form != "number":
            values = self.words(name).values if column.values is None else column.values
            return column.facts(values, (None, None))
        known = self.numbers(name)
        known = known[np.isfinite(known)]
        ends = (float(known.min()), float(known.max())) if known.size else (None, None)
        return column.facts(None, ends)

    def value(self, name: str, position: int) -> str | float | None:
        """As JSON holds it."""
        if self.columns[name].form != "number":
            words = self.words(name)
            return words.values[words.codes[position]]
        number = float(self.numbers(name)[position])
        return number if math.isfinite(number) else None

    def _read_numbers(self, name: str) -> npt.NDArray[np.float64]:
        if name == "window_hours":
            length = self.stored["end_at"] - self.stored["start_at"]
            return length / np.timedelta64(1, "h")
        found = self.stored.stored[name].astype(np.float64)
        if name == "earlier_admissions":  # -1: the recipe has no history
            found[found < 0] = np.nan
        return found

    def _read_codes(self, name: str) -> Codes:
        """Of a closed column, in the order of its values."""
        group, _, rest = name.partition(".")
        stored = self.stored.stored
        if rest in FINDINGS and group != "change":
            at = FINDINGS.index(rest)
            labels = stored[f"{group}.labels"][:, at].astype(np.int64)
            codes = np.where(labels == -1, 2, labels)
            return np.where(stored[f"{group}.label_known"][:, at], codes, 3)
        if group == "change":
            return self._changes[:, FINDINGS.index(rest)]
        if group == "comorbidity":
            return stored["comorbidities"][:, COMORBIDITIES.index(rest)].astype(np.int64)
        if group == "phenotype":
            return _flags(stored["phenotypes"][:, PHENOTYPES.index(rest)])
        return _flags(stored["is_male" if name == "sex" else name])

    @cached_property
    def _changes(self) -> Codes:
        """(N, 14), as CHANGE_WORDS; the last is what is not known."""
        fields = scalar_fields("pair", self.stored)
        unknown = len(CHANGE_WORDS) - 1
        return np.where(fields["changes_known"], fields["changes"].astype(np.int64), unknown)


def _flags(column: Array) -> Codes:
    """0 and 1 as they are, and 2 for what is not known."""
    codes = column.astype(np.int64)
    return np.where(codes < 0, 2, codes)


def _encode(texts: Array) -> Words:
    """(N, W) bytes of text -> codes of the distinct ones, in their order."""
    found = np.ascontiguousarray(texts).view(f"S{texts.shape[1]}").ravel().tolist()
    distinct = sorted(set(found))
    code_of = {text: code for code, text in enumerate(distinct)}
    codes = np.fromiter((code_of[text] for text in found), np.int64, len(found))
    return Words(codes, tuple(text.decode() or NOT_RECORDED for text in distinct))
