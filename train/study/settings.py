"""What a study trains: train/study/study.yaml."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cxrfuture_data import ContractError
from cxrfuture_data.settings import Settings, read_settings
from train.settings import FitSettings
from train.tasks import read_task_settings


class Described(Settings):
    """A config of train/config, and settings to change by dotted name."""

    config: str
    changes: dict[str, Any] = Field(alias="set")


class DescribedModel(Described):
    """``generated``: which generator's latents it sees; ``first``: its encoders begin as those of
    the stage fit_first."""

    generated: str | None
    first: bool


class Descriptions(Settings):
    generators: dict[str, Described]
    models: dict[str, DescribedModel]


class Study(Settings):
    """Paths are relative to where the command runs, as DVC's are."""

    build: Path
    dataset: Path
    launch: str
    threads: Annotated[int, Field(ge=0)]
    size: str
    outcomes: list[str]
    seeds: list[int]
    draws: int
    samples: int
    folds: list[int]
    generators: list[str]
    models: list[str]
    described: Descriptions

    def generator(self, name: str) -> Described:
        """By its name."""
        known = self.described.generators
        if name not in known:
            raise ContractError(f"study: no generator {name!r}; there are {', '.join(known)}")
        return known[name]

    def model(self, name: str) -> DescribedModel:
        """By its name."""
        known = self.described.models
        if name not in known:
            raise ContractError(f"study: no model {name!r}; there are {', '.join(known)}")
        return known[name]

    def generator_run(self, name: str, fold: int | None = None) -> Path:
        """Where a generator's run lies: on all patients, or without those of a fold."""
        place = "whole" if fold is None else f"fold-{fold}"
        return self.build / "generator" / name / place

    def first_run(self, name: str, outcome: str) -> Path:
        """Of an encoder to begin with."""
        return self.build / "first" / name / outcome

    def fusion_run(self, model: str, outcome: str, seed: int) -> Path:
        """Where a model's run lies."""
        return self.row(model, seed) / outcome

    def row(self, model: str, seed: int) -> Path:
        """The folder of a model's runs of a seed; those of all seeds are a row of the tables."""
        return self.build / "seed" / str(seed) / model

    @property
    def outcomes_folder(self) -> Path:
        """Of the evaluation."""
        return self.build / "outcomes"

    @property
    def tables_folder(self) -> Path:
        """Of the filled tables."""
        return self.build / "tables"

    def settings_of(self, described: Described, changes: dict[str, Any]) -> FitSettings:
        """Of a config of the study's size, with its own changes and others."""
        merged = described.changes | changes
        words = [f"{place}={_yaml(value)}" for place, value in merged.items()]
        is_file = described.config.endswith(".yaml")  # of a sweep, say
        return read_task_settings(described.config + ("" if is_file else self.size), words)


def read_study(path: Path) -> Study:
    """The file, or a ContractError that names what is wrong in it."""
    return read_settings(Study, path)


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(str(item) for item in value)}]"
    return "null" if value is None else str(value)
