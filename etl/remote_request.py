"""One request to an OpenAI-compatible server: tried again where that can help, and verified."""

import hashlib
import logging
import os
import random
import threading
from typing import Any

import numpy as np

from cxrfuture_data.schema import ContractError
from etl.embedder import Counts, Vectors
from etl.params import RemoteEmbedder
from etl.remote_pace import (
    LONGEST_RETRY_AFTER_SECONDS,
    Budget,
    Pace,
    pause_before,
    read_retry_after,
)

REFUSED = {400, 413, 422}  # because of a text, it may be
TRIED_AGAIN = {408, 409, 429, 500, 502, 503, 504, 529}
NO_MONEY = "insufficient_quota"  # OpenAI's code of a 429 that waiting does not mend
NO_KEY = "none"  # the client wants one; a server that asks for none does not look


def name_text(text: str) -> str:
    """A text's sha256: what errors and records say instead of it."""
    return hashlib.sha256(text.encode()).hexdigest()


class Refused(Exception):
    """The server will not have these texts."""

    def __init__(self, status: int, base_url: str, model: str) -> None:
        super().__init__(status)
        self.status = status
        self.base_url = base_url
        self.model = model

    def as_error(self, what: str) -> ContractError:
        """One line for the user."""
        return ContractError(
            f"embed: {self.base_url} {what} with status {self.status} (model {self.model!r}); if "
            "it refuses every text, check embed.remote; all that was answered is kept"
        )


class Requests:
    """Asks by the params' limits; several threads share it.

    ``dim`` is the length of the first answer's vectors, that all others must have.
    """

    def __init__(self, params: RemoteEmbedder, counts: Counts) -> None:
        self.dim: int | None = None
        self._params = params
        self._counts = counts
        self._stopped = threading.Event()
        self._pace = Pace(
            params.requests_per_minute, params.tokens_per_minute, sleep=self._stopped.wait
        )
        self._budget = Budget(
            params.max_tokens_total, params.max_cost_usd, params.usd_per_million_tokens
        )
        self._rng = random.Random()  # shakes pauses, decides nothing that is kept
        self._lock = threading.Lock()
        self._client: Any = None

    def stop(self) -> None:
        """Wake the threads that wait: they give up."""
        self._stopped.set()

    def restart(self) -> None:
        """Requests may be sent again."""
        self._stopped.clear()

    def ask(self, texts: list[str], about: int, most: int) -> Vectors:
        """float32 (N, D) of texts that cost about, and at most, so many tokens."""
        for attempt in range(self._params.retries + 1):
            self._pace.wait(about)
            if self._stopped.is_set():
                raise self._error("was not asked: another request failed")
            try:
                return self._ask_once(texts, most)
            except _TryAgain as problem:
                if attempt == self._params.retries:
                    raise self._error(f"{problem} in {attempt + 1} tries") from None
                pause = pause_before(attempt + 1, problem.asked, self._rng)
            if pause > LONGEST_RETRY_AFTER_SECONDS:
                raise self._error(f"asks to wait {pause:,.0f} s") from None
            self._pace.hold(pause)
        raise AssertionError("unreachable")

    def _ask_once(self, texts: list[str], most: int) -> Vectors:
        self._budget.set_aside(most)
        cost = 0
        try:
            answer = self._send(texts)
            cost = most  # until the answer says what it was
            self._counts.add(requests=1)
            cost = _tokens_of(answer, most)
            vectors = self._verify(answer, len(texts))
        except _TryAgain as problem:
            cost = most if problem.may_cost else 0
            self._counts.add(requests=1)
            raise
        finally:
            self._budget.settle(most, cost)
            self._counts.add(tokens=cost, usd=self._budget.usd(cost))
        self._counts.add(texts=len(texts))
        return vectors

    def _send(self, texts: list[str]) -> Any:
        import openai

        params = self._params
        cut = params.dimensions if params.dimensions and params.cut == "server" else openai.omit
        try:
            return self._open().embeddings.create(model=params.model, input=texts, dimensions=cut)
        except openai.APIStatusError as error:
            status, headers = error.status_code, error.response.headers
            if status in REFUSED:
                raise Refused(status, params.base_url, params.model) from None
            if status in TRIED_AGAIN and error.code != NO_MONEY:
                asked = read_retry_after(headers)
                raise _TryAgain(f"answered with status {status}", asked) from None
            raise self._error(f"answered with status {status}") from None
        except openai.APIConnectionError as error:
            # It may have worked, and billed, all the same.
            name = type(error).__name__
            raise _TryAgain(f"did not answer ({name})", None, may_cost=True) from None
        except openai.OpenAIError as error:
            raise self._error(f"gave no embeddings ({type(error).__name__})") from None
        except (AttributeError, TypeError, ValueError):
            raise self._error("gave no embeddings (not what the API promises)") from None
        except Exception as error:
            # What the client's own reader raises holds the body; say its kind alone.
            if type(error).__module__.split(".")[0] in {"httpx2", "httpcore2", "httpx", "httpcore"}:
                name = type(error).__name__
                raise _TryAgain(f"did not answer ({name})", None, may_cost=True) from None
            raise

    def _verify(self, answer: Any, count: int) -> Vectors:
        """The rows by their index, if they are what was asked for."""
        try:
            rows = sorted(answer.data, key=lambda row: row.index)
            indices = [row.index for row in rows]
            numbers = [row.embedding for row in rows]
        except (AttributeError, TypeError, ValueError):
            raise self._error("gave no embeddings (not what the API promises)") from None
        if indices != list(range(count)):
            raise self._error(f"gave {len(indices)} vectors for {count} texts")
        vectors = self._stack(numbers)
        with self._lock:
            self.dim = self.dim or vectors.shape[1]
        if vectors.shape[1] != self.dim:
            raise self._error(f"gave vectors of length {vectors.shape[1]} after {self.dim}")
        if not np.isfinite(vectors).all():
            raise self._error("gave a vector that is not finite")
        wanted = self._params.dimensions
        if wanted > self.dim or (wanted < self.dim and wanted and self._params.cut == "server"):
            raise self._error(
                f"gave vectors of length {self.dim} where embed.remote.dimensions is {wanted}"
                f" (cut: {self._params.cut})"
            )
        return vectors

    def _stack(self, numbers: list[Any]) -> Vectors:
        try:
            lengths = sorted({len(row) for row in numbers})
            if len(lengths) == 1 and lengths != [0]:
                return np.asarray(numbers, np.float32)
        except (TypeError, ValueError):
            raise self._error("gave no embeddings (not what the API promises)") from None
        raise self._error(f"gave vectors of lengths {lengths}, not of one")

    def _error(self, what: str) -> ContractError:
        return ContractError(
            f"embed: {self._params.base_url} {what} (model {self._params.model!r}); check "
            "embed.remote and run the stage again: all that was answered is kept"
        )

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = open_client(self._params)
            return self._client


