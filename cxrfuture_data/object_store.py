"""Objects below a URL, as s3://bucket/prefix, through fsspec: listed, read whole or by ranges,
written whole.

fsspec and the store's driver (s3fs, gcsfs, ...) come with the first request and not before: they
are no part of the base install. Credentials, endpoint and timeouts are the driver's own settings in
the environment; no error shows them.
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

from cxrfuture_data.schema import ContractError

EXTRA = "remote"
UNLISTED = ("http", "https")  # a web server has no list of its files
VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "last_modified")
REQUESTS = 16  # at once
READS = 4  # of an object whose bytes end early, before that is an error
SECONDS_BETWEEN_READS = 0.5  # and twice as long each time
_OPENING = threading.Lock()
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")
_MD5 = re.compile("[0-9a-f]{32}")  # an ETag of an object that was sent in one piece
_CODE = re.compile(r"[A-Za-z0-9]{1,40}")


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
        scheme = _URL.match(self.url)
        if scheme is None or scheme[1] in UNLISTED:
            raise ContractError(f"{self}: not the URL of an object store; write s3://bucket/prefix")
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ContractError(
                f"{self}: a URL with a key or password in it would be written into records; set the"
                " store's credentials in the environment"
            )

    def __str__(self) -> str:
        scheme, _, rest = self.url.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".rstrip("/")

    def below(self, name: str) -> "ObjectStore":
        """The part of the store below a name."""
        return ObjectStore(f"{self.url.rstrip('/')}/{name}")

    def entries(self) -> tuple[list[str], dict[str, Listed]]:
        """What lies directly below the URL: the names of folders, and objects."""
        found: list[dict[str, Any]] = []
        with suppress(FileNotFoundError), self._explained(is_missing_told=True) as (files, root):
            files.invalidate_cache(root)
            found = files.ls(root, detail=True)
        folders = [_below(root, item["name"]) for item in found if item["type"] == "directory"]
        objects = {_below(root, item["name"]): _listed(item) for item in found if _is_file(item)}
        return sorted(folders), {name: one for name, one in objects.items() if name}

    def list_all(self) -> dict[str, Listed]:
        """Every object below the URL by name, as it is now; a request for a thousand of them."""
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
                data: bytes = files.cat_file(f"{root}/{name}", **limits)
            if size is None or len(data) == size:
                return data
            time.sleep(SECONDS_BETWEEN_READS * 2**attempt)
        raise ContractError(
            f"{self}/{name}: {len(data):,} bytes, but {size:,} were listed; it was changed, or the"
            " connection is cut: run the same again"
        )

    def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """The bytes from start to end of each (name, start, end), many at once; fewer where the
        object ends before."""
        named = ranges[0][0] if ranges else ""
        with self._explained(named, is_missing_told=True) as (files, root):
            names, starts, ends = zip(*ranges, strict=True) if ranges else ((), (), ())
            paths = [f"{root}/{name}" for name in names]
            parts: list[bytes] = files.cat_ranges(
                paths, list(starts), list(ends), on_error="raise", batch_size=REQUESTS
            )
        return parts

    def read_all(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of many objects of these sizes, several at once, in their order."""
        with ThreadPoolExecutor(REQUESTS) as readers:
            yield from zip(sizes, readers.map(self.read, sizes, sizes.values()), strict=True)

    def write(self, name: str, data: bytes) -> None:
        """Put an object: it is there whole, or not at all."""
        with self._explained(name) as (files, root):
            files.pipe_file(f"{root}/{name}", data)

    def upload(self, name: str, path: Path) -> None:
        """Put a file's bytes."""
        with self._explained(name) as (files, root):
            files.put_file(str(path), f"{root}/{name}")

    def look(self, name: str) -> Listed | None:
        """One object as it is now, or None."""
        with (
            suppress(FileNotFoundError),
            self._explained(name, is_missing_told=True) as (files, root),
        ):
            files.invalidate_cache(root)
            return _listed(files.info(f"{root}/{name}"))
        return None

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects in this order; those that are gone already are passed over."""
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
            yield files, str(files._strip_protocol(self.url)).rstrip("/")
        except FileNotFoundError:
            if is_missing_told:
                raise FileNotFoundError(where) from None
            raise ContractError(f"{where}: no such bucket or container; see its spelling") from None
        except ContractError:
            raise
        except ImportError as error:
            raise ContractError(
                f"{where}: {error.name or 'its driver'} is not installed; run: pip install "
                f"'cxrfuture[{EXTRA}]' for s3, or the driver that fsspec names for other stores"
            ) from None
        except Exception as error:
            raise ContractError(f"{where}: {_reason(error)}") from None


@lru_cache(maxsize=4)
def _open(scheme: str, process: int) -> Any:
    """The driver, once a process: a connection must not be carried over a fork."""
    import fsspec

    return fsspec.filesystem(scheme, use_listings_cache=False)


def _reason(error: Exception) -> str:
    """What is wrong and what to do, with the store's error code and none of its words."""
    cause = error if hasattr(error, "response") else error.__cause__
    response = getattr(cause, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    code = str(code) if _CODE.fullmatch(str(code)) else type(error).__name__
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        return (
            f"access refused ({code}); set the store's credentials in the environment (of s3"
            " AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    return (
        f"the object store fails ({code}), also when asked again; run the same again later, or see"
        " its address (of s3 AWS_ENDPOINT_URL_S3)"
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
