"""What goes wrong with one request: an HTTP status, and one line for who looks at the page."""

from pathlib import Path

from cxrfuture_data.schema import ContractError

BAD_REQUEST, NOT_FOUND, BROKEN = 400, 404, 500


class Problem(ContractError):
    """``status``: 400 a request that makes no sense, 404 what is not there, 500 what is broken."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def broken(shard: str, key: str, error: Exception) -> Problem:
    """What a shard holds of a sample cannot be read; says what to do, if the error does not."""
    words = str(error)
    for name in (shard, f"sample {key}"):
        if name not in words and Path(name).name not in words:
            words = f"{name}: {words}"
    if ";" not in words:
        words += "; run `cxrfuture verify`, then copy the dataset again or rebuild it"
    return Problem(BROKEN, " ".join(words.split()))
