"""Example stays of the results page: films before, generated and after, and a few vital signs.

Shapes: C, h, w of a latent; H, W of a film; T hours, V variables of a window.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from cxrfuture_data import ContractError, Dataset, PairSample, StaySample, open_dataset
from cxrfuture_data.codec import Codec, load_codec, weights_digest
from cxrfuture_data.generated import GeneratedLatents, open_generated
from cxrfuture_data.page.figure import GREY, colour_of, figure, to_svg
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import VARIABLE_SETS
from cxrfuture_data.split import Split
from train.results_film import Example, ShownFilm, Source

EXAMPLES = 4
VITALS = (
    "Heart Rate",
    "Mean blood pressure",
    "Respiratory rate",
    "Oxygen saturation",
    "Temperature",
)


def read_examples(source: Source, split: str, made_from: str) -> list[Example]:
    """Stays of the evaluated dataset, first of all those with a later film to compare with."""
    data = open_dataset(source.dataset)
    if data.manifest.made_from != made_from:
        raise ContractError(
            f"{source.dataset}: not the dataset that was evaluated; give the one of outcomes.json"
        )
    if weights_digest(source.codec) != data.manifest.weights.vae:
        raise ContractError(
            f"{source.codec}: not the autoencoder that made the latents of {source.dataset}; "
            "give the one that `latent` used"
        )
    if "stay" not in data.manifest.kinds(split):
        raise ContractError(f"{source.dataset}: no stays in {split} to show; leave --dataset out")
    generated = open_generated(source.generated, made_from)
    stays, later = data.split(split, "stay"), _later_films(data, split)
    codec = load_codec(source.codec, _device())
    chosen = _choose(stays, generated, later)
    return [
        _show(number, stays, position, generated, later, codec)
        for number, position in enumerate(chosen, 1)
    ]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True, eq=False)
class LaterFilms:
    """``at``: the dicom id of a previous film -> the pair with the next one."""

    pairs: Split | None
    at: dict[str, int]


def _later_films(data: Dataset, split: str) -> LaterFilms:
    if "pair" not in data.manifest.kinds(split):
        return LaterFilms(None, {})
    pairs = data.split(split, "pair")
    columns, at = pairs.columns, {}
    order = np.argsort(-columns["gap_hours"], kind="stable")  # so the soonest is put in last
    for position in order[~columns["is_null_event"][order]].tolist():
        at[str(columns["previous.dicom_id"][position])] = position
    return LaterFilms(pairs, at)


def _choose(stays: Split, generated: GeneratedLatents, later: LaterFilms) -> list[int]:
    """Positions, spread over the keys."""
    columns = stays.columns
    has = [
        bool(has_film) and key in generated.places
        for has_film, key in zip(columns["previous.has"], columns["key"].tolist(), strict=True)
    ]
    is_followed = [film in later.at for film in columns["previous.dicom_id"].tolist()]
    best = np.flatnonzero(np.array(has) & np.array(is_followed))
    rest = np.flatnonzero(np.array(has) & ~np.array(is_followed))
    found = _spread(best, EXAMPLES)
    return found + _spread(rest, EXAMPLES - len(found))


def _spread(positions: Array, count: int) -> list[int]:
    count = min(count, len(positions))
    return [int(positions[i * len(positions) // count]) for i in range(count)]


def _show(
    number: int,
    stays: Split,
    position: int,
    generated: GeneratedLatents,
    later: LaterFilms,
    codec: Codec,
) -> Example:
    stay = stays[position]
    assert isinstance(stay, StaySample)
    assert stay.previous is not None
    assert stay.hours_since_previous is not None
    drawn = np.zeros((generated.seeds, *stay.previous.mean.shape), np.float32)
    generated.put(drawn, stay.key)
    latents, hours = [stay.previous.mean, drawn[0]], stay.hours_since_previous
    titles = ["Previous film", "Generated film"]
    captions = [
        f"{stay.previous.view}, {hours:.0f} h before the prediction",
        f"for the prediction, {hours:.0f} h after the previous film",
    ]
    if later.pairs is not None and stay.previous.dicom_id in later.at:
        pair = later.pairs[later.at[stay.previous.dicom_id]]
        assert isinstance(pair, PairSample)
        latents.append(pair.target.mean)
        titles.append("Actual next film")
        after = pair.gap_hours - hours
        captions.append(
            f"{pair.target.view}, {pair.gap_hours:.0f} h after the previous film, "
            f"{abs(after):.0f} h {'after' if after >= 0 else 'before'} the prediction"
        )
    films = _decode(codec, np.stack(latents))
    shown = zip(titles, captions, map(_data_url, films), strict=True)
    died = {True: "died in hospital", False: "left hospital alive", None: "outcome not known"}
    return Example(
        title=f"Example {number}: {'woman' if stay.sex == 'F' else 'man'} of {stay.age:.0f} years, "
        f"{died[stay.died_in_hospital]}",
        films=[ShownFilm(*one) for one in shown],
        vitals=_plot_vitals(stay, number),
    )


def _decode(codec: Codec, latents: Array) -> Array:
    """(n, C, h, w) -> uint8 (n, H, W). All pass through the autoencoder, so that what it loses is
    not taken for the generator's fault."""
    return codec.decode(torch.from_numpy(latents.astype(np.float32))).cpu().numpy()


def _data_url(film: Array) -> str:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _plot_vitals(stay: StaySample, number: int) -> str | None:
    """A small chart each; None where nothing was measured."""
    window = stay.window
    units = {variable.name: variable.unit for variable in VARIABLE_SETS[window.variables]}
    variables = list(units)
    length = (window.end_at - window.start_at).total_seconds() / 3600
    x = window.hourly_start_hours + np.arange(len(window.hourly)) + 0.5 - length  # (T,)
    found = {
        name: window.hourly[:, variables.index(name)]  # (T,) of (T, V)
        for name in VITALS
        if name in variables and not np.isnan(window.hourly[:, variables.index(name)]).all()
    }
    if not found:
        return None
    with figure(11.0, 1.9) as drawn:
        panels = drawn.subplots(1, len(VITALS), sharex=True, squeeze=False)[0]
        for index, (panel, (name, values)) in enumerate(zip(panels, found.items(), strict=False)):
            is_measured = ~np.isnan(values)
            panel.plot(
                x[is_measured], values[is_measured], marker=".", color=colour_of(index)["color"]
            )
            if stay.hours_since_previous is not None and stay.hours_since_previous <= length:
                panel.axvline(-stay.hours_since_previous, color=GREY, linestyle=(0, (2, 2)))
            panel.set_title(name, fontsize=10)
            panel.set_ylabel(units[name], fontsize=9)
            panel.set_xlim(-length, 0)
            panel.tick_params(labelsize=9)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        drawn.supxlabel("Hours to the prediction; dashed: the previous film", fontsize=9)
        words = f"Hourly {', '.join(found)} up to the prediction."
        return to_svg(drawn, f"vitals-{number}", words)
