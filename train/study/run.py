"""The stages of a study, each for one generator or seed.

Every one goes on where it was stopped, and runs on any number of ranks. A stage is one process:
on a laptop the start of a process takes as long as the training of a small model.
"""

from collections.abc import Sequence

import torch
from accelerate import PartialState

from cxrfuture_data.schema import SPLITS
from train.fit import fit
from train.generate import FOLDER, Request, generate
from train.predict import predict_split
from train.study.settings import Study
from train.tasks import read_task_settings

SEED = 23  # of what is trained once, whatever seed its users have
FIRST = {"film_findings": "fusion-film_findings", "record": "fusion-uni_ehr_lstm"}


def fit_generator(study: Study, name: str) -> None:
    """Train a generator on all training patients, and once more without those of each fold."""
    described = study.generator(name)
    fit(study.dataset, study.generator_run(name), study.settings_of(described, {}), SEED)
    for fold in study.folds:
        changes = {"fold": f"{{number: {fold}, folds: {len(study.folds)}}}"}
        settings = study.settings_of(described, changes)
        fit(study.dataset, study.generator_run(name, fold), settings, SEED)


def generate_stays(study: Study, name: str) -> None:
    """Draw the film at the prediction time of every stay, of all splits."""
    folds = [study.generator_run(name, fold) for fold in study.folds]
    run = study.generator_run(name)
    for split in SPLITS:
        for seed in range(study.samples):
            generate(Request(run, study.dataset, split, seed, "stay", folds))


def fit_first(study: Study) -> None:
    """Train the encoders that a model may begin with (MedFuse's first stages): the film's on
    findings, the record's on each outcome."""
    wanted = [("film_findings", "findings")] + [("record", name) for name in study.outcomes]
    for name, outcome in wanted:
        settings = read_task_settings(FIRST[name] + study.size, [f"outcome={outcome}"])
        fit(study.dataset, study.first_run(name, outcome), settings, SEED)


def fit_fusion(study: Study, seed: int, models: Sequence[str]) -> None:
    """Train models for each outcome, all of the study's if none is named, and ask them of the test
    stays."""
    if study.threads:
        torch.set_num_threads(study.threads)
    for model in models or study.models:
        for outcome in study.outcomes:
            fit_model(study, model, outcome, seed)


def fit_model(study: Study, model: str, outcome: str, seed: int) -> None:
    """One run, and what it says of the test stays."""
    described = study.model(model)
    changes = {"outcome": outcome}
    if described.generated is not None:
        changes["generated"] = str(study.generator_run(described.generated) / FOLDER)
    if described.first:
        changes["start_film"] = str(study.first_run("film_findings", "findings"))
        changes["start_record"] = str(study.first_run("record", outcome))
    out = study.fusion_run(model, outcome, seed)
    fit(study.dataset, out, study.settings_of(described, changes), seed)
    if PartialState().is_main_process:
        predict_split(out, study.dataset, "test")
    PartialState().wait_for_everyone()
