"""One file's content: what it is, and everything in it that must not be committed."""

import io
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from cxrfuture_data.schema import SAMPLE_MEMBER, TENSORS_MEMBER
from etl.guard_csv import find_in_table, is_table
from etl.guard_hit import READ_BYTES, Hit, within
from etl.guard_id import find_ids, find_note
from etl.guard_image import find_film
from etl.guard_notebook import find_embedded, find_in_notebook
from etl.guard_secret import find_secret_file, find_secrets
from etl.guard_table import LARGE_BYTES, Content, find_table, is_binary_table, is_weights

SNIFFED_BYTES = 8192  # a NUL in so many bytes: no text
DEPTH = 3  # archives inside archives
MEMBERS = 2000  # of an archive; more are named as not looked at
ARCHIVE_BYTES = 2 * READ_BYTES  # unpacked, of one archive

_PICTURE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\0\0\0\0|II\*\0|MM\0\*|RIFF.{4}WEBP"
    rb"|\0\0\0\x0cjP  ",
    re.DOTALL,
)
_OUTPUTS = re.compile(r".*\.(?:html?|jsonl|ndjson|ipynb|xml|svg)", re.I | re.S)
_CODE = re.compile(r".*\.(?:py|pyi|sql|r|jl|sh|js|ts|java|c|cc|cpp|h|rs|go)", re.I | re.S)
_DICOM_NAME = re.compile(r".*\.(?:dcm|dicom|ima)", re.I | re.S)
_CLOSED = (b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UNPACKING_ERRORS = (
    OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zlib.error,
    tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


def find_in_file(name: str, content: Content, allowed: frozenset[str]) -> Iterator[Hit]:
    """Every hit of a file. ``allowed``: ids and dummy passwords that are nobody's."""
    yield from find_in_name(name, allowed)
    yield from _find_in(name, content, allowed, DEPTH)
    if content.size > len(content.head):
        read, size = len(content.head) / 1e6, content.size / 1e6
        yield Hit(kind="unread", what=f"{size:,.0f} MB, of which the first {read:,.0f} were read")


def find_in_name(name: str, allowed: frozenset[str]) -> Iterator[Hit]:
    """What the name of a file alone says."""
    yield from within("its name", find_ids(name.encode("utf-8", "replace"), allowed), 0)
    yield from find_secret_file(name)


def _find_in(name: str, content: Content, allowed: frozenset[str], depth: int) -> Iterator[Hit]:
    head = content.head
    if head[128:132] == b"DICM" or (_DICOM_NAME.fullmatch(name) and b"\0" in head[:SNIFFED_BYTES]):
        yield Hit(kind="film", what="a DICOM file")
    elif _PICTURE.match(head):
        yield from find_film(head)
    elif head.startswith(b"\x1f\x8b"):
        yield from _find_in_gzip(name, head, allowed, depth)
    elif head.startswith(b"PK\x03\x04") and not is_weights(name):
        yield from _find_in_zip(name, content, allowed, depth)
    elif head[257:262] == b"ustar":
        yield from _find_in_tar(head, allowed, depth)
    elif head.startswith(_CLOSED):
        yield Hit(kind="unread", what="an archive of a kind that is not opened")
    elif is_text(head) and not is_binary_table(head):
        yield from _find_in_text(name, head, allowed)
    else:
        yield from find_table(name.lower(), content, allowed)
        yield from (hit for hit in find_secrets(head[:LARGE_BYTES], allowed) if "key" in hit.what)


def is_text(head: bytes) -> bool:
    """Text of any encoding: no NUL at the beginning, or a mark that says UTF-16."""
    return head[:2] in _MARKS or b"\0" not in head[:SNIFFED_BYTES]


def _find_in_text(name: str, text: bytes, allowed: frozenset[str]) -> Iterator[Hit]:
    if text[:2] in _MARKS:
        text = text.decode(_MARKS[text[:2]], "replace").encode()
    if name.endswith(".ipynb"):
        hits = find_in_notebook(text, allowed)
        if hits is not None:
            yield from hits
            return
    if name.endswith(".json") and b'"schema_version"' in text:
        yield from _find_dataset(text)
    if is_table(name):
        columns = list(find_in_table(text, allowed))
        yield from columns or find_ids(text, allowed, named_nearby=0)
    elif _OUTPUTS.fullmatch(name):
        yield from find_ids(text, allowed, named_nearby=1)
    else:
        yield from find_ids(text, allowed)
    if not _CODE.fullmatch(name):
        yield from find_note(text)
    yield from find_secrets(text, allowed)
    yield from find_embedded(text)


def _find_dataset(text: bytes) -> Iterator[Hit]:
    """dataset.json of real data."""
    facts = dataset_facts(text)
    if facts is not None and not facts[0]:
        yield Hit(kind="data", what="the description of a dataset made from MIMIC")


def dataset_facts(text: bytes) -> tuple[bool, frozenset[str]] | None:
    """Of a dataset.json: whether all is simulated, and the sha256 of its files; else None."""
    try:
        value = json.loads(text)
        simulated = value["simulated"]
        splits, embeddings = value["splits"], value["embeddings"]
        shards = [
            one for kinds in splits.values() for kind in kinds.values() for one in kind["shards"]
        ]
        files = {str(shard[name]) for shard in shards for name in ("sha256", "index_sha256")}
        files |= {str(one) for one in ((embeddings or {}).get("files") or {}).values()}
        files |= {str(one) for one in value.get("documents", {}).values()}
        return bool(simulated["tables"] and simulated["films"]), frozenset(files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _find_in_gzip(name: str, head: bytes, allowed: frozenset[str], depth: int) -> Iterator[Hit]:
    if not depth:
        yield Hit(kind="unread", what="too many archives inside each other")
        return
    try:
        inner = _unpacked(head)
    except zlib.error:
        yield Hit(kind="unread", what="a gzip file that cannot be unpacked")
        return
    shorter = name[: -len(".gz")] if name.endswith(".gz") else name
    yield from _find_in(shorter, Content.of(inner), allowed, depth - 1)
    if len(inner) == READ_BYTES:
        yield Hit(
            kind="unread", what=f"of its content the first {READ_BYTES / 1e6:,.0f} MB were read"
        )


def _unpacked(head: bytes) -> bytes:
    """The beginning of what is packed, as far as there are bytes: a file may be cut."""
    parts, left = [], READ_BYTES
    while head.startswith(b"\x1f\x8b") and left:  # a file may have several members
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        parts.append(reader.decompress(head, left))
        left -= len(parts[-1])
        head = reader.unused_data
    return b"".join(parts)


def _find_in_zip(name: str, content: Content, allowed: frozenset[str], depth: int) -> Iterator[Hit]:
    if not depth:
        yield Hit(kind="unread", what="too many archives inside each other")
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content.head)) as archive:
            entries = archive.infolist()
            if any(entry.filename.endswith("data.pkl") for entry in entries):
                yield from find_table(f"{name.lower()}.pt", content, allowed)
                return
            left, is_cut = ARCHIVE_BYTES, len(entries) > MEMBERS
            for entry in entries[:MEMBERS]:
                with archive.open(entry) as stream:
                    data = stream.read(max(0, min(READ_BYTES, left)))
                left -= len(data)
                is_cut |= len(data) < entry.file_size
                yield from _find_in_member(entry.filename, data, entry.file_size, allowed, depth)
    except _UNPACKING_ERRORS:
        yield Hit(kind="unread", what="an archive that cannot be unpacked")
        return
    if is_cut:
        yield Hit(kind="unread", what="an archive that was not read to its end")


def _find_in_tar(head: bytes, allowed: frozenset[str], depth: int) -> Iterator[Hit]:
    if not depth:
        yield Hit(kind="unread", what="too many archives inside each other")
        return
    if any(f".{name}\0".encode() in head for name in (TENSORS_MEMBER, SAMPLE_MEMBER)):
        yield Hit(kind="data", what="a shard of a dataset")
        return
    left, is_cut = ARCHIVE_BYTES, False
    try:
        with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as archive:
            for number, entry in enumerate(archive):
                if number == MEMBERS or is_cut:
                    is_cut = True
                    break
                stream = archive.extractfile(entry) if entry.isfile() else None
                data = stream.read(max(0, min(READ_BYTES, left))) if stream else b""
                left -= len(data)
                is_cut = stream is not None and len(data) < entry.size
                yield from _find_in_member(entry.name, data, entry.size, allowed, depth)
    except _UNPACKING_ERRORS:
        is_cut = True
    if is_cut:
        yield Hit(kind="unread", what="an archive that was not read to its end")


def _find_in_member(
    name: str, data: bytes, size: int, allowed: frozenset[str], depth: int
) -> Iterator[Hit]:
    content = Content(data, data[-LARGE_BYTES:], size)
    yield from within(name, find_in_name(name, allowed), 0)
    yield from within(name, _find_in(name, content, allowed, depth - 1), 0)
