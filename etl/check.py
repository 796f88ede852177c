"""Prove a finished dataset, from its shards: patients, windows, members, hashes.

The first offence is a ContractError that names the check, the shard and the sample's key, never
the patient.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cxrfuture_data.console import progress, say
from cxrfuture_data.dataset import Dataset, open_dataset
from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import FILMS_OF_KIND, ContractError
from cxrfuture_data.verify import verify
from etl.attrition import write_attrition
from etl.ledger import Drop
from etl.params import Params
from etl.recipe import Recipe
from etl.reproduction import write_reproduction
from etl.sqlfile import check_names, count_rows, offending_rows, open_sql, read_sql

ATTRITION_FILE = "attrition.csv"
CHECK_FILE = "check.json"
TABLES = {
    "cohort": ("pair", "stay", "image", "film", "label", "split"),
    "window": ("window", "hourly", "window_event"),
    "event": ("measurement", "event"),
}

Facts: TypeAlias = Mapping[str, Any]


def run(params: Params, recipe: Recipe) -> None:
    """Run every check; on success write check.json, attrition.csv and reproduction.json."""
    folder = params.build(recipe.name, "check")
    (folder / CHECK_FILE).unlink(missing_ok=True)
    rows = check_tables(params, recipe)
    dataset = params.build(recipe.name, "shard")
    rows["whole_dataset"] = verify(dataset).samples
    rows |= check_samples(open_dataset(dataset))
    drops = open_dataset(dataset).manifest.attrition
    write_attrition(
        [Drop(**drop.model_dump(exclude={"after"})) for drop in drops], folder / ATTRITION_FILE
    )
    write_reproduction(params, recipe)
    write_json(folder / CHECK_FILE, [{"check": name, "rows": rows[name]} for name in sorted(rows)])
    say(f"check: {recipe.name}: {len(rows)} checks hold")


def check_tables(params: Params, recipe: Recipe) -> dict[str, int]:
    """Run sql/check; the rows of the tables each check reads."""
    tables = {
        name: params.build(recipe.name, stage, f"{name}.parquet")
        for stage, names in TABLES.items()
        for name in names
    }
    rows: dict[str, int] = {}
    with open_sql(params.sql, params.build(recipe.name, "check", "spill")) as connection:
        for name in check_names():
            offending = offending_rows(connection, name, tables, recipe.parameters)
            if offending:
                raise ContractError(
                    f"{name}: {offending:,} rows of {recipe.name} offend; "
                    f"see sql/{name}.sql, and run the stages again"
                )
            read = [table for table in tables if re.search(rf"\b{table}\b", read_sql(name).body)]
            rows[name] = sum(count_rows(connection, table) for table in read)
    return rows


def check_samples(dataset: Dataset) -> dict[str, int]:
    """Read every sample.json and hold it against what a sample may say."""
    recipe = dataset.manifest.recipe.body
    ends = WindowEnd(recipe["window"]["includes_end"], recipe["availability"] == "known")
    patients = Patients()
    checks: dict[str, Callable[[Facts], str | None]] = {
        "patient_in_one_split": patients.offence,
        "window_ends_in_time": ends.offence,
        "window_starts_with_its_sample": window_offence,
        "generation_ends_with_the_prediction": generation_offence,
        "previous_before_target": order_offence,
    }
    rows = dict.fromkeys(checks, 0)
    for split, kinds in dataset.manifest.splits.items():
        for kind, entry in kinds.items():
            samples = dataset.split(split, kind, films=False)
            with progress(f"check {split}/{kind}", entry.samples, "samples") as advance:
                for position in range(len(samples)):
                    facts = samples.facts(position)
                    for name, offence in checks.items():
                        problem = offence(facts)
                        if problem:
                            where = f"{samples.shard(position)}: sample {facts['key']}"
                            raise ContractError(f"check {name}: {where}: {problem}")
                        rows[name] += 1
                    advance()
            samples.close()
    return rows


class Patients:
    """Remembers the split of every patient seen."""

    def __init__(self) -> None:
        self.split_of: dict[int, str] = {}

    def offence(self, facts: Facts) -> str | None:
        split = self.split_of.setdefault(facts["ids"]["subject_id"], facts["split"])
        return f"its patient is in {split} too" if split != facts["split"] else None


class WindowEnd:
    """Nothing in a window is later than its end; nor, as-of, known later."""

    def __init__(self, includes_end: bool, as_known: bool) -> None:
        self.includes_end = includes_end
        self.names = ("latest_event_at", "latest_known_at") if as_known else ("latest_event_at",)

    def offence(self, facts: Facts) -> str | None:
        for name in ("window", "generation"):
            if facts.get(name) is not None:
                problem = self._offence_of(facts[name])
                if problem:
                    return problem if name == "window" else f"generation: {problem}"
        return None

    def _offence_of(self, window: Facts) -> str | None:
        end = datetime.fromisoformat(window["end_at"])
        for name in self.names:
            if window[name] is None:
                continue
            latest = datetime.fromisoformat(window[name])
            if latest > end or (latest == end and not self.includes_end):
                hours = (latest - end).total_seconds() / 3600
                return f"{name} is {hours:g} h after the window's end"
        if window.get("events") and window["latest_event_at"] is None:
            return "it has events and no latest_event_at"
        return None


def order_offence(facts: Facts) -> str | None:
    """The target is later than the previous film, by the gap that the sample states; or, in a null
    event, the previous film itself with nothing in between."""
    if facts["kind"] != "pair":
        return None
    taken = [datetime.fromisoformat(facts[role]["taken_at"]) for role in FILMS_OF_KIND["pair"]]
    hours = (taken[1] - taken[0]).total_seconds() / 3600
    if facts["is_null_event"] and facts["previous"] != facts["target"]:
        return "the target of a null event is another film than the previous one"
    if hours <= 0 and not facts["is_null_event"]:
        return f"the target is {-hours:g} h before the previous film"
    if abs(hours - facts["gap_hours"]) > 1e-6:
        return f"gap_hours is {facts['gap_hours']:g}, the films are {hours:g} h apart"
    return None


def generation_offence(facts: Facts) -> str | None:
    """What a film is generated from ends at the prediction, and begins no later than the stay's
    film."""
    if facts.get("generation") is None:
        return None
    start, end = (
        datetime.fromisoformat(facts["generation"][name]) for name in ("start_at", "end_at")
    )
    if end != datetime.fromisoformat(facts["prediction_at"]):
        return "the generation window does not end at the prediction"
    previous = facts["previous"]
    if previous is not None and start > datetime.fromisoformat(previous["taken_at"]):
        return "the generation window begins after the film"
    hours = facts["generation"]["hours"]
    last = start + timedelta(hours=facts["generation"]["hourly_start_hours"] + hours - 1)
    return "its last hour begins after the prediction" if hours and last > end else None


def window_offence(facts: Facts) -> str | None:
    """A window runs from start to end. A pair's lies between its films; a stay's film and window
    are no later than the prediction."""
    if "window" not in facts:
        return None
    start, end = (datetime.fromisoformat(facts["window"][name]) for name in ("start_at", "end_at"))
    if start > end:
        return "the window ends before it starts"
    if facts["previous"] is None:
        return None
    previous = datetime.fromisoformat(facts["previous"]["taken_at"])
    if facts["kind"] == "stay":
        prediction = previous + timedelta(hours=facts["hours_since_previous"])
        if prediction < previous:
            return "the previous film is later than the prediction"
        return "the window reaches beyond the prediction" if end > prediction else None
    target = datetime.fromisoformat(facts["target"]["taken_at"])
    if start < previous or end > target:
        return "the window reaches beyond the two films"
    if facts["is_null_event"] and (facts["window"]["events"] or facts["window"]["hours"]):
        return "a null event has something in its window"
    return None
