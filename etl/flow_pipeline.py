"""The stages of dvc.yaml, and what dvc.lock says of their last runs, read without DVC.

Importing DVC and opening its repository takes seconds, its status hashes every file of the build
and waits for a running `dvc repro`; `cxrfuture` alone must answer at once.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from cxrfuture_data.schema import ContractError

PIPELINE = "dvc.yaml"
LOCK = "dvc.lock"
PARAMS = "params.yaml"
UNHASHED = ("__pycache__", ".venv")  # by .dvcignore, as is *.pyc
# libyaml's parser reads a lock file in a sixth of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NAME = re.compile(r"\$\{([a-z_.]+)\}")


@dataclass(frozen=True)
class Stage:
    """One stage of one recipe, its names resolved. Paths are relative to the project's folder."""

    name: str
    """As DVC has it: event@ddl_cxr."""
    word: str
    recipe: str
    """Empty: of no recipe."""
    command: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]


def read_yaml_fast(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping; a file that is none is an error of one line."""
    try:
        value = yaml.load(path.read_text(), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise ContractError(f"{path}: expected a mapping of keys to values")
    return value


def read_stages(root: Path, params: Mapping[str, Any]) -> list[Stage]:
    """Every stage of dvc.yaml that writes, in its order; those of a matrix once for each item."""
    entries = read_yaml_fast(root / PIPELINE).get("stages")
    if not isinstance(entries, dict):
        raise ContractError(f"{root / PIPELINE}: no stages; take the file of the project")
    stages = [stage for word, entry in entries.items() for stage in _expand(word, entry, params)]
    return [stage for stage in stages if stage.outs]


def read_lock(root: Path) -> dict[str, dict[str, Any]]:
    """Stage -> what it was last made from; of no lock file: nothing."""
    path = root / LOCK
    if not path.exists():
        return {}
    stages = read_yaml_fast(path).get("stages", {})
    if not isinstance(stages, dict) or not all(map(_is_record, stages.values())):
        raise ContractError(f"{path}: not a record of stages")
    return stages


def value_of(params: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key, or None."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


class Sums:
    """Hashes as DVC's lock file has them, each file once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bytes = 0
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str:
        """md5 of a file; of a folder: of the list of its files and their md5s, and ".dir"."""
        if path not in self._known:
            place = self.root / path
            self._known[path] = self._folder(place) if place.is_dir() else self._file(place)
        return self._known[path]

    def _file(self, path: Path) -> str:
        data = path.read_bytes()
        self.bytes += len(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def _folder(self, folder: Path) -> str:
        names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
        entries = [{"md5": self._file(folder / name), "relpath": name} for name in names]
        text = json.dumps(entries, sort_keys=True)
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def measure(path: Path) -> tuple[int, int]:
    """Files and bytes of an output."""
    sizes = [file.stat().st_size for file in ([path] if path.is_file() else _files(path))]
    return len(sizes), sum(sizes)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in UNHASHED or path.suffix == ".pyc":
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _is_record(entry: Any) -> bool:
    """True for what DVC writes of a stage: its command, and paths with their hashes."""
    if not isinstance(entry, dict) or not isinstance(entry.get("params") or {}, dict):
        return False
    places = [*(entry.get("deps") or ()), *(entry.get("outs") or ())]
    return all(isinstance(place, dict) and "path" in place for place in places)


def _expand(word: str, entry: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Stage]:
    matrix = {name: _items(items, params) for name, items in entry.get("matrix", {}).items()}
    for chosen in product(*matrix.values()):
        names = dict(zip(matrix, chosen, strict=True))
        values = {**params, "item": names}
        yield Stage(
            name=word if not chosen else f"{word}@{'-'.join(map(str, chosen))}",
            word=word,
            recipe=str(names.get("recipe", "")),
            command=_resolve(entry.get("cmd", ""), values),
            deps=tuple(_resolve(dep, values) for dep in entry.get("deps", ())),
            params=tuple(key for key in entry.get("params", ()) if isinstance(key, str)),
            outs=tuple(_resolve(_path(out), values) for out in entry.get("outs", ())),
        )


def _items(items: Any, params: Mapping[str, Any]) -> list[Any]:
    if isinstance(items, str):
        items = value_of(params, items.removeprefix("${").removesuffix("}"))
    return items if isinstance(items, list) else []


def _path(out: str | Mapping[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def _resolve(text: str, values: Mapping[str, Any]) -> str:
    return _NAME.sub(lambda found: str(value_of(values, found[1])), text)
