"""The allow file: exact contents and single values that may be committed, each with its reason."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from cxrfuture_data.settings import Settings, parse_settings, read_yaml

ALLOW_FILE = ".cxrfuture-guard.yaml"

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AllowedFile(Settings):
    """A file of exactly these bytes; ``path`` is below the top of the tree."""

    path: str
    sha256: Sha256
    reason: Reason


class AllowedValue(Settings):
    """An id or a dummy password that is nobody's, or public, wherever it stands."""

    value: str | int
    reason: Reason


class Allow(Settings):
    files: tuple[AllowedFile, ...]
    values: tuple[AllowedValue, ...]

    def words(self) -> frozenset[str]:
        return frozenset(str(entry.value) for entry in self.values)

    def has_path(self, path: str) -> bool:
        return any(entry.path == path for entry in self.files)

    def has(self, path: str, sha256: str) -> bool:
        return any((entry.path, entry.sha256) == (path, sha256) for entry in self.files)


def read_allow(top: Path) -> Allow:
    """The allow file of a tree; none allows nothing. Raises ContractError if it is malformed."""
    path = top / ALLOW_FILE
    value = read_yaml(path) if path.exists() else {}
    return parse_settings(Allow, {"files": [], "values": []} | value, str(path))
