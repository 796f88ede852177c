"""Texts to vectors by an OpenAI-compatible server that the user vouches for.

MIMIC-derived texts leave this machine for it, so nothing is asked without an attestation, and no
text, answer or key enters a log line or an error.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from cxrfuture_data.publish import digest, file_sha256
from cxrfuture_data.schema import ContractError
from etl.embedder import Batch, Counts, ModelFacts, Positions, Usage, Vectors, gather
from etl.params import RemoteEmbedder
from etl.remote_request import Refused, Requests, name_text

CHARACTERS_PER_TOKEN = 4  # of English, by OpenAI's rule of thumb; used where no tokenizer is named
SPECIAL_TOKENS = 2  # what an encoder's tokenizer may add to a text

Answer = tuple[list[Batch], ContractError | None]


class RemoteModel:
    """An embeddings endpoint, asked by several threads within its limits and the budget."""

    def __init__(self, params: RemoteEmbedder) -> None:
        self._params = params
        self._counts = Counts()
        self._requests = Requests(params, self._counts)
        self._tokenizer = open_tokenizer(params.tokenizer)
        cutting = [params.dimensions, params.cut] if params.dimensions else []
        counted_by = file_sha256(Path(params.tokenizer)) if params.tokenizer else "characters"
        self._facts = ModelFacts(
            name=params.model,
            digest=digest(
                params.base_url.rstrip("/"), params.model, cutting, params.max_tokens, counted_by
            ),
            backend="remote",
            dim=params.dimensions or None,
            full_dim=None,
            max_tokens=params.max_tokens,
        )

    @property
    def facts(self) -> ModelFacts:
        """As ever, with the numbers a vector has once there was an answer."""
        full = self._requests.dim
        if full is None:
            return self._facts
        return replace(self._facts, dim=self._params.dimensions or full, full_dim=full)

    @property
    def usage(self) -> Usage:
        return self._counts.usage

    def embed(self, texts: Sequence[str]) -> Vectors:
        return gather(self.embed_each(texts), len(texts), self.facts.dim)

    def embed_each(self, texts: Sequence[str]) -> Iterator[Batch]:
        """As they are answered. After the first error no request is sent, and those under way are
        waited for and given: they are paid for."""
        require_permission(self._params)  # however this model was opened
        size, many = self._params.batch_size, self._params.concurrency
        batches = iter(
            np.arange(start, min(start + size, len(texts))) for start in range(0, len(texts), size)
        )
        pool = ThreadPoolExecutor(many)
        running: set[Future[Answer]] = set()
        failed: ContractError | None = None
        try:
            while True:
                while failed is None and len(running) < many:
                    batch = next(batches, None)
                    if batch is None:
                        break
                    running.add(pool.submit(self._answer, texts, batch))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    answered, error = future.result()
                    failed = failed or error
                    if error is not None:
                        self._requests.stop()
                    yield from answered
        finally:
            self._requests.stop()
            pool.shutdown(cancel_futures=True)
            self._requests.restart()
        if failed is not None:
            raise failed from None

    def _answer(self, texts: Sequence[str], batch: Positions) -> Answer:
        """One batch; one that is refused is halved until the refused text is alone."""
        try:
            sent = self._shorten_all([texts[index] for index in batch])
            about = int(self.count_tokens(sent).sum())
            # A token holds one byte at least.
            most = sum(len(text.encode()) + SPECIAL_TOKENS for text in sent)
            vectors = self._requests.ask(sent, about, about if self._tokenizer else most)
        except Refused as refused:
            if len(batch) == 1:
                name = name_text(texts[batch[0]])
                return [], refused.as_error(f"refused the text whose sha256 is {name}")
            middle = len(batch) // 2
            answered: list[Batch] = []
            for half in (batch[:middle], batch[middle:]):
                some, error = self._answer(texts, half)
                answered += some
                if error is not None:
                    return answered, error
            return answered, None
        except ContractError as error:
            return [], error
        return [(batch, self._cut(vectors))], None

    def _shorten_all(self, texts: list[str]) -> list[str]:
        cut = [self._shorten(text) for text in texts]
        self._counts.add(cut=sum(new != old for new, old in zip(cut, texts, strict=True)))
        return cut

    def _shorten(self, text: str) -> str:
        limit = self._params.max_tokens
        if not limit or len(text) + SPECIAL_TOKENS <= limit:
            return text
        if self._tokenizer is None:
            return text[: limit * CHARACTERS_PER_TOKEN]
        encoding = self._tokenizer.encode(text)
        if len(encoding.ids) <= limit:
            return text
        ends = [
            end
            for (_, end), special in zip(
                encoding.offsets, encoding.special_tokens_mask, strict=True
            )
            if not special
        ]
        return text[: ends[limit - (len(encoding.ids) - len(ends)) - 1]]

    def _cut(self, vectors: Vectors) -> Vectors:
        wanted = self._params.dimensions
        if not wanted or self._params.cut == "server":
            return vectors
        vectors = vectors[:, :wanted]
        if self._params.cut == "here":
            return vectors
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(length, np.finfo(np.float32).tiny)

    def count_tokens(self, texts: Sequence[str]) -> Positions:
        """By the tokenizer of the params, or a token for every four characters begun."""
        limit = self._params.max_tokens or np.iinfo(np.int64).max
        if self._tokenizer is None:
            counts = [-(-len(text) // CHARACTERS_PER_TOKEN) for text in texts]
        else:
            counts = [len(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]
        return np.minimum(np.array(counts, np.int64), limit)


def open_tokenizer(path: str) -> Any:
    """The tokenizer of a tokenizer.json; None for ""."""
    if not path:
        return None
    import tokenizers

    if not Path(path).is_file():
        raise ContractError(f"embed.remote.tokenizer: {path} is no file")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(path)
    except Exception as error:  # the library raises no narrower one
        raise ContractError(
            f"embed.remote.tokenizer: {path} is no tokenizer.json ({type(error).__name__})"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def require_permission(params: RemoteEmbedder) -> None:
    """Refuse a remote model until the user has named it and said why it may see MIMIC's texts."""
    facts = params.model_dump()
    for name in ("base_url", "model", "attestation"):
        if not facts[name].strip():
            raise ContractError(
                f"embed.remote.{name} is empty; MIMIC's data use agreement forbids sharing data or "
                "anything derived from it with third parties, so name the host in base_url and "
                "say in attestation who allowed it there and under what terms (zero retention, no "
                "human review), or set embed.backend: minilm, which sends nothing"
            )
    _require_plain_url(params.base_url)
    if params.kind == "azure" and not params.api_version.strip():
        raise ContractError("embed.remote.api_version is empty; Azure wants one, as 2024-10-21")
    if params.api_key_env and not os.environ.get(params.api_key_env):
        raise ContractError(
            f"environment variable {params.api_key_env} is not set; embed.remote.api_key_env "
            'names the one that holds the endpoint\'s key ("": the server asks for none)'
        )


def _require_plain_url(url: str) -> None:
    """http or https, a host, and nothing that could be a secret: errors and records show it."""
    try:
        parts = urlsplit(url)
        secret = parts.username is not None or parts.query or parts.fragment
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good, secret = False, ""
    if secret:
        raise ContractError(
            "embed.remote.base_url holds a user, query or fragment; give the address alone, and "
            "the key in the variable that embed.remote.api_key_env names"
        )
    if not good:
        raise ContractError("embed.remote.base_url is no address such as https://host/v1")
