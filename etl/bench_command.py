"""`cxrfuture bench ...`: speed, as ratios taken in one run.

What a command runs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    AsJson,
    Availability,
    Fidelity,
    ParamsFile,
    RecipeName,
    example,
    import_part,
)
from cxrfuture_data.completion import (
    complete_config,
    complete_from,
    complete_recipe,
    complete_vae_config,
)
from cxrfuture_data.schema import ContractError
from etl.command_input import read_input, read_settings

bench = typer.Typer(
    help="Speed, as ratios taken in one run, with peak memory.",
    no_args_is_help=True,
    epilog=example("cxrfuture bench cache --megabytes 16"),
)

Rounds = Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")]


@bench.command("ingest", epilog=example("cxrfuture bench ingest --mimic-iv DIR --rounds 5"))
def bench_ingest(
    params: ParamsFile = DEFAULT_PARAMS,
    mimic_iv: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    mimic_cxr_jpg: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Ingest against DuckDB's own copy of the same files to Parquet."""
    settings = read_settings(params)
    import_part("etl.bench", "etl").run_ingest_bench(
        settings, mimic_iv, mimic_cxr_jpg, rounds=rounds, as_json=as_json
    )


@bench.command(
    "etl",
    epilog=example(
        "cxrfuture bench etl --recipe ddl_cxr --rows 5000000",
        "cxrfuture bench etl --recipe ddl_cxr --mimic-iv DIR --mimic-cxr-jpg DIR",
    ),
)
def bench_etl(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    mimic_iv: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    mimic_cxr_jpg: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    fidelity: Fidelity = None,
    availability: Availability = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Simulate a hospital of about so many event rows and read it."
            " Default: the folders.",
        ),
    ] = None,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Ingest, event, cohort and window: rows a second and memory, beside DuckDB's bare copy."""
    settings, chosen = read_input(params, recipe, fidelity, availability)
    bench_of = import_part("etl.bench_etl", "etl")
    if rows is not None:
        if mimic_iv is not None or mimic_cxr_jpg is not None:
            raise ContractError("--rows simulates a hospital; give it without folders")
        bench_of.run_rows_bench(settings, chosen, rows, rounds, as_json)
        return
    bench_of.run_etl_bench(
        settings, chosen, mimic_iv, mimic_cxr_jpg, rounds=rounds, as_json=as_json
    )


@bench.command("cache", epilog=example("cxrfuture bench cache --megabytes 16"))
def bench_cache(
    megabytes: Annotated[int, typer.Option(min=1, help="Of rows of each kind.")] = 256,
    rounds: Rounds = 5,
    as_json: AsJson = False,
) -> None:
    """Rows written and read a second, beside a plain append to one file."""
    import_part("etl.bench_cache", "etl").run_cache_bench(megabytes, rounds, as_json)


@bench.command("latent", epilog=example("cxrfuture bench latent --films 64"))
def bench_latent(
    params: ParamsFile = DEFAULT_PARAMS,
    weights: Annotated[
        Path | None, typer.Option(help="An autoencoder's folder. Default: a small one is made.")
    ] = None,
    films: Annotated[int, typer.Option(min=1, help="Images to encode.")] = 256,
    size: Annotated[int, typer.Option(min=32, help="Of an image, pixels.")] = 224,
    rounds: Rounds = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a line.")] = False,
) -> None:
    """Films encoded a second, beside the bare autoencoder on images in memory."""
    settings = read_settings(params)
    bench_of = import_part("etl.bench_latent", "etl")
    bench_of.run_latent_bench(settings, weights, films, size, rounds, as_json)


@bench.command("embed", epilog=example("cxrfuture bench embed --texts 1024"))
def bench_embed(
    params: ParamsFile = DEFAULT_PARAMS,
    texts: Annotated[int, typer.Option(min=1, help="Made from a seed, like events.")] = 8192,
    rounds: Rounds = 1,
    as_json: AsJson = False,
) -> None:
    """Embedding against the bare model on the same batches."""
    settings = read_settings(params)
    bench_of = import_part("etl.bench_embed", "etl")
    bench_of.run_embed_bench(settings, texts, rounds, as_json=as_json)


