"""The folders that stages before `shard` leave behind, for a handful of samples of known values.

Twelve patients (8 train, 2 valid, 2 test), each with three films: two pairs, one stay, one image.
Film k of patient s is grey level ``film_level(s, k)`` and its latent's mean is ``level / 100``.
Patient 3's last film is truncated, so the pair that ends in it is lost. Chest ImaGenome describes
film 0 of each patient and the change to film 1. A stay of patient s has phenotype i where i is a
multiple of s.
"""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tiny_cache import make_cache, put_rows
from tiny_mimic import tiny_params

from cxrfuture_data.columns import encode_columns, join_columns
from cxrfuture_data.columns_of import SampleRows
from cxrfuture_data.index import index_tar
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES
from cxrfuture_data.manifest import columns_name
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import FINDINGS, PHENOTYPES, STATIC, VARIABLE_SETS, VARIABLES
from etl import shard
from etl.cache import Cache
from etl.params import Params
from etl.recipe import Recipe, read_recipe

SPLIT_OF = dict.fromkeys(range(1, 9), "train") | {9: "valid", 10: "valid", 11: "test", 12: "test"}
LOST_PATIENT = 3
SIZE = 32
LATENT = (4, 4, 4)
DIMENSIONS = 8
START = datetime(2150, 1, 1, 6)
GAP_HOURS = 10
TEXTS = ("labevents glucose 101", "labevents glucose 180", "prescriptions furosemide 20 mg")
NAMES = [variable.name for variable in VARIABLES]
HEART_RATE = NAMES.index("Heart Rate")

Row = dict[str, Any]


def key_of(kind: str, *ids: object) -> str:
    return hashlib.sha256("|".join([kind, *map(str, ids)]).encode()).hexdigest()[:16]


def film_level(subject: int, number: int) -> int:
    return 10 * subject + number


def text_id(number: int) -> int:
    """What the event stage calls text ``number``."""
    return 2**63 + number


def film(subject: int, number: int) -> Row:
    """Film ``number`` (0, 1, 2) is taken ten hours after the one before."""
    return {
        "study_id": 100 * subject + number,
        "dicom_id": f"dicom-{subject}-{number}",
        "at": START + timedelta(hours=GAP_HOURS * number),
        "view": ("AP", "PA")[number % 2],
    }


def write_build(root: Path, name: str, **overrides: Any) -> tuple[Params, Recipe]:
    """Write the inputs of shard for a shipped recipe below ``root/build``."""
    params, recipe = tiny_params(root, **overrides), read_recipe(name)
    folder = params.build(recipe.name)
    simulated = {"root": str(root / "tree"), "version": "simulated", "simulated": True}
    source = {"mimic_iv": simulated, "mimic_cxr_jpg": simulated, "manifest_digest": "0" * 64}
    _write_json(params.build("ingest", "source.json"), source)
    _write_cohort(folder / "cohort", recipe)
    _write_windows(folder / "window", recipe)
    _write_films(folder, make_cache(params.build("cache")))
    write_embeddings(folder)
    drop = {"stage": "cohort", "unit": "pair", "reason": "gap", "before": 30, "removed": 6}
    _write_json(folder / "cohort" / "ledger.json", [drop | {"after": 24}])
    return params, recipe


def build_dataset(root: Path, name: str, **overrides: Any) -> Path:
    """Run shard over ``write_build``; the dataset's folder."""
    params, recipe = write_build(root, name, **overrides)
    shard.run(params, recipe)
    return params.build(recipe.name, "shard")


def build_datasets(tmp_path_factory: Any, films: dict[str, str]) -> dict[str, Path]:
    """Datasets of several shards by recipe; ``films``: how each recipe's are kept."""
    shards = {"samples_per_shard": 4, "workers": 1}
    return {
        name: build_dataset(
            tmp_path_factory.mktemp(name), name, shard=shards | {"keep_films": kept}
        )
        for name, kept in films.items()
    }


def build_uneven(root: Path, filmless: int) -> Path:
    """A dataset of ddl_cxr: patient 1 has a null event, the stay of ``filmless`` no film."""
    params, recipe = write_build(root, "ddl_cxr", shard={"workers": 1})
    add_null_event(params.build("ddl_cxr"), 1)
    leave_out_film(params.build("ddl_cxr"), filmless)
    shard.run(params, recipe)
    return params.build("ddl_cxr", "shard")


