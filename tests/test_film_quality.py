"""Quality columns by hand, and how often their suspicions are wrong on real and simulated films.

``python tests/test_film_quality.py`` prints the rates that docs/films.md quotes.
"""

import time
from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from etl.film_quality import (
    FRONTAL,
    NEAR_DUPLICATE_BITS,
    Quality,
    compare_with_frontal,
    find_near_duplicates,
    hash_distance,
    hash_image,
    measure_quality,
)
from etl.film_reader import Preprocessing, Reading, read_bytes, read_film
from etl.simulate.anatomy import SEVERITIES, Anatomy, Findings
from etl.simulate.render import FRONTAL_VIEWS, LATERAL_VIEWS, render_film

NIH = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-cxr"
needs_nih = pytest.mark.skipif(not NIH.is_dir(), reason="needs the NIH films")
RULE = Preprocessing(size=256, fit="crop", resample="bicubic", decode="scaled")


def nih_films(split: str) -> dict[str, Image.Image]:
    """The 64 x 64 films of a split by name, patient_visit. None of valid's is in the template."""
    paths = sorted((NIH / "thumb64" / split).rglob("*.png"))
    return {path.stem: Image.open(path).convert("L") for path in paths}


def simulated(views: tuple[str, ...], count: int) -> list[Image.Image]:
    """Films of sick patients, as the reader crops them."""
    rng = np.random.default_rng(1)
    films = []
    for number in range(count):
        severities = {name: float(rng.random() * (rng.random() < 0.4)) for name in SEVERITIES}
        anatomy, view = Anatomy.of(1000 + number), views[number % len(views)]
        grey = render_film(anatomy, Findings(**severities), view, 400, 5000 + number)
        films.append(ImageOps.fit(Image.fromarray(grey), (256, 256), Image.Resampling.BICUBIC))
    return films


def share(films: list[Image.Image], holds: Callable[[Quality], bool]) -> float:
    return sum(holds(measure_quality(film)) for film in films) / len(films)


def gradient() -> Image.Image:
    """256 x 256, each row one value, 0 to 255."""
    return Image.fromarray(np.arange(256, dtype=np.uint8)[:, None].repeat(256, axis=1))


# --- columns


def test_statistics_by_hand():
    pixels = np.full((100, 100), 100, np.uint8)
    pixels[:10], pixels[10:15] = 0, 255
    quality = measure_quality(Image.fromarray(pixels))
    assert (quality.black, quality.white) == (0.1, 0.05)
    assert quality.mean == 97.75  # (85 * 100 + 5 * 255) / 100
    assert quality.deviation == pytest.approx(pixels.std(), abs=1e-4)


def test_the_template_is_even_and_has_no_mean():
    assert FRONTAL.sum() == 0
    assert np.array_equal(FRONTAL, FRONTAL[:, ::-1])


def test_the_template_is_itself_and_its_negative_inverted():
    assert compare_with_frontal(FRONTAL + 100)[0] == pytest.approx(1)
    assert compare_with_frontal(100 - FRONTAL)[0] == pytest.approx(-1)
    assert compare_with_frontal(np.full((8, 8), 7)) == (0, 0)


def test_a_spine_between_two_lungs_shows_and_one_lung_alone_does_not():
    chest = np.full((8, 8), 100, np.int64)
    chest[2:6, 1:3] = chest[2:6, 5:7] = 20
    assert compare_with_frontal(chest)[1] == pytest.approx(80 / chest.std(), abs=1e-4)
    chest[2:6, 5:7] = 100
    assert compare_with_frontal(chest)[1] == 0


def test_a_hash_says_which_patch_is_brighter_than_the_one_above():
    assert hash_image(gradient()) == "ff" * 8
    assert hash_image(ImageOps.invert(gradient())) == "00" * 8


def test_distance_counts_bits_and_takes_an_inverted_copy_for_a_copy():
    assert hash_distance("0" * 16, "0" * 15 + "7") == 3
    assert hash_distance("f" * 16, "0" * 15 + "7") == 3


def test_copies_are_found_within_a_study_only():
    films = [
        (2, "d", "0" * 16),
        (1, "b", "0" * 15 + "f"),  # 4 bits from a
        (1, "a", "0" * 16),
        (1, "c", "0" * 14 + "1f"),  # 5 from a, 1 from b
        (1, "e", None),
    ]
    assert find_near_duplicates(films) == [(1, "a", "b", 4), (1, "b", "c", 1)]
    assert find_near_duplicates(films, most=0) == []


def test_a_reading_has_them_as_columns():
    saved = BytesIO()
    gradient().save(saved, "PNG")
    columns = read_bytes(saved.getvalue(), RULE).columns()
    assert columns["outcome"] == "ok"
    assert (columns["width"], columns["bits"], columns["dhash"]) == (256, 8, "ff" * 8)
    assert columns["mean"] == 127.5
    missing = read_film(None, RULE).columns()
    assert missing.keys() == columns.keys() == Reading(outcome="ok").columns().keys()
    assert {value for name, value in missing.items() if name not in ("outcome", "reason")} == {None}


