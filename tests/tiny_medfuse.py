"""Cohorts by MedFuse's rules: the patient of tiny_stages, or a hospital of twenty."""

from typing import Any

from tiny_stages import (
    HADM,
    STAY,
    SUBJECT,
    Built,
    admission,
    at,
    build,
    chart,
    film,
    heart_rates,
    icu_stay,
    patient,
)

from etl.recipe import read_recipe

MEASURED = heart_rates(1, 2)


def medfuse(tmp_path: Any, films: list[Any], recipe: str = "medfuse", **changes: Any) -> Built:
    """Tables by name; anything else is a setting of the recipe or, where it has it, its cohort."""
    whole = read_recipe(recipe)
    settings = {name: changes.pop(name) for name in list(changes) if hasattr(whole, name)}
    of_cohort = {name: changes.pop(name) for name in list(changes) if hasattr(whole.cohort, name)}
    settings["cohort"] = whole.cohort.model_copy(update=of_cohort)
    return build(
        tmp_path, recipe, {"chartevents": MEASURED, **changes, "cxr_metadata": films}, **settings
    )


def length(hours: float) -> dict[str, Any]:
    return {"outtime": at(hours), "los": hours / 24}


def hospital(
    tmp_path: Any,
    recipe: str = "medfuse",
    stays: list[Any] | None = None,
    films: list[Any] | None = None,
    patients: list[Any] | None = None,
    unlabelled: frozenset[int] | set[int] = frozenset(),
) -> Built:
    """20 patients of one stay each, measured once; films of every other one if none are given."""
    own = [{"subject_id": SUBJECT + n, "hadm_id": HADM + n} for n in range(20)]
    if films is None:
        films = [film(f"{n}", 5, n + 1, subject_id=SUBJECT + n) for n in range(0, 20, 2)]
    studies = {row["study_id"] for row in films} - unlabelled
    return medfuse(
        tmp_path,
        films,
        recipe,
        cxr_chexpert=[{"subject_id": SUBJECT, "study_id": study} for study in sorted(studies)],
        patients=[*(patient(SUBJECT + n) for n in range(20)), *(patients or [])],
        admissions=[admission(**ids) for ids in own],
        icustays=[
            {**stay, **ids, "stay_id": STAY + n}
            for n, (stay, ids) in enumerate(zip(stays or [icu_stay()] * 20, own, strict=True))
        ],
        chartevents=[chart(220045, 1, 80, **own[n], stay_id=STAY + n) for n in range(20)],
    )
