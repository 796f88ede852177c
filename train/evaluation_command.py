"""The commands of evaluation: what they run is imported when they run, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import EVALUATION, SplitName, example, import_part
from cxrfuture_data.completion import (
    complete_dataset,
    complete_from,
    complete_run,
    complete_table,
)
from cxrfuture_data.schema import SPLITS, ContractError
from train.command import Codec, DatasetFolder, RunFolder

evaluating = typer.Typer()

# Of the examples.
RUN = "build/train/ddl_cxr-tiny"
DATASET = "--dataset build/ddl_cxr/shard"


@evaluating.command(
    rich_help_panel=EVALUATION,
    epilog=example(
        f"cxrfuture generate {RUN} {DATASET} --split test",
        f"torchrun --standalone --nproc-per-node 2 -m cxrfuture generate {RUN} {DATASET}",
    ),
)
def generate(
    run: RunFolder,
    dataset: DatasetFolder,
    kind: Annotated[
        str,
        typer.Option(
            help="pair: their targets; stay: the film at the prediction time.",
            autocompletion=complete_from("pair", "stay"),
        ),
    ] = "pair",
    split: Annotated[
        str,
        typer.Option(
            "--split",
            help="train, valid, test or all.",
            autocompletion=complete_from(*SPLITS, "all"),
        ),
    ] = "test",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Draws of each: seeds from SEED on.")] = 1,
    fold_runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--fold-run",
            help="A run that left a fold out, to draw it in train; one a fold. Default: none.",
            autocompletion=complete_run,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Of a rank.")] = 16,
) -> None:
    """Draw the latents of a whole split, alone or by torchrun; goes on where it was stopped."""
    module = import_part("train.generate", "train")
    if kind not in ("pair", "stay"):
        raise ContractError(f"--kind {kind}: expected pair or stay")
    for name in SPLITS if split == "all" else (split,):
        for number in range(seed, seed + samples):
            module.generate(
                module.Request(run, dataset, name, number, kind, fold_runs or (), batch_size)
            )


@evaluating.command(
    rich_help_panel=EVALUATION,
    epilog=example(f"cxrfuture predict build/train/fusion-ddl_cxr-tiny {DATASET}"),
)
def predict(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run of `train fusion-...` or future_fusion.", autocompletion=complete_run
        ),
    ],
    dataset: DatasetFolder,
    split: SplitName = "test",
    batch_size: Annotated[int, typer.Option(help="Stays at a time.")] = 64,
) -> None:
    """What a run says of every stay of a split, with calibrated probabilities."""
    import_part("train.predict", "train").predict_split(run, dataset, split, batch_size)


@evaluating.command(
    rich_help_panel=EVALUATION,
    epilog=example(
        f"cxrfuture evaluate {RUN} {DATASET} --judge build/train/classifier-tiny"
        " --codec build/ddl_cxr/fit_vae --out build/evaluation"
    ),
)
def evaluate(
    dataset: DatasetFolder,
    judge: Annotated[
        Path, typer.Option(help="A run of `train classifier`.", autocompletion=complete_run)
    ],
    codec: Codec,
    out: Annotated[Path, typer.Option(help="Where evaluation.json and .png go.")],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs of generators.", autocompletion=complete_run),
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run of `train table_classifier`; repeatable. Default: none.",
            autocompletion=complete_run,
        ),
    ] = None,
    split: SplitName = "test",
    seeds: Annotated[int, typer.Option(help="How often each run draws every pair.")] = 3,
    draws: Annotated[int, typer.Option(help="Of patients, for intervals; 0: none.")] = 1000,
    published: Annotated[
        bool, typer.Option("--published", help="Unknown previous labels count as absent.")
    ] = False,
    features: Annotated[
        Path | None,
        typer.Option(
            help="torchxrayvision's tensors, for FID (train/xrv.py). Default: none, and no FID."
        ),
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


@evaluating.command(
    rich_help_panel=EVALUATION,
    epilog=example("cxrfuture table", "cxrfuture table ddl_cxr.4 --csv"),
)
def table(
    name: Annotated[
        str | None,
        typer.Argument(
            help="As ddl_cxr.4; without, they are listed.", autocompletion=complete_table
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="Where evaluations lie, at any depth. Default: build/train, or build/study."
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            help="Of tables of who is in it. Default: build/<the table's recipe>/shard.",
            autocompletion=complete_dataset,
        ),
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


@evaluating.command(
    rich_help_panel=EVALUATION,
    epilog=example("cxrfuture anomaly build/train/diff3m-tiny --dataset build/diff3m/shard"),
)
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
