"""The guard: looks through a git tree, its index or its history for what must not leave it.

A net, not a proof (docs/guard.md). It needs the base install only, and never shows a secret.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cxrfuture_data.console import progress, say
from cxrfuture_data.schema import ContractError
from etl.guard_allow import ALLOW_FILE, Allow, read_allow
from etl.guard_file import dataset_facts, find_in_file
from etl.guard_git import (
    Item,
    commit_messages,
    commit_of,
    file_item,
    find_top,
    history_blobs,
    history_items,
    staged_items,
    tree_items,
    walk,
)
from etl.guard_hit import NEXT_STEP as NEXT_STEP
from etl.guard_hit import Finding, Hit, next_step
from etl.guard_hook import install_hook as install_hook
from etl.guard_id import find_ids
from etl.guard_secret import find_secrets

CLEAN, FOUND = 0, 1
COMMITS_NAMED = 200  # of findings in the history: to find each takes a walk through it


@dataclass(frozen=True)
class Report:
    """``files``: how many were looked at."""

    files: int
    findings: tuple[Finding, ...]


def run_guard(
    paths: Sequence[Path], *, staged: bool = False, history: bool = False, as_json: bool = False
) -> int:
    """Scan and print one line a finding; 0 if there is none, else 1. Raises ContractError."""
    report = scan(Path.cwd(), paths, staged=staged, history=history)
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        print(json.dumps({"files": report.files, "findings": findings}, indent=1))
    else:
        for finding in report.findings:
            print(finding.text())
    if report.findings:
        count, named = len(report.findings), {finding.path for finding in report.findings}
        what = "1 finding" if count == 1 else f"{count:,} findings"
        say(f"guard: {what} in {len(named):,} of {report.files:,} files;")
        say(f"guard: what may stay goes into {ALLOW_FILE} with its reason (docs/guard.md)")
        return FOUND
    say(f"guard: {report.files:,} files, nothing found; this is a net, not a proof")
    return CLEAN


def scan(
    folder: Path, paths: Sequence[Path] = (), *, staged: bool = False, history: bool = False
) -> Report:
    """Look at the tree that ``folder`` is in, or its index, or its history."""
    if staged and history:
        raise ContractError("--staged and --history are two scans; give one of them")
    if paths and (staged or history):
        raise ContractError("--staged and --history look at all of the tree; give no paths")
    top = find_top(folder)
    if top is None:
        if staged or history:
            raise ContractError(f"{folder}: not in a git repository, so it has no such contents")
        return _scan_folder(folder, paths)
    allow = read_allow(top)
    if staged:
        return _look(staged_items(top), None, allow)
    if not history:
        items = tree_items(top, [folder / path for path in paths])
        return _look(items, len(items), allow)
    blobs = history_blobs(top)
    report = _look(history_items(top, blobs), len(blobs), allow, lambda blob: commit_of(top, blob))
    messages = tuple(_in_messages(top, allow))
    return Report(report.files, report.findings + messages)


def _scan_folder(folder: Path, paths: Sequence[Path]) -> Report:
    """A folder outside of git."""
    names: list[str] = []
    for path in paths or [Path()]:
        place = folder / path
        if not place.exists() and not place.is_symlink():
            raise ContractError(f"{path}: no such file or folder")
        names += walk(folder, place) if place.is_dir() and not place.is_symlink() else [str(path)]
    items = [file_item(folder, name) for name in names]
    return _look(items, len(items), read_allow(folder))


def _look(
    items: Iterable[Item],
    total: int | None,
    allow: Allow,
    commit: Callable[[str], str] | None = None,
) -> Report:
    findings: list[tuple[Finding, str]] = []
    simulated: set[str] = set()
    count = 0
    with progress("guard", total, "files") as advance:
        for item in items:
            count += 1
            hits, sha256, files = _look_at(item, allow)
            simulated |= files
            advance()
            for hit in hits:
                findings.append((_finding(item.path, hit, sha256, allow), item.blob))
    kept = [(finding, blob) for finding, blob in findings if finding.sha256 not in simulated]
    return Report(count, tuple(_with_commits(kept, commit)))


def _look_at(item: Item, allow: Allow) -> tuple[list[Hit], str, frozenset[str]]:
    """Hits of a file, its sha256, and those of files that it says are simulated."""
    try:
        content = item.read()
    except OSError as error:
        return [Hit(kind="unread", what=f"cannot be read ({error.strerror})")], "", frozenset()
    if content is None:
        return [], "", frozenset()
    bytes_, sha256 = content
    if item.path == ALLOW_FILE or allow.has(item.path, sha256):
        return [], sha256, frozenset()
    facts = dataset_facts(bytes_.head) if item.path.endswith("dataset.json") else None
    simulated = facts[1] if facts is not None and facts[0] else frozenset()
    return list(find_in_file(item.path, bytes_, allow.words())), sha256, simulated


def _finding(path: str, hit: Hit, sha256: str, allow: Allow) -> Finding:
    changed = " (it has changed since it was allowed)" if allow.has_path(path) else ""
    return Finding(
        path=path,
        line=hit.line,
        kind=hit.kind,
        what=hit.what + changed,
        next_step=next_step(path, hit),
        sha256=sha256,
    )


def _with_commits(
    findings: Sequence[tuple[Finding, str]], commit: Callable[[str], str] | None
) -> Iterator[Finding]:
    known: dict[str, str] = {}
    for finding, blob in findings:
        if commit is not None and blob not in known and len(known) < COMMITS_NAMED:
            known[blob] = commit(blob)
        yield replace(finding, commit=known.get(blob, ""))


def _in_messages(top: Path, allow: Allow) -> Iterator[Finding]:
    """What commit messages say."""
    for commit, text in commit_messages(top):
        for hit in [*find_ids(text, allow.words()), *find_secrets(text, allow.words())]:
            yield replace(_finding("(commit message)", hit, "", allow), commit=commit)