def pairs_of(recipe: Recipe) -> list[Row]:
    """The rows of cohort/pair.parquet."""
    rows = []
    for subject, split in SPLIT_OF.items():
        for number in (0, 1):
            previous, target = film(subject, number), film(subject, number + 1)
            rows.append(
                {
                    "pair_id": key_of("pair", previous["dicom_id"], target["dicom_id"]),
                    "split": split,
                    "subject_id": subject,
                    "hadm_id": 1000 + subject,
                    "stay_id": 2000 + subject if recipe.name == "ddl_cxr" else None,
                    **{f"previous_{name}": value for name, value in previous.items()},
                    **{f"target_{name}": value for name, value in target.items()},
                    "gap_hours": float(GAP_HOURS),
                    "is_null_event": False,
                    "window_start_at": previous["at"],
                    "window_end_at": target["at"],
                    "age": 40 + subject,
                    "sex": "FM"[subject % 2],
                    "died_in_hospital": subject == 2,
                    "race": "WHITE" if subject % 2 else None,
                    "insurance": ("Medicare", "Medicaid", None)[subject % 3],
                }
            )
    return rows


def stays_of(recipe: Recipe) -> list[Row]:
    """The rows of cohort/stay.parquet: the last film before 48 hours is the third."""
    if "stay" not in recipe.kinds:
        return []
    return [
        {
            "key": key_of("stay", 2000 + subject),
            "split": split,
            "subject_id": subject,
            "hadm_id": 1000 + subject,
            "stay_id": 2000 + subject,
            **{f"previous_{name}": value for name, value in film(subject, 1).items()},
            "admitted_to_icu_at": START,
            "prediction_at": START + timedelta(hours=48),
            "window_start_at": START,
            "window_end_at": START + timedelta(hours=48),
            "generation_start_at": film(subject, 1)["at"] if recipe.rules == "ddl_cxr" else None,
            "hours_since_previous": 38.0,
            "age": 40 + subject,
            "sex": "FM"[subject % 2],
            "died_in_hospital": subject == 2,
            "race": "WHITE" if subject % 2 else None,
            "insurance": ("Medicare", "Medicaid", None)[subject % 3],
            "has_phenotypes": True,
            **_own_outcomes(subject, recipe),
        }
        for subject, split in SPLIT_OF.items()
    ]


def _own_outcomes(subject: int, recipe: Recipe) -> Row:
    """What only `future` predicts."""
    if recipe.rules != "future":
        return dict.fromkeys(("remaining_hours", "icu_transfer", "readmitted", "label"))
    return {
        "remaining_hours": None if subject == 2 else 10.5 * subject,
        "icu_transfer": (True, False, None)[subject % 3],
        "readmitted": (None, False, True)[subject % 3],
        "label": float(subject),
    }


def _write_cohort(folder: Path, recipe: Recipe) -> None:
    films = [film(subject, number) | {"subject_id": subject} for subject, number in _films()]
    images = [
        {
            "key": key_of("image", row["dicom_id"]),
            "split": SPLIT_OF[row["subject_id"]],
            "subject_id": row["subject_id"],
            "study_id": row["study_id"],
            "dicom_id": row["dicom_id"],
            "taken_at": row["at"],
            "view": row["view"],
            "age": 40 + row["subject_id"],
            "sex": "FM"[row["subject_id"] % 2],
            **dict.fromkeys(name for name in STATIC if name != "age"),
        }
        for row in films
        if "image" in recipe.kinds and row["study_id"] % 100 == 0
    ]
    labels = [
        {"study_id": row["study_id"]}
        | {
            finding: (1, 0, -1, None)[(i + row["study_id"]) % 4]
            for i, finding in enumerate(FINDINGS)
        }
        for row in films
    ]
    pairs, stays = pairs_of(recipe), stays_of(recipe)
    _write(folder / "pair.parquet", sorted(pairs, key=lambda row: row["pair_id"]))
    _write(folder / "stay.parquet", stays or pairs_of(recipe)[:0], _empty_stay())
    _write(folder / "image.parquet", images, _empty_image())
    _write_described(folder, pairs, stays)
    if recipe.rules == "future":
        _write_history(folder, pairs, stays)
    types = dict.fromkeys(FINDINGS, pl.Int8)
    _write(folder / "label.parquet", labels, {"study_id": pl.Int64, **types})
    splits = [{"subject_id": subject, "split": split} for subject, split in SPLIT_OF.items()]
    _write(folder / "split.parquet", splits)
    rows = [
        {
            "dicom_id": row["dicom_id"],
            "subject_id": row["subject_id"],
            "study_id": row["study_id"],
            "taken_at": row["at"],
            "view": row["view"],
            "path": f"files/{row['dicom_id']}.jpg",
        }
        for row in films
    ]
    _write(folder / "film.parquet", rows)


