"""The command `cxrfuture`: every stage, the reader's tools and the trainers behind one word each.

Commands import what they run only when they run, so `--help` is quick and a light install can
still `show` and `verify`.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cxrfuture_data.command import (
    DEFAULT_PARAMS,
    OWN_PACKAGES,
    Availability,
    Dataset,
    Fidelity,
    GivenRecipe,
    ParamsFile,
    RecipeName,
    import_part,
)
from cxrfuture_data.schema import ContractError
from etl.bench_command import bench
from etl.cache_command import cache
from train import command as training
from train import evaluation_command as evaluation
from train.outcome_command import outcomes
from train.results_command import results
from train.study.command import study

app = typer.Typer(
    help="MIMIC-IV and MIMIC-CXR to sharded datasets, and models trained on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench, name="bench")
app.add_typer(cache, name="cache")
app.add_typer(study, name="study")
app.command("train")(training.train)
app.command("sweep")(training.sweep)
app.command("sample")(training.sample)
app.command("fit_diffusion")(training.fit_diffusion)
app.command("import_unet")(training.import_unet)
for command in (
    evaluation.generate,
    evaluation.predict,
    outcomes,
    results,
    evaluation.evaluate,
    evaluation.table,
    evaluation.anomaly,
):
    app.command()(command)


def _run_stage(stage: str, params_file: Path, *recipe: str | None) -> None:
    """``recipe``: its name, and another fidelity and availability than its own."""
    settings = import_part("etl.params", "etl").read_params(params_file)
    arguments, build = [settings], settings.build()
    if recipe:
        chosen = import_part("etl.recipe", "etl").read_recipe(*recipe)
        arguments, build = [settings, chosen], settings.build(chosen.name)
    run = import_part(f"etl.{stage}", "etl").run
    with import_part("etl.stage_cost", "etl").measured(build, stage):
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
    stage = import_part("etl.simulate", "etl")
    settings = import_part("etl.params", "etl").read_params(params)
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
        settings = import_part("etl.params", "etl").read_params(params)
        import_part("etl.ingest", "etl").forget(settings)
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
        settings = import_part("etl.params", "etl").read_params(params)
        chosen = import_part("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
        import_part("etl.embed", "etl").run_dry(settings, chosen, as_json)
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
    settings = import_part("etl.params", "etl").read_params(params)
    chosen = import_part("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    import_part("etl.prepare", "etl").prepare(settings, chosen)
    import_part("etl.phenotype", "etl").print_difference(settings, chosen, Console())


@app.command()
def attrition(
    recipe: GivenRecipe,
    params: ParamsFile = DEFAULT_PARAMS,
    fidelity: Fidelity = None,
    availability: Availability = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows here too.")] = None,
) -> None:
    """What each filter of a recipe removed, and why, as far as it has been built."""
    settings = import_part("etl.params", "etl").read_params(params)
    chosen = import_part("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    import_part("etl.attrition", "etl").run_attrition(settings, chosen, csv)


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
    settings = import_part("etl.params", "etl").read_params(params)
    chosen = import_part("etl.recipe", "etl").read_recipe(recipe, fidelity, availability)
    report = import_part("etl.reproduction", "etl")
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
    settings = import_part("etl.params", "etl").read_params(params)
    chosen = import_part("etl.recipe", "etl").read_recipe(recipe, None, availability)
    report = import_part("etl.fidelity", "etl")
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
    report = import_part("etl.diff_report", "etl")
    settings = import_part("etl.params", "etl").read_params(params)
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
    settings = import_part("etl.params", "etl").read_params(params)
    name = import_part("etl.recipe", "etl").read_recipe(recipe, fidelity, availability).name
    configs = import_part("train.settings", "train")
    config = configs.read_config(configs.VaeConfig, "fit_vae", settings.fit_vae.config)
    stage = import_part("train.fit_vae", "train")
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
    import_part("train.vae_checkpoint", "train").import_vae(
        checkpoint, out, family, scale, norm_groups
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
    module = import_part("etl.export", "etl")
    default = {"npz": "ddl_cxr", "meds": "future"}.get(kind)
    default = default or module.require_format(kind).replace("-", "_")
    chosen = import_part("etl.recipe", "etl").read_recipe(
        recipe or default, fidelity, availability, none_text
    )
    settings = import_part("etl.params", "etl").read_params(params)
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
    settings = import_part("etl.params", "etl").read_params(params)
    doctor = import_part("etl.doctor", "etl")
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
    module = import_part("etl.guard", "etl")
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
    settings = import_part("etl.params", "etl").read_params(params)
    recipes = import_part("etl.recipe", "etl")
    chosen = [
        recipes.read_recipe(name, fidelity, availability) for name in recipe or settings.recipes
    ]
    plan = import_part("etl.plan", "etl")
    plan.run_plan(settings, chosen, out=out, rate=rate, exact=exact, as_json=as_json)


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
    except ModuleNotFoundError as error:  # of a light install, deeper than import_part looks
        if (error.name or "").split(".")[0] in OWN_PACKAGES:
            raise
        extras = "pip install 'cxrfuture[etl,train]'"
        print(f"error: {error.name} is not installed; run: {extras}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
