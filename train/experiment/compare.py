"""Judge what the experiment's runs draw for the test pairs, beside the rows they must beat.

    python -m train.experiment.compare DATASET TRUTH JUDGE RUN RUN_WITHOUT_WINDOW OUT

OUT/result.json and OUT/table.md hold numbers of whole cohorts only.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import Tensor

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.console import say
from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import FINDINGS as LABELS
from cxrfuture_data.view import VIEWS, View
from train.drawer import Drawer, open_drawer
from train.experiment.markdown import as_markdown
from train.experiment.pairs import AT_ONCE, Pairs, parts_of, read_all, shuffle_windows
from train.experiment.probe import Probe, judge, open_judge
from train.experiment.score import SUBSETS, Records, Score, by_finding, interval, score
from train.experiment.truth import FINDINGS, PairTruth, read_truth
from train.future import Future, standardise
from train.generate import generate_split

MODEL, WITHOUT, SHUFFLED, PREVIOUS = "model", "model, no window", "model, shuffled", "previous film"
HEAD = "findings head of the "
DIFFERENCES = (
    *((MODEL, PREVIOUS), (MODEL, WITHOUT), (MODEL, SHUFFLED), (WITHOUT, PREVIOUS)),
    *((HEAD + MODEL, HEAD + WITHOUT), (HEAD + MODEL, HEAD + SHUFFLED)),
)

Answers = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Judging:
    """The test pairs and what is needed to judge a latent of them."""

    data: Dataset
    probe: Probe
    pairs: Pairs
    truth: PairTruth
    patients: npt.NDArray[np.int64]
    mean_target: Tensor  # (C, h, w), of training films

    def answers(self, latents: Tensor) -> Answers:
        """(N, L) probabilities of latents as the dataset scales them."""
        return judge(self.probe, standardise(self.data, latents.float()))

    def mean_answers(self, drawn: Sequence[Tensor]) -> Answers:
        """Of several draws a pair."""
        return np.mean([self.answers(latents) for latents in drawn], axis=0)

    def generated(self, run: Path, seed: int) -> Tensor:
        """What a run draws for the test pairs; kept in its folder."""
        found = generate_split(run, self.data.path, "test", seed, batch_size=AT_ONCE)
        assert found.keys == self.pairs.keys
        return torch.from_numpy(found.latents)


def compare(judging: Judging, run: Path, without: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Every row's AUROC on diff, same and all, with intervals, and the differences that count."""
    rows = trivial_rows(judging)
    for name, made_by in ((MODEL, run), (WITHOUT, without)):
        rows[name] = judging.mean_answers([judging.generated(made_by, seed) for seed in seeds])
        rows[HEAD + name] = head(open_drawer(made_by, judging.data), judging.pairs)
    shuffled = shuffle_windows(judging.pairs, judging.patients)
    drawer = open_drawer(run, judging.data)
    rows[SHUFFLED] = judging.mean_answers([draw_all(drawer, shuffled, seed) for seed in seeds])
    rows[HEAD + SHUFFLED] = head(drawer, shuffled)
    patients = len(np.unique(judging.patients))
    result: dict[str, Any] = {
        "pairs": len(judging.patients),
        "patients": patients,
        "draws": len(seeds),
    }
    return result | {kind: table(rows, records) for kind, records in records_of(judging).items()}


def make_judging(data: Dataset, truth: Path, probe: Probe, view: View) -> Judging:
    """Read the test pairs, and the mean of the training targets."""
    test = data.split("test", "pair")
    films = replace(VIEWS["future.pair"], latents="mean", hours=False, events="none")
    targets = read_all(data.split("train", "pair"), films).target
    return Judging(
        data=data,
        probe=probe,
        pairs=read_all(test, view),
        truth=read_truth(truth, test),
        patients=np.asarray(test.columns["subject_id"]),
        mean_target=targets.float().mean(0),
    )


def draw_all(drawer: Drawer, pairs: Pairs, seed: int) -> Tensor:
    """(N, C, h, w)."""
    return torch.cat([drawer.draw(part, seed) for part in parts_of(pairs)])