def _write_described(folder: Path, pairs: list[Row], stays: list[Row]) -> None:
    attributes = [
        dict.fromkeys(ATTRIBUTES)
        | {"dicom_id": film(subject, 0)["dicom_id"], "lung opacity": 1, "consolidation": 0}
        for subject in SPLIT_OF
    ]
    types = dict.fromkeys(ATTRIBUTES, pl.Int32)
    _write(folder / "attribute.parquet", attributes, {"dicom_id": pl.String} | types)
    changes = [
        dict.fromkeys(CHANGE_ATTRIBUTES)
        | {"pair_id": pair["pair_id"]}
        | ({"pneumonia": "worsened"} if pair["previous_study_id"] % 100 == 0 else {})
        for pair in pairs
    ]
    words = dict.fromkeys(("pair_id", *CHANGE_ATTRIBUTES), pl.String)
    _write(folder / "change.parquet", changes, words)
    phenotypes = [
        {"stay_id": stay["stay_id"], "hadm_id": stay["hadm_id"]}
        | {name: i % stay["subject_id"] == 0 for i, name in enumerate(PHENOTYPES)}
        for stay in stays
    ]
    ids = {"stay_id": pl.Int64, "hadm_id": pl.Int64}
    flags = dict.fromkeys(PHENOTYPES, pl.Boolean)
    _write(folder / "phenotype.parquet", phenotypes, ids | flags)


def _write_history(folder: Path, pairs: list[Row], stays: list[Row]) -> None:
    keys = [("pair", pair["pair_id"], pair["subject_id"]) for pair in pairs]
    keys += [("stay", stay["key"], stay["subject_id"]) for stay in stays]
    rows = [
        {
            "kind": kind,
            "key": key,
            "bmi": 20.0 + subject if subject % 3 else None,
            "earlier_admissions": subject % 2,
            "comorbidities": ["dementia", "renal disease"] if subject % 2 else [],
        }
        for kind, key, subject in sorted(keys)
    ]
    types = {"kind": pl.String, "key": pl.String, "bmi": pl.Float64}
    more = {"earlier_admissions": pl.Int64, "comorbidities": pl.List(pl.String)}
    _write(folder / "history.parquet", rows, types | more)


def leave_out_film(folder: Path, subject: int) -> None:
    """The stay of a patient has no film."""
    path = folder / "cohort" / "stay.parquet"
    names = [f"previous_{name}" for name in ("study_id", "dicom_id", "at", "view")]
    is_chosen = pl.col("subject_id") == subject
    columns = pl.col(*names, "hours_since_previous")
    pl.read_parquet(path).with_columns(pl.when(~is_chosen).then(columns)).write_parquet(path)


def add_null_event(folder: Path, subject: int) -> str:
    """A null event of a patient's first film; its key."""
    key = key_of("null", film(subject, 0)["dicom_id"])
    previous = pl.col("previous_dicom_id") == film(subject, 0)["dicom_id"]
    pairs = pl.read_parquet(folder / "cohort" / "pair.parquet")
    null = pairs.filter(previous).with_columns(
        pl.lit(key).alias("pair_id"),
        pl.lit(0.0).alias("gap_hours"),
        pl.lit(value=True).alias("is_null_event"),
        pl.col("window_start_at").alias("window_end_at"),
        *[
            pl.col(f"previous_{name}").alias(f"target_{name}")
            for name in ("study_id", "dicom_id", "at", "view")
        ],
    )
    pl.concat([pairs, null]).sort("pair_id").write_parquet(folder / "cohort" / "pair.parquet")
    windows = pl.read_parquet(folder / "window" / "window.parquet")
    empty = {"hours": 0, "events": 0, "latest_event_at": None, "latest_known_at": None}
    row = {"kind": "pair", "key": key, "hourly_start_hours": 0.0, **empty}
    row |= dict.fromkeys(("window_start_at", "window_end_at"), film(subject, 0)["at"])
    more = pl.DataFrame([row], schema=windows.schema)
    pl.concat([windows, more]).sort("kind", "key").write_parquet(folder / "window/window.parquet")
    return key


