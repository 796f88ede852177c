"""Passwords, keys and tokens by their shape. A value is never shown: only its kind and length."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from etl.guard_hit import Hit, line_at


@dataclass(frozen=True)
class Rule:
    """``words``: one must be in the text (in lower case) before the pattern is tried. The
    pattern's group ``value`` is the secret. ``is_typed``: people also write an example there;
    ``is_code``: or code."""

    what: str
    words: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    is_typed: bool = False
    is_code: bool = False


def _rule(what: str, words: str, pattern: bytes, *more: bool) -> Rule:
    wanted = tuple(word.encode() for word in words.split())
    return Rule(what, wanted, re.compile(pattern), *more)


_EDGE = rb"(?<![0-9A-Za-z_-])"
_OPEN = rb"[\"']?(?P<value>[^\s\"'`,;<>(){}\[\]$]"

RULES = (
    _rule(
        "private key", "private", rb"(?P<value>-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----)"
    ),
    _rule("AWS key id", "akia asia", _EDGE + rb"(?P<value>(?:AKIA|ASIA)[0-9A-Z]{16})\b"),
    _rule(
        "AWS secret key",
        "secret",
        rb"(?i)aws_?secret_?(?:access_?)?key[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<value>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    ),
    _rule("Azure storage key", "accountkey", rb"AccountKey=(?P<value>[A-Za-z0-9+/]{40,88}={0,2})"),
    _rule(
        "Hugging Face token", "hf_ api_org_", _EDGE + rb"(?P<value>(?:hf|api_org)_[A-Za-z0-9]{30,})"
    ),
    _rule(
        "OpenAI or Anthropic key",
        "sk-",
        _EDGE + rb"(?P<value>sk-(?=[A-Za-z_-]{0,40}\d)[A-Za-z0-9_-]{20,})",
    ),
    _rule(
        "Weights & Biases key",
        "wandb",
        rb"(?i)wandb[^\n]{0,60}?(?<![0-9a-z_])(?P<value>[0-9a-f]{40}|wandb_v1_[0-9A-Za-z_]{30,})(?![0-9a-z])",
    ),
    _rule("Google key", "aiza", _EDGE + rb"(?P<value>AIza[0-9A-Za-z_-]{35})"),
    _rule(
        "GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        _EDGE + rb"(?P<value>gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{40,})",
    ),
    _rule("GitLab token", "glpat-", _EDGE + rb"(?P<value>glpat-[0-9A-Za-z_-]{20,})"),
    _rule("Slack token", "xox", _EDGE + rb"(?P<value>xox[abeoprs]-[0-9A-Za-z-]{10,})"),
    _rule(
        "password in a URL",
        "://",
        rb"://[^\s/:@\"'<>{}]{0,64}:(?P<value>[^\s/@\"'<>]{3,200})@[0-9A-Za-z\[.-]",
        True,
    ),
    _rule(
        "password of a download",
        "--password --http-password --ftp-password",
        rb"--(?:http-|ftp-)?password(?:=|\s{1,3})" + _OPEN + rb"{2,100})",
        True,
    ),
    _rule(
        "user and password of curl",
        "curl",
        rb"curl[^\n]{0,200}?\s(?:-u|--user)[ =]?[\"']?[^\s:\"'$]{1,64}:(?P<value>[^\s\"'$]{2,100})",
        True,
    ),
    _rule(
        "login of .netrc",
        "machine",
        rb"machine\s+\S{1,100}\s+login\s+\S{1,100}\s+password\s+(?P<value>\S{2,100})",
        True,
    ),
    _rule(
        "password or key in a variable",
        "password passwd pwd secret token api_key apikey access_key",
        rb"(?<![A-Za-z0-9])(?:[A-Za-z][A-Za-z0-9]{0,30}_){0,4}(?:PG)?"
        rb"(?:PASSWORD|PASSWD|PWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY)[\"']?\]?\s{0,3}[:=]\s{0,3}"
        rb"[\"']?(?P<value>[^\s\"'`,;<>(){}\[\]$=]{6,200})(?=[\s\"'`,;]|$)",
        True,
        True,
    ),
    _rule(
        "password or key in a literal",
        "password passwd secret api_key apikey access_key auth_token",
        rb"(?i)(?<![A-Za-z0-9])(?:[a-z][a-z0-9]{0,30}_){0,4}(?:password|passwd|secret(?:_key)?|api_?key|"
        rb"access_key|auth_token)[\"']?\s{0,3}(?:=|:)\s{0,3}[\"'](?P<value>[^\s\"'<>{}$]{6,200})[\"']",
        True,
        True,
    ),
)  # fmt: skip

_EXAMPLE = re.compile(
    rb"(?i)[x*.#_-]+|.*(?:your|example|changeme|placeholder|redacted|dummy|sample|fake|secret|"
    rb"passw|token|api_?key|hidden|not[_-]?set|insert|replace|\.\.\.|\*\*\*).*|"
    rb"[$%{<(\[].*|none|null|true|false|pass|pw|pwd|postgres|user|test|admin|tiger"
)
# What stands in code where a value would: a name, a path of names, an upper-case constant.
_CODE = re.compile(rb"[a-z]{1,12}|[a-z]+(?:[._-][a-z]+)+|[A-Z][A-Z_.]+|[A-Za-z_]+\.[A-Za-z_.]+")
_SECRET_FILES = re.compile(
    r"(?:.*/)?(?:\.netrc|_netrc|\.pgpass|pgpass\.conf|\.env|kaggle\.json|id_(?:rsa|dsa|ecdsa|ed25519)"
    r"|\.aws/credentials|\.wgetrc)",
    re.S,
)


def find_secrets(text: bytes, allowed: frozenset[str]) -> Iterator[Hit]:
    """Credentials in a text, one hit a line and kind."""
    lower = text.lower()
    seen: set[int] = set()
    for rule in RULES:
        if not any(word in lower for word in rule.words):
            continue
        for match in rule.pattern.finditer(text):
            value = match.group("value")
            line = line_at(text, match.start("value"))
            if line in seen or value.decode("utf-8", "replace") in allowed:
                continue
            if rule.is_typed and _EXAMPLE.fullmatch(value):
                continue
            if rule.is_code and _CODE.fullmatch(value):
                continue
            seen.add(line)
            yield Hit(kind="credential", what=f"{rule.what} ({masked(value)})", line=line)


def find_secret_file(path: str) -> Iterator[Hit]:
    """A file that programs keep passwords in."""
    if _SECRET_FILES.fullmatch(path):
        yield Hit(kind="credential", what="a file that programs keep passwords in")


def masked(value: bytes) -> str:
    """A hint that tells which one it is and helps nobody to use it: its length alone."""
    return f"{len(value)} characters, not shown"
