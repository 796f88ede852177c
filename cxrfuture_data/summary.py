"""What a build holds and where: counts, bytes, one sample, and what to type next."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from cxrfuture_data.dataset import Dataset, open_dataset
from cxrfuture_data.manifest import DATASET_FILE, Manifest
from cxrfuture_data.picture import headline
from cxrfuture_data.sample import PairSample, StaySample
from cxrfuture_data.schema import KINDS, SPLITS, ContractError


def find_datasets(build: Path) -> list[Path]:
    """The finished datasets below a build folder, by name."""
    return sorted(path.parent for path in build.glob(f"*/shard/{DATASET_FILE}"))


def describe_origin(manifest: Manifest) -> str:
    """Whose data a dataset holds, in words that cannot be mistaken."""
    simulated = manifest.simulated
    if simulated.tables and simulated.films:
        return "all SIMULATED"
    tables = "SIMULATED tables" if simulated.tables else "real tables"
    return f"{tables}, {'SIMULATED films' if simulated.films else 'real films'}"


def print_summary(build: Path, console: Console) -> None:
    """Print every finished dataset of a build folder; none is an error that says what to run."""
    folders = find_datasets(build)
    if not folders:
        raise ContractError(f"{build}: no finished dataset; run `dvc repro`")
    datasets = [open_dataset(folder) for folder in folders]
    console.print(_counts(datasets))
    for dataset in datasets:
        _print_sample(dataset, console)
    _print_next_steps(build, folders, console)


def _print_next_steps(build: Path, folders: list[Path], console: Console) -> None:
    """What to type and open; pages to look at come last, where they are seen."""
    first = folders[0]
    steps = {
        f"cxrfuture show {first} --png sample.png": "one sample, as text and as a picture",
        f"cxrfuture verify {first}": "every hash and member again",
        f"{build}/*/check/attrition.csv": "what every filter removed, and why",
    }
    picture = build / "fit_diffusion" / "sample.png"
    if picture.exists():
        steps[str(picture)] = "previous, generated and target film"
    for folder in folders:
        report = folder.parent / "report" / "report.html"
        if report.exists():
            steps[str(report)] = "the report, a page for your browser"
    steps[f"cxrfuture browse {first}"] = "look at its samples in your browser"
    width = max(map(len, steps))
    console.print("\nNext")
    for step, purpose in steps.items():
        console.print(f"  {step:<{width}}  {purpose}", highlight=False, soft_wrap=True)


def _counts(datasets: list[Dataset]) -> Table:
    table = Table(title="Datasets", title_justify="left")
    for column in ("dataset", "kind"):
        table.add_column(column, overflow="fold")
    for column in (*SPLITS, "shards", "MB"):
        table.add_column(column, justify="right")
    for dataset in datasets:
        splits = dataset.manifest.splits
        kinds = [kind for kind in KINDS if kind in splits[SPLITS[0]]]
        for row, kind in enumerate(kinds):
            entries = [splits[split][kind] for split in SPLITS]
            shards = [shard for entry in entries for shard in entry.shards]
            table.add_row(
                f"{dataset.source}\n{describe_origin(dataset.manifest)}" if row == 0 else "",
                kind,
                *(f"{entry.samples:,}" for entry in entries),
                str(len(shards)),
                f"{sum(shard.bytes for shard in shards) / 1e6:.1f}",
                end_section=kind == kinds[-1],
            )
    return table


def _print_sample(dataset: Dataset, console: Console) -> None:
    """One line on the first sample of the first kind that has one."""
    manifest = dataset.manifest
    places = [(kind, s) for kind in KINDS for s in SPLITS if kind in manifest.splits[s]]
    for kind, split in places:
        samples = dataset.split(split, kind, films=False)
        if not len(samples):
            continue
        sample = samples[0]
        words = headline(sample)
        if isinstance(sample, PairSample | StaySample):
            hours, events = len(sample.window.hourly), len(sample.window.event_row)
            words += f", {hours} hours and {events} events in the window"
        where = f"{manifest.recipe.name}, {split} {kind} {sample.key}"
        shape = tuple(manifest.latent.shape)
        console.print(f"{where}: latents {shape}, {words}", highlight=False, soft_wrap=True)
        return
