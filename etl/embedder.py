"""What every model behind ``embed`` offers: texts to vectors, batch by batch.

No text ever enters a log line or an error.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from etl.params import EmbedParams

Vectors = NDArray[np.float32]
Positions = NDArray[np.int64]
Batch = tuple[Positions, Vectors]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What identifies a model.

    ``digest`` covers all that decides a vector: weights, tokenizer, pooling, truncation, numbers.
    ``dim`` is what a row has, ``full_dim`` what the model gave before it was cut; both are None
    until a remote model has answered. ``max_tokens`` is where a text is cut (0: nowhere).
    """

    name: str
    digest: str
    backend: str
    dim: int | None
    full_dim: int | None
    max_tokens: int


@dataclass(frozen=True)
class Usage:
    """What a model has done since it was opened. ``usd`` is by the price of the params."""

    texts: int = 0
    tokens: int = 0
    cut: int = 0  # texts longer than max_tokens
    requests: int = 0
    usd: float = 0.0


class Embedder(Protocol):
    """A model ready to embed; nothing is loaded or connected before the first text."""

    @property
    def facts(self) -> ModelFacts: ...

    @property
    def usage(self) -> Usage: ...

    def embed_each(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Batch by batch: positions (N,) in ``texts``, and their vectors, float32 (N, D).

        Every position comes once. An error comes after all that was finished has been given.
        """
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), D), in the order given."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> Positions:
        """int64 (N,): tokens of each text as sent to the model, so after it is cut."""
        ...


class Counts:
    """A Usage that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        return self._usage

    def add(
        self, texts: int = 0, tokens: int = 0, cut: int = 0, requests: int = 0, usd: float = 0.0
    ) -> None:
        """Add to each count."""
        with self._lock:
            old = self._usage
            self._usage = Usage(
                texts=old.texts + texts,
                tokens=old.tokens + tokens,
                cut=old.cut + cut,
                requests=old.requests + requests,
                usd=old.usd + usd,
            )


def open_embedder(params: EmbedParams, is_estimating: bool = False) -> Embedder:
    """The model that the params name. Costs nothing until the first text.

    ``is_estimating``: no text will be sent, so nobody needs to have allowed it.
    """
    if params.backend == "remote":
        from etl.remote_embedder import RemoteModel, require_permission

        if not is_estimating:
            require_permission(params.remote)
        return RemoteModel(params.remote)
    from etl.local_embedder import LocalModel
    from etl.local_folder import find_minilm, read_folder, read_minilm

    if params.backend == "minilm":
        encoder = read_minilm(find_minilm())
    else:
        encoder = read_folder(params.local)
    return LocalModel(encoder, params.batch_size, params.autocast)


def gather(batches: Iterator[Batch], count: int, dim: int | None) -> Vectors:
    """The batches as one float32 (count, D); ``dim`` is D if there is no batch."""
    vectors: Vectors | None = None
    for positions, rows in batches:
        if vectors is None:
            vectors = np.zeros((count, rows.shape[1]), np.float32)
        vectors[positions] = rows
    return np.zeros((count, dim or 0), np.float32) if vectors is None else vectors
