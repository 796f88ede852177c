"""`cxrfuture browse`."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import import_part


def browse(
    dataset: Annotated[
        str, typer.Argument(help="build/<recipe>/shard, or the URL of a pushed dataset.")
    ],
    split: Annotated[str | None, typer.Option(help="Begin in train, valid or test.")] = None,
    kind: Annotated[str | None, typer.Option(help="Begin with a pair, stay or image.")] = None,
    key: Annotated[str | None, typer.Option(help="Begin with the sample of this key.")] = None,
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    generated: Annotated[
        Path | None, typer.Option(help="RUN/generated: films that `cxrfuture generate` drew.")
    ] = None,
    anomaly: Annotated[
        Path | None, typer.Option(help="RUN/anomaly: maps that `cxrfuture anomaly` drew.")
    ] = None,
    autoencoder: Annotated[
        Path | None, typer.Option(help="Decodes what is generated: build/<recipe>/fit_vae.")
    ] = None,
) -> None:
    """Look at samples in a browser on this machine: films, events, hours, labels.

    Example: cxrfuture browse build/ddl_cxr/shard
    """
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
