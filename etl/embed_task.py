"""What a worker of a cluster embeds: the texts of one slice, with a model of its own."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cxrfuture_data.cache_rows import Space
from cxrfuture_data.schema import ContractError
from etl.cache import Cache
from etl.embedder import Vectors, open_embedder
from etl.params import EmbedParams


@dataclass(frozen=True, kw_only=True)
class EmbedTask:
    """Texts and their sha256, in one order."""

    cache: Cache
    space: Space
    hashes: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class EmbedderOpener:
    """Opens a local model once for a worker, on the GPU that Ray gave it or the CPU; ``digest``
    is the model's where the stage was started."""

    params: EmbedParams
    digest: str

    def open(self) -> Callable[[EmbedTask, bool], int]:
        """Embeds a task's texts, and says how many it has; those that another worker embedded
        before it was lost are left out."""
        embedder = open_embedder(self.params)
        model = embedder.facts
        if model.digest != self.digest:
            raise ContractError(
                f"embed: other files of model {model.name!r} ({model.digest[:12]}) on"
                f" {socket.gethostname()} than where the stage was started ({self.digest[:12]});"
                " install the same on both"
            )

        def embed(task: EmbedTask, is_again: bool) -> int:
            left = leave_out_known(task) if is_again else task
            with left.cache.write(left.space) as writer:
                for places, vectors in embedder.embed_each(left.texts):
                    rows = to_halves(vectors, left.space.shape[0], model.name)
                    writer.add([left.hashes[place] for place in places], rows)
            return len(task.texts)

        return embed


def leave_out_known(task: EmbedTask) -> EmbedTask:
    """The texts that the cache does not hold by now."""
    left = task.cache.rows(task.space).missing(task.hashes)
    text_of = dict(zip(task.hashes, task.texts, strict=True))
    return replace(task, hashes=tuple(left), texts=tuple(text_of[sha256] for sha256 in left))


def to_halves(vectors: Vectors, dim: int, model: str) -> NDArray[np.float16]:
    """fp16 (N, dim), if the vectors are so long and fp16 can hold them."""
    if vectors.shape[1] != dim:
        raise ContractError(
            f"embed: model {model!r} gave vectors of length {vectors.shape[1]} after those of"
            f" {dim}; it changed under its name: name another in embed and run the stage again"
        )
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ContractError(
            f"embed: model {model!r} gave a number that fp16 cannot hold "
            f"(largest {np.abs(vectors).max():.3g}, fp16 ends at 65504); choose another model"
        )
    return halves