def _write_windows(folder: Path, recipe: Recipe) -> None:
    """Heart rate 80 + subject in hour 1, 90 + subject in hour 3; three events at hours 1, 2, 4. A
    generation window has 4 + subject hours."""
    rows: list[Row] = []
    hourly: list[Row] = []
    events: list[Row] = []
    names = [variable.name for variable in VARIABLE_SETS[recipe.window.variables]]
    samples = [("pair", row["pair_id"], row) for row in pairs_of(recipe)]
    samples += [("stay", row["key"], row) for row in stays_of(recipe)]
    samples += [
        ("generation", row["key"], row | {"window_start_at": row["generation_start_at"]})
        for row in stays_of(recipe)
        if row["generation_start_at"] is not None
    ]
    for kind, key, sample in sorted(samples, key=lambda found: found[:2]):
        start, end = sample["window_start_at"], sample["window_end_at"]
        if kind == "generation":
            end = start + timedelta(hours=4 + sample["subject_id"])
        hours = int((end - start) / timedelta(hours=1)) if recipe.window.hourly else 0
        measured = {1: 80.0, 3: 90.0} if hours else {}
        for hour, value in measured.items():
            values = dict.fromkeys(names) | {"Heart Rate": value + sample["subject_id"]}
            hourly.append({"kind": kind, "key": key, "hour": hour, **values})
        found = []
        for position, hour in enumerate((1, 2, 4) if recipe.window.events else ()):
            at = start + timedelta(hours=hour)
            found.append(
                {
                    "kind": kind,
                    "key": key,
                    "position": position,
                    "event_at": at,
                    "known_at": at + timedelta(minutes=30),
                    "hours": float(hour),
                    "end_hours": (None, hour + 0.5, float("inf"))[position]
                    if recipe.rules == "future"
                    else None,
                    "event_table": 1 if position == 2 else 0,
                    "text_id": text_id(position),
                    "source_row": position,
                }
            )
        events += found
        rows.append(
            {
                "kind": kind,
                "key": key,
                "window_start_at": start,
                "window_end_at": sample["window_end_at"],
                "hours": hours,
                "hourly_start_hours": 0.0,
                "events": len(found),
                "latest_event_at": start + timedelta(hours=4),
                "latest_known_at": start + timedelta(hours=4, minutes=30),
            }
        )
    _write(folder / "window.parquet", rows)
    keys = {"kind": pl.String, "key": pl.String}
    types = keys | {"hour": pl.Int32} | dict.fromkeys(names, pl.Float64)
    _write(folder / "hourly.parquet", hourly, types)
    times = {"event_at": pl.Datetime("us"), "known_at": pl.Datetime("us"), "hours": pl.Float32}
    times["end_hours"] = pl.Float32
    rest = {"event_table": pl.UInt8, "text_id": pl.UInt64, "source_row": pl.Int64}
    _write(folder / "window_event.parquet", events, keys | {"position": pl.Int32} | times | rest)


def _write_films(folder: Path, cache: Cache) -> None:
    """Images and latents lie in the cache in opposite orders."""
    films = [(subject, number, f"dicom-{subject}-{number}") for subject, number in _films()]
    lost = f"dicom-{LOST_PATIENT}-2"
    kept = [found for found in films if found[2] != lost]
    hashes = [hashlib.sha256(dicom_id.encode()).hexdigest() for _, _, dicom_id in kept]
    rows = [
        {
            "dicom_id": dicom_id,
            "outcome": "truncated" if dicom_id == lost else "ok",
            "reason": "ends early" if dicom_id == lost else None,
            "width": 300,
            "height": 200,
            "sha256": hashlib.sha256(dicom_id.encode()).hexdigest(),
            "split": SPLIT_OF[subject],
        }
        for subject, _, dicom_id in films
    ]
    _write(folder / "image" / "film.parquet", rows)
    pixels = [np.full((SIZE, SIZE), film_level(s, k), np.uint8) for s, k, _ in kept]
    put_rows(folder / "image", cache, hashes, np.stack(pixels))
    latents = np.zeros((len(kept), 2, *LATENT), np.float16)
    latents[:, 0] = np.array([film_level(s, k) / 100 for s, k, _ in kept])[:, None, None, None]
    latents[:, 1] = -20.0
    table = [
        {"dicom_id": dicom_id, "sha256": sha256}
        for (_, _, dicom_id), sha256 in zip(kept, hashes, strict=True)
    ]
    _write(folder / "latent" / "latent.parquet", table)
    done = {"weights_digest": "1" * 64, "preprocessing": {}, "shape": LATENT}
    done |= {"scale": 0.5, "shift": 0.0, "precision": "fp32", "dtype": "float16"}
    put_rows(folder / "latent", cache, hashes[::-1], latents[::-1], done)


