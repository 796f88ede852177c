"""The commands of training: what they run is imported when they run, so `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    STAGES,
    TRAINING,
    ParamsFile,
    SplitName,
    example,
    import_part,
)
from cxrfuture_data.completion import (
    complete_config,
    complete_dataset,
    complete_from,
    complete_run,
)
from cxrfuture_data.schema import ContractError

training = typer.Typer()

RunFolder = Annotated[
    Path,
    typer.Argument(
        help="A run of `train`, or one of its checkpoints.", autocompletion=complete_run
    ),
]
DatasetFolder = Annotated[
    Path,
    typer.Option("--dataset", help="build/<recipe>/shard.", autocompletion=complete_dataset),
]
GivenDataset = Annotated[
    Path | None,
    typer.Option(
        "--dataset",
        help="Default: build/<the config's recipe>/shard.",
        autocompletion=complete_dataset,
    ),
]
Codec = Annotated[Path, typer.Option("--codec", help="The autoencoder of the dataset's latents.")]
DEFAULT_BUILD = Path("build")
Seed = Annotated[int, typer.Option(help="Of all that is random.")]


@training.command(
    "train",
    rich_help_panel=TRAINING,
    epilog=example(
        "cxrfuture train",
        "cxrfuture train ddl_cxr-tiny --set batch_size=8",
        "torchrun --standalone --nproc-per-node 2 -m cxrfuture train ehrxdiff",
    ),
)
def train(
    config: Annotated[
        str | None,
        typer.Argument(
            help="A shipped config or a .yaml; without, they are listed.",
            autocompletion=complete_config,
        ),
    ] = None,
    dataset: GivenDataset = None,
    out: Annotated[Path | None, typer.Option(help="Default: build/train/<config>.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a setting, as sampler.steps=50; repeatable. Default: none."
        ),
    ] = None,
    seed: Seed = 23,
) -> None:
    """Train a model on a dataset, alone or by torchrun; goes on from its newest checkpoint."""
    settings_of = import_part("train.settings", "train")
    tasks = import_part("train.tasks", "train")
    if config is None:
        for name in settings_of.config_names(tasks.SHIPPED):
            typer.echo(name)
        return
    settings = tasks.read_task_settings(config, changes or [])
    import_part("train.fit", "train").fit(
        dataset or DEFAULT_BUILD / settings.recipe / "shard",
        out or DEFAULT_BUILD / "train" / Path(config).stem,
        settings,
        seed,
    )


@training.command(
    rich_help_panel=TRAINING, epilog=example("cxrfuture sweep ddl_cxr-tiny --draws 4")
)
def sweep(
    config: Annotated[
        str,
        typer.Argument(help="A shipped config or a .yaml.", autocompletion=complete_config),
    ],
    dataset: GivenDataset = None,
    out: Annotated[Path | None, typer.Option(help="Default: build/sweep/<config>.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a setting, as length.epochs=5; repeatable. Default: none."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Runs: the budget.")] = 10,
    low: Annotated[float, typer.Option(help="The lowest learning rate.")] = 1e-5,
    high: Annotated[float, typer.Option(help="The highest.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Of the draws and of every run.")] = 0,
) -> None:
    """Search a config's learning rate on validation samples, within a budget of runs."""
    settings = import_part("train.tasks", "train").read_task_settings(config, changes or [])
    import_part("train.sweep", "train").sweep(
        dataset or DEFAULT_BUILD / settings.recipe / "shard",
        out or DEFAULT_BUILD / "sweep" / Path(config).stem,
        settings,
        draws=draws,
        rates=(low, high),
        seed=seed,
    )


