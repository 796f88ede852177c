"""A recipe: a named cohort, window, label and sample definition in one small YAML file.

Published rules are wrong in places. Each such place is a correction with a name: a boolean that the
SQL reads, true where the recipe's fidelity is ``corrected`` and its file lists the correction with
the section of the specification that it answers. Under ``published`` none is in force.
"""

from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from cxrfuture_data.schema import EVENT_TABLES, ContractError
from cxrfuture_data.settings import Settings, parse_settings, read_yaml

Share = Annotated[float, Field(gt=0, lt=1)]
Years = Annotated[int, Field(ge=0, le=120)]
Hours = Annotated[float, Field(ge=0)]
Days = Annotated[int, Field(ge=0)]
Section = Annotated[str, Field(min_length=1)]
Fidelity = Literal["corrected", "published"]
Availability = Literal["event", "known"]
NoneText = Literal["lost", "kept"]
Value = str | int | float | bool

NOT_LISTED = "not in the recipe's file"
# Event tables whose codes have their titles in a table of their own.
CODE_TITLES = {"procedures_icd": "d_icd_procedures"}

# The benchmark's extraction, which DDL-CXR, MedFuse and DrFuse share.
BenchmarkCorrection = Literal[
    "age_at_admission",
    "blood_without_urine",
    "death_by_deathtime_then_dod",
    "discharge_after_admission",
    "eye_opening_none",
    "fahrenheit_by_item",
    "film_time_with_fraction",
    "full_ccs",
    "gcs_total_and_refill",
    "height_carried",
    "height_in_centimetres",
    "labs_by_time",
    "numbers_from_valuenum",
    "numeric_ties",
    "oxygen_by_size",
    "plausible_range",
    "training_normaliser",
]
DdlCxrCorrection = Literal[
    BenchmarkCorrection, "age_and_sex_in_every_hour", "exact_hours", "hour_zero"
]
EhrxdiffCorrection = Literal[
    "amounts_left_out",
    "clean_text",
    "discharge_to_the_second",
    "durations_left_out",
    "event_time_with_fraction",
    "film_time_with_fraction",
    "films_smoothed",
    "one_sample_per_admission",
    "results_by_time",
    "results_when_stored",
    "target_minute_left_out",
]
Diff3mCorrection = Literal[
    "age_at_film",
    "exact_means",
    "no_value_after_film",
    "numbers_only",
    "plausible_range",
    "rows_anywhere",
    "two_pressures",
]
MedfuseCorrection = Literal[BenchmarkCorrection, "film_before_discharge", "films_from_originals"]

ALL_CORRECTIONS = (
    *get_args(DdlCxrCorrection),
    *get_args(EhrxdiffCorrection),
    *get_args(Diff3mCorrection),
    *get_args(MedfuseCorrection),
)


class SplitRule(Settings):
    """How patients are split. Orders are those of numpy's legacy generator.

    shuffled_patients: sklearn's train_test_split twice over sorted ids (specs ddl-cxr 5.6).
    benchmark_patients: see BenchmarkSplitRule.
    cumulative_pairs: shuffled patients, cut where their pairs add up (specs ehrxdiff 2.1).
    official: that of MIMIC-CXR-JPG; patients it does not name are dealt as by shuffled_patients.
    hashed_patients: by a hash of seed and subject_id, so a patient's split stays the same whatever
    other patients a release or a recipe has.
    """

    method: Literal[
        "shuffled_patients",
        "benchmark_patients",
        "cumulative_pairs",
        "official",
        "hashed_patients",
    ]
    seed: int
    valid: Share
    test: Share


class BenchmarkSplitRule(SplitRule):
    """As by shuffled_patients, over the patients of every stay of the benchmark, with a sample or
    without: all tasks and pairings share one split. Other patients' films train (specs
    fusion-baselines 1, 4.4).

    lists: empty, or the folder of MedFuse's testset_iv.csv and valset_iv.csv, which decide instead.
    """

    method: Literal["benchmark_patients"]
    lists: str


class WindowRule(Settings):
    """What a window holds. It starts at the previous film (pair) or at ICU admission (stay).

    variables: the set of hourly variables (cxrfuture_data/variables.py). text: plain, or the folder
    of Bio_ClinicalBERT's vocab.txt, for events as they read after EHRXDiff's word-piece round trip
    (specs ehrxdiff 3.4).
    """

    hourly: bool
    variables: Literal["benchmark", "wide"]
    events: bool
    includes_end: bool
    maximum_events: Annotated[int, Field(gt=0)]
    text: Annotated[str, Field(min_length=1)]


class LabelRule(Settings):
    """``findings``: the labeler whose 14 findings a study has (specs ddl-cxr 4.1, peers 4.2)."""

    findings: Literal["chexpert", "negbio"]


