"""How much of a film a model of normal films does not give back: map and scores (specs diff3m 13).

    score(run, dataset, "valid", out / "valid.jsonl", seed=0)    # and "test"; then anomaly_table.py
    draw_films(run, dataset, "test", out / "films", count=4, seed=0)

A film is pushed into noise and back under its own static values; what returns differently is not
normal. Each film's noise comes from (seed, its key), so no score depends on batch, order or rank.

Shapes: B films of s x s pixels.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.batch import AnyBatch
from cxrfuture_data.console import progress
from cxrfuture_data.publish import digest, file_sha256, publish
from cxrfuture_data.view import VIEWS
from train.checkpoint import AVERAGE_FILE, MODEL_FILE, choose_checkpoint, load_averaged
from train.diff3m import NORMAL, pixels_of, static_of
from train.diff3m_settings import Diff3MSettings, InversionSettings
from train.draw import draw_normal, generators, seed_of
from train.inversion import plan_trip, reconstruct
from train.model.diff3m import Diff3M
from train.model.static_attention import PLACEHOLDER
from train.picture import write_films
from train.tasks import trained_settings
from train.trained import read_state

# Mean squared and largest absolute difference of film and reconstruction, as they are, and with
# each stretched to its own range first (13.6).
SCORES = ("error", "stretched_error", "largest", "stretched_largest")
GAP = 4  # pixels between the pictures of a row
VIEW = VIEWS["diff3m.image"]


@dataclass(frozen=True)
class Detector:
    """A trained model and how it is sampled."""

    model: Diff3M
    settings: Diff3MSettings
    made_from: str  # a digest of weights and settings

    @torch.inference_mode()
    def reconstruct(self, batch: AnyBatch[Tensor], seed: int) -> tuple[Tensor, Tensor]:
        """Films and what comes back of them, (B, 1, s, s) on the CPU.

        The condition is computed once, and not at each step. Never in bf16: what it rounds off the
        rebuilt film would count as noise at the next step.
        """
        device = next(self.model.parameters()).device
        film = pixels_of(batch, self.settings)
        noise = draw_normal(generators(batch.keys, "anomaly", seed), film.shape[1:])
        static, is_known = (part.to(device) for part in static_of(batch, self.settings))
        condition = self.model.condition(film.to(device), static, is_known)
        predict = partial(self.model.predict, condition=condition)
        drawn = reconstruct(predict, film.to(device), noise.to(device), plan_trip(self.settings))
        return film, drawn.cpu()


def open_detector(run: Path, sampler: InversionSettings | None = None) -> Detector:
    """The averaged weights of a run's best checkpoint, or of the checkpoint that is named; another
    ``sampler`` than the run's may be given."""
    folder = choose_checkpoint(run)
    settings = trained_settings(read_state(folder).settings, str(folder))
    if not isinstance(settings, Diff3MSettings):
        raise ContractError(f"{run}: a run of {settings.task}; anomalies are found by diff3m")
    if sampler is not None:
        value = settings.model_dump(mode="json") | {"sampler": sampler.model_dump()}
        settings = Diff3MSettings.model_validate(value)
    model = Diff3M(settings, PLACEHOLDER)  # the moments lie beside the weights
    load_averaged(folder, model)
    model.eval()
    if torch.cuda.is_available():
        model.to("cuda", memory_format=torch.channels_last)
    weights = [file_sha256(folder / name) for name in (MODEL_FILE, AVERAGE_FILE)]
    how = settings.model_dump(mode="json", include={"fidelity", "film_size", "sampler"})
    del how["sampler"]["batch_size"]
    return Detector(model, settings, digest(weights, how))


def score(
    run: Path,
    dataset: Path,
    split: str,
    out: Path,
    *,
    seed: int,
    sampler: InversionSettings | None = None,
) -> None:
    """The SCORES of every film of a split, normal or not: a JSON line each, by its key.

    Goes on where it was stopped. Under torchrun each rank takes its share of the films and has a
    file of its own beside ``out``.
    """
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    detector, data = open_detector(run, sampler), open_dataset(dataset)
    header = {"made_from": made_from(detector, data, split, seed)}
    mine = out if ranks == 1 else out.with_name(f"{out.stem}.{rank}{out.suffix}")
    open_lines(mine, header)
    done = read_scores(out)
    films = data.split(split, "image").where(
        lambda columns: np.array(
            [key not in done and seed_of(key) % ranks == rank for key in columns["key"]], np.bool_
        )
    )
    size = detector.settings.sampler.batch_size
    loader = films.loader(size, VIEW, rank=0, world_size=1, training=False)
    shown = progress(f"anomaly {split}", len(films), "films")
    with mine.open("a") as lines, shown as advance:
        for batch in loader:
            scores = scores_of(*detector.reconstruct(batch, seed)).tolist()
            found = zip(batch.keys, scores, batch.is_padding.tolist(), strict=True)
            rows = [score_line(key, values) for key, values, is_padding in found if not is_padding]
            lines.write("".join(rows))
            lines.flush()
            advance(len(rows))
    loader.close()


