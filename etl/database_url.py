"""The URL of a database: what the drivers get, and what may be shown, which has no password.

Every stage imports this with the params, so SQLAlchemy comes only with a URL.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from cxrfuture_data.schema import ContractError

if TYPE_CHECKING:
    from sqlalchemy import URL

SETTING = "paths.mimic_iv (or MIMIC_IV_DIR)"
FORM = "postgresql://user@host:5432/database"
_DATABASE = re.compile(r"postgres(ql)?(\+\w+)?:/", re.IGNORECASE)
_PREFIX = re.compile(r"^(\([\w.]+\)|[A-Z_]+:|\[libpq\])\s*")


def is_database(path: object) -> bool:
    """True for a URL of PostgreSQL, also one whose slashes a Path has merged."""
    return _DATABASE.match(str(path)) is not None


def show_url(url: object) -> str:
    """The URL without password and options (which may hold one), however it is misspelt."""
    scheme, _, rest = str(url).partition(":")
    address = re.split(r"[?#]", rest.lstrip("/"), maxsplit=1)[0]
    user, at, host = address.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{host}"


def holds_secret(url: str) -> bool:
    """True where the URL holds a password, in its place or as an option."""
    return bool(_secrets(url))


def read_url(url: str) -> "URL":
    """The parsed URL. An error shows no more of it than may be shown."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url).set(drivername="postgresql")
    except (ArgumentError, ValueError):  # their texts hold the URL
        raise ContractError(f"{SETTING}: {show_url(url)} has not the form {FORM}") from None
    if not parsed.database:
        raise ContractError(f"{SETTING}: {show_url(url)} names no database; write {FORM}")
    return parsed


def libpq_url(url: str) -> str:
    """The URL as libpq takes it, password included."""
    return read_url(url).render_as_string(hide_password=False)


def reason_of(error: BaseException, url: str) -> str:
    """The first line that a driver says, without password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    while _PREFIX.match(said):
        said = _PREFIX.sub("", said)
    for secret in _secrets(url):
        said = said.replace(secret, "***")
    return said


def _secrets(url: str) -> list[str]:
    """Every spelling of the passwords in a URL, the longest first."""
    parsed = read_url(url)
    options = [value for key, value in parsed.query.items() if "password" in key.lower()]
    plain = [str(value) for value in (parsed.password, *options) if value]
    spelt = {form for value in plain for form in (value, quote(value, safe=""), quote_plus(value))}
    return sorted(spelt, key=len, reverse=True)
