"""Show one sample: as text on the terminal, and as a picture in a PNG."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxrfuture_data.dataset import Dataset
from cxrfuture_data.picture import draw, headline
from cxrfuture_data.publish import publish
from cxrfuture_data.sample import PairSample, Sample, StaySample, Window, films_of
from cxrfuture_data.schema import EVENT_TABLES, FINDINGS, VARIABLE_SETS, ContractError

LABELS = {1: "present", 0: "absent", -1: "uncertain", None: "-"}
EVENTS_SHOWN = 12


def show(
    dataset: Dataset,
    split: str,
    kind: str,
    which: int | str,
    *,
    ids: bool = False,
    png: Path | None = None,
) -> None:
    """Print the sample at a position (or of a key); also draw it to ``png`` if one is given.

    Ids and the chart's times are printed only when asked for.
    """
    samples = dataset.split(split, kind)
    position = samples.find(which) if isinstance(which, str) else which
    if not 0 <= position < len(samples):
        raise ContractError(
            f"no sample {position} in {split}/{kind}; it has {len(samples)}, from 0"
        )
    sample = samples[position]
    Console(highlight=False).print(describe(sample, dataset, ids=ids))
    if png is not None:
        picture = draw(sample, dataset.manifest.simulated)
        with publish(png) as part:
            picture.save(part, "PNG")


def describe(sample: Sample, dataset: Dataset, *, ids: bool) -> RenderableType:
    """The sample as tables of text."""
    parts: list[RenderableType] = [
        _title(sample, dataset),
        _facts(sample, ids=ids),
        _labels(sample),
    ]
    if isinstance(sample, PairSample | StaySample):
        parts += [_hourly(sample.window), _events(sample.window, dataset)]
    return Group(*parts)


def _title(sample: Sample, dataset: Dataset) -> Text:
    title = f"{sample.recipe} {sample.split} {sample.key}: {headline(sample)}"
    simulated = dataset.manifest.simulated
    if simulated.tables or simulated.films:
        which = [name for name in ("tables", "films") if getattr(simulated, name)]
        title += f" (SIMULATED {' and '.join(which)})"
    return Text(title, style="bold")


def _facts(sample: Sample, *, ids: bool) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("age, sex", f"{sample.age:g}, {sample.sex}")
    if isinstance(sample, PairSample | StaySample):
        died = {True: "yes", False: "no", None: "unknown"}[sample.died_in_hospital]
        hours = (sample.window.end_at - sample.window.start_at).total_seconds() / 3600
        table.add_row("died in hospital", died)
        table.add_row("window", f"{hours:.1f} h")
    if isinstance(sample, StaySample) and sample.phenotypes is not None:
        table.add_row("phenotypes", _named(sample.phenotypes))
    if isinstance(sample, PairSample) and sample.changes:
        found = [f"{name} {change}" for name, change in sample.changes.items() if change]
        table.add_row("changes", ", ".join(found) or "none said")
    if isinstance(sample, StaySample) and sample.previous is None:
        table.add_row("previous", "no film in this stay")
    for role, film in films_of(sample).items():
        picture = f"film {film.pixels().shape[0]} pixels" if film.is_kept else "no film kept"
        shape = " x ".join(str(side) for side in film.mean.shape)
        table.add_row(role, f"{film.view}, latent {shape}, {picture}")
        if film.attributes:
            table.add_row("", f"attributes: {_named(film.attributes)}")
        if ids:
            taken = film.taken_at.isoformat(sep=" ")
            table.add_row("", f"study {film.study_id}, dicom {film.dicom_id}, {taken}")
    if ids:
        table.add_row(
            "ids", f"subject {sample.subject_id}, hadm {sample.hadm_id}, stay {sample.stay_id}"
        )
    return table


def _named(values: Mapping[str, int | None]) -> str:
    """The names of those that are present."""
    return ", ".join(name for name, value in values.items() if value == 1) or "none"


def _labels(sample: Sample) -> RenderableType:
    films = films_of(sample)
    if not films:
        return Text("\nfindings: none, without a film")
    table = Table("\nfinding", *[f"\n{role}" for role in films], box=None, pad_edge=False)
    for finding in FINDINGS:
        words = [LABELS[film.labels[finding]] for film in films.values()]
        table.add_row(finding, *words)
    return table


def _hourly(window: Window) -> RenderableType:
    """First, last and number of measured hours of each variable measured."""
    table = Table("variable", "unit", "hours", "first", "last", box=None, pad_edge=False)
    variables = VARIABLE_SETS[window.variables]
    for column, variable in enumerate(variables):
        values = window.hourly[:, column]
        found = values[~np.isnan(values)]
        if len(found):
            ends = [
                variable.categories[int(value)] if variable.categories else f"{value:.4g}"
                for value in (found[0], found[-1])
            ]
            table.add_row(variable.name, variable.unit, str(len(found)), *ends)
    if not len(window.hourly):
        return Text("\nhourly values: none")
    measured = f"{table.row_count} of {len(variables)} variables measured"
    title = Text(f"\nhourly values over {len(window.hourly)} hours: {measured}")
    return Group(title, table) if table.row_count else title


def _events(window: Window, dataset: Dataset) -> RenderableType:
    """The last events with their texts where the build keeps them; otherwise counts by table."""
    count = len(window.event_row)
    title = f"\nevents: {count:,}"
    if count == 0:
        return Text(title)
    if not dataset.has_texts:
        table = Table("table", "events", box=None, pad_edge=False)
        for number, found in sorted(Counter(window.event_table.tolist()).items()):
            table.add_row(EVENT_TABLES[number], str(found))
        return Group(Text(title), table)
    last = slice(max(count - EVENTS_SHOWN, 0), count)
    table = Table("hour", "event", box=None, pad_edge=False)
    texts = dataset.texts(window.event_row[last])
    for hour, text in zip(window.event_hours[last], texts, strict=True):
        table.add_row(f"{hour:.2f}", Text(text))
    return Group(
        Text(title + (f", the last {EVENTS_SHOWN}" if count > EVENTS_SHOWN else "")), table
    )