def head(drawer: Drawer, pairs: Pairs) -> Answers:
    """What the model says of the target's findings before it draws, (N, L)."""
    task = drawer.task
    assert isinstance(task, Future)
    columns = [LABELS.index(label) for label, _ in FINDINGS.values()]
    with torch.inference_mode():
        found = [task.predict(drawer.model, part)[0] for part in parts_of(pairs)]
    return torch.cat(found)[:, columns].numpy()


def trivial_rows(judging: Judging) -> dict[str, Answers]:
    """What needs no model: the target itself, the previous film, and the mean film."""
    pairs = judging.pairs
    target = pairs.target[:, 0]
    return {
        "truth": judging.answers(target),
        PREVIOUS: judging.answers(pairs.previous[:, 0]),
        "mean film": judging.answers(judging.mean_target.expand_as(target)),
    }


def records_of(judging: Judging) -> dict[str, Records]:
    """By the simulator's truth, and by what the simulated reports say."""
    truth, pairs = judging.truth, judging.pairs
    columns = [LABELS.index(label) for label, _ in FINDINGS.values()]

    def said(labels: Tensor, known: Tensor) -> tuple[Any, Any]:
        labels, known = labels[:, columns], known[:, columns]
        return (labels == 1).numpy(), (known & (labels >= 0)).numpy()

    before, before_known = said(pairs.previous_labels, pairs.previous_label_known)
    after, after_known = said(pairs.labels, pairs.label_known)
    always = np.ones_like(truth.target)
    return {
        "truth": Records.of(truth.previous, truth.target, always, judging.patients),
        "reports": Records.of(before, after, before_known & after_known, judging.patients),
    }


def table(rows: dict[str, Answers], records: Records) -> dict[str, Any]:
    """The previous label is that of the same source as the target's."""
    rows = {"previous label": records.was_present.astype(np.float64), **rows}
    scores = {
        (name, subset): score(answers, records, subset)
        for name, answers in rows.items()
        for subset in SUBSETS
    }
    return {
        "records": {subset: int(records.subsets[subset].sum()) for subset in SUBSETS},
        "rows": {
            name: {subset: _facts(scores[name, subset]) for subset in SUBSETS} for name in rows
        },
        "differences": {
            f"{one} - {other}": {
                subset: _difference(scores[one, subset], scores[other, subset])
                for subset in SUBSETS
            }
            for one, other in DIFFERENCES
        },
        "diff by finding": {
            name: dict(zip(FINDINGS, by_finding(answers, records, "diff"), strict=True))
            for name, answers in rows.items()
        },
    }


def _facts(found: Score) -> dict[str, Any]:
    return {"auroc": found.value, "interval": list(found.interval)}


def _difference(one: Score, other: Score) -> dict[str, Any]:
    return {
        "auroc": one.value - other.value,
        "interval": list(interval(one.draws - other.draws)),
    }


def main(
    dataset: Annotated[Path, typer.Argument(help="build/<recipe>/shard.")],
    truth: Annotated[Path, typer.Argument(help="truth/film.parquet of the hospital.")],
    judged: Annotated[Path, typer.Argument(help="The folder of judge.safetensors.")],
    run: Annotated[Path, typer.Argument(help="A run of `future`.")],
    run_without: Annotated[Path, typer.Argument(help="The same, trained without a window.")],
    out: Annotated[Path, typer.Argument(help="Where result.json and table.md go.")],
    seeds: Annotated[int, typer.Option(help="Draws a pair, averaged.")] = 4,
) -> None:
    """Judge the rows of the experiment."""
    began = time.monotonic()
    try:
        data = open_dataset(dataset)
        view = open_drawer(run, data).task.view
        judging = make_judging(data, truth, open_judge(judged, data), view)
        result = compare(judging, run, run_without, range(seeds))
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    result["seconds"] = round(time.monotonic() - began)
    write_json(out / "result.json", result)
    (out / "table.md").write_text(as_markdown(result))
    say(f"experiment: {result['pairs']:,} test pairs in {out / 'result.json'}")


if __name__ == "__main__":
    typer.run(main)
