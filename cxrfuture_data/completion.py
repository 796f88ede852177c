"""Words that the shell completes. Read from the file system alone, so a TAB costs one start of
Python and of the command: no torch, no pydantic, nothing that a command would run."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

from cxrfuture_data.schema import KINDS, SPLITS

BUILD = Path("build")  # as in params.yaml as shipped; with another, the shell completes folders
Complete = Callable[[str], list[str]]


def complete_from(*words: str) -> Complete:
    """These words alone."""
    return lambda incomplete: _matching(words, incomplete)


complete_split = complete_from(*SPLITS)
complete_kind = complete_from(*KINDS)
complete_fidelity = complete_from("corrected", "published")
complete_availability = complete_from("event", "known")


def complete_recipe(incomplete: str) -> list[str]:
    """The shipped recipes, and YAML files of the reader's own."""
    return _names_or_files("etl", "recipes", incomplete)


def complete_config(incomplete: str) -> list[str]:
    """The shipped configs of `cxrfuture train`, and YAML files of the reader's own."""
    return _names_or_files("train", "config", incomplete)


def complete_vae_config(incomplete: str) -> list[str]:
    """The shipped configs of fit_vae, and YAML files of the reader's own."""
    return _names_or_files("train", "config/fit_vae", incomplete)


def complete_table(incomplete: str) -> list[str]:
    """The papers' tables, by paper and number."""
    return _matching(_shipped("train", "tables"), incomplete)


def complete_dataset(incomplete: str) -> list[str]:
    """Finished datasets of a build; none fits, and the shell completes folders."""
    found = (path.parent for path in BUILD.glob("*/shard/dataset.json"))
    return _matching(map(str, found), incomplete)


def complete_run(incomplete: str) -> list[str]:
    """Runs of training; none fits, and the shell completes folders."""
    found = (path for path in BUILD.glob("train/*") if path.is_dir())
    return _matching(map(str, found), incomplete)


def _matching(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))


def _shipped(package: str, folder: str) -> list[str]:
    found = find_spec(package)
    places = (found.submodule_search_locations if found else None) or ()
    return [path.stem for place in places for path in Path(place, folder).glob("*.yaml")]


def _names_or_files(package: str, folder: str, incomplete: str) -> list[str]:
    head = incomplete.rpartition("/")[0] if "/" in incomplete else "."
    files = (str(path) for path in Path(head or "/").glob("*.yaml"))
    return _matching([*_shipped(package, folder), *files], incomplete)
