"""Objects below a URL, as s3://bucket/prefix, through fsspec: listed, read whole or by ranges,
written whole. From a web server (https://host/folder) they are read and nothing else.

fsspec and the store's driver (s3fs, gcsfs, ...) come with the first request and not before: they
are no part of the base install. Credentials, endpoint and timeouts are the driver's own settings in
the environment; no error shows them, nor the query of a URL, which may be a signature.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cxrfuture_data.cat_ranges import cat_ranges
from cxrfuture_data.schema import ContractError
from cxrfuture_data.signed_files import SignedFiles
from cxrfuture_data.web_files import WebFiles

EXTRA = "remote"
WEB = ("http", "https")  # has no list of its files, and takes none
VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "last_modified")
PAST_END = ("InvalidRange", "HTTP 416")  # of a range that begins where the object has ended
REQUESTS = 16  # at once
READS = 4  # of an object whose bytes end early, before that is an error
SECONDS_BETWEEN_READS = 0.5  # and twice as long each time
_OPENING = threading.Lock()
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")
_MD5 = re.compile("[0-9a-f]{32}")  # an ETag of an object that was sent in one piece
_CODE = re.compile(r"[A-Za-z0-9]{1,40}")


def _renew_lock() -> None:
    """In a forked process: the thread that held the lock is not here to release it."""
    global _OPENING
    _OPENING = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Unanswered(ContractError):
    """A request that failed or took too long; asked again, it may succeed."""


@dataclass(frozen=True)
class Listed:
    """An object as it was listed: its size, and a number that another content would not have.
    ``md5`` is its hash in hex where the store gives it as ETag."""

    bytes: int
    version: int
    md5: str | None


def is_url(path: object) -> bool:
    """Whether a setting names an object store and no folder."""
    return _URL.match(str(path)) is not None


@dataclass(frozen=True)
class ObjectStore:
    """Where objects lie; names are below ``url``. Goes to workers as it is: they connect anew."""

    url: str

    def __post_init__(self) -> None:
        if not is_url(self.url):
            raise ContractError(f"{self}: not the URL of an object store; write s3://bucket/prefix")
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ContractError(
                f"{self}: a URL with a key or password in it would be written into records; set the"
                " store's credentials in the environment"
            )

    def __str__(self) -> str:
        scheme, _, rest = self._split()[0].partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".rstrip("/")

    def __repr__(self) -> str:
        return f"ObjectStore({str(self)!r})"

    def below(self, name: str) -> "ObjectStore":
        """The part of the store below a name."""
        root, query = self._split()
        return ObjectStore(f"{root.rstrip('/')}/{name}{query}")

    def _split(self) -> tuple[str, str]:
        """The URL and, of a web server, its query, which goes behind every name."""
        is_web = self.url.partition("://")[0] in WEB
        root, mark, query = self.url.partition("?") if is_web else (self.url, "", "")
        return root, mark + query

    def _require_list(self) -> None:
        if self.url.partition("://")[0] in WEB:
            raise ContractError(
                f"{self}: a web server has no list of its files and takes none; only built datasets"
                " are read from one: write s3://bucket/prefix"
            )

    def entries(self) -> tuple[list[str], dict[str, Listed]]:
        """What lies directly below the URL: the names of folders, and objects."""
        self._require_list()
        found: list[dict[str, Any]] = []
        with suppress(FileNotFoundError), self._explained(is_missing_told=True) as (files, root):
            files.invalidate_cache(root)
            found = files.ls(root, detail=True)
        folders = [_below(root, item["name"]) for item in found if item["type"] == "directory"]
        objects = {_below(root, item["name"]): _listed(item) for item in found if _is_file(item)}
        return sorted(folders), {name: one for name, one in objects.items() if name}

    def list_all(self) -> dict[str, Listed]:
        """Every object below the URL by name, as it is now; a request for a thousand of them."""
        self._require_list()
        with self._explained() as (files, root):
            files.invalidate_cache(root)
            found = files.find(root, detail=True)
        return {_below(root, name): _listed(item) for name, item in found.items()}

    def read(self, name: str, size: int | None = None) -> bytes:
        """All bytes; FileNotFoundError where there is no such object. With the ``size`` that was
        listed it is one request; of another size they are read again, and then refused."""
        # Else s3fs asks for the size first. One byte more tells an object that has grown.
        limits = {"start": 0, "end": size + 1} if size else {}
        for attempt in range(READS):
            with self._explained(name, is_missing_told=True) as (files, root):
                data: bytes = files.cat_file(f"{root}/{name}{self._split()[1]}", **limits)
            if size is None or len(data) == size:
                return data
            time.sleep(SECONDS_BETWEEN_READS * 2**attempt)
        raise ContractError(
            f"{self}/{name}: {len(data):,} bytes, but {size:,} were listed; it was changed, or the"
            " connection is cut: run the same again"
        )

    def read_ranges(
        self, ranges: Sequence[tuple[str, int, int]], seconds: float | None = None
    ) -> list[bytes]:
        """The bytes from start to end of each (name, start, end), many at once; fewer where the
        object ends before. Unanswered if one takes longer than ``seconds``, which of s3 are asked
        for over signed web requests."""
        if not ranges:
            return []
        with self._explained(ranges[0][0], is_missing_told=True) as (files, root):
            query = self._split()[1]
            if seconds is not None and self.url.startswith("s3://"):
                files = _open_signed(os.getpid())
            asked = [(f"{root}/{name}{query}", start, end) for name, start, end in ranges]
            return [_bytes_of(part) for part in cat_ranges(files, asked, REQUESTS, seconds)]

    def read_all(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of many objects of these sizes, several at once, in their order."""
        with ThreadPoolExecutor(REQUESTS) as readers:
            yield from zip(sizes, readers.map(self.read, sizes, sizes.values()), strict=True)

    def write(self, name: str, data: bytes) -> None:
        """Put an object: it is there whole, or not at all."""
        self._require_list()
        with self._explained(name) as (files, root):
            files.pipe_file(f"{root}/{name}", data)

    def upload(self, name: str, path: Path) -> None:
        """Put a file's bytes."""
        self._require_list()
        with self._explained(name) as (files, root):
            files.put_file(str(path), f"{root}/{name}")

    def look(self, name: str) -> Listed | None:
        """One object as it is now, or None."""
        with (
            suppress(FileNotFoundError),
            self._explained(name, is_missing_told=True) as (files, root),
        ):
            files.invalidate_cache(root)
            return _listed(files.info(f"{root}/{name}{self._split()[1]}"))
        return None

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects in this order; those that are gone already are passed over."""
        self._require_list()
        for name in names:
            with (
                suppress(FileNotFoundError),
                self._explained(name, is_missing_told=True) as (files, root),
            ):
                files.rm_file(f"{root}/{name}")

    @contextmanager
    def _explained(
        self, name: str = "", is_missing_told: bool = False
    ) -> Iterator[tuple[Any, str]]:
        """The driver and the path it gives this URL. Whatever it raises becomes one line of ours,
        but for FileNotFoundError if that is wanted: its own words may hold keys and signatures."""
        where = f"{self}/{name}" if name else str(self)
        try:
            with _OPENING:
                files = _open(self.url.partition("://")[0], os.getpid())
            yield files, str(files._strip_protocol(self._split()[0])).rstrip("/")
        except ContractError:
            raise
        except ImportError as error:
            raise ContractError(
                f"{where}: {error.name or 'its driver'} is not installed; run: pip install "
                f"'cxrfuture[{EXTRA}]' for s3, or the driver that fsspec names for other stores"
            ) from None
        except Exception as error:
            if not isinstance(error, FileNotFoundError) and _code(error) != "HTTP 404":
                raise _explain(where, error) from None
            if is_missing_told:
                raise FileNotFoundError(where) from None
            raise ContractError(f"{where}: no such bucket or container; see its spelling") from None


@lru_cache(maxsize=4)
def _open(scheme: str, process: int) -> Any:
    """The driver, once a process: a connection must not be carried over a fork."""
    if scheme in WEB:
        return WebFiles(REQUESTS)
    import fsspec

    # Without its list hf asks for it with each range; whoever lists here has it forgotten before.
    return fsspec.filesystem(scheme, use_listings_cache=scheme == "hf")


@lru_cache(maxsize=1)
def _open_signed(process: int) -> SignedFiles:
    return SignedFiles(_open("s3", process), REQUESTS)


def _bytes_of(part: bytes | BaseException) -> bytes:
    if isinstance(part, Exception) and _code(part) in PAST_END:
        return b""
    if isinstance(part, BaseException):
        raise part
    return part


def _code(error: Exception) -> str:
    """The store's error code, and none of its words."""
    cause = error if hasattr(error, "response") else error.__cause__
    response = getattr(cause, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    status = getattr(error, "status", getattr(response, "status_code", None))
    if isinstance(status, int):
        return f"HTTP {status}"
    return str(code) if _CODE.fullmatch(str(code)) else type(error).__name__


def _explain(where: str, error: Exception) -> ContractError:
    """What is wrong and what to do."""
    code = _code(error)
    is_refused = isinstance(error, PermissionError) or code in ("HTTP 401", "HTTP 403")
    if is_refused or "Credential" in type(error).__name__:
        return ContractError(
            f"{where}: access refused ({code}); set the store's credentials in the environment (of"
            " s3 AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; of hf HF_TOKEN), or"
            " renew a signed URL"
        )
    return Unanswered(
        f"{where}: the object store fails ({code}), also when asked again; run the same again"
        " later, or see its address (of s3 AWS_ENDPOINT_URL_S3)"
    )


def _below(root: str, name: str) -> str:
    return name.rstrip("/").removeprefix(root).lstrip("/")


def _is_file(item: dict[str, Any]) -> bool:
    return item["type"] == "file"


def _listed(item: dict[str, Any]) -> Listed:
    spelt = next((str(item[key]) for key in VERSIONS if item.get(key)), "")
    version = int.from_bytes(hashlib.sha256(spelt.encode()).digest()[:8], "big") >> 1
    tag = str(item.get("ETag", "")).strip('"')
    return Listed(int(item["size"] or 0), version, tag if _MD5.fullmatch(tag) else None)
