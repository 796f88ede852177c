import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrfuture_data import ContractError
from cxrfuture_data.level import Levels, decode_level, encode_levels, level_ends

NIH_FULL = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-cxr" / "full"


def textured(*shape, seed=0):
    """Slow waves and noise, with a white block on black, as a film has a marker."""
    rows, columns = np.indices(shape)
    waves = 110 + 70 * np.sin(rows / 23) * np.cos(columns / 31)
    pixels = (waves + np.random.default_rng(seed).normal(0, 6, shape)).clip(0, 255)
    pixels[: shape[0] // 8] = 0
    pixels[: shape[0] // 16, : shape[1] // 8] = 255
    return pixels.astype(np.uint8)


def half_by_hand(pixels):
    """The documented mean of two by two: of two columns rounded down, of two rows up."""
    found = pixels.astype(int)
    columns, rows = found.shape[1] // 2 * 2, found.shape[0] // 2 * 2
    narrow = (found[:, 0:columns:2] + found[:, 1:columns:2]) // 2
    narrow = np.hstack([narrow, found[:, columns:]])
    short = (narrow[0:rows:2] + narrow[1:rows:2] + 1) // 2
    return np.vstack([short, narrow[rows:]])


def test_levels_are_the_film_and_its_halves_down_to_64():
    for side, sizes in ((1024, [64, 128, 256, 512, 1024]), (224, [112, 224]), (127, [64, 127])):
        assert list(encode_levels(textured(side, side))[1]) == sizes
    for side, sizes in ((126, [126]), (64, [64]), (1, [1]), (500, [125, 250, 500])):
        assert list(encode_levels(textured(side, side))[1]) == sizes
    assert list(encode_levels(textured(128, 300))[1]) == [64, 128]


def test_the_largest_level_is_the_film_and_each_other_the_mean_of_two_by_two():
    pixels = textured(517, 300)
    data, ends = encode_levels(pixels)
    assert list(ends) == [75, 150, 300]
    expected = pixels
    for size in (300, 150, 75):
        found = decode_level(data, size)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected)
        expected = half_by_hand(expected)


def test_a_prefix_gives_what_the_whole_gives_and_one_byte_less_gives_nothing():
    data, ends = encode_levels(textured(256, 256))
    assert ends[256] == len(data)
    assert level_ends(data) == level_ends(data[: ends[64]]) == ends
    for size, end in ends.items():
        whole = decode_level(data, size)
        assert np.array_equal(decode_level(data[:end], size), whole)
        # What follows the prefix is not looked at.
        assert np.array_equal(decode_level(data[:end] + b"\xff" * 50, size), whole)
        words = rf"truncated: {end - 1:,} bytes, level {size} needs {end:,}"
        with pytest.raises(ContractError, match=words):
            decode_level(data[: end - 1], size)


def test_a_film_smaller_by_far_than_its_pixels_where_it_is_black():
    data, ends = encode_levels(np.zeros((1024, 1024), np.uint8))
    assert len(data) < 15_000
    assert not decode_level(data, 64).any()
    assert not decode_level(data, 1024).any()
    assert ends[64] < 200


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["noise", "extremes", "constant", "slope"]),
)
def test_every_film_comes_back_bit_for_bit(height, width, seed, kind):
    random = np.random.default_rng(seed)
    pixels = {
        "noise": lambda: random.integers(0, 256, (height, width)),
        "extremes": lambda: random.choice([0, 255], (height, width)),
        "constant": lambda: np.full((height, width), random.integers(0, 256)),
        "slope": lambda: np.add.outer(np.arange(height), np.arange(width)) % 256,
    }[kind]().astype(np.uint8)
    data, ends = encode_levels(pixels)
    assert np.array_equal(decode_level(data, min(height, width)), pixels)
    assert encode_levels(np.asfortranarray(pixels))[0] == data
    expected = pixels
    for size in sorted(ends, reverse=True):
        assert np.array_equal(decode_level(data[: ends[size]], size), expected)
        expected = half_by_hand(expected)


