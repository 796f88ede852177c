"""Which task a config is of, and its settings: as shipped or from a file, changed by the user."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from cxrfuture_data import ContractError, Dataset
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.settings import parse_settings, read_yaml
from train.checkpoint import MODEL_FILE, choose_checkpoint
from train.settings import FitSettings, find_config
from train.task import Task

NAMES = (
    "ddl_cxr",
    "clip",
    "ehrxdiff",
    "table_classifier",
    "diff3m",
    "future",
    "future_fusion",
    "classifier",
    "fusion",
    "gan",
)
SHIPPED = "."  # below train/config
STARTS = (
    "clip",
    "stage1",
    "unet_weights",
    "start_film",
    "start_record",
)  # settings that name trained weights to begin with


def read_task_settings(name: str, changes: Sequence[str] = ()) -> FitSettings:
    """A shipped config by name or a file by path, changed by words as ``sampler.steps=50``."""
    path = find_config(SHIPPED, name)
    value = read_yaml(path)
    for change in changes:
        change_setting(value, change)
    return parse_task_settings(value, str(path))


def parse_task_settings(value: dict[str, Any], source: str) -> FitSettings:
    """Settings of the task that ``value`` names; ``source`` is named in errors."""
    kind, _ = types_of(value.get("task"), source)
    return parse_settings(kind, value, source)


def make_task(settings: FitSettings, data: Dataset) -> Task:
    """The task of these settings on a dataset."""
    _, make = types_of(settings.task, "settings")
    task: Task = make(settings, data)
    return task


def types_of(task: Any, source: str) -> tuple[type[FitSettings], Callable[..., Any]]:
    """The settings' class and what makes the task; each is imported when it is asked for."""
    match task:
        case "ddl_cxr":
            from train.ddl_cxr import DdlCxr, DdlCxrSettings

            return DdlCxrSettings, DdlCxr
        case "classifier":
            from train.classifier import ClassifierSettings, ClassifierTask

            return ClassifierSettings, ClassifierTask
        case "diff3m":
            from train.diff3m import Diff3MTask
            from train.diff3m_settings import Diff3MSettings

            return Diff3MSettings, Diff3MTask
        case "clip":
            from train.clip import ClipSettings, ClipTask

            return ClipSettings, ClipTask
        case "ehrxdiff":
            from train.ehrxdiff import EhrxdiffSettings, EhrxdiffTask

            return EhrxdiffSettings, EhrxdiffTask
        case "gan":
            from train.gan import GanSettings, GanTask

            return GanSettings, GanTask
        case "table_classifier":
            from train.table_classifier import TableClassifierSettings, TableClassifierTask

            return TableClassifierSettings, TableClassifierTask
        case "future":
            from train.future import Future, FutureSettings

            return FutureSettings, Future
        case "fusion":
            from train.fusion.task import FusionSettings, FusionTask

            return FusionSettings, FusionTask
        case "future_fusion":
            from train.fusion.future import FutureFusion, FutureFusionSettings

            return FutureFusionSettings, FutureFusion
    raise ContractError(f"{source}: task is {task!r}; known are {', '.join(NAMES)}")


def change_setting(value: dict[str, Any], change: str) -> None:
    """Put ``a.b=value`` into nested settings, where it must be one already; the value is YAML."""
    place, equals, text = change.partition("=")
    if not equals:
        raise ContractError(f"--set {change}: expected name=value, as in --set optimiser.lr=1e-4")
    *above, last = place.split(".")
    found: Any = value
    for name in (*above, last):
        if not isinstance(found, dict) or name not in found:
            known = list(found) if isinstance(found, dict) else []
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ContractError(f"--set {place}: no setting {name!r}; {hint}")
        inner, found = found, found[name]
    try:
        inner[last] = _number_or(yaml.safe_load(text))
    except yaml.YAMLError:
        raise ContractError(f"--set {change}: the value is not YAML") from None


def _number_or(value: Any) -> Any:
    # YAML 1.1 takes 1e-4 for a word; a user who types it means a number.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def trained_settings(value: dict[str, Any], source: str) -> FitSettings:
    """Those of trained weights, which need the ones they began with no more."""
    return parse_task_settings(value | {name: None for name in STARTS if name in value}, source)


def start_digests(settings: FitSettings) -> list[str]:
    """sha256 of what a run reads beside its dataset, wherever its settings name some: weights to
    begin with, generated latents (their records, which hold the sums)."""
    found = []
    generated = getattr(settings, "generated", None)
    if generated is not None:
        found += [file_sha256(path) for path in sorted(Path(generated).glob("stay-*.json"))]
    for name in STARTS:
        folder = getattr(settings, name, None)
        if folder is not None:
            path = Path(folder)
            weights = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
            weights = weights or [choose_checkpoint(path) / MODEL_FILE]
            found += [file_sha256(file) for file in weights]
    return found
