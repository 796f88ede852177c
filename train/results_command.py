"""The command of the results page: what it runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import EVALUATION, example, import_part
from cxrfuture_data.completion import complete_dataset
from cxrfuture_data.schema import ContractError

result = typer.Typer()


@result.command(
    rich_help_panel=EVALUATION,
    epilog=example(
        "cxrfuture results build/study/outcomes/outcomes.json",
        "cxrfuture results build/study/outcomes/outcomes.json --shareable --out shared.html",
    ),
)
def results(
    outcomes: Annotated[Path, typer.Argument(help="outcomes.json of `cxrfuture outcomes`.")],
    out: Annotated[Path, typer.Option(help="The page: one HTML file.")] = Path("results.html"),
    shareable: Annotated[
        bool,
        typer.Option("--shareable", help="Without films, and without cells of fewer than 10."),
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(
            help="The evaluated dataset, to show a few of its stays. Default: none is shown.",
            autocompletion=complete_dataset,
        ),
    ] = None,
    codec: Annotated[
        Path | None,
        typer.Option(help="With --dataset: the autoencoder of its latents. Default: none."),
    ] = None,
    generated: Annotated[
        Path | None, typer.Option(help="With --dataset: RUN/generated of its stays. Default: none.")
    ] = None,
) -> None:
    """One page of a study's results, to read, print or project; it opens from disk."""
    page = import_part("train.results_page", "train")
    given = [path for path in (dataset, codec, generated) if path is not None]
    if len(given) not in (0, 3):
        raise ContractError("results: --dataset, --codec and --generated go together; give all")
    source = None
    if len(given) == 3:
        source = import_part("train.results_film", "train").Source(*given)
    page.write_results(outcomes, out, is_shareable=shareable, source=source)
