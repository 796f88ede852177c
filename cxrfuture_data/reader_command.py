"""The commands over a finished dataset; all but `browse` run with a light install.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DATASETS,
    Dataset,
    KindName,
    SplitName,
    example,
    import_part,
)
from cxrfuture_data.completion import complete_dataset, complete_kind, complete_split

reader = typer.Typer()

SHARD = "build/ddl_cxr/shard"  # of the examples


@reader.command(rich_help_panel=DATASETS, epilog=example("cxrfuture summary"))
def summary(
    build: Annotated[Path, typer.Argument(help="The folder dvc repro builds in.")] = Path("build"),
) -> None:
    """What a build holds and where: counts per split, bytes, a sample, next steps."""
    from rich.console import Console

    from cxrfuture_data.summary import print_summary

    print_summary(build, Console())


@reader.command(
    "show",
    rich_help_panel=DATASETS,
    epilog=example(
        f"cxrfuture show {SHARD} --split valid --png sample.png",
        f"cxrfuture show {SHARD} --kind stay --index 1",
    ),
)
def show_sample(
    dataset: Dataset,
    split: SplitName = "train",
    kind: KindName = "pair",
    index: Annotated[int, typer.Option(help="Position in the split, from 0.")] = 0,
    key: Annotated[
        str | None, typer.Option(help="The sample of this key. Default: that at --index.")
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print ids and times of the chart.")] = False,
    png: Annotated[
        Path | None, typer.Option(help="Draw the sample here too. Default: text alone.")
    ] = None,
) -> None:
    """One sample as text, and as a picture: films, events between, hourly values."""
    from cxrfuture_data import open_dataset
    from cxrfuture_data.show import show

    which = index if key is None else key
    show(open_dataset(dataset), split, kind, which, ids=ids, png=png)


@reader.command(
    rich_help_panel=DATASETS,
    epilog=example(f"cxrfuture browse {SHARD}", f"cxrfuture browse {SHARD} --split test --no-open"),
)
def browse(
    dataset: Annotated[
        str,
        typer.Argument(
            help="build/<recipe>/shard, or the URL of a pushed dataset.",
            autocompletion=complete_dataset,
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="Begin in train, valid or test. Default: the first with samples.",
            autocompletion=complete_split,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Begin with a pair, stay or image. Default: the first there is.",
            autocompletion=complete_kind,
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Begin with the sample of this key. Default: the first.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0: any that is free.")] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Open no browser, only print the address.")
    ] = False,
    generated: Annotated[
        Path | None,
        typer.Option(help="RUN/generated: films that `cxrfuture generate` drew. Default: none."),
    ] = None,
    anomaly: Annotated[
        Path | None,
        typer.Option(help="RUN/anomaly: maps that `cxrfuture anomaly` drew. Default: none."),
    ] = None,
    autoencoder: Annotated[
        Path | None,
        typer.Option(help="Decodes what is generated: build/<recipe>/fit_vae. Default: none."),
    ] = None,
) -> None:
    """Look at samples in a browser on this machine: films, events, hours, labels."""
    from cxrfuture_data import open_dataset

    serving = import_part("cxrfuture_data.browse.serve", "browse")
    drawing = import_part("cxrfuture_data.browse.drawn", "browse")
    catalogues = import_part("cxrfuture_data.browse.catalogue", "browse")
    data = open_dataset(dataset)
    drawn = drawing.Drawn(data, generated=generated, anomaly=anomaly, autoencoder=autoencoder)
    catalogue = catalogues.Catalogue(data, drawn)
    first = catalogue.first(split, kind, key)
    fragment = "" if first is None else "#" + "/".join(first)
    serving.serve(catalogue, fragment, port=port, opens_browser=not no_open)


@reader.command("verify", rich_help_panel=DATASETS, epilog=example(f"cxrfuture verify {SHARD}"))
def verify_dataset(dataset: Dataset) -> None:
    """Every hash, index and member of a dataset again; stops at the first offence."""
    from cxrfuture_data.verify import verify

    report = verify(dataset)
    print(f"{dataset}: {report.samples:,} samples in {report.shards} shards are whole")


@reader.command(
    "push",
    rich_help_panel=DATASETS,
    epilog=example(
        f"cxrfuture push {SHARD} s3://bucket/ddl_cxr --attest 'our own bucket, DUA of 2025'"
    ),
)
def push_dataset(
    dataset: Dataset,
    url: Annotated[str, typer.Argument(help="Where to: s3://bucket/prefix.")],
    attest: Annotated[
        str,
        typer.Option(
            help="Who allowed it there, and under what terms; of simulated data none is asked."
        ),
    ] = "",
) -> None:
    """Copy a dataset to an object store, every file proven; run it again to go on."""
    from cxrfuture_data.transfer import push

    sent = push(dataset, url, attest)
    print(f"{url}: {sent.files:,} files, {sent.bytes / 1e9:,.2f} GB, {sent.copied:,} of them sent")


@reader.command(
    "pull", rich_help_panel=DATASETS, epilog=example("cxrfuture pull s3://bucket/ddl_cxr ddl_cxr")
)
def pull_dataset(
    url: Annotated[str, typer.Argument(help="A pushed dataset: s3://bucket/prefix.")],
    folder: Annotated[
        Path, typer.Argument(help="The folder to copy it to.", autocompletion=complete_dataset)
    ],
) -> None:
    """Copy a pushed dataset to a folder, every file proven; run it again to go on."""
    from cxrfuture_data.transfer import pull

    got = pull(url, folder)
    print(
        f"{folder}: {got.files:,} files, {got.bytes / 1e9:,.2f} GB, {got.copied:,} of them fetched"
    )