@bench.command("metadata", epilog=example("cxrfuture bench metadata --recipe ddl_cxr"))
def bench_metadata(
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable. Default: the recipes of the params.", autocompletion=complete_recipe
        ),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: AsJson = False,
) -> None:
    """Doctor and plan on simulated metadata of full size: 377,110 films, 364,627 patients."""
    settings = read_settings(params)
    bench = import_part("etl.bench_metadata", "etl")
    bench.run_metadata_bench(settings, recipe or settings.recipes, as_json=as_json)


@bench.command("level", epilog=example("cxrfuture bench level films --count 16"))
def bench_level(
    films: Annotated[Path, typer.Argument(help="A folder of films: PNG or JPEG, at any depth.")],
    count: Annotated[int, typer.Option(min=1, help="The first so many films.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each way, in turn.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Bytes and time of each resolution of a film kept as levels, against PNG and JPEG."""
    module = import_part("etl.bench_level", "etl")
    module.run_level_bench(films, count, rounds, as_json=as_json)


@bench.command("image", epilog=example("cxrfuture bench image --films films"))
def bench_image(
    films: Annotated[
        Path | None,
        typer.Option(help="A folder of films. Default: simulated ones of 2544 x 3056."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Films at most.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Films a second and core of each way to read one, beside the bare decoder."""
    if films is not None and not films.is_dir():
        raise ContractError(f"{films}: no such folder; give --films a folder of films")
    import_part("etl.bench_image", "etl").run_image_bench(films, count, as_json)


@bench.command(
    "loader",
    epilog=example("cxrfuture bench loader --samples 2000 --way ours --way memory --workers 0"),
)
def bench_loader(
    samples: Annotated[int, typer.Option(min=1, help="Pairs, simulated.")] = 20_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of a batch.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Readings of each, in turn.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the samples and of their order.")] = 0,
    remote: Annotated[bool, typer.Option(help="From a server on 127.0.0.1 too.")] = True,
    peers: Annotated[
        Path, typer.Option(help="Where the environments of LitData and others are made, once.")
    ] = Path("~/.cache/cxrfuture/bench"),
    way: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable: ours, memory, litdata, ... Default: all.",
            autocompletion=complete_from(
                "ours", "memory", "webdataset", "litdata", "mosaicml", "energon"
            ),
        ),
    ] = None,
    workers: Annotated[
        list[int] | None, typer.Option(min=0, help="Repeatable. Default: 0, and 2.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Samples a second and the first batch, beside webdataset, LitData, MosaicML and Energon."""
    module = import_part("etl.bench_loader", "etl")
    known = list(module.WAYS)
    for name in way or ():
        if name not in known:
            raise ContractError(f"--way {name}: no such way; there are {', '.join(known)}")
    chosen = module.LoaderBench(
        peers, samples, batch_size, rounds, seed, remote, way or known, workers or [0, 2]
    )
    module.run_loader_bench(chosen, as_json)


@bench.command("train", epilog=example("cxrfuture bench train ddl_cxr-tiny --rounds 3"))
def bench_train(
    config: Annotated[
        str,
        typer.Argument(help="A config of ddl_cxr, or a .yaml.", autocompletion=complete_config),
    ] = "ddl_cxr",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a setting, as unet.res_blocks=2; repeatable. Default: none."
        ),
    ] = None,
    authors: Annotated[
        Path | None,
        typer.Option(help="A checkout of DDL-CXR's repository: the peer. Default: none."),
    ] = None,
    vae: Annotated[
        str,
        typer.Option(
            help="The autoencoder that encodes in the loop: a config of fit_vae.",
            autocompletion=complete_vae_config,
        ),
    ] = "ddl_cxr",
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs of a step.")] = 2,
    hours: Annotated[int, typer.Option(min=1, help="Of each pair's record.")] = 48,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each way, in turn.")] = 5,
    small: Annotated[
        str | None,
        typer.Option(
            help="A second config, to compare encoding in the loop with.",
            autocompletion=complete_config,
        ),
    ] = "ddl_cxr-tiny",
    as_json: AsJson = False,
) -> None:
    """A training step, beside the authors' UNet and beside encoding films in the loop."""
    module = import_part("train.bench", "train")
    chosen = module.TrainBench(
        config, changes or (), authors, vae, batch_size, hours, rounds, small
    )
    module.run_train_bench(chosen, as_json)