# --- how often they are wrong


@needs_nih
def test_no_real_frontal_film_seems_inverted_and_every_inverted_one_does():
    films = list(nih_films("valid").values())
    assert len(films) == 200
    assert share(films, lambda quality: quality.inverted) <= 0.005
    turned = [ImageOps.invert(film) for film in films]
    assert share(turned, lambda quality: quality.inverted) >= 0.995


def test_simulated_films_of_either_view_do_not_seem_inverted():
    films = simulated(FRONTAL_VIEWS + LATERAL_VIEWS, 12)
    assert share(films, lambda quality: quality.inverted) == 0
    turned = [ImageOps.invert(film) for film in films]
    assert share(turned, lambda quality: quality.inverted) == 1


@needs_nih
def test_few_real_frontal_films_seem_lateral():
    films = list(nih_films("valid").values())
    assert share(films, lambda quality: quality.view_suspected) <= 0.05


def test_most_simulated_laterals_seem_lateral_and_no_frontal_does():
    assert share(simulated(LATERAL_VIEWS, 20), lambda quality: quality.view_suspected) >= 0.8
    assert share(simulated(FRONTAL_VIEWS, 20), lambda quality: quality.view_suspected) == 0


def copies(film: Image.Image) -> dict[str, Image.Image]:
    """What archives do to a copy."""
    saved = BytesIO()
    film.save(saved, "JPEG", quality=60)
    width, height = film.size
    edge = round(0.02 * width)
    cropped = film.crop((edge, edge, width - edge, height - edge))
    return {
        "darker (gamma 1.6)": film.point([round(255 * (i / 255) ** 1.6) for i in range(256)]),
        "brighter (gamma 0.6)": film.point([round(255 * (i / 255) ** 0.6) for i in range(256)]),
        "histogram equalised": ImageOps.equalize(film),
        "JPEG of quality 60": Image.open(saved),
        "half the size": film.resize((width // 2, height // 2), Image.Resampling.BOX),
        "2 % cropped on each side": cropped.resize(film.size, Image.Resampling.BICUBIC),
        "inverted": ImageOps.invert(film),
    }


def found_copies(films: list[Image.Image]) -> dict[str, float]:
    """Share of copies of each kind that lie within the threshold."""
    hits: dict[str, int] = {}
    for film in films:
        own = hash_image(film)
        for kind, copy in copies(film).items():
            near = hash_distance(own, hash_image(copy)) <= NEAR_DUPLICATE_BITS
            hits[kind] = hits.get(kind, 0) + near
    return {kind: count / len(films) for kind, count in hits.items()}


def false_pairs(films: dict[str, Image.Image]) -> dict[str, tuple[int, int]]:
    """(taken for copies, pairs) among films of different patients, and of different visits."""
    hashed = [(name.split("_")[0], hash_image(film)) for name, film in films.items()]
    counts = {"other patient": [0, 0], "other visit": [0, 0]}
    for (patient, one), (other_patient, other) in combinations(hashed, 2):
        count = counts["other visit" if patient == other_patient else "other patient"]
        count[0] += hash_distance(one, other) <= NEAR_DUPLICATE_BITS
        count[1] += 1
    return {kind: (count[0], count[1]) for kind, count in counts.items()}


@needs_nih
def test_copies_are_found_and_other_films_hardly_ever():
    films = nih_films("valid")
    rates = found_copies(list(films.values())[:50])
    assert min(rate for kind, rate in rates.items() if "cropped" not in kind) >= 0.9
    wrong, pairs = false_pairs(films)["other patient"]
    assert wrong / pairs < 0.001


def test_quality_takes_under_a_twentieth_of_the_decoding():
    noise = np.random.default_rng(0).normal(128, 30, (1528, 1272)).astype(np.uint8)
    saved = BytesIO()
    Image.fromarray(noise).save(saved, "JPEG", quality=80)
    small = Image.fromarray(read_bytes(saved.getvalue(), RULE).pixels)

    def fastest(work: Callable[[], object]) -> float:
        seconds = []
        for _ in range(9):
            started = time.process_time()
            work()
            seconds.append(time.process_time() - started)
        return min(seconds)

    whole = fastest(lambda: read_bytes(saved.getvalue(), RULE))
    assert fastest(lambda: measure_quality(small)) < 0.05 * whole


if __name__ == "__main__":
    train, valid = nih_films("train"), nih_films("valid")
    for kind, group in (
        ("NIH frontal", list(valid.values())),
        ("simulated frontal", simulated(FRONTAL_VIEWS, 200)),
        ("simulated lateral", simulated(LATERAL_VIEWS, 200)),
    ):
        turned = [ImageOps.invert(film) for film in group]
        print(
            f"{kind}, {len(group)}: inverted {share(group, lambda q: q.inverted):.3f},"
            f" of their inversions {share(turned, lambda q: q.inverted):.3f};"
            f" view suspected {share(group, lambda q: q.view_suspected):.3f}"
        )
    print(false_pairs(train | valid))
    print(found_copies([*train.values(), *valid.values()]))
