"""Settings from YAML: frozen, complete, and closed to strangers.

No field of a settings class has a default: a file says everything, so nothing is decided out of
sight. An unknown, missing or impossible value is a ContractError of one line that names the file,
the key, the value found and the nearest known key.
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cxrfuture_data.schema import ContractError


class Settings(BaseModel):
    """Base of all settings: frozen, and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)
# libyaml's reader, ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping."""
    try:
        value = yaml.load(path.read_text(), Loader=LOADER)
    except FileNotFoundError:
        raise ContractError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise ContractError(f"{path}: expected a mapping of keys to values")
    return value


def parse_settings(kind: type[S], value: dict[str, Any], source: str) -> S:
    """Check ``value`` against a settings class. ``source`` is named in the error."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ContractError(f"{source}: {_first_problem(kind, error)}") from None


def read_settings(kind: type[S], path: Path) -> S:
    """Read and check a settings file."""
    return parse_settings(kind, read_yaml(path), str(path))


def _first_problem(kind: type[Settings], error: ValidationError) -> str:
    # A misspelt key is both unknown and missing; its unknown spelling is what the user wrote.
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in problem["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "missing":
        return f"{key} is missing{more}"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(kind), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {key!r}{hint}{more}"
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):  # of several keys
        where = f"{key}: " if key else ""
        return f"{where}{problem['msg'].removeprefix('Value error, ')}{more}"
    return f"{key}: {problem['msg']}, found {problem['input']!r}{more}"


def _keys(kind: type[Settings]) -> list[str]:
    names: list[str] = []
    for name, field in kind.model_fields.items():
        names.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            names += _keys(field.annotation)
    return names
