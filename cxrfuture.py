"""The command `cxrfuture`: every stage, the reader's tools and the trainers behind one word each.

Commands import what they run only when they run, so `--help` is quick and a light install can
still `show` and `verify`.
"""

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cxrfuture_data.schema import ContractError

app = typer.Typer(
    help="MIMIC-IV and MIMIC-CXR to sharded datasets, and models trained on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench = typer.Typer(help="Speed, as ratios taken in one run, with peak memory.")
app.add_typer(bench, name="bench")
cache = typer.Typer(help="Images, latents and embeddings that were made once.")
app.add_typer(cache, name="cache")

ParamsFile = Annotated[Path, typer.Option("--params", help="The settings of every stage.")]
RecipeName = Annotated[str, typer.Option("--recipe", help="A recipe's name, or a path to a .yaml.")]
Fidelity = Annotated[
    str | None,
    typer.Option("--fidelity", help="corrected or published. Default: that of the recipe."),
]
Availability = Annotated[
    str | None,
    typer.Option("--availability", help="event or known. Default: that of the recipe."),
]
GivenRecipe = Annotated[str, typer.Argument(help="A recipe's name, or a path to a .yaml.")]
Dataset = Annotated[Path, typer.Argument(help="A dataset folder: build/<recipe>/shard.")]
DEFAULT_PARAMS = Path("params.yaml")


def _module(name: str, extra: str) -> Any:
    """Import a part of the distribution; a missing dependency names the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        own = (error.name or "").split(".")[0] in {"etl", "train", "cxrfuture_data"}
        if own:
            raise
        raise ContractError(
            f"{error.name} is not installed; run: pip install 'cxrfuture[{extra}]'"
        ) from None


def _run_stage(stage: str, params_file: Path, *recipe: str | None) -> None:
    """``recipe``: its name, and another fidelity and availability than its own."""
    settings = _module("etl.params", "etl").read_params(params_file)
    arguments, build = [settings], settings.build()
    if recipe:
        chosen = _module("etl.recipe", "etl").read_recipe(*recipe)
        arguments, build = [settings, chosen], settings.build(chosen.name)
    run = _module(f"etl.{stage}", "etl").run
    with _module("etl.stage_cost", "etl").measured(build, stage):
        run(*arguments)


@app.command()
def simulate(
    params: ParamsFile = DEFAULT_PARAMS,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the trees here, and take no folder from the params."),
    ] = None,
    patients: Annotated[int | None, typer.Option(help="Default: that of the params.")] = None,
    seed: Annotated[int | None, typer.Option(help="Default: that of the params.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Shorter side of a film, pixels. Default: of the params.")
    ] = None,
    mimic_iv_from: Annotated[
        Path | None, typer.Option(help="Film the patients of this tree and make no tables.")
    ] = None,
    films: Annotated[bool, typer.Option(help="Draw the films, or only list them.")] = True,
    films_as: Annotated[
        str | None, typer.Option(help="jpg, resized, flat or dicom. Default: that of the params.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Of MIMIC-IV: 2.0, 2.2, 3.0 or 3.1. Default: of the params.")
    ] = None,
    cxr_version: Annotated[
        str | None, typer.Option(help="Of MIMIC-CXR-JPG: 2.0.0 or 2.1.0. Default: of the params.")
    ] = None,
) -> None:
    """A hospital from a seed, shaped like a version of MIMIC-IV and MIMIC-CXR-JPG."""
    stage = _module("etl.simulate", "etl")
    settings = _module("etl.params", "etl").read_params(params)
    options = {"patients": patients, "seed": seed, "image_size": image_size, "films_as": films_as}
    options |= {"version": version, "cxr_version": cxr_version}
    given = {name: value for name, value in options.items() if value is not None}
    if out is None:
        if given or mimic_iv_from is not None or not films:
            raise ContractError("options that change the hospital need --out; or edit params.yaml")
        stage.run(settings)
        return
    chosen = settings.simulate.model_dump() | given
    stage.simulate(
        stage.SimulateOptions(
            out=out,
            mimic_iv_from=mimic_iv_from,
            render=films,
            workers=settings.image.workers,
            **chosen,
        )
    )


@app.command()
def ingest(
    params: ParamsFile = DEFAULT_PARAMS,
    again: Annotated[
        bool, typer.Option("--again", help="Read every table again, changed or not.")
    ] = False,
) -> None:
    """MIMIC's tables, from files or PostgreSQL -> one typed, sorted Parquet a table."""
    if again:
        settings = _module("etl.params", "etl").read_params(params)
        _module("etl.ingest", "etl").forget(settings)
    _run_stage("ingest", params)


@app.command()
def event(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Tables -> measurements in one unit each, and events as text."""
    _run_stage("event", params, recipe, fidelity, availability)


@app.command()
def cohort(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Films, stays and pairs by the recipe's rules; splits by patient; the ledger."""
    _run_stage("cohort", params, recipe, fidelity, availability)


@app.command()
def window(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """What was measured and what happened between the films, per pair and stay."""
    _run_stage("window", params, recipe, fidelity, availability)


@app.command()
def image(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Films -> square grey images, one row an attempt. The first stage that needs the films."""
    _run_stage("image", params, recipe, fidelity, availability)


@app.command()
def embed(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take; send and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Of --dry-run, as JSON.")] = False,
) -> None:
    """Distinct event texts -> one fp16 vector each."""
    if dry_run:
        settings = _module("etl.params", "etl").read_params(params)
        chosen = _module("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
        _module("etl.embed", "etl").run_dry(settings, chosen, as_json)
        return
    _run_stage("embed", params, recipe, fidelity, availability)


@app.command()
def latent(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Images -> mean and log-variance of the autoencoder's posterior, once a film."""
    _run_stage("latent", params, recipe, fidelity, availability)


@app.command()
def shard(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Everything -> WebDataset tars, sample indexes and dataset.json."""
    _run_stage("shard", params, recipe, fidelity, availability)


@app.command()
def check(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Prove the dataset: patients, windows, members, hashes. Fails on the first offence."""
    _run_stage("check", params, recipe, fidelity, availability)


@app.command()
def phenotypes(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """What full CCS coverage changes of the 25 phenotypes, on the cohort at hand."""
    settings = _module("etl.params", "etl").read_params(params)
    chosen = _module("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    _module("etl.prepare", "etl").prepare(settings, chosen)
    _module("etl.phenotype", "etl").print_difference(settings, chosen, Console())


@app.command()
def attrition(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows here too.")] = None,
) -> None:
    """What each filter of a recipe removed, and why, as far as it has been built."""
    settings = _module("etl.params", "etl").read_params(params)
    chosen = _module("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    _module("etl.attrition", "etl").run_attrition(settings, chosen, csv)


@app.command()
def reproduction(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if the paper's own releases disagree.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """The paper's own numbers beside those of a built cohort, and the known reasons."""
    settings = _module("etl.params", "etl").read_params(params)
    chosen = _module("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    report = _module("etl.reproduction", "etl")
    report.run_reproduction(settings, chosen, strict=strict, as_json=as_json)


@app.command()
def fidelity(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    availability: Availability = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Try this correction alone; repeatable.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the compared builds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """What each correction of a recipe changes on the data at hand, one at a time and all."""
    settings = _module("etl.params", "etl").read_params(params)
    chosen = _module("etl.recipe", "etl").read_recipe(recipe, None, availability)
    report = _module("etl.fidelity", "etl")
    report.run_fidelity(settings, chosen, only or [], keep=keep, as_json=as_json)


@app.command()
def diff(
    build_a: Annotated[Path, typer.Argument(help="A build folder, or a recipe's folder in one.")],
    build_b: Annotated[Path, typer.Argument(help="The one it became.")],
    recipe: Annotated[str | None, typer.Option(help="Default: every recipe in both.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every line here too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything differs.")] = False,
) -> None:
    """What a version, a setting or other code changed: samples, labels, windows, and by what."""
    report = _module("etl.diff_report", "etl")
    settings = _module("etl.params", "etl").read_params(params)
    diffs = report.run_diff(settings, (build_a, build_b), recipe, csv)
    if as_json:
        report.print_json(diffs)
    else:
        for found in diffs:
            report.print_diff(found, Console())
    if strict and not all(found.is_none for found in diffs):
        raise typer.Exit(1)


@app.command("fit_vae")
def fit_vae(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
) -> None:
    """Fit the autoencoder on the films of training patients."""
    settings = _module("etl.params", "etl").read_params(params)
    name = _module("etl.recipe", "etl").read_recipe(recipe, fidelity, availability).name
    configs = _module("train.settings", "train")
    config = configs.read_config(configs.VaeConfig, "fit_vae", settings.fit_vae.config)
    stage = _module("train.fit_vae", "train")
    inputs = stage.VaeInputs(
        settings.build(name, "image"),
        settings.build(name, "cohort"),
        settings.fit_vae.perceptual_weights,
    )
    stage.fit_vae(inputs, settings.build(name, "fit_vae"), config, settings.fit_vae.seed)


@app.command("import_vae")
def import_vae(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt, .pt, .pth or .safetensors.")],
    out: Annotated[Path, typer.Argument(help="A new folder, for latent.weights.")],
    family: Annotated[
        str | None, typer.Option(help="ddl_cxr or cheff: its scale factor; its shape is checked.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Scale factor of the latents. Default: the family's.")
    ] = None,
    norm_groups: Annotated[int, typer.Option(min=1, help="Groups of its GroupNorm.")] = 32,
) -> None:
    """A published CompVis autoencoder (Cheff's, DDL-CXR's) -> weights for `latent`."""
    _module("train.vae_checkpoint", "train").import_vae(checkpoint, out, family, scale, norm_groups)


@app.command("fit_diffusion")
def fit_diffusion(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Fit the denoiser on one dataset's pairs; goes on from its newest checkpoint."""
    settings = _module("etl.params", "etl").read_params(params)
    chosen = settings.fit_diffusion
    configs = _module("train.settings", "train")
    config = configs.read_config(configs.DiffusionConfig, "fit_diffusion", chosen.config)
    _module("train.fit_diffusion", "train").fit_diffusion(
        settings.build(chosen.recipe, "shard"),
        settings.build("fit_diffusion"),
        config,
        chosen.seed,
        codec=settings.weights_of(chosen.recipe),
    )


@app.command("export")
def export_cohort(
    kind: Annotated[
        str, typer.Option("--format", help="npz, ddl-cxr, medfuse, ehrxdiff, diff3m or meds.")
    ],
    recipe: Annotated[
        str | None, typer.Option(help="Default: the one that the format is named after.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Default: build/<recipe>/export/<format>.")
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    none_text: Annotated[
        str | None,
        typer.Option(help="published only: the text None of eye opening, lost or kept."),
    ] = None,
    normaliser: Annotated[
        str | None,
        typer.Option(help="npz only: training, for moments of the training windows at hand."),
    ] = None,
) -> None:
    """A cohort and its windows as others' code reads them; needs tables and metadata, no film."""
    module = _module("etl.export", "etl")
    default = {"npz": "ddl_cxr", "meds": "future"}.get(kind)
    default = default or module.require_format(kind).replace("-", "_")
    chosen = _module("etl.recipe", "etl").read_recipe(
        recipe or default, fidelity, availability, none_text
    )
    settings = _module("etl.params", "etl").read_params(params)
    module.run(settings, chosen, kind, out, normaliser)


@app.command("show")
def show_sample(
    dataset: Dataset,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "train",
    kind: Annotated[str, typer.Option(help="pair, stay or image.")] = "pair",
    index: Annotated[int, typer.Option(help="Position in the split, from 0.")] = 0,
    key: Annotated[str | None, typer.Option(help="The sample of this key instead.")] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print ids and times of the chart.")] = False,
    png: Annotated[Path | None, typer.Option(help="Draw the sample here too.")] = None,
) -> None:
    """One sample as text, and as a picture: films, events between, hourly values."""
    from cxrfuture_data import open_dataset
    from cxrfuture_data.show import show

    which = index if key is None else key
    show(open_dataset(dataset), split, kind, which, ids=ids, png=png)


@app.command("verify")
def verify_dataset(dataset: Dataset) -> None:
    """Every hash, index and member of a dataset again; stops at the first offence."""
    from cxrfuture_data.verify import verify

    report = verify(dataset)
    print(f"{dataset}: {report.samples:,} samples in {report.shards} shards are whole")


@app.command("push")
def push_dataset(
    dataset: Dataset,
    url: Annotated[str, typer.Argument(help="Where to: s3://bucket/prefix.")],
    attest: Annotated[
        str, typer.Option(help="Who allowed it there, under what terms. Recorded beside it.")
    ] = "",
) -> None:
    """Copy a dataset to an object store, every file proven; run it again to go on."""
    from cxrfuture_data.transfer import push

    sent = push(dataset, url, attest)
    print(f"{url}: {sent.files:,} files, {sent.bytes / 1e9:,.2f} GB, {sent.copied:,} of them sent")


@app.command("pull")
def pull_dataset(
    url: Annotated[str, typer.Argument(help="A pushed dataset: s3://bucket/prefix.")],
    folder: Annotated[Path, typer.Argument(help="The folder to copy it to.")],
) -> None:
    """Copy a pushed dataset to a folder, every file proven; run it again to go on."""
    from cxrfuture_data.transfer import pull

    got = pull(url, folder)
    print(
        f"{folder}: {got.files:,} files, {got.bytes / 1e9:,.2f} GB, {got.copied:,} of them fetched"
    )


@app.command()
def summary(
    build: Annotated[Path, typer.Argument(help="The folder dvc repro builds in.")] = Path("build"),
) -> None:
    """What a build holds and where: counts per split, bytes, a sample, next steps."""
    from cxrfuture_data.summary import print_summary

    print_summary(build, Console())


@app.command("doctor")
def examine(
    deep: Annotated[
        str, typer.Option(help="sizes: every film too; sums: and every table's checksum.")
    ] = "none",
    all_films: Annotated[
        bool, typer.Option("--all-films", help="All films needed, not a sample of 256.")
    ] = False,
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """What is here, which version, what is wrong with it, and whether a run would go through."""
    settings = _module("etl.params", "etl").read_params(params)
    doctor = _module("etl.doctor", "etl")
    if not doctor.run_doctor(settings, deep=deep, all_films=all_films, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def guard(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: the whole git tree.")
    ] = None,
    staged: Annotated[
        bool, typer.Option("--staged", help="What the next commit would hold, and no more.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Every content of every commit, and the messages.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False,
    install_hook: Annotated[
        bool, typer.Option("--install-hook", help="Run --staged before every commit from now on.")
    ] = False,
) -> None:
    """Ids, films, datasets and passwords that must not be committed. Exit 1: found; 2: error."""
    module = _module("etl.guard", "etl")
    try:
        if install_hook:
            print(f"{module.install_hook(Path.cwd())}: guards every commit of this repository")
            return
        code = module.run_guard(paths or [], staged=staged, history=history, as_json=as_json)
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    raise typer.Exit(code)


@app.command("plan")
def plan_downloads(
    recipe: Annotated[
        list[str] | None, typer.Option(help="Repeatable. Default: the recipes of the params.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: build/plan.")] = None,
    rate: Annotated[float, typer.Option(help="MB a second of a download.")] = 0.6,
    exact: Annotated[
        bool, typer.Option("--exact", help="Make the cohorts first; reads the event tables.")
    ] = False,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Samples, films, GB and hours before anything is downloaded; lists of films to fetch."""
    settings = _module("etl.params", "etl").read_params(params)
    recipes = _module("etl.recipe", "etl")
    chosen = [
        recipes.read_recipe(name, fidelity, availability) for name in recipe or settings.recipes
    ]
    plan = _module("etl.plan", "etl")
    plan.run_plan(settings, chosen, out=out, rate=rate, exact=exact, as_json=as_json)


@cache.command("stats")
def cache_stats(
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """What the cache holds, how it was made, and when it was last used."""
    settings = _module("etl.params", "etl").read_params(params)
    _module("etl.cache_print", "etl").print_stats(settings, as_json)


@cache.command("verify")
def cache_verify(
    params: ParamsFile = DEFAULT_PARAMS,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take damaged rows out; stages make them again.")
    ] = False,
) -> None:
    """Check every row against its checksum; exit code 1 where one is damaged."""
    settings = _module("etl.params", "etl").read_params(params)
    _module("etl.cache_print", "etl").verify_cache(settings, repair)


@cache.command("gc")
def cache_gc(
    params: ParamsFile = DEFAULT_PARAMS,
    build: Annotated[
        list[Path] | None,
        typer.Option(help="Another build that uses the cache. Repeatable."),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0, help="Leave what a stage used within so many days.")
    ] = 7,
    remove: Annotated[bool, typer.Option("--remove", help="Remove, not only list.")] = False,
) -> None:
    """Rows that no build uses any more, and what killed writers left."""
    settings = _module("etl.params", "etl").read_params(params)
    _module("etl.cache_print", "etl").collect_garbage(settings, build or [], days, remove)


@bench.command("ingest")
def bench_ingest(
    params: ParamsFile = DEFAULT_PARAMS,
    mimic_iv: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    mimic_cxr_jpg: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Ingest against DuckDB's own copy of the same files to Parquet."""
    settings = _module("etl.params", "etl").read_params(params)
    _module("etl.bench", "etl").run_ingest_bench(
        settings, mimic_iv, mimic_cxr_jpg, rounds=rounds, as_json=as_json
    )


@bench.command("etl")
def bench_etl(
    recipe: RecipeName,
    params: ParamsFile = DEFAULT_PARAMS,
    mimic_iv: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    mimic_cxr_jpg: Annotated[Path | None, typer.Option(help="Default: that of the params.")] = None,
    fidelity: Fidelity = None,
    availability: Availability = None,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Simulate a hospital of about so many event rows and read it."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Ingest, event, cohort and window: rows a second and memory, beside DuckDB's bare copy."""
    settings = _module("etl.params", "etl").read_params(params)
    chosen = _module("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    bench_of = _module("etl.bench_etl", "etl")
    if rows is not None:
        if mimic_iv is not None or mimic_cxr_jpg is not None:
            raise ContractError("--rows simulates a hospital; give it without folders")
        bench_of.run_rows_bench(settings, chosen, rows, rounds, as_json)
        return
    bench_of.run_etl_bench(
        settings, chosen, mimic_iv, mimic_cxr_jpg, rounds=rounds, as_json=as_json
    )


@bench.command("cache")
def bench_cache(
    megabytes: Annotated[int, typer.Option(min=1, help="Of rows of each kind.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Rows written and read a second, beside a plain append to one file."""
    _module("etl.bench_cache", "etl").run_cache_bench(megabytes, rounds, as_json)


@bench.command("latent")
def bench_latent(
    params: ParamsFile = DEFAULT_PARAMS,
    weights: Annotated[
        Path | None, typer.Option(help="An autoencoder's folder. Default: a small one is made.")
    ] = None,
    films: Annotated[int, typer.Option(min=1, help="Images to encode.")] = 256,
    size: Annotated[int, typer.Option(min=32, help="Of an image, pixels.")] = 224,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a line.")] = False,
) -> None:
    """Films encoded a second, beside the bare autoencoder on images in memory."""
    settings = _module("etl.params", "etl").read_params(params)
    bench_of = _module("etl.bench_latent", "etl")
    bench_of.run_latent_bench(settings, weights, films, size, rounds, as_json)


@bench.command("embed")
def bench_embed(
    params: ParamsFile = DEFAULT_PARAMS,
    texts: Annotated[int, typer.Option(min=1, help="Made from a seed, like events.")] = 8192,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Embedding against the bare model on the same batches."""
    settings = _module("etl.params", "etl").read_params(params)
    bench_of = _module("etl.bench_embed", "etl")
    bench_of.run_embed_bench(settings, texts, rounds, as_json=as_json)


@bench.command("metadata")
def bench_metadata(
    recipe: Annotated[
        list[str] | None, typer.Option(help="Repeatable. Default: the recipes of the params.")
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Doctor and plan on simulated metadata of full size: 377,110 films, 364,627 patients."""
    settings = _module("etl.params", "etl").read_params(params)
    bench = _module("etl.bench_metadata", "etl")
    bench.run_metadata_bench(settings, recipe or settings.recipes, as_json=as_json)


@bench.command("level")
def bench_level(
    films: Annotated[Path, typer.Argument(help="A folder of films: PNG or JPEG, at any depth.")],
    count: Annotated[int, typer.Option(min=1, help="The first so many films.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each way, in turn.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Bytes and time of each resolution of a film kept as levels, against PNG and JPEG."""
    module = _module("etl.bench_level", "etl")
    module.run_level_bench(films, count, rounds, as_json=as_json)


@bench.command("image")
def bench_image(
    films: Annotated[
        Path | None,
        typer.Option(help="A folder of films. Default: simulated ones of 2544 x 3056."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Films at most.")] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Films a second and core of each way to read one, beside the bare decoder."""
    if films is not None and not films.is_dir():
        raise ContractError(f"{films}: no such folder; give --films a folder of films")
    _module("etl.bench_image", "etl").run_image_bench(films, count, as_json)


def main() -> None:
    """Run a command. The only place that prints an error; a user's mistake is one line."""
    os.umask(0o077)  # outputs are for the user alone (MIMIC's terms)
    try:
        app()
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT}:
            raise
        print(f"error: {error}; nothing finished is lost, run it again then", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
