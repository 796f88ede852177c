import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tiny_build import TEXTS, add_null_event, build_dataset, leave_out_film, write_build

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.manifest import Simulated
from cxrfuture_data.picture import FILM, MARGIN, TOP, WIDTH, Axis, draw
from cxrfuture_data.schema import PHENOTYPES
from cxrfuture_data.show import describe, show
from etl import shard


@pytest.fixture(scope="module")
def hourly_dataset(tmp_path_factory):
    return open_dataset(
        build_dataset(tmp_path_factory.mktemp("show"), "ddl_cxr", shard={"workers": 1})
    )


@pytest.fixture(scope="module")
def event_dataset(tmp_path_factory):
    return open_dataset(
        build_dataset(tmp_path_factory.mktemp("show"), "ehrxdiff", shard={"workers": 1})
    )


@pytest.fixture(scope="module")
def odd_dataset(tmp_path_factory):
    """The only stays without a film are those of patients 9 and 10; patient 1 has a null event."""
    params, recipe = write_build(tmp_path_factory.mktemp("odd"), "ddl_cxr", shard={"workers": 1})
    folder = params.build("ddl_cxr")
    for subject in (9, 10):
        leave_out_film(folder, subject)
    add_null_event(folder, 1)
    shard.run(params, recipe)
    return open_dataset(params.build("ddl_cxr", "shard"))


def text_of(sample, dataset, **options):
    console = Console(file=io.StringIO(), width=200)
    console.print(describe(sample, dataset, **options))
    return console.file.getvalue()


def test_text_says_what_the_sample_holds(hourly_dataset, event_dataset):
    pair = hourly_dataset.split("train", "pair")[0]
    words = text_of(pair, hourly_dataset, ids=False)
    assert "10.0 h from the previous film to the target (SIMULATED tables and films)" in words
    assert "Heart Rate" in words
    assert "hourly values over 10 hours: 1 of 17 variables measured" in words
    found = text_of(event_dataset.split("train", "pair")[0], event_dataset, ids=False)
    assert all(text in found for text in TEXTS)


@pytest.mark.parametrize("kind", ["pair", "stay", "image"])
def test_ids_and_dates_are_shown_only_when_asked_for(hourly_dataset, kind):
    sample = hourly_dataset.split("train", kind)[0]
    hidden = text_of(sample, hourly_dataset, ids=False)
    shown = text_of(sample, hourly_dataset, ids=True)
    for secret in ("dicom-", "2150-01-01", f"subject {sample.subject_id}"):
        assert secret not in hidden
        assert secret in shown


def test_a_stay_without_a_film_is_shown_and_drawn(odd_dataset, tmp_path):
    stay = odd_dataset.split("valid", "stay")[0]
    words = text_of(stay, odd_dataset, ids=True)
    assert "ICU stay without a film before the prediction" in words
    assert "no film in this stay" in words
    assert "findings: none, without a film" in words
    assert "hourly values over 48 hours" in words
    show(odd_dataset, "valid", "stay", 0, png=tmp_path / "stay.png")
    with Image.open(tmp_path / "stay.png") as picture:
        middle = picture.convert("L").crop((MARGIN, TOP, MARGIN + FILM, TOP + FILM))
    assert middle.getextrema()[0] < 200  # the words in the place of the film


def test_a_null_event_is_shown_and_drawn(odd_dataset, tmp_path):
    samples = odd_dataset.split("train", "pair")
    position = next(i for i in range(len(samples)) if samples[i].is_null_event)
    words = text_of(samples[position], odd_dataset, ids=False)
    assert "null event: the previous film is the target" in words
    assert "window            0.0 h" in words
    assert "hourly values: none" in words
    show(odd_dataset, "train", "pair", position, png=tmp_path / "pair.png")
    assert (tmp_path / "pair.png").exists()


def test_what_is_known_beyond_the_findings_is_shown(hourly_dataset):
    pairs = hourly_dataset.split("train", "pair")
    described = next(pair for pair in pairs if pair.changes)
    words = text_of(described, hourly_dataset, ids=False)
    assert "pneumonia worsened" in words
    assert "attributes: lung opacity" in words
    stays = hourly_dataset.split("test", "stay")
    stay = next(stay for stay in stays if stay.subject_id == 12)
    found = text_of(stay, hourly_dataset, ids=False)
    assert f"{PHENOTYPES[0]}, {PHENOTYPES[12]}, {PHENOTYPES[24]}" in found


@pytest.mark.parametrize("kind", ["pair", "stay", "image"])
def test_every_kind_has_a_picture(hourly_dataset, tmp_path, capsys, kind):
    samples = hourly_dataset.split("train", kind)
    show(hourly_dataset, "train", kind, samples.key(1), png=tmp_path / "sample.png")
    assert samples.key(1) in capsys.readouterr().out
    with Image.open(tmp_path / "sample.png") as picture:
        assert picture.width == WIDTH


def test_the_picture_holds_both_films_at_its_sides(hourly_dataset):
    pair = hourly_dataset.split("train", "pair")[0]
    picture = np.asarray(draw(pair, hourly_dataset.manifest.simulated).convert("L"))
    middle = TOP + FILM // 2
    assert picture[middle, MARGIN + FILM // 2] == pair.previous.pixels()[0, 0]
    assert picture[middle, WIDTH - MARGIN - FILM // 2] == pair.target.pixels()[0, 0]


def test_the_picture_says_simulated_only_when_it_is(hourly_dataset):
    pair = hourly_dataset.split("train", "pair")[0]
    corner = (slice(26, 60), slice(WIDTH - 160, WIDTH))
    pictures = {
        name: np.asarray(draw(pair, Simulated(tables=tables, films=films)))[corner]
        for name, tables, films in (("both", True, True), ("none", False, False))
    }
    assert (pictures["none"] == 255).all()
    assert (pictures["both"] < 255).any()


def test_a_dataset_without_films_or_texts_can_be_shown(tmp_path, capsys):
    options = {"keep_films": "none", "keep_texts": False, "workers": 1}
    dataset = open_dataset(build_dataset(tmp_path, "ehrxdiff", shard=options))
    show(dataset, "test", "pair", 0, png=tmp_path / "sample.png")
    words = capsys.readouterr().out
    assert "no film kept" in words
    assert "labevents" in words
    assert TEXTS[0] not in words
    assert (tmp_path / "sample.png").exists()


def test_a_wrong_key_is_refused(event_dataset):
    with pytest.raises(ContractError, match="no sample 'nobody'"):
        show(event_dataset, "train", "pair", "nobody")


@pytest.mark.parametrize("position", [-1, 1000])
def test_a_position_beyond_the_split_is_refused(event_dataset, position):
    with pytest.raises(ContractError, match=rf"no sample {position} in train/pair; it has \d+"):
        show(event_dataset, "train", "pair", position)


@pytest.mark.parametrize("hours", [0.3, 1, 9.5, 48, 400])
def test_an_axis_has_a_few_ticks_within_its_hours(hours):
    axis = Axis(100, 300, hours)
    ticks = axis.ticks(12)
    assert 1 <= len(ticks) <= 13
    assert ticks[-1] <= hours + 1e-9
    assert axis.x(0) == 100
    assert axis.x(hours) == axis.x(hours + 1) == 300
