"""The commands of evaluation: what they run is imported when they run, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import import_part
from train.command import Codec, DatasetFolder, RunFolder

SplitName = Annotated[str, typer.Option("--split", help="train, valid or test.")]


def generate(
    run: RunFolder,
    dataset: DatasetFolder,
    split: SplitName = "test",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Of a rank.")] = 16,
) -> None:
    """Draw the target latents of a whole split; goes on where it was stopped.

    On several GPUs, or CPU processes: torchrun --standalone --nproc-per-node 2 -m cxrfuture
    generate RUN ...
    """
    module = import_part("train.generate", "train")
    module.generate_split(run, dataset, split, seed, batch_size=batch_size)


def evaluate(
    dataset: DatasetFolder,
    judge: Annotated[Path, typer.Option(help="A run of `train classifier`.")],
    codec: Codec,
    out: Annotated[Path, typer.Option(help="Where evaluation.json and .png go.")],
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs of generators.")] = None,
    table: Annotated[
        list[Path] | None, typer.Option(help="A run of `train table_classifier`; repeatable.")
    ] = None,
    split: SplitName = "test",
    seeds: Annotated[int, typer.Option(help="How often each run draws every pair.")] = 3,
    draws: Annotated[int, typer.Option(help="Of patients, for intervals; 0: none.")] = 1000,
    published: Annotated[
        bool, typer.Option("--published", help="Unknown previous labels count as absent.")
    ] = False,
    features: Annotated[
        Path | None, typer.Option(help="torchxrayvision's tensors, for FID (train/xrv.py).")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Films at a time.")] = 32,
) -> None:
    """Evaluate generators beside the rows that any model must beat; draws what is not drawn."""
    module = import_part("train.evaluate", "train")
    request = module.Request(
        dataset=dataset,
        judge=judge,
        codec=codec,
        runs=runs or (),
        table_classifiers=table or (),
        split=split,
        seeds=range(seeds),
        draws=draws,
        fidelity="published" if published else "corrected",
        features=features,
        batch_size=batch_size,
    )
    module.evaluate(request, out)


def table(
    name: Annotated[
        str | None, typer.Argument(help="As ddl_cxr.4; without, they are listed.")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="Where evaluations lie, at any depth. Default: build/train, or build/study."
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="Of tables of who is in it. Default: build/<the table's recipe>/shard."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, a line a cell.")] = False,
) -> None:
    """A paper's table: its numbers beside ours."""
    module = import_part("train.table", "train")
    if name is None:
        typer.echo("\n".join(module.table_names()))
        return
    filled = module.fill(module.read_table(name), runs, dataset)
    import_part("train.table_text", "train").print_table(filled, as_json=as_json, as_csv=as_csv)


def anomaly(
    run: RunFolder,
    dataset: DatasetFolder,
    out: Annotated[
        Path | None, typer.Option(help="Scores, anomaly.json, pictures. Default: RUN/anomaly.")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Of film, reconstruction and map.")] = 8,
    draws: Annotated[int, typer.Option(help="Of patients, for intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
) -> None:
    """Score the films of valid and test by a run of `train diff3m`; goes on where it stopped."""
    scoring = import_part("train.anomaly", "train")
    folder = out or run / "anomaly"
    scored = {split: folder / f"{split}.jsonl" for split in ("valid", "test")}
    for split, path in scored.items():
        scoring.score(run, dataset, split, path, seed=seed)
    tabled = import_part("train.anomaly_table", "train")
    found = tabled.write_table(dataset, scored, folder / "anomaly.json", seed=seed, draws=draws)
    scoring.draw_films(run, dataset, "test", folder / "films", count=pictures, seed=seed)
    tabled.print_table(found)