class _TryAgain(Exception):
    """A failure that may pass. ``asked``: seconds to wait; ``may_cost``: it may be billed."""

    def __init__(self, what: str, asked: float | None, *, may_cost: bool = False) -> None:
        super().__init__(what)
        self.asked = asked
        self.may_cost = may_cost


def _tokens_of(answer: Any, most: int) -> int:
    """What the server says it counted; one that says nothing is taken to have counted all."""
    told = getattr(getattr(answer, "usage", None), "total_tokens", None)
    return told if isinstance(told, int) and told > 0 else most


def open_client(params: RemoteEmbedder) -> Any:
    """The openai client. It never retries, follows no redirect, and prints nothing."""
    import openai

    # At DEBUG (OPENAI_LOG) the client would print the texts of every request.
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    shared: dict[str, Any] = {
        "api_key": os.environ[params.api_key_env] if params.api_key_env else NO_KEY,
        "max_retries": 0,
        "timeout": params.timeout_seconds,
        "http_client": openai.DefaultHttpxClient(
            # A redirect could send the texts to a host that nobody vouched for; so could the
            # proxy of an environment variable, if it can read them.
            follow_redirects=False,
            trust_env=params.base_url.lower().startswith("https:"),
        ),
    }
    if params.kind == "azure":
        base_url = params.base_url.rstrip("/")
        return openai.AzureOpenAI(azure_endpoint=base_url, api_version=params.api_version, **shared)
    return openai.OpenAI(base_url=params.base_url, **shared)
