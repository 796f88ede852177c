"""EHRXDiff's word-piece round trip, with a vocabulary of a few words."""

import pytest

from cxrfuture_data import ContractError
from etl.source_text import UNIT
from etl.word_piece import MOST_PIECES, WordPieces

VOCABULARY = """
[PAD] [UNK] [CLS] [SEP] [MASK] labevents item ##id value ##num ##uo ##m po mm hg ref range lower
flag abnormal _ . , - ' s a don t 0 1 2 3 4 5 6 7 8 9 mu ##cus cafe %
"""


@pytest.fixture
def pieces(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY.split()) + "\n")
    return WordPieces(tmp_path)


ROUND_TRIPS = [
    (
        ["labevents", "itemid", "pO2", "value", "75", "valuenum", "7.35", "valueuom", "mm Hg"],
        "labevents itemid po 2 value 7 5 valuenum 7. 3 5 valueuom mm hg",
    ),
    (["labevents", "ref_range_lower", "85"], "labevents ref _ range _ lower 8 5"),
    (["labevents", "flag", "ABNORMAL"], "labevents flag abnormal"),
    (["labevents", "value", "unknownword 5"], "labevents value 5"),  # [UNK] vanishes
    (["labevents", "value", "Caf\u00e9 mucus"], "labevents value cafe mucus"),  # accents too
    (["labevents", "value", "a , , . a"], "labevents value a. a"),
    (["labevents", "value", "___"], "labevents value _ _ _"),
    (["labevents", "value", "5%  \n a"], "labevents value 5 % a"),
    (["labevents"], "labevents"),
]


@pytest.mark.parametrize(("parts", "text"), ROUND_TRIPS)
def test_round_trip(pieces, parts, text):
    assert pieces.round_trip(parts) == text


@pytest.mark.parametrize(("digits", "kept"), [(124, True), (125, False)])
def test_columns_that_do_not_fit_128_pieces_are_dropped_whole_with_all_after_them(
    pieces, digits, kept
):
    # labevents 1, value 1 and its digits, [CLS] and [SEP]: 128 in all with 124 digits.
    parts = ["labevents", "value", "1" * digits, "flag", "a"]
    text = pieces.round_trip(parts)
    assert text == ("labevents value " + " ".join("1" * digits) if kept else "labevents")
    assert MOST_PIECES == 128


def test_without_its_vocabulary_it_is_refused_with_the_reason(tmp_path):
    with pytest.raises(
        ContractError, match=r"no vocab.txt in .*Bio_ClinicalBERT.*never downloaded"
    ):
        WordPieces(tmp_path / "nowhere")


def test_parts_are_apart_by_a_character_that_no_piece_has(pieces):
    assert pieces.round_trip(f"labevents{UNIT}flag{UNIT}a".split(UNIT)) == "labevents flag a"