class ImageRule(Settings):
    """How a film becomes a square grey image.

    crop: shorter side to ``size``, then the centre. stretch: both sides to ``size``. Resampling is
    Pillow's, which smooths what it shrinks; opencv_1024 and medfuse_512 are those of EHRXDiff's and
    MedFuse's scripts (etl/film_published.py). scaled: a film is decoded at a fraction of its size
    where that leaves twice the size wanted; exact: whole (docs/films.md).
    """

    size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)]
    fit: Literal["crop", "stretch"]
    resample: Literal["bilinear", "bicubic", "area", "lanczos", "opencv_1024", "medfuse_512"]
    decode: Literal["scaled", "exact"]

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        needed = {"opencv_1024": ("stretch", "exact"), "medfuse_512": ("crop", "exact")}
        fit, decode = needed.get(self.resample, (self.fit, self.decode))
        if (self.fit, self.decode) != (fit, decode):
            raise ValueError(f"resample {self.resample} needs fit {fit} and decode {decode}")
        return self


class DdlCxrCohort(Settings):
    minimum_age: Years
    minimum_stay_hours: Hours
    film_from_hours: float
    film_to_hours: Hours
    minimum_gap_hours: Hours
    minimum_event_hours: Annotated[int, Field(ge=0)]
    generation_hours: Hours
    none_text: NoneText  # under published: by pandas 2, or by pandas 1.5


class EhrxdiffCohort(Settings):
    minimum_age: Years
    maximum_gap_hours: Hours
    null_event_samples: bool  # per target film, one sample without events (section 5)


class Diff3mCohort(Settings):
    maximum_days: Days


class MedfuseCohort(Settings):
    """MedFuse and DrFuse (specs fusion-baselines 1, 5)."""

    task: Literal["mortality", "phenotyping"]
    pairing: Literal["paired", "partial"]  # stays without a film are dropped, or kept
    minimum_age: Years
    minimum_stay_hours: Hours
    window_until: Literal["hours", "discharge"]  # hours: the first window_hours of the stay
    window_hours: Hours
    zero_beyond: Annotated[float, Field(ge=0)]  # published: larger scaled values become 0; 0: none
    none_text: NoneText


class FutureCohort(Settings):
    """Hours count from admission to the hospital; a film counts from arrival in the emergency
    department (docs/future.md says when each outcome is censored)."""

    minimum_age: Years
    pairs: Literal["consecutive", "all"]  # of an admission's studies: neighbours, or any two
    minimum_gap_hours: Hours  # between the films of a pair, both ends included
    maximum_gap_hours: Hours
    lookback_hours: Hours  # a stay's window is no longer than this
    death_at_hours: Hours  # when each outcome is predicted; readmission: at discharge
    phenotypes_at_hours: Hours
    remaining_stay_at_hours: Hours
    icu_transfer_at_hours: Hours
    icu_transfer_within_hours: Hours
    readmission_within_days: Days
    index: str  # "": the times above; else a Parquet of labels (MEDS), whose times count instead


class EventRule(Settings):
    """Whose rows become event texts.

    selection: listed, those that EHRXDiff's lists name, and every row of a table without a list;
    all, every row. Texts outside the lengths, in characters, are dropped. report_after_hours: a
    report counts as known so long after its film, for when it was written is not recorded.
    """

    tables: Annotated[list[Literal[EVENT_TABLES]], Field(min_length=1)]  # type: ignore[valid-type]
    selection: Literal["listed", "all"]
    minimum_length: Annotated[int, Field(ge=0)]
    maximum_length: Annotated[int, Field(gt=0)]
    report_after_hours: Hours


class Recipe(Settings):
    """What every recipe says. ``rules`` names whose cohort it is: the folder below sql/cohort."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    paper: str
    rules: str
    fidelity: Fidelity
    availability: Availability
    kinds: list[Literal["pair", "stay", "image"]]
    cohort: Settings
    corrections: Mapping[Any, Section]
    split: SplitRule
    window: WindowRule
    labels: LabelRule
    image: ImageRule

    @property
    def known_corrections(self) -> tuple[str, ...]:
        """Every correction of these rules."""
        key, _ = get_args(type(self).model_fields["corrections"].annotation)
        return tuple(sorted(get_args(key)))

    def is_in_force(self, correction: str) -> bool:
        return self.fidelity == "corrected" and correction in self.corrections

    def with_corrections(self, names: Collection[str]) -> Self:
        """This recipe under ``corrected`` with no other correction than these in force."""
        unknown = sorted(set(names) - set(self.known_corrections))
        if unknown:
            known = ", ".join(self.known_corrections)
            raise ContractError(f"{self.name}: no correction {unknown[0]!r}; there are {known}")
        chosen = {name: self.corrections.get(name, NOT_LISTED) for name in sorted(names)}
        return self.model_copy(update={"fidelity": "corrected", "corrections": chosen})

    @property
    def image_rule(self) -> ImageRule:
        """The rule of ``image`` as the fidelity has it: the papers' code decodes films whole."""
        if self.fidelity == "corrected":
            return self.image
        return self.image.model_copy(update={"decode": "exact"})

    @property
    def needed_tables(self) -> tuple[str, ...]:
        """Source tables that these rules read besides those that every recipe may read."""
        return ()

    @property
    def parameters(self) -> dict[str, Value]:
        """What the SQL of every stage may read. A correction of other rules holds: these have no
        such error to keep."""
        return {
            **dict.fromkeys(ALL_CORRECTIONS, True),
            "none_text": "kept",
            **self.cohort.model_dump(),
            **{name: self.is_in_force(name) for name in self.known_corrections},
            "rules": self.rules,
            "selection": "listed",
            "availability": self.availability,
            "includes_end": self.window.includes_end,
            "maximum_events": self.window.maximum_events,
            "hourly": self.window.hourly,
        }


