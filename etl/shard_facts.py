"""What a dataset says about its origin: licence, code, settings, models and their digests."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxrfuture_data.manifest import LatentForm, Simulated, Weights
from cxrfuture_data.publish import digest, file_sha256
from cxrfuture_data.schema import SCHEMA_VERSION, ContractError
from etl.params import Params
from etl.recipe import Recipe

CREDENTIALED = "PhysioNet Credentialed Health Data License 1.5.0"
OPEN = "Open Data Commons Open Database License 1.0 (MIMIC-IV Clinical Database Demo)"
SIMULATED = "simulated, of no patient: free to use and to pass on"

SOURCES = ("mimic_iv", "mimic_cxr_jpg")
# Settings that change how fast a stage runs, and no byte of what it writes.
SPEED = ("workers", "threads", "memory_limit")
# Sections whose settings no dataset depends on.
UNRELATED = ("recipes", "paths", "cache", "executor", "fit_diffusion")

INPUTS = (
    "cohort/pair.parquet",
    "cohort/stay.parquet",
    "cohort/image.parquet",
    "cohort/label.parquet",
    "window/window.parquet",
    "window/hourly.parquet",
    "window/window_event.parquet",
    "image/film.parquet",
    "image/done.json",
    "latent/latent.parquet",
    "latent/done.json",
    "embed/text.parquet",
    "embed/text_row.parquet",
    "embed/done.json",
)
# What a recipe may have nothing of.
MORE_INPUTS = (
    "cohort/phenotype.parquet",
    "cohort/attribute.parquet",
    "cohort/change.parquet",
    "cohort/history.parquet",
)


def read_json(path: Path) -> dict[str, Any]:
    """A stage's JSON file, or a ContractError that names the stage to run."""
    if not path.exists():
        raise ContractError(f"{path}: no such file; run `cxrfuture {path.parent.name}` first")
    value = json.loads(path.read_text())
    if not isinstance(value, dict):
        raise ContractError(f"{path}: not an object; run `cxrfuture {path.parent.name}` again")
    return value


def params_digest(params: Params) -> str:
    """Digest of the settings a dataset depends on."""
    sections = params.model_dump(mode="json")
    return digest(
        {
            name: {key: value for key, value in section.items() if key not in SPEED}
            for name, section in sections.items()
            if name not in UNRELATED
        }
    )


def inputs_digest(params: Params, recipe: Recipe, source: Mapping[str, Any]) -> str:
    """Digest of everything the shards are made from."""
    folder = params.build(recipe.name)
    files: dict[str, str] = {}
    for name in INPUTS:
        path = folder / name
        if not path.exists():
            raise ContractError(
                f"{path}: no such file; run `cxrfuture {path.parent.name} --recipe {recipe.name}`"
            )
        files[name] = _record_digest(path) if path.suffix == ".json" else file_sha256(path)
    files |= {name: file_sha256(folder / name) for name in MORE_INPUTS if (folder / name).exists()}
    settings = params.shard.model_dump(mode="json", exclude={"workers"})
    terms = [source["manifest_digest"], simulated(source)]
    return digest(SCHEMA_VERSION, recipe.model_dump(mode="json"), settings, files, terms)


def _record_digest(path: Path) -> str:
    """Of a stage's record, but for the place of its rows: they are the same wherever they lie."""
    record = read_json(path)
    kept = {key: value for key, value in record.pop("kept", {}).items() if key != "rows"}
    return digest({key: value for key, value in record.items() if key != "rows"}, kept)


def origin(params: Params, recipe: Recipe, source: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of dataset.json that say where a dataset comes from."""
    latent = read_json(params.build(recipe.name, "latent", "done.json"))
    embed = read_json(params.build(recipe.name, "embed", "done.json"))
    return {
        "params_digest": params_digest(params),
        "git_commit": git_commit(),
        "input_digest": source["manifest_digest"],
        "sources": {name: source[name]["version"] for name in SOURCES},
        "weights": Weights(
            vae=latent["weights_digest"],
            embedder=embed["model"]["digest"] if recipe.window.events else None,
        ),
        "licence": licence(source),
        "latent": latent_form(latent),
        "simulated": Simulated(**simulated(source)),
        "attestation": attestation_of(latent, embed if recipe.window.events else {}),
    }


def latent_form(record: Mapping[str, Any]) -> LatentForm:
    """What the latent stage's record says of its numbers; of a recipe without a film the shape is
    zeros."""
    named = {name: record[name] for name in ("scale", "shift", "precision", "dtype")}
    return LatentForm(shape=record["shape"] or [0, 0, 0], **named)


def attestation_of(*records: Mapping[str, Any]) -> str | None:
    """What the user said of models and caches that others keep; None where there was no need."""
    given = (record.get(key) for record in records for key in ("attestation", "cache_attestation"))
    return "; ".join(dict.fromkeys(str(one) for one in given if one)) or None


def simulated(source: Mapping[str, Any]) -> dict[str, bool]:
    return {
        "tables": bool(source["mimic_iv"]["simulated"]),
        "films": bool(source["mimic_cxr_jpg"]["simulated"]),
    }


def licence(source: Mapping[str, Any]) -> str:
    """The terms of tables and films. Real data is credentialed unless its own LICENSE.txt says
    that it is open."""
    tables, films = (_terms(source[name]) for name in SOURCES)
    return tables if tables == films else f"tables: {tables}; films: {films}"


def _terms(data: Mapping[str, Any]) -> str:
    if data["simulated"]:
        return SIMULATED
    path = Path(data["root"]) / "LICENSE.txt"
    title = path.read_text(errors="replace")[:200] if path.exists() else ""
    return OPEN if "Open Database License" in title else CREDENTIALED


def git_commit() -> str | None:
    """The commit of this code, "-dirty" if files differ from it; None outside its repository."""
    root = Path(__file__).resolve().parent.parent
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root:
        return None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return commit + ("-dirty" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
