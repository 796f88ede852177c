"""Texts to vectors by an encoder on this machine: every visible GPU, or else the processor."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrfuture_data.publish import digest
from cxrfuture_data.schema import ContractError
from etl.embedder import Batch, Counts, ModelFacts, Positions, Usage, Vectors, gather
from etl.local_folder import Encoder

TEXTS_PER_WINDOW = 4096  # about; they are tokenized together
WIDTH_STEP = 4  # tokens; less padding, but more batches that are left half full
# Matrices of a few rows are multiplied by another kernel, and its sums end in other bits. From so
# many texts on, in steps of so many, no vector was seen to change with the texts beside it.
ROW_STEP = 8
WAITING_PER_REPLICA = 2  # batches ready beside the one that is computed

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Replica:
    """The model on one device, with the layers after its pooling: (weight, bias, activation)."""

    model: Any
    dense: tuple[tuple[Any, Any, str], ...]


class LocalModel:
    """An encoder's folder, read only and offline.

    A vector does not depend on which other texts are left to embed, to the last bit, on the
    processors tried (a test says so of this one): a batch is as wide as each of its texts.
    """

    def __init__(
        self, encoder: Encoder, batch_size: int, autocast: str, devices: Sequence[str] = ()
    ) -> None:
        """``devices`` are torch's names, one a replica; without them, all that are visible."""
        self.encoder = encoder
        self.facts = ModelFacts(
            name=encoder.name,
            digest=digest(encoder.digest, autocast),
            backend=encoder.backend,
            dim=encoder.dim,
            full_dim=encoder.dim,
            max_tokens=encoder.max_tokens,
        )
        self._batch_size = batch_size
        self._autocast = autocast
        self._devices = tuple(devices)
        self._tokenizer: Any = None
        self._replicas: tuple[Replica, ...] = ()
        self._counts = Counts()

    @property
    def usage(self) -> Usage:
        return self._counts.usage

    def embed(self, texts: Sequence[str]) -> Vectors:
        return gather(self.embed_each(texts), len(texts), self.facts.dim)

    def embed_each(self, texts: Sequence[str]) -> Iterator[Batch]:
        """In the order of the batches, with any number of replicas."""
        replicas = self.load() if texts else ()
        idle: SimpleQueue[Replica] = SimpleQueue()
        for replica in replicas:
            idle.put(replica)

        def compute(rows: list[Tokens]) -> Vectors:
            replica = idle.get()
            try:
                return self._compute(replica, rows)
            finally:
                idle.put(replica)

        if len(replicas) <= 1:
            for positions, rows in self._each_batch(texts):
                yield positions, compute(rows)
            return
        pool = ThreadPoolExecutor(len(replicas))
        waiting: deque[tuple[Positions, Future[Vectors]]] = deque()
        try:
            for positions, rows in self._each_batch(texts):
                waiting.append((positions, pool.submit(compute, rows)))
                if len(waiting) > len(replicas) * (1 + WAITING_PER_REPLICA):
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _each_batch(self, texts: Sequence[str]) -> Iterator[tuple[Positions, list[Tokens]]]:
        """Positions and token ids of each batch; the next texts are tokenized meanwhile."""
        yield from batch_by_width(self._each_window(texts), self._batch_size)

    def _each_window(self, texts: Sequence[str]) -> Iterator[tuple[Positions, list[Tokens]]]:
        windows = plan_windows(texts, self._batch_size)
        with ThreadPoolExecutor(1) as ahead:
            futures = deque(ahead.submit(self._tokenize_at, texts, one) for one in windows[:1])
            for number, window in enumerate(windows):
                if number + 1 < len(windows):
                    futures.append(ahead.submit(self._tokenize_at, texts, windows[number + 1]))
                yield window, futures.popleft().result()

    def _tokenize_at(self, texts: Sequence[str], window: Positions) -> list[Tokens]:
        return self.tokenize([texts[index] for index in window])

    def count_tokens(self, texts: Sequence[str]) -> Positions:
        return np.array([len(row) for row in self._token_rows(texts)[0]], np.int64)

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The token ids of each text, cut to the model's limit; all is counted."""
        rows, cut = self._token_rows(texts)
        self._counts.add(texts=len(rows), tokens=sum(len(row) for row in rows), cut=cut)
        return rows

    def _token_rows(self, texts: Sequence[str]) -> tuple[list[Tokens], int]:
        """The token ids of each text, and how many texts were cut."""
        tokenizer, prompt = self._open_tokenizer(), self.encoder.prompt
        rows: list[Tokens] = []
        cut = 0
        for start in range(0, len(texts), TEXTS_PER_WINDOW):
            answer = tokenizer(
                [prompt + text for text in texts[start : start + TEXTS_PER_WINDOW]],
                truncation=True,
                max_length=self.encoder.max_tokens,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            rows += [np.array(ids, np.int64) for ids in answer["input_ids"]]
            cut += sum(bool(encoding.overflowing) for encoding in answer.encodings or ())
        return rows, cut

    def _open_tokenizer(self) -> Any:
        if self._tokenizer is None:
            tokenizer = _transformers().AutoTokenizer
            self._tokenizer = tokenizer.from_pretrained(
                self.encoder.folder, local_files_only=True, trust_remote_code=False
            )
        return self._tokenizer

    def load(self) -> tuple[Replica, ...]:
        """The model on each device; once."""
        if not self._replicas:
            devices = self._devices or visible_devices()
            self._replicas = tuple(load_replica(self.encoder, device) for device in devices)
        return self._replicas

    def pad(self, rows: Sequence[Tokens]) -> tuple[Tokens, Tokens]:
        """Token ids and which of them are tokens, each (N, T): N in steps, the last row repeated,
        and T the width of the longest."""
        count = -(-len(rows) // ROW_STEP) * ROW_STEP
        shape = count, width_of(max(len(row) for row in rows))
        ids = np.full(shape, self._open_tokenizer().pad_token_id or 0, np.int64)
        is_token = np.zeros(shape, np.int64)
        for number in range(shape[0]):
            row = rows[min(number, len(rows) - 1)]
            ids[number, : len(row)] = row
            is_token[number, : len(row)] = 1
        return ids, is_token

    def _compute(self, replica: Replica, rows: Sequence[Tokens]) -> Vectors:
        ids, is_token = self.pad(rows)
        whole = compute_vectors(replica, self.encoder, self._autocast, ids, is_token)
        vectors = whole[: len(rows)]
        if not np.isfinite(vectors).all():
            raise ContractError(
                f"embed: model {self.facts.name!r} gave a vector that is not finite"
                + (f" under autocast {self._autocast}" if self._autocast != "none" else "")
            )
        return vectors


def plan_windows(texts: Sequence[str], batch_size: int) -> list[Positions]:
    """Positions of texts that are tokenized together: whole batches, the longest texts first.

    So a batch that memory cannot hold fails at once, not at the end.
    """
    order = sorted(range(len(texts)), key=lambda index: (-len(texts[index]), texts[index]))
    return _slices(order, max(1, TEXTS_PER_WINDOW // batch_size) * batch_size)


def batch_by_width(
    windows: Iterable[tuple[Positions, list[Tokens]]], batch_size: int
) -> Iterator[tuple[Positions, list[Tokens]]]:
    """Batches of one width each, as they fill up; what is left comes last, the widest first."""
    waiting: dict[int, list[tuple[int, Tokens]]] = {}
    for positions, rows in windows:
        for position, row in zip(positions.tolist(), rows, strict=True):
            batch = waiting.setdefault(width_of(len(row)), [])
            batch.append((position, row))
            if len(batch) == batch_size:
                yield _split(waiting.pop(width_of(len(row))))
    for width in sorted(waiting, reverse=True):
        yield _split(waiting[width])


def _split(batch: list[tuple[int, Tokens]]) -> tuple[Positions, list[Tokens]]:
    return np.array([position for position, _ in batch]), [row for _, row in batch]


def width_of(tokens: int) -> int:
    """What a text is padded to."""
    return -(-tokens // WIDTH_STEP) * WIDTH_STEP


def _slices(order: list[int], size: int) -> list[Positions]:
    return [np.array(order[start : start + size]) for start in range(0, len(order), size)]


def visible_devices() -> tuple[str, ...]:
    """Every GPU that CUDA shows, or the processor."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{number}" for number in range(count)) or ("cpu",)


def load_replica(encoder: Encoder, device: str) -> Replica:
    """The encoder's weights on a device, in float32."""
    from safetensors.torch import load_file

    try:
        model, report = _transformers().AutoModel.from_pretrained(
            encoder.folder,
            local_files_only=True,
            trust_remote_code=False,  # the default asks on a terminal
            output_loading_info=True,
        )
        dense = []
        for layer in encoder.dense:
            weights = load_file(layer.weights, device=device)
            dense.append((weights["linear.weight"], weights.get("linear.bias"), layer.activation))
    except Exception as error:  # what a broken folder raises is as many things as there are readers
        raise ContractError(
            f"{encoder.folder}: the encoder cannot be loaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]})"
        ) from None
    # Weights that the files lack are drawn at random; only the pooler's, which is not used, may be.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise ContractError(
            f"{encoder.folder}: the files lack {len(missing)} of the encoder's weights, "
            f"{missing[0]} among them"
        )
    return Replica(model.eval().float().to(device), tuple(dense))


def compute_vectors(
    replica: Replica, encoder: Encoder, autocast: str, ids: Tokens, is_token: Tokens
) -> Vectors:
    """float32 (N, D) of token ids and their mask, both (N, T); padding counts for nothing."""
    import torch

    model = replica.model
    device = model.device
    kind = torch.float16 if autocast == "fp16" else torch.bfloat16
    tokens = torch.from_numpy(ids).to(device)  # (N, T)
    mask = torch.from_numpy(is_token).to(device)  # (N, T)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype=kind, enabled=autocast != "none"),
    ):
        hidden = model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()  # (N, T, D)
    with torch.inference_mode():
        if encoder.pooling == "cls":
            vectors = hidden[:, 0]
        else:
            weight = mask[..., None].float()  # (N, T, 1)
            vectors = (hidden * weight).sum(1) / weight.sum(1)
        for matrix, bias, activation in replica.dense:
            vectors = torch.nn.functional.linear(vectors, matrix.float(), bias)
            vectors = vectors.tanh() if activation == "tanh" else vectors
        if encoder.unit:
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return vectors.cpu().numpy()


def _transformers() -> Any:
    """The library, kept from the network and from drawing bars."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
    import transformers
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    return transformers
