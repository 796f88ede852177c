"""A whole dataset to an object store, and back: every file proven by its hash, dataset.json last.

Beside dataset.json goes ``transfer.json``: every other file with its size and sha256, and why the
dataset may lie there. What is there already and right is not sent again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TypeVar

from cxrfuture_data.console import progress
from cxrfuture_data.energon import SIDECAR
from cxrfuture_data.manifest import (
    DATASET_FILE,
    EMBEDDINGS,
    Manifest,
    columns_name,
    index_name,
    read_manifest,
)
from cxrfuture_data.object_store import Listed, ObjectStore, is_url
from cxrfuture_data.publish import file_sha256, publish
from cxrfuture_data.schema import ContractError

Item = TypeVar("Item")

TRANSFER_FILE = "transfer.json"
FILES_AT_ONCE = 8
RANGE_BYTES = 16 * 1024 * 1024
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*|{re.escape(SIDECAR)}/\.?{_PART}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SentFile:
    """A file of a dataset; ``name`` is below its folder."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Transfer:
    """How much a dataset has, and how much of it had to be copied."""

    files: int
    bytes: int
    copied: int


def push(dataset: Path, url: str, attestation: str) -> Transfer:
    """Copy a built dataset to an object store. One that is not all simulated needs an
    ``attestation``: who allowed it there, and under what terms."""
    store, manifest = _store(url), read_manifest(dataset)
    if not manifest.is_simulated and not attestation.strip():
        raise ContractError(
            f"{dataset}: made from MIMIC ({manifest.licence}), whose data use agreement forbids"
            f" handing it to third parties, and who keeps {store} is one; say with --attest who"
            " allowed it there and under what terms"
        )
    text = (dataset / DATASET_FILE).read_bytes()
    _refuse_another(store, text)
    names = _files_of(dataset)
    listed = store.list_all()
    known = _hashes_of(manifest)

    def send(name: str) -> tuple[SentFile, bool]:
        return _send(store, dataset / name, name, known.get(name), listed.get(name))

    sent = _each(f"push to {store}", names, send)
    files = [file for file, _ in sent]
    record = {
        "attestation": attestation.strip() or None,
        "dataset_sha256": hashlib.sha256(text).hexdigest(),
        "files": [asdict(one) for one in files],
    }
    store.write(TRANSFER_FILE, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    if (dataset / DATASET_FILE).read_bytes() != text:
        raise ContractError(f"{dataset}: was built anew meanwhile; push it again")
    store.write(DATASET_FILE, text)
    return _count(sent)


def pull(url: str, folder: Path) -> Transfer:
    """Copy a pushed dataset to a folder; what is there already and right is not fetched again."""
    store = _store(url)
    try:
        text, record = store.read(DATASET_FILE), store.read(TRANSFER_FILE)
    except FileNotFoundError as error:
        raise ContractError(
            f"{error}: no such object; nothing was pushed there, or not to its end"
        ) from None
    here = folder / DATASET_FILE
    if here.exists() and here.read_bytes() != text:
        raise ContractError(f"{folder}: holds another dataset; name another folder")
    files = _read_record(record, text, f"{store}/{TRANSFER_FILE}")
    _require_named(store, text, {file.name: file.sha256 for file in files})
    here.unlink(missing_ok=True)  # no dataset until it is whole

    def fetch(file: SentFile) -> tuple[SentFile, bool]:
        return file, _fetch(store, folder / file.name, file)

    copied = _each(f"pull from {store}", files, fetch)
    for name, data in ((TRANSFER_FILE, record), (DATASET_FILE, text)):
        with publish(folder / name) as part:
            part.write_bytes(data)
    return _count(copied)


def _require_named(store: ObjectStore, text: bytes, sums: Mapping[str, str]) -> None:
    """Refuse a record that does not list what dataset.json says, or lists it with other hashes."""
    with TemporaryDirectory() as aside:
        Path(aside, DATASET_FILE).write_bytes(text)
        try:
            named = _hashes_of(read_manifest(Path(aside)))
        except ContractError as error:
            raise ContractError(f"{store}: {str(error).removeprefix(f'{aside}/')}") from None
    for name, sha256 in named.items():
        if sums.get(name) != sha256:
            raise ContractError(
                f"{store}: {name} is not the one that {DATASET_FILE} names; push it again"
            )


def _store(url: str) -> ObjectStore:
    if not is_url(url):
        raise ContractError(f"{url}: no URL; write s3://bucket/prefix, or copy folders with cp")
    return ObjectStore(url.rstrip("/"))


def _each(
    title: str, items: Sequence[Item], work: Callable[[Item], tuple[SentFile, bool]]
) -> list[tuple[SentFile, bool]]:
    done = []
    with progress(title, len(items), "files") as advance, ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        try:
            for found in pool.map(work, items):
                done.append(found)
                advance(1, f"{sum(file.bytes for file, _ in done) / 1e9:,.2f} GB")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return done


def _count(copied: Sequence[tuple[SentFile, bool]]) -> Transfer:
    return Transfer(
        len(copied), sum(file.bytes for file, _ in copied), sum(is_new for _, is_new in copied)
    )


def _files_of(dataset: Path) -> list[str]:
    """Every file but dataset.json and an earlier record, by name."""
    paths = [path for path in sorted(dataset.rglob("*")) if path.is_file()]
    names = [path.relative_to(dataset).as_posix() for path in paths]
    for name in names:
        if _NAME.fullmatch(name) is None or name.endswith(".part"):
            raise ContractError(f"{dataset / name}: no file of a dataset; remove it, or rebuild")
    return [name for name in names if name not in (DATASET_FILE, TRANSFER_FILE)]


def _hashes_of(manifest: Manifest) -> dict[str, str]:
    """Name -> sha256 of the files that dataset.json vouches for."""
    hashes = {f"{EMBEDDINGS}/{name}": sum_ for name, sum_ in manifest.embeddings.files.items()}
    hashes |= manifest.documents
    for split, _, shard in manifest.shards():
        hashes[f"{split}/{shard.name}"] = shard.sha256
        hashes[f"{split}/{index_name(shard.name)}"] = shard.index_sha256
    for split, kinds in manifest.splits.items():
        for kind, entry in kinds.items():
            hashes[f"{split}/{columns_name(kind)}"] = entry.columns_sha256
    return hashes


def _refuse_another(store: ObjectStore, text: bytes) -> None:
    try:
        there = store.read(DATASET_FILE)
    except FileNotFoundError:
        return
    if there != text:
        raise ContractError(f"{store}: holds another dataset; choose another prefix")


def _send(
    store: ObjectStore, path: Path, name: str, known: str | None, there: Listed | None
) -> tuple[SentFile, bool]:
    """Send a file unless it is there; prove what is there by its ETag, or by reading it back."""
    size = path.stat().st_size
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(RANGE_BYTES):
            md5.update(block)
            sha.update(block)
    file = SentFile(name, size, sha.hexdigest())
    if known is not None and file.sha256 != known:
        raise ContractError(f"{path}: altered since it was built; rebuild it, then push")
    if there is not None and _is_same(store, file, md5.hexdigest(), there):
        return file, False
    store.upload(name, path)
    there = store.look(name)
    if there is None or not _is_same(store, file, md5.hexdigest(), there):
        raise ContractError(f"{store}/{name}: not what was sent; push it again")
    return file, True


def _is_same(store: ObjectStore, file: SentFile, md5: str, there: Listed) -> bool:
    if there.bytes != file.bytes:
        return False
    return there.md5 == md5 or _remote_sha256(store, file) == file.sha256


def _remote_sha256(store: ObjectStore, file: SentFile) -> str:
    sha = hashlib.sha256()
    for start in range(0, file.bytes, RANGE_BYTES):
        end = min(start + RANGE_BYTES, file.bytes)
        sha.update(store.read_ranges([(file.name, start, end)])[0])
    return sha.hexdigest()


def _read_record(data: bytes, text: bytes, source: str) -> list[SentFile]:
    """The files of the record of a dataset.json; names that lead out of the folder are refused."""
    try:
        record = json.loads(data)
        files = [SentFile(**one) for one in record["files"]]
        is_right = all(
            _NAME.fullmatch(file.name)
            and file.name not in (DATASET_FILE, TRANSFER_FILE)
            and ".." not in PurePosixPath(file.name).parts
            and _SHA256.fullmatch(file.sha256)
            and isinstance(file.bytes, int)
            for file in files
        )
    except (ValueError, KeyError, TypeError):
        is_right = False
    if not is_right:
        raise ContractError(f"{source}: not the record of a pushed dataset; push it again")
    if record.get("dataset_sha256") != hashlib.sha256(text).hexdigest():
        raise ContractError(f"{source}: of another {DATASET_FILE}; push it again")
    return files


def _fetch(store: ObjectStore, path: Path, file: SentFile) -> bool:
    """Fetch a file unless it is here; whether it was fetched."""
    if path.exists() and path.stat().st_size == file.bytes and file_sha256(path) == file.sha256:
        return False
    with publish(path) as part:
        sha = hashlib.sha256()
        with part.open("wb") as handle:
            for start in range(0, file.bytes, RANGE_BYTES):
                end = min(start + RANGE_BYTES, file.bytes)
                try:
                    block = store.read_ranges([(file.name, start, end)])[0]
                except FileNotFoundError as error:
                    raise ContractError(f"{error}: no such object; push it again") from None
                sha.update(block)
                handle.write(block)
        if sha.hexdigest() != file.sha256:
            raise ContractError(f"{store}/{file.name}: not what was pushed; push it again")
    return True
