"""The commands `cxrfuture study ...`: the stages of train/study/dvc.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import example, import_part

study = typer.Typer(
    help="The stages of a study of outcomes (docs/study.md); run them by DVC.",
    no_args_is_help=True,
    epilog=example("cd train/study && dvc repro"),
)
Generator = Annotated[str, typer.Argument(help="A generator of the study's file.")]
StudyFile = Annotated[Path, typer.Option("--study", help="What the study trains.")]
DEFAULT = Path("study.yaml")


def _stage(module: str, name: str, path: Path, *arguments: object) -> None:
    settings = import_part("train.study.settings", "train").read_study(path)
    getattr(import_part(f"train.study.{module}", "train"), name)(settings, *arguments)


@study.command("fit_generator", epilog=example("cxrfuture study fit_generator ddl_cxr"))
def fit_generator(name: Generator, study: StudyFile = DEFAULT) -> None:
    """Train a generator on all patients, and once without those of each fold."""
    _stage("run", "fit_generator", study, name)


@study.command("generate", epilog=example("cxrfuture study generate ddl_cxr"))
def generate(name: Generator, study: StudyFile = DEFAULT) -> None:
    """Draw the film at the prediction time of every stay."""
    _stage("run", "generate_stays", study, name)


@study.command("fit_first", epilog=example("cxrfuture study fit_first"))
def fit_first(study: StudyFile = DEFAULT) -> None:
    """Train the encoders that MedFuse begins with."""
    _stage("run", "fit_first", study)


@study.command("fit_fusion", epilog=example("cxrfuture study fit_fusion --model medfuse --seed 1"))
def fit_fusion(
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    model: Annotated[
        list[str] | None, typer.Option(help="One of the study's; repeatable. Default: all.")
    ] = None,
    study: StudyFile = DEFAULT,
) -> None:
    """Train models for each outcome, and ask them of the test stays."""
    _stage("run", "fit_fusion", study, seed, model or [])


@study.command("compare", epilog=example("cxrfuture study compare"))
def compare(study: StudyFile = DEFAULT) -> None:
    """Evaluate all models over the same test stays."""
    _stage("compare", "compare", study)


@study.command("tables", epilog=example("cxrfuture study tables"))
def tables(study: StudyFile = DEFAULT) -> None:
    """Fill DDL-CXR's tables of outcomes and cohort."""
    _stage("compare", "write_tables", study)
