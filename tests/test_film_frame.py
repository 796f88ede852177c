"""Resizing: exact equals Pillow's and OpenCV's, scaled stays within what docs/films.md states."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings
from etl.film_cubic import resize_cubic
from etl.film_frame import Preprocessing
from etl.film_reader import read_bytes
from etl.recipe import ImageRule, read_recipe, shipped_recipes

NIH_FULL = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-cxr" / "full"
METHODS = ("bilinear", "bicubic", "area", "lanczos")
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}
# Of scaled decoding against exact on the real films, in values of 255 (docs/films.md).
MEAN_BOUND, LARGEST_BOUND = 0.4, 10  # of each film
SIZES = (224, 256, 512)


def read(image, size=256, fit="crop", resample="bicubic", decode="exact", **options):
    """The pixels of an image that was saved, as PNG or as ``format``."""
    saved = BytesIO()
    image.save(saved, **({"format": "PNG"} | options))
    rule = Preprocessing(size=size, fit=fit, resample=resample, decode=decode)
    reading = read_bytes(saved.getvalue(), rule)
    assert reading.outcome == "ok"
    return reading.pixels.astype(int)


def textured(width, height):
    """A smooth image with texture."""
    y, x = np.mgrid[0:height, 0:width]
    grey = 128 + 60 * np.sin(x / (width / 13)) + 60 * np.cos(y / (height / 28))
    return Image.fromarray(grey.astype(np.uint8))


# --- exact


@pytest.mark.parametrize("resample", METHODS)
@pytest.mark.parametrize(("width", "height"), [(1000, 1201), (1203, 997), (399, 401), (64, 300)])
def test_exact_crop_equals_pillow_s_resize_then_crop(width, height, resample):
    film = textured(width, height)
    size = 96
    wide, high = size * width // min(width, height), size * height // min(width, height)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    scaled = film.resize((wide, high), FILTERS[resample])
    expected = np.asarray(scaled.crop((left, top, left + size, top + size)))
    assert np.array_equal(read(film, size, resample=resample), expected)


@pytest.mark.parametrize("resample", METHODS)
def test_exact_stretch_equals_pillow_s_resize(resample):
    film = textured(700, 901)
    expected = np.asarray(film.resize((224, 224), FILTERS[resample]))
    assert np.array_equal(read(film, 224, "stretch", resample), expected)


def test_exact_decodes_a_jpeg_whole():
    film = textured(2000, 2400)
    saved = BytesIO()
    film.save(saved, "JPEG", quality=95)
    with Image.open(saved) as whole:
        expected = np.asarray(whole.resize((256, 256), Image.Resampling.BILINEAR))
    found = read(film, fit="stretch", resample="bilinear", format="JPEG", quality=95)
    assert np.array_equal(found, expected)


# --- scaled


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("resample", METHODS)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_scaled_stays_close_to_exact(form, resample, fit):
    film = textured(1601, 1923)
    scaled, exact = (
        read(film, 100, fit, resample, decode, format=form) for decode in ("scaled", "exact")
    )
    difference = np.abs(scaled - exact)
    assert difference.mean() < 0.5
    assert difference.max() <= 4
    # Area counts whole pixels, so it is never scaled; a crop may round its edges otherwise.
    assert (difference.max() <= 1) or resample != "area"


@pytest.mark.skipif(not NIH_FULL.is_dir(), reason="needs the NIH films")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_scaled_stays_within_the_stated_bound_on_real_films(size, resample):
    films = [Image.open(path).convert("L") for path in sorted(NIH_FULL.glob("*.png"))]
    for film in films:
        for form in ("JPEG", "PNG"):
            options = {"format": form} | ({"quality": 95} if form == "JPEG" else {})
            scaled, exact = (
                read(film, size, "crop", resample, decode, **options)
                for decode in ("scaled", "exact")
            )
            difference = np.abs(scaled - exact)
            assert difference.mean() <= MEAN_BOUND
            assert difference.max() <= LARGEST_BOUND


# --- OpenCV's bicubic


def cubic_by_hand(pixels, position):
    """One value of Keys' cubic convolution with a = -0.75; beyond the edge the last pixel."""
    first, total = int(np.floor(position)), 0.0
    for k in range(first - 1, first + 3):
        d = abs(position - k)
        if d <= 1:
            weight = 1.25 * d**3 - 2.25 * d**2 + 1
        else:
            weight = -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3
        total += weight * pixels[min(max(k, 0), len(pixels) - 1)]
    return total