def made_from(detector: Detector, data: Dataset, split: str, seed: int) -> str:
    """A digest of all that scores depend on."""
    entry = data.manifest.kind(split, "image")
    return digest(detector.made_from, [shard.sha256 for shard in entry.shards], split, seed)


def score_line(key: str, values: list[float]) -> str:
    """One film's."""
    return json.dumps({"key": key, **dict(zip(SCORES, values, strict=True))}) + "\n"


def open_lines(path: Path, header: Mapping[str, Any]) -> None:
    """A file of scores to append to: new, or cut to its whole lines if it is of the same."""
    text = path.read_text() if path.exists() else ""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if lines and json.loads(lines[0]) != header:
        raise ContractError(
            f"{path}: scores of another model, dataset, split, seed or sampler; delete it, or "
            "write to another file"
        )
    with publish(path) as part:
        part.write_text("".join(lines or [json.dumps(header) + "\n"]))


def read_scores(out: Path) -> dict[str, list[float]]:
    """The SCORES of films by key, of ``out`` and of what ranks wrote beside it."""
    paths = [out, *sorted(out.parent.glob(f"{out.stem}.*{out.suffix}"))]
    headers: set[str] = set()
    found: dict[str, list[float]] = {}
    for path in (path for path in paths if path.exists()):
        whole = [line for line in path.read_text().splitlines(keepends=True) if line[-1:] == "\n"]
        header, *rows = map(json.loads, whole)
        headers.add(header["made_from"])
        found |= {row["key"]: [float(row[name]) for name in SCORES] for row in rows}
    if len(headers) > 1:
        raise ContractError(f"{out}: the files beside it are of other runs; delete those")
    return found


def scores_of(film: Tensor, drawn: Tensor) -> Tensor:
    """(B, 1, s, s) twice -> (B, 4), as SCORES names them."""
    plain = (film - drawn).abs().flatten(1)
    stretched = anomaly_map(film, drawn).flatten(1)
    errors = [found.square().mean(1) for found in (plain, stretched)]
    return torch.stack([*errors, plain.amax(1), stretched.amax(1)], dim=1)


def anomaly_map(film: Tensor, drawn: Tensor) -> Tensor:
    """(B, 1, s, s) twice -> (B, 1, s, s) in [0, 1]."""
    return (stretch(film) - stretch(drawn)).abs()


def stretch(film: Tensor) -> Tensor:
    """Each film to its own range; a film of one grey level to 0."""
    low, high = film.amin((1, 2, 3), keepdim=True), film.amax((1, 2, 3), keepdim=True)
    return (film - low) / torch.where(high > low, high - low, 1)


def draw_films(
    run: Path, dataset: Path, split: str, folder: Path, *, count: int, seed: int
) -> list[Path]:
    """Publish film | what came back | map, one PNG a film, named by its key; half of them normal,
    where there are as many."""
    detector = open_detector(run)
    films = open_dataset(dataset).split(split, "image")
    is_normal = films.columns[NORMAL] == 1
    is_chosen = np.zeros(len(films), np.bool_)
    is_chosen[np.flatnonzero(is_normal)[: count - count // 2]] = True
    is_chosen[np.flatnonzero(~is_normal)[: count // 2]] = True
    size = min(detector.settings.sampler.batch_size, count)
    loader = films.where(is_chosen).loader(size, VIEW, rank=0, world_size=1, training=False)
    written = []
    for batch in loader:
        film, drawn = detector.reconstruct(batch, seed)
        row = torch.cat([film, drawn.clamp(0, 1), anomaly_map(film, drawn)], dim=1)  # (B, 3, s, s)
        grey = (row * 255).round().to(torch.uint8).numpy()
        for key, films_of_row, is_padding in zip(batch.keys, grey, batch.is_padding, strict=True):
            if not is_padding:
                written.append(folder / f"{key}.png")
                write_films(written[-1], films_of_row[None], GAP)
    loader.close()
    return written