def write_embeddings(folder: Path) -> None:
    """Row i of the table is i everywhere."""
    rows = [
        {"row": row, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
        for row, text in enumerate(TEXTS)
    ]
    _write(folder / "embed" / "text.parquet", rows)
    read = [{"text_id": text_id(row), "row": row} for row in range(len(TEXTS))]
    _write(folder / "embed" / "text_row.parquet", read, {"text_id": pl.UInt64, "row": pl.Int32})
    table = np.repeat(np.arange(len(TEXTS), dtype=np.float16)[:, None], DIMENSIONS, axis=1)
    np.save(folder / "embed" / "table.npy", table)
    model = {"name": "tiny", "digest": "2" * 64, "dim": DIMENSIONS, "backend": "minilm"}
    model |= {"full_dim": 2 * DIMENSIONS, "max_tokens": 256}
    _write_json(folder / "embed" / "done.json", {"made_from": "x", "model": model, "texts": 3})


def _films() -> list[tuple[int, int]]:
    return [(subject, number) for subject in SPLIT_OF for number in range(3)]


def _empty_stay() -> dict[str, Any]:
    ids = dict.fromkeys(("subject_id", "hadm_id", "stay_id", "previous_study_id"), pl.Int64)
    names = ("key", "split", "previous_dicom_id", "previous_view", "sex", "race", "insurance")
    words = dict.fromkeys(names, pl.String)
    at = pl.Datetime("us")
    times = ("previous_at", "admitted_to_icu_at", "prediction_at", "generation_start_at")
    more = dict.fromkeys((*times, "window_start_at", "window_end_at"), at)
    flags = ("died_in_hospital", "has_phenotypes", "icu_transfer", "readmitted")
    rest = dict.fromkeys(("hours_since_previous", "remaining_hours", "label"), pl.Float64)
    rest |= {"age": pl.Int64} | dict.fromkeys(flags, pl.Boolean)
    return {**words, **ids, **more, **rest}


def _empty_image() -> dict[str, Any]:
    words = dict.fromkeys(("key", "split", "dicom_id", "view", "sex"), pl.String)
    ids = dict.fromkeys(("subject_id", "study_id", "age"), pl.Int64)
    static = dict.fromkeys((name for name in STATIC if name != "age"), pl.Float64)
    return {**words, **ids, "taken_at": pl.Datetime("us"), **static}


def _write(path: Path, rows: list[Row], types: dict[str, Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=types, infer_schema_length=None).write_parquet(path)


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def rewrite_columns(dataset: Path, split: str, kind: str) -> None:
    """Make the columns of a split and kind anew from its tars, whatever those hold, and have
    dataset.json vouch for them."""
    manifest = json.loads((dataset / "dataset.json").read_text())
    entry = manifest["splits"][split][kind]
    parts = []
    for shard_entry in entry["shards"]:
        path = dataset / split / shard_entry["name"]
        index, rows = index_tar(path), SampleRows(kind)
        data = path.read_bytes()
        for key, starts, sizes in zip(index.keys, index.offsets, index.sizes, strict=True):
            spans = zip(index.members, starts, sizes, strict=True)
            rows.add(key, {name: data[start : start + size] for name, start, size in spans})
        parts.append(rows.columns(shard_entry["name"], index))
    path = dataset / split / columns_name(kind)
    path.write_bytes(encode_columns(join_columns(parts)))
    entry["columns_sha256"] = file_sha256(path)
    (dataset / "dataset.json").write_text(json.dumps(manifest))
