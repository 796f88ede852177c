"""What each row of an evaluation says of a split's real pairs: films are read or decoded, judged,
and let go of, a batch at a time.

Shapes: N pairs, B of a batch; C, h, w of a latent, K = C h w; H, W of a film.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrfuture_data.batch import PairBatch
from cxrfuture_data.codec import Codec
from cxrfuture_data.sample import Array
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train.classifier import Classifier, predict
from train.finding_auroc import LabelSet, Records
from train.score import Answer
from train.settings import Fidelity
from train.xrv import Features

HALF = 0.5  # a label of which nothing is known: neither present nor absent


@dataclass(frozen=True)
class Judge:
    """The classifier of films, and what FID's features come from if not from it."""

    model: Classifier
    label_set: LabelSet
    codec: Codec
    features: Features | None
    batch_size: int

    def judge(self, films: Tensor) -> Answer:
        """films: (B, 1, H, W) uint8."""
        found = predict(self.model, films)
        features = found.features if self.features is None else self.features(films)
        labels = found.attributes if self.label_set == "attributes" else found.findings
        return Answer(
            labels=labels.numpy(),
            age=found.age.numpy(),
            is_male=found.is_male.numpy(),
            features=features.numpy(),
        )

    def judge_latents(self, latents: Array) -> Answer:
        """(N, C, h, w): judged as films, and kept for FD and WD."""
        parts = [
            self.judge(self.decode(latents[start : start + self.batch_size])[:, None])
            for start in range(0, len(latents), self.batch_size)
        ]
        return _with_latents(join(parts), latents)

    def decode(self, latents: Array) -> Tensor:
        """(B, C, h, w) -> (B, H, W) uint8 on the CPU."""
        return self.codec.decode(torch.from_numpy(np.asarray(latents, np.float32))).cpu()


@dataclass(frozen=True, eq=False)
class RealRows:
    """Answers of N pairs by their own films, and the latents (N, C, h, w) of these."""

    target: Answer
    previous: Answer
    target_latents: Array
    previous_latents: Array


def judge_real(judge: Judge, pairs: Split) -> RealRows:
    """Films as the dataset keeps them, or else decoded; latents are the posteriors' means."""
    has_films = pairs.dataset.manifest.films_kept != "none"
    view = View(kind="pair", latents="mean", films=has_films)
    answers: dict[str, list[Answer]] = {"target": [], "previous": []}
    latents: dict[str, list[Array]] = {"target": [], "previous": []}
    for batch, is_real in read_batches(pairs, view, judge.batch_size):
        for role, found in answers.items():
            mean = getattr(batch, role)[is_real].float().numpy()
            latents[role].append(mean)
            film = getattr(batch, f"{role}_film")[is_real]
            found.append(judge.judge(film if has_films else judge.decode(mean)[:, None]))
    kept = {role: np.concatenate(found) for role, found in latents.items()}
    whole = {role: _with_latents(join(found), kept[role]) for role, found in answers.items()}
    return RealRows(whole["target"], whole["previous"], kept["target"], kept["previous"])


def mean_target(pairs: Split, batch_size: int) -> Array:
    """(C, h, w): the mean latent of the targets."""
    total, count = None, 0
    view = View(kind="pair", latents="mean")
    for batch, is_real in read_batches(pairs, view, batch_size):
        found = batch.target[is_real].double().sum(0).numpy()
        total, count = found if total is None else total + found, count + int(is_real.sum())
    assert total is not None
    return np.asarray(total / count, np.float32)


def repeat_one(answer: Answer, times: int) -> Answer:
    """What is said of one film, of so many pairs."""
    return Answer(
        **{
            name: None if value is None else np.repeat(value, times, axis=0)
            for name, value in vars(answer).items()
        }
    )


def previous_labels(records: Records, fidelity: Fidelity) -> Answer:
    """The previous film's label is the score; where it is not known one half, as published 0."""
    unknown = 0.0 if fidelity == "published" else HALF
    return Answer(labels=np.where(records.was_known, records.was_present, unknown))


def read_batches(
    pairs: Split, view: View, batch_size: int
) -> Iterator[tuple[PairBatch[Tensor], Tensor]]:
    """Every pair once where the second, (B,) bool, is True; in the order of keys."""
    loader = pairs.loader(batch_size, view, rank=0, world_size=1, training=False)
    for batch in loader:
        assert isinstance(batch, PairBatch)
        yield batch, ~batch.is_padding
    loader.close()


def join(parts: Sequence[Answer]) -> Answer:
    """One after the other."""
    columns = {name: [vars(part)[name] for part in parts] for name in vars(parts[0])}
    return Answer(
        **{
            name: None if column[0] is None else np.concatenate(column)
            for name, column in columns.items()
        }
    )


def _with_latents(answer: Answer, latents: Array) -> Answer:
    flat = np.asarray(latents, np.float32).reshape(len(latents), -1)  # (N, K)
    return Answer(**vars(answer) | {"latents": flat})