class DdlCxrRecipe(Recipe):
    rules: Literal["ddl_cxr"]
    cohort: DdlCxrCohort
    corrections: dict[DdlCxrCorrection, Section]


class EhrxdiffRecipe(Recipe):
    rules: Literal["ehrxdiff"]
    cohort: EhrxdiffCohort
    corrections: dict[EhrxdiffCorrection, Section]

    @property
    def image_rule(self) -> ImageRule:
        """As of every recipe; films that the authors' script has shrunk are not smoothed."""
        if self.is_in_force("films_smoothed"):
            return self.image
        return self.image.model_copy(update={"resample": "opencv_1024", "decode": "exact"})

    @property
    def parameters(self) -> dict[str, Value]:
        """As of every recipe; what happened at the target's own minute may be left out."""
        includes_end = self.window.includes_end and not self.is_in_force("target_minute_left_out")
        return super().parameters | {"includes_end": includes_end}


class Diff3mRecipe(Recipe):
    rules: Literal["diff3m"]
    cohort: Diff3mCohort
    corrections: dict[Diff3mCorrection, Section]


class MedfuseRecipe(Recipe):
    rules: Literal["medfuse"]
    cohort: MedfuseCohort
    corrections: dict[MedfuseCorrection, Section]
    split: BenchmarkSplitRule

    @property
    def image_rule(self) -> ImageRule:
        """As of every recipe; films that the authors' script has shrunk are not those at hand."""
        if self.is_in_force("films_from_originals"):
            return self.image
        return self.image.model_copy(update={"resample": "medfuse_512", "decode": "exact"})


class FutureRecipe(Recipe):
    """Our own: there is nothing published to keep to."""

    rules: Literal["future"]
    fidelity: Literal["corrected"]
    cohort: FutureCohort
    corrections: Annotated[dict[str, Section], Field(max_length=0)]
    events: EventRule

    @property
    def needed_tables(self) -> tuple[str, ...]:
        """The tables that become texts, and the dictionaries that say what their codes mean."""
        tables = [table for table in self.events.tables if table != "report"]
        return (*tables, *(CODE_TITLES[table] for table in tables if table in CODE_TITLES))

    @property
    def parameters(self) -> dict[str, Value]:
        """As of every recipe, and the rule of events."""
        return super().parameters | self.events.model_dump(exclude={"tables"})


RULES: dict[str, type[Recipe]] = {
    "future": FutureRecipe,
    "ddl_cxr": DdlCxrRecipe,
    "ehrxdiff": EhrxdiffRecipe,
    "diff3m": Diff3mRecipe,
    "medfuse": MedfuseRecipe,
}


def read_recipe(
    name: str,
    fidelity: Fidelity | None = None,
    availability: Availability | None = None,
    none_text: NoneText | None = None,
) -> Recipe:
    """A shipped recipe by name, or any file by a path that ends in .yaml.

    Another fidelity, availability or treatment of the text None than the file's makes a recipe of
    another name (``ddl_cxr_published``, ``ddl_cxr_known``), built in a folder of its own.
    """
    path = _path_of(name)
    value = read_yaml(path)
    if path.stem == name and value.get("name") != name:
        raise ContractError(f"{path}: name is {value.get('name')!r}, but the file is {name}.yaml")
    for key, chosen in {"fidelity": fidelity, "availability": availability}.items():
        if chosen is not None and chosen != value.get(key):
            value |= {key: chosen, "name": f"{value.get('name')}_{chosen}"}
    cohort = value.get("cohort")
    if none_text is not None and isinstance(cohort, dict) and none_text != cohort.get("none_text"):
        value |= {
            "cohort": cohort | {"none_text": none_text},
            "name": f"{value['name']}_none_{none_text}",
        }
    rules = value.get("rules")
    if rules not in RULES:
        raise ContractError(f"{path}: rules {rules!r}; known are {', '.join(sorted(RULES))}")
    return parse_settings(RULES[rules], value, str(path))


def shipped_recipes() -> list[str]:
    """The names that ``--recipe`` takes."""
    return sorted(found.stem for found in _folder().glob("*.yaml"))


def _folder() -> Path:
    return Path(str(files("etl").joinpath("recipes")))


def _path_of(name: str) -> Path:
    if name.endswith(".yaml"):
        return Path(name)
    path = _folder() / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(shipped_recipes())
        raise ContractError(f"no recipe {name!r}; there are {known}, or give a path to a .yaml")
    return path
