"""EHRXDiff's word-piece round trip of an event's text: encode, keep what fits, decode.

What its embedder is sent is not the text but what is left of it after Bio_ClinicalBERT's tokenizer:
lower case, no accents, digits apart, unknown words gone, and columns beyond 128 pieces dropped.
specs ehrxdiff 3.4, steps 2 to 7. Applied at the end of stage event: there each text stands once,
its parts are still apart (the limit drops whole columns), and all later stages see one text only.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cxrfuture_data.publish import publish
from cxrfuture_data.schema import ContractError
from etl.source_text import UNIT

VOCABULARY = "vocab.txt"
MOST_PIECES = 128  # with [CLS] and [SEP], which every text has
ENDS = 2
SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
UNITS_REMEMBERED = 1 << 20
ROWS_PER_BATCH = 1 << 16

_DIGIT_OR_DOT = re.compile(r"([0-9.])")
_BLANKS = re.compile(r"\s+")
_DOTS = re.compile(r"[.,]{2,}")
# Blanks that the decoder takes out, in its order.
_TIDIED = {
    " .": ".",
    " ?": "?",
    " !": "!",
    " ,": ",",
    " ' ": "'",
    " n't": "n't",
    " 'm": "'m",
    " 's": "'s",
    " 've": "'ve",
    " 're": "'re",
}


class WordPieces:
    """The round trip with the vocabulary of a local folder."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import BertWordPieceTokenizer
        from tokenizers.decoders import WordPiece

        path = folder / VOCABULARY
        if not path.is_file():
            raise ContractError(
                f"window.text: no {VOCABULARY} in {folder}; word pieces need that of"
                " emilyalsentzer/Bio_ClinicalBERT, which is never downloaded here: put it there,"
                " or set it to plain"
            )
        # Lower case though the vocabulary is cased: the checkpoint's tokenizer does so by default.
        self._tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
        self._decoder = WordPiece(prefix="##", cleanup=True)
        self._pieces = lru_cache(UNITS_REMEMBERED)(self._encode)

    def round_trip(self, parts: Sequence[str]) -> str:
        """The text of a table's name and the names and values of its columns, in turn."""
        pieces = list(self._pieces(parts[0]))
        for name, value in zip(parts[1::2], parts[2::2], strict=True):
            column = self._pieces(name) + self._pieces(value)
            if len(pieces) + len(column) + ENDS > MOST_PIECES:
                break
            pieces += column
        return self._decode([piece for piece in pieces if piece not in SPECIAL])

    def _encode(self, part: str) -> tuple[str, ...]:
        apart = _DIGIT_OR_DOT.sub(r" \1 ", part)
        return tuple(self._tokenizer.encode(apart, add_special_tokens=False).tokens)

    def _decode(self, pieces: list[str]) -> str:
        text = self._decoder.decode(pieces)
        for spaced, tidy in _TIDIED.items():
            text = text.replace(spaced, tidy)
        text = _BLANKS.sub(" ", text).strip()
        return _DOTS.sub(".", text).strip()


def write_word_pieces(source: Path, target: Path, pieces: WordPieces) -> None:
    """Publish text.parquet from texts whose parts are still apart."""
    schema = pa.schema([("text_id", pa.uint64()), ("text", pa.string())])
    with (
        publish(target) as part,
        pq.ParquetFile(source) as parted,
        pq.ParquetWriter(part, schema, compression="zstd") as writer,
    ):
        for batch in parted.iter_batches(ROWS_PER_BATCH):
            texts = batch.column("text").to_pylist()
            short = [pieces.round_trip(text.split(UNIT)) for text in texts]
            columns = [batch.column("text_id"), pa.array(short, pa.string())]
            writer.write_table(pa.table(columns, schema=schema))
