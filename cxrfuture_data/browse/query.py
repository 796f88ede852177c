"""Conditions on columns, and an order: which samples of a listing, and in which order.

``where`` is a JSON list of ``{"column": "age", "is": ">=", "value": 65}``, all of which must hold;
``find`` is how the key begins. A number that is not known meets no condition but ``== null``.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.browse.listing import Listing, Words
from cxrfuture_data.browse.problem import BAD_REQUEST, Problem
from cxrfuture_data.order import Positions

Mask = npt.NDArray[np.bool_]
IS = ("==", "!=", ">=", "<=", "in", "contains")
_KEY = "key"
_COMPARISONS: Mapping[str, Callable[[Any, Any], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "in": np.isin,
}


@dataclass(frozen=True)
class Condition:
    column: str
    is_: str
    value: Any


def read_conditions(text: str) -> list[Condition]:
    """``where`` as it stands in an address; nothing is no condition."""
    try:
        rows = json.loads(text) if text else []
    except ValueError:
        raise Problem(BAD_REQUEST, f"where: not JSON: {text[:80]!r}") from None
    if not isinstance(rows, list):
        raise Problem(BAD_REQUEST, "where: a JSON list of conditions, each an object")
    return [_read_condition(row) for row in rows]


def _read_condition(row: Any) -> Condition:
    if not isinstance(row, dict) or row.keys() != {"column", "is", "value"}:
        raise Problem(BAD_REQUEST, f"where: {row!r}; a condition has column, is and value")
    if not isinstance(row["column"], str) or row["is"] not in IS:
        raise Problem(
            BAD_REQUEST,
            f"where: column {row['column']!r} is {row['is']!r}; it is one of {', '.join(IS)}",
        )
    return Condition(row["column"], row["is"], row["value"])


def choose(listing: Listing, conditions: Sequence[Condition], find: str, sort: str) -> Positions:
    """The positions that meet all conditions, as ``sort`` orders them: a column's name, with a
    minus before it the other way round; what is not known comes last, equals by their keys."""
    mask = np.ones(listing.samples, np.bool_)
    for condition in conditions:
        mask &= _meets(listing, condition)
    if find:
        mask &= _begins(listing, find)
    return _sorted(listing, np.flatnonzero(mask), sort)


def _meets(listing: Listing, condition: Condition) -> Mask:
    if condition.column == _KEY:
        return _meets_key(listing, condition)
    column = listing.column(condition.column)
    if column.form == "number":
        return _meets_number(listing.numbers(column.name), condition)
    words = listing.words(column.name)
    allowed = np.array([_word_meets(word, condition) for word in words.values], np.bool_)
    if column.values is not None:
        _require_words(words, condition)
    return allowed[words.codes] if len(allowed) else np.zeros(listing.samples, np.bool_)


def _meets_number(numbers: npt.NDArray[np.float64], condition: Condition) -> Mask:
    name, how, value = condition.column, condition.is_, condition.value
    if value is None and how in ("==", "!="):
        is_unknown: Mask = np.isnan(numbers)
        return is_unknown if how == "==" else ~is_unknown
    wanted = value if how == "in" and isinstance(value, list) else [value]
    is_number = all(isinstance(n, int | float) and not isinstance(n, bool) for n in wanted)
    if how == "contains" or not is_number or (how == "in" and not isinstance(value, list)):
        raise Problem(BAD_REQUEST, f"where: {name} {how} {value!r}; {name} is a number")
    return _COMPARISONS[how](numbers, value) & ~np.isnan(numbers)


def _word_meets(word: str, condition: Condition) -> bool:
    how, value = condition.is_, condition.value
    if how == "in":
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise Problem(
                BAD_REQUEST, f"where: {condition.column} in {value!r}; give a list of words"
            )
        return word in value
    if how in (">=", "<=") or not isinstance(value, str):
        raise Problem(
            BAD_REQUEST, f"where: {condition.column} {how} {value!r}; {condition.column} is a word"
        )
    if how == "contains":
        return value.casefold() in word.casefold()
    return (word == value) == (how == "==")


def _require_words(words: Words, condition: Condition) -> None:
    """The words of a closed column are known: another is a slip."""
    if condition.is_ == "contains":
        return
    wanted = condition.value if condition.is_ == "in" else [condition.value]
    for word in wanted:
        if word not in words.values:
            near = difflib.get_close_matches(word, words.values, n=1)
            known = ", ".join(words.values)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {known}"
            raise Problem(BAD_REQUEST, f"where: {condition.column} is never {word!r}; {hint}")


def _meets_key(listing: Listing, condition: Condition) -> Mask:
    how, value = condition.is_, condition.value
    wanted = value if how == "in" else [value]
    is_text = isinstance(wanted, list) and all(isinstance(one, str) for one in wanted)
    if how in (">=", "<=") or not is_text:
        raise Problem(BAD_REQUEST, f"where: key {how} {value!r}; a key is a word")
    if how == "contains":
        return np.char.find(listing.keys, value.encode()) >= 0
    is_one_of: Mask = np.isin(listing.keys, np.array([one.encode() for one in wanted]))
    return ~is_one_of if how == "!=" else is_one_of


def _begins(listing: Listing, find: str) -> Mask:
    """Keys are in their order, so those that begin alike are neighbours."""
    prefix = find.strip().encode()
    mask = np.zeros(listing.samples, np.bool_)
    if len(prefix) <= listing.keys.dtype.itemsize:
        # No key has a byte 0xff: it stands after all that go on.
        ends = np.array([prefix, prefix + b"\xff"])
        start, end = np.searchsorted(listing.keys, ends)
        mask[start:end] = True
    return mask


def _sorted(listing: Listing, chosen: Positions, sort: str) -> Positions:
    name, is_down = sort.removeprefix("-"), sort.startswith("-")
    if name in ("", _KEY):
        return chosen[::-1] if is_down else chosen
    column = listing.column(name)
    if column.form != "number":
        values = listing.words(name).codes[chosen].astype(np.float64)
    else:
        values = listing.numbers(name)[chosen]
    return chosen[np.argsort(-values if is_down else values, kind="stable")]
