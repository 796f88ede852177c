"""Jupyter notebooks: what their cells print and show, and the pictures attached to them."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

from etl.guard_hit import Hit, within
from etl.guard_id import find_ids, find_note
from etl.guard_image import find_film
from etl.guard_secret import find_secrets

_EMBEDDED = re.compile(
    rb"(?:data:image/[a-z+.-]{1,20};base64,\s*|[\"'>\s])"
    rb"(?P<data>(?:iVBORw0KGgo|/9j/[24]|R0lGOD|UklGR|Qk0|SUkq)[A-Za-z0-9+/\s\\%]{100,}={0,2})"
)
_NOT_BASE64 = re.compile(rb"\\[nr]|\s")
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff")
_SHOWN = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml")


def find_embedded(text: bytes) -> Iterator[Hit]:
    """Pictures inside HTML, SVG, Markdown or JSON, as base64."""
    line, counted = 1, 0
    for match in _EMBEDDED.finditer(text):
        start = match.start("data")
        line, counted = line + text.count(b"\n", counted, start), start
        yield from within("embedded", _film_of(match.group("data")), line)


def find_in_notebook(raw: bytes, allowed: frozenset[str]) -> Iterator[Hit] | None:
    """Hits of a notebook; None if it is no notebook that can be read."""
    try:
        book = json.loads(raw)
        cells = _cells(book)
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None
    return _find_in_cells(raw, cells, allowed, is_simulated=_is_simulated(book))


def _find_in_cells(
    raw: bytes, cells: list[dict[str, Any]], allowed: frozenset[str], *, is_simulated: bool
) -> Iterator[Hit]:
    for number, cell in enumerate(cells, start=1):
        source = _joined(cell.get("source") or cell.get("input"))
        place = f"cell {number}"
        for hit in find_ids(source, allowed):
            yield from within(place, [hit], _line_of(raw, source, hit.line))
        for hit in find_secrets(source, allowed):
            yield from within(place, [hit], _line_of(raw, source, hit.line))
        yield from within(place, find_embedded(source), _line_of(raw, source, 1))
        for name, bundle in _mappings(cell.get("attachments")):
            yield from _find_in_bundle(raw, f"{place}, attachment {name}", bundle, allowed)
        for count, output in enumerate(_list(cell.get("outputs")), start=1):
            if isinstance(output, dict):
                hits = _find_in_output(raw, f"{place}, output {count}", output, allowed)
                yield from (hit for hit in hits if hit.kind == "credential" or not is_simulated)


def _find_in_output(
    raw: bytes, place: str, output: dict[str, Any], allowed: frozenset[str]
) -> Iterator[Hit]:
    data = output.get("data")
    bundle = data if isinstance(data, dict) else output  # before nbformat 4 they were one
    yield from _find_in_bundle(raw, place, bundle, allowed)
    printed = _joined(output.get("text")) + b"\n" + _joined(output.get("traceback"))
    yield from _find_in_text(raw, place, printed, allowed)


def _find_in_bundle(
    raw: bytes, place: str, bundle: dict[str, Any], allowed: frozenset[str]
) -> Iterator[Hit]:
    """A mapping from MIME types to what is shown."""
    for kind, value in bundle.items():
        if kind in _PICTURES or kind in {"png", "jpeg"}:
            data = _joined(value)
            yield from within(place, _film_of(data), _line_of(raw, data, 1))
        elif kind in _SHOWN or kind in {"html", "svg"}:
            yield from _find_in_text(raw, place, _joined(value), allowed)
        elif kind.startswith("application/"):
            text = json.dumps(value).encode()
            yield from within(place, find_ids(text, allowed, named_nearby=1), 1)
            yield from within(place, find_embedded(text), 1)


def _find_in_text(raw: bytes, place: str, text: bytes, allowed: frozenset[str]) -> Iterator[Hit]:
    hits = [*find_ids(text, allowed, named_nearby=1), *find_secrets(text, allowed)]
    hits += find_note(text)
    for hit in [*hits, *find_embedded(text)]:
        yield from within(place, [hit], _line_of(raw, text, hit.line))


def _film_of(encoded: bytes) -> Iterator[Hit]:
    """Hits of a picture in base64."""
    text = _NOT_BASE64.sub(b"", encoded).replace(b"%2B", b"+").replace(b"%2F", b"/").rstrip(b"=")
    try:
        data = base64.b64decode(text[: len(text) // 4 * 4])
    except binascii.Error:
        return
    yield from (hit for hit in find_film(data) if hit.kind == "film")


def _cells(book: Any) -> list[dict[str, Any]]:
    cells = book.get("cells")
    if cells is None:  # nbformat 3 and before
        cells = [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
    return [cell for cell in cells if isinstance(cell, dict)]


def _is_simulated(book: Any) -> bool:
    """``"metadata": {"cxrfuture": {"data": "simulated"}}``."""
    metadata = book.get("metadata")
    mark = metadata.get("cxrfuture") if isinstance(metadata, dict) else None
    return isinstance(mark, dict) and mark.get("data") == "simulated"


def _joined(value: Any) -> bytes:
    """A notebook's text, which is a string or a list of lines."""
    if isinstance(value, list):
        value = "".join(line for line in value if isinstance(line, str))
    return value.encode("utf-8", "replace") if isinstance(value, str) else b""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mappings(value: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(value, dict):
        return []
    return [(name, bundle) for name, bundle in value.items() if isinstance(bundle, dict)]


def _line_of(raw: bytes, text: bytes, line: int) -> int:
    """The line of the notebook's file that holds this line of one of its texts; 1 if unknown."""
    shown = text.split(b"\n")[max(line - 1, 0)][:200].decode("utf-8", "replace")
    for is_ascii in (False, True):
        spelled = json.dumps(shown, ensure_ascii=is_ascii)[1:-1].encode("utf-8", "replace")
        at = raw.find(spelled) if spelled else -1
        if at >= 0:
            return raw.count(b"\n", 0, at) + 1
    return 1
