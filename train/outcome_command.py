"""The command of outcomes: what it runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import EVALUATION, SplitName, example, import_part
from train.command import DatasetFolder

outcome = typer.Typer()


@outcome.command(
    rich_help_panel=EVALUATION,
    epilog=example(
        "cxrfuture outcomes build/study/ddl_cxr build/study/medfuse"
        " --dataset build/ddl_cxr/shard --out build/study/outcomes"
    ),
)
def outcomes(
    rows: Annotated[list[Path], typer.Argument(help="Folders, each of the runs of one model.")],
    dataset: DatasetFolder,
    out: Annotated[Path, typer.Option(help="Where outcomes.json and the plots' CSVs go.")],
    split: SplitName = "test",
    draws: Annotated[int, typer.Option(help="Of patients, for intervals; 0: none.")] = 1000,
) -> None:
    """Compare fusion models by what `cxrfuture predict` wrote of each of their runs."""
    module = import_part("train.outcome_evaluation", "train")
    request = module.Request(rows=rows, dataset=dataset, split=split, draws=draws)
    module.evaluate_outcomes(request, out)