@training.command(
    rich_help_panel=TRAINING,
    epilog=example(
        "cxrfuture sample build/train/ddl_cxr-tiny --dataset build/ddl_cxr/shard"
        " --codec build/ddl_cxr/fit_vae"
    ),
)
def sample(
    run: RunFolder,
    dataset: DatasetFolder,
    codec: Codec,
    split: SplitName = "test",
    index: Annotated[int, typer.Option(help="Which pair, from 0.")] = 0,
    seed: Seed = 23,
    out: Annotated[Path, typer.Option(help="A PNG.")] = Path("sample.png"),
) -> None:
    """Draw a pair's target: previous | generated | target as one PNG."""
    drawing = import_part("train.sample", "train")
    drawing.draw_film(run, drawing.Request(dataset, codec, split, index, seed), out)
    typer.echo(out)


@training.command(
    "fit_diffusion", rich_help_panel=STAGES, epilog=example("cxrfuture fit_diffusion")
)
def fit_diffusion(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """The stage: train as `params.yaml` says, and draw one film of the first split that has one."""
    settings = import_part("etl.params", "etl").read_params(params)
    chosen = settings.fit_diffusion
    configured = import_part("train.tasks", "train").read_task_settings(chosen.config)
    dataset, out = settings.build(chosen.recipe, "shard"), settings.build("fit_diffusion")
    import_part("train.fit", "train").fit(dataset, out, configured, chosen.seed)
    drawing = import_part("train.sample", "train")
    data = import_part("cxrfuture_data", "train").open_dataset(dataset)
    splits = [name for name in ("valid", "test", "train") if len(data.split(name, "pair"))]
    if not splits:
        raise ContractError(f"{dataset}: no pair to draw")
    codec = settings.weights_of(chosen.recipe)
    request = drawing.Request(dataset, codec, splits[0], 0, chosen.seed)
    drawing.draw_film(out, request, out / "sample.png")


@training.command(
    "import_vae",
    rich_help_panel=TRAINING,
    epilog=example("cxrfuture import_vae vae.ckpt weights/vae --family ddl_cxr"),
)
def import_vae(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt, .pt, .pth or .safetensors.")],
    out: Annotated[Path, typer.Argument(help="A new folder, for latent.weights.")],
    family: Annotated[
        str | None,
        typer.Option(
            help="ddl_cxr or cheff: its scale factor; its shape is checked. Default: none.",
            autocompletion=complete_from("ddl_cxr", "cheff"),
        ),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Scale factor of the latents. Default: the family's.")
    ] = None,
    norm_groups: Annotated[int, typer.Option(min=1, help="Groups of its GroupNorm.")] = 32,
) -> None:
    """A published CompVis autoencoder (Cheff's, DDL-CXR's) -> weights for `latent`."""
    import_part("train.vae_checkpoint", "train").import_vae(
        checkpoint, out, family, scale, norm_groups
    )


@training.command(
    "import_unet",
    rich_help_panel=TRAINING,
    epilog=example("cxrfuture import_unet unet.ckpt weights/unet --family ddl_cxr"),
)
def import_unet(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt, .pt, .pth or .safetensors.")],
    out: Annotated[Path, typer.Argument(help="A new folder, for unet_weights.")],
    family: Annotated[
        str | None,
        typer.Option(
            help="ddl_cxr, ehrxdiff or stable-diffusion: its heads; its shape is checked."
            " Default: none, and --heads or --head-width.",
            autocompletion=complete_from("ddl_cxr", "ehrxdiff", "stable-diffusion"),
        ),
    ] = None,
    heads: Annotated[
        int | None, typer.Option(help="Heads of every level. Default: the family's.")
    ] = None,
    head_width: Annotated[
        int | None, typer.Option(help="Or how wide each is. Default: the family's.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="raw, or ema: the averaged ones.", autocompletion=complete_from("ema", "raw")
        ),
    ] = "ema",
    norm_groups: Annotated[int, typer.Option(min=1, help="Groups of its GroupNorm.")] = 32,
) -> None:
    """A published CompVis UNet (DDL-CXR, EHRXDiff, Stable Diffusion) -> weights for `train`."""
    chosen = None
    if heads is not None or head_width is not None:
        chosen = import_part("train.model.compvis_unet", "train").Heads(heads, head_width)
    import_part("train.unet_checkpoint", "train").import_unet(
        checkpoint, out, family, chosen, weights, norm_groups
    )