def test_four_to_one_weighs_the_middle_four_pixels():
    # At a scale of 4 each value lies half way between the second and the third of its four pixels,
    # where the kernel is -3/32, 19/32, 19/32, -3/32; outer pixels of other fours do not count.
    row = np.array([[10, 20, 60, 30, 200, 0, 0, 200]], np.uint8).repeat(8, axis=0)
    expected = [round((-3 * 10 + 19 * 20 + 19 * 60 - 3 * 30) / 32), 0]  # the second is -37.5
    assert resize_cubic(row, 8, 2).tolist() == [expected] * 8


@pytest.mark.parametrize(("source", "target"), [(1000, 256), (31, 64), (7, 3), (64, 64)])
def test_cubic_equals_a_computation_by_hand(source, target):
    line = np.random.default_rng(source).integers(60, 190, source)
    found = resize_cubic(line[None].astype(np.uint8), 1, target)[0]
    positions = [(i + 0.5) * source / target - 0.5 for i in range(target)]
    by_hand = [cubic_by_hand(line, position) for position in positions]
    assert np.abs(found - np.clip(by_hand, 0, 255)).max() <= 0.5 + 1e-3
    standing = resize_cubic(line[:, None].astype(np.uint8), target, 1)[:, 0]
    assert np.array_equal(standing, found)


def test_cubic_does_not_smooth_and_pillow_does():
    # Stripes of one pixel, shrunk four times: grey if smoothed; OpenCV's reads the middle pixels.
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, 1::4] = stripes[:, 2::4] = 255
    assert resize_cubic(stripes, 64, 64).min() == 255
    smoothed = np.asarray(Image.fromarray(stripes).resize((64, 64), Image.Resampling.BICUBIC))
    assert 120 < smoothed.mean() < 135


def test_ehrxdiff_s_films_go_through_1024_and_a_jpeg():
    film = textured(900, 1300)
    small = resize_cubic(resize_cubic(np.asarray(film), 1024, 1024), 256, 256)
    saved = BytesIO()
    Image.fromarray(small).save(saved, "JPEG", quality=95)
    with Image.open(saved) as image:
        expected = np.asarray(image)
    assert np.array_equal(read(film, 256, "stretch", "opencv_1024"), expected)


def test_medfuse_s_films_were_saved_at_a_width_of_512():
    film = textured(901, 1300)
    saved = BytesIO()
    # 1300 * 512 / 901 is 738.7; Pillow's own defaults: bicubic, quality 75.
    film.resize((512, 738)).save(saved, "JPEG")
    with Image.open(saved) as image:
        scaled = image.resize((256, 369), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled.crop((0, 56, 256, 312)))  # 56.5 is rounded to the even
    assert np.array_equal(read(film, 256, resample="medfuse_512"), expected)


def test_a_film_that_medfuse_s_script_has_shrunk_is_not_shrunk_again():
    film = textured(512, 600)
    again = read(film, 256, resample="medfuse_512")
    assert np.array_equal(again, read(film, 256, resample="bilinear"))


# --- the rule of a recipe


@pytest.mark.parametrize("name", shipped_recipes())
def test_published_films_are_decoded_whole(name):
    assert read_recipe(name).image_rule.decode == "scaled"
    if name == "future":
        return
    rule = read_recipe(name, fidelity="published").image_rule
    assert rule.decode == "exact"
    scripts = {"ehrxdiff": "opencv_1024", "medfuse": "medfuse_512", "drfuse": "medfuse_512"}
    assert rule.resample == scripts.get(name.split("_")[0], "bilinear")


def test_the_correction_alone_smooths_ehrxdiff_s_films():
    recipe = read_recipe("ehrxdiff", fidelity="published")
    assert recipe.with_corrections(["films_smoothed"]).image_rule.resample == "bicubic"
    assert recipe.with_corrections(["clean_text"]).image_rule.resample == "opencv_1024"
    medfuse = read_recipe("medfuse", fidelity="published")
    corrected = medfuse.with_corrections(["films_from_originals"])
    assert corrected.image_rule == read_recipe("medfuse").image_rule


def test_a_rule_has_the_fields_of_the_reader_s():
    rule = read_recipe("ddl_cxr").image_rule
    assert Preprocessing(**rule.model_dump()).facts() == rule.model_dump() | {"reader": 2}


@pytest.mark.parametrize(
    ("resample", "fit", "decode", "needed"),
    [
        ("opencv_1024", "crop", "exact", "stretch"),
        ("opencv_1024", "stretch", "scaled", "stretch"),
        ("medfuse_512", "stretch", "exact", "crop"),
        ("medfuse_512", "crop", "scaled", "crop"),
    ],
)
def test_a_script_s_resize_is_refused_where_it_is_not_theirs(resample, fit, decode, needed):
    value = {"size": 256, "fit": fit, "resample": resample, "decode": decode}
    with pytest.raises(ContractError, match=f"{resample} needs fit {needed} and decode exact"):
        parse_settings(ImageRule, value, "mine.yaml")
