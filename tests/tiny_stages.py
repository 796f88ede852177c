"""One patient, one admission, one ICU stay, and the stages from ingest to window on them.

Hours count from ICU admission, 2150-01-02 00:00; the hospital admission lasts from hour -24 to 240.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from tiny_mimic import write_tree

from etl import cohort, event, ingest, window
from etl.ledger import Drop, read_ledger
from etl.params import Params, SqlParams
from etl.recipe import Recipe, read_recipe

SUBJECT, HADM, STAY = 10000001, 20000001, 30000001
ICU_ADMISSION = datetime(2150, 1, 2)
STAGES = ("event", "cohort", "window")

Row = dict[str, Any]


def at(hours: float) -> str:
    """A time of the tables."""
    moment = ICU_ADMISSION + timedelta(hours=hours)
    return moment.isoformat(sep=" ", timespec="microseconds" if moment.microsecond else "seconds")


def patient(subject: int = SUBJECT, **changes: Any) -> Row:
    return {
        "subject_id": subject,
        "gender": "F",
        "anchor_age": 60,
        "anchor_year": 2148,
    } | changes


def admission(hadm: int = HADM, **changes: Any) -> Row:
    return {
        "subject_id": SUBJECT,
        "hadm_id": hadm,
        "admittime": at(-24),
        "dischtime": at(240),
    } | changes


def icu_stay(stay: int = STAY, **changes: Any) -> Row:
    return {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "stay_id": stay,
        "first_careunit": "MICU",
        "last_careunit": "MICU",
        "intime": at(0),
        "outtime": at(96),
        "los": 4.0,
    } | changes


def film(name: str, hours: float, study: int, **changes: Any) -> Row:
    """A film; its time loses its leading zeros, as in the release."""
    moment = ICU_ADMISSION + timedelta(hours=hours)
    return {
        "dicom_id": name,
        "subject_id": SUBJECT,
        "study_id": study,
        "viewposition": "AP",
        "studydate": moment.strftime("%Y%m%d"),
        "studytime": float(moment.strftime("%H%M%S.%f")),
    } | changes


def chart(itemid: int, hours: float, number: float | None, **changes: Any) -> Row:
    """A charted value, stored when it was charted."""
    return {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "stay_id": STAY,
        "charttime": at(hours),
        "storetime": at(hours),
        "itemid": itemid,
        "value": number,
        "valuenum": number,
    } | changes


def lab(itemid: int, hours: float, number: float | None, **changes: Any) -> Row:
    """A result, known when it was drawn."""
    return {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "charttime": at(hours),
        "storetime": at(hours),
        "itemid": itemid,
        "value": number,
        "valuenum": number,
    } | changes


def heart_rates(*hours: float) -> list[Row]:
    return [chart(220045, hour, 80.0) for hour in hours]


@dataclass(frozen=True)
class Built:
    """The outputs of the stages on a tiny tree."""

    params: Params
    recipe: Recipe

    def rows(self, stage: str, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        path = self.params.build(self.recipe.name, stage, f"{table}.parquet")
        return duckdb.sql(f"SELECT {columns} FROM '{path}'").fetchall()

    def column(self, stage: str, table: str, column: str) -> list[Any]:
        return [row[0] for row in self.rows(stage, table, column)]

    def texts(self) -> list[str]:
        """What each event reads, in the order of event.parquet."""
        event, text = (
            self.params.build(self.recipe.name, "event", f"{name}.parquet")
            for name in ("event", "text")
        )
        words = dict(duckdb.sql(f"SELECT text_id, text FROM '{text}'").fetchall())
        return [words[row[0]] for row in duckdb.sql(f"SELECT text_id FROM '{event}'").fetchall()]

    def window_texts(self, kind: str = "pair") -> list[str]:
        """What each event of the windows reads, in the order of window_event.parquet."""
        text = self.params.build(self.recipe.name, "event", "text.parquet")
        words = dict(duckdb.sql(f"SELECT text_id, text FROM '{text}'").fetchall())
        rows = self.rows("window", "window_event", "text_id, kind")
        return [words[text_id] for text_id, found in rows if found == kind]

    def drops(self, stage: str) -> list[Drop]:
        return read_ledger(self.params.build(self.recipe.name, stage))

    def removed(self, stage: str, unit: str) -> dict[str, int]:
        """What went, by reason; reasons that removed nothing are left out."""
        return {
            drop.reason: drop.removed
            for drop in self.drops(stage)
            if drop.unit == unit and drop.removed
        }


def build(
    root: Path,
    recipe_name: str,
    tables: Mapping[str, Sequence[Row]],
    until: str = "window",
    **changes: Any,
) -> Built:
    """Run the stages on the patient and stay above; ``tables`` replaces or adds whole tables."""
    whole: dict[str, Sequence[Row]] = {
        "patients": [patient()],
        "admissions": [admission()],
        "icustays": [icu_stay()],
        **tables,
    }
    recipe = read_recipe(recipe_name).model_copy(update=changes)
    for table in recipe.needed_tables:
        whole.setdefault(table, ())
    studies = {int(row["study_id"]) for row in whole.get("cxr_metadata", ())}
    labels = [{"subject_id": SUBJECT, "study_id": study, "Edema": 1.0} for study in sorted(studies)]
    whole.setdefault("cxr_chexpert", labels)
    params = write_tree(root, whole)
    limits = SqlParams(memory_limit="1GB", threads=1)
    everything = params.ingest.model_copy(update={"tables": "all"})
    params = params.model_copy(update={"sql": limits, "ingest": everything, "recipes": []})
    ingest.run(params)
    for module in (event, cohort, window)[: STAGES.index(until) + 1]:
        module.run(params, recipe)
    return Built(params, recipe)