def test_equal_films_give_equal_bytes_and_others_do_not():
    pixels = textured(200, 200)
    other = pixels.copy()
    other[7, 9] ^= 1
    assert encode_levels(pixels) == encode_levels(pixels.copy())
    assert encode_levels(other)[0] != encode_levels(pixels)[0]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 5), np.uint16),
        np.zeros((5, 5, 3), np.uint8),
        np.zeros((1, 9000), np.uint8),
    ],
)
def test_what_is_no_film_is_refused(pixels):
    with pytest.raises(ContractError, match="levels: "):
        encode_levels(pixels)


DATA, ENDS = encode_levels(textured(256, 256))


def header(version=1, count=3, height=256, width=256):
    return struct.pack(">4sBBII", b"CXRL", version, count, height, width) + DATA[14:]


def with_part(number, part):
    """The film with another part, and a header that agrees with it."""
    cuts = [26, *ENDS.values()]
    parts = [DATA[start:end] for start, end in pairwise(cuts)]
    parts[number] = part
    return DATA[:14] + struct.pack(">3I", *map(len, parts)) + b"".join(parts)


DAMAGES = {
    "nothing": (b"", "no levels"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + DATA[8:], "no levels"),
    "a header cut": (DATA[:10], "no levels"),
    "lengths cut": (DATA[:20], "truncated: 20 bytes, the header has 26"),
    "another version": (header(version=2), "version 2, this reader knows 1"),
    "a level too many": (header(count=4), "damaged: 4 levels"),
    "no rows": (header(height=0), "damaged: a film of 0 x 256"),
    "a bomb": (
        header(height=2**32 - 1, width=2**32 - 1, count=28),
        "damaged: a film of 4294967295",
    ),
    "a part of noise": (with_part(1, b"noise"), "damaged: Error -3"),
    "a part too short": (with_part(1, zlib.compress(b"short")), "a part of 5 bytes, not 24,576"),
    "a part that swells": (with_part(2, zlib.compress(bytes(10**7))), "98,305 bytes, not 98,304"),
    "a part cut": (with_part(2, DATA[ENDS[128] : -9]), "damaged"),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_damage_is_refused_in_one_line(reason):
    data, words = DAMAGES[reason]
    with pytest.raises(ContractError) as error:
        decode_level(data, 256)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("at", range(26, len(DATA), 4001))
def test_a_flipped_bit_is_found(at):
    """zlib's checksum is of what comes out, so no flip within a part passes."""
    spoiled = bytearray(DATA)
    spoiled[at] ^= 4
    with pytest.raises(ContractError, match="damaged"):
        decode_level(bytes(spoiled), 256)


def test_a_size_that_is_not_offered_is_named_with_those_that_are():
    with pytest.raises(
        ContractError, match=r"no level of 200 pixels; this film has \[64, 128, 256"
    ):
        decode_level(DATA, 200)


def test_a_prefix_knows_its_largest_level():
    assert Levels(DATA, ENDS).largest == 256
    assert Levels(DATA, ENDS).is_whole
    assert Levels(DATA[: ENDS[128] + 1], ENDS).largest == 128
    assert not Levels(DATA[: ENDS[128]], ENDS).is_whole
    with pytest.raises(ContractError, match="hold none of"):
        _ = Levels(DATA[: ENDS[64] - 1], ENDS).largest


@pytest.mark.skipif(not NIH_FULL.is_dir(), reason="no real films")
@pytest.mark.parametrize("path", sorted(NIH_FULL.glob("*.png")), ids=lambda path: path.stem)
def test_real_films_are_exact_smaller_than_png_and_near_to_a_resize(path):
    with Image.open(path) as film:
        grey = film.convert("L")
    pixels = np.asarray(grey)
    data, ends = encode_levels(pixels)
    assert np.array_equal(decode_level(data, len(pixels)), pixels)
    assert len(data) < path.stat().st_size
    for size in ends:
        level = decode_level(data[: ends[size]], size).astype(int)
        for resample, bound in ((Image.Resampling.LANCZOS, 1.6), (Image.Resampling.BOX, 0.55)):
            resized = np.asarray(grey.resize((size, size), resample)).astype(int)
            assert np.abs(level - resized).mean() < bound
