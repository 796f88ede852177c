"""The versions of MIMIC-IV and MIMIC-CXR-JPG: how their tables differ, and which one a tree holds.

A tree is recognised by its columns, its rows and the files that only one version has; never by
the name of its folder. Sources of every difference: docs/sources.md, Versions.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cxrfuture_data.schema import ContractError
from etl.sources import CHECKSUMS, MARKER, UNKNOWN
from etl.version_schema import DEMO, FILE_NAMES, MIMIC_IV, SCHEMAS, TEST_SET, expected_rows

MIXED = "mixed"

# Tables small enough to be counted by anybody, and dictionaries, which subsets hold whole.
SIZED_BY = ("patients", "admissions", "icustays")
DICTIONARIES = ("d_labitems", "d_items", "d_icd_diagnoses", "d_icd_procedures", "d_hcpcs")
SPELLED = "procedureevents"  # the one table that versions spell otherwise

_RANGES = {
    ("2.0", "2.1"): "2.0 or 2.1",
    ("2.0", "2.1", "2.2"): "2.x",
    ("2.2", "3.0", "3.1"): "2.2 or later",
    ("3.0", "3.1"): "3.x",
    tuple(MIMIC_IV): "2.0 or later",
}


@dataclass(frozen=True)
class Version:
    """Which version a tree is, and what says so."""

    name: str
    """Such as 3.1, 3.x, 2.0 or 2.1; "mixed": its tables are not of one version."""
    is_demo: bool
    certain: bool
    """True if all that was looked at is this version's and no other's."""
    evidence: str
    candidates: tuple[str, ...]
    """The versions that nothing speaks against."""
    subset: str = ""
    """What a part of the release holds, such as "40 patients"; "" where it is whole or unknown."""

    @property
    def title(self) -> str:
        """For people: "3.1", "2.2 demo", "3.x, a subset: 40 patients"."""
        if self.is_demo:
            return f"{self.name} demo"
        return f"{self.name}, a subset: {self.subset}" if self.subset else self.name

    @property
    def release_rows(self) -> str:
        """The key of this version in release_rows.yaml; "" where its rows cannot be told."""
        if self.subset or self.name == MIXED:
            return ""
        return DEMO if self.is_demo else self.name

    @property
    def warning(self) -> str | None:
        """One line about what may go wrong with this version."""
        if self.name != "3.0":
            return None
        return (
            "recognised as MIMIC-IV 3.0, whose lab itemids are not all those of 2.2 and 3.1: rules"
            " that name an itemid may miss labs (docs/sources.md, Versions); use 3.1"
        )


def find_stranger(source: str, columns: Mapping[str, Sequence[str]]) -> str | None:
    """What is wrong with tables that are not of one version, in words; None if they are.

    ``columns``: table -> its columns, in any case and order.
    """
    fitting = {name: _fitting(source, name, found) for name, found in columns.items()}
    informative = {name: at for name, at in fitting.items() if at != tuple(SCHEMAS[source])}
    if not informative or set.intersection(*map(set, informative.values())):
        return None
    counts = Counter(informative.values())
    most = max(counts, key=lambda at: (counts[at], at))
    name = next(name for name, at in informative.items() if not set(at) & set(most))
    found, wanted = informative[name], " or ".join(most)
    like = f"is that of {' or '.join(found)}" if found else "is that of no version"
    return f"{name}: its columns {like}, the other tables' are those of {wanted}"


def require_one_version(source: str, columns: Mapping[str, Sequence[str]], where: object) -> None:
    """Stop before a table of another version is read among the rest."""
    stranger = find_stranger(source, columns)
    if stranger is not None:
        raise ContractError(f"{stranger}, in {where}; take all tables from one version")


class Tree(Protocol):
    """What has tables: a Release of etl/sources.py, or a database."""

    @property
    def source(self) -> str: ...
    @property
    def root(self) -> Path | str: ...
    @property
    def version(self) -> str: ...
    @property
    def simulated(self) -> bool: ...


def recognise_tree(
    tree: Tree, columns: Mapping[str, Sequence[str]], rows: Mapping[str, int] | None = None
) -> Version:
    """``recognise``, with the files beside the tables; a simulated tree says what it imitates."""
    beside = _files_beside(Path(tree.root)) if tree.source == "mimic_cxr_jpg" else ()
    if isinstance(tree.root, str):  # a database keeps no capitals: spelling says nothing
        columns = {name: found for name, found in columns.items() if name != SPELLED}
    version = recognise(tree.source, columns, rows, beside)
    if not tree.simulated or tree.version not in version.candidates:
        return version
    evidence = f"{MARKER}, {version.evidence}"
    return replace(
        version, name=tree.version, evidence=evidence, candidates=(tree.version,), subset=""
    )


def recognise(
    source: str,
    columns: Mapping[str, Sequence[str]],
    rows: Mapping[str, int] | None = None,
    found_files: Collection[str] = (),
) -> Version:
    """Which version a tree is.

    ``source``: mimic_iv or mimic_cxr_jpg. ``columns``: table -> its columns as the file spells
    them. ``rows``: table -> rows, of those that were counted. ``found_files``: names of files of
    MIMIC-CXR-JPG that lie beside its tables or that its SHA256SUMS.txt lists, itself included.
    """
    rows = rows or {}
    stranger = find_stranger(source, columns)
    if stranger is not None:
        return Version(MIXED, False, True, stranger, ())
    if source == "mimic_cxr_jpg":
        return _recognise_cxr(columns, rows, found_files)
    whole = next((v for v in _counted_versions() if _has_rows_of(v, rows)), None)
    candidates = _by_columns(columns)
    if whole is None:
        return _recognise_part(columns, rows, candidates)
    return _recognise_whole(whole, rows, candidates)


def disagreement(claim: str, version: Version) -> str | None:
    """What a folder's name says ("3.1", "demo-2.2") against the evidence, in words; else None."""
    number = claim.removeprefix("demo-")
    says_demo = claim.startswith("demo-")
    is_possible = number == UNKNOWN or number in version.candidates
    if is_possible and (not says_demo or version.is_demo or not version.certain):
        return None
    return (
        f"the folder's name says {claim}, its tables say {version.title} ({version.evidence});"
        " the tables decide"
    )


def _files_beside(root: Path) -> list[str]:
    names = [name for name in (FILE_NAMES, TEST_SET, CHECKSUMS) if (root / name).is_file()]
    if CHECKSUMS in names and TEST_SET not in names:
        is_listed = TEST_SET.encode() in (root / CHECKSUMS).read_bytes()
        names += [TEST_SET] if is_listed else []
    return names


def _fitting(source: str, table: str, found: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, schema in SCHEMAS[source].items() if schema.fits(table, found))


def _by_columns(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    fitting = [set(_fitting("mimic_iv", name, found)) for name, found in columns.items()]
    return tuple(v for v in MIMIC_IV if all(v in names for names in fitting))


def _counted_versions() -> tuple[str, ...]:
    return (*reversed(MIMIC_IV), DEMO)


def _has_rows_of(version: str, rows: Mapping[str, int]) -> bool:
    expected = expected_rows("mimic_iv", version)
    sizes = [name for name in SIZED_BY if name in rows]
    return len(sizes) >= 2 and all(rows[name] == expected.get(name) for name in sizes)


def _recognise_whole(whole: str, rows: Mapping[str, int], fitting: tuple[str, ...]) -> Version:
    """A tree with as many patients, admissions and stays as a version."""
    name, is_demo = whole.removeprefix("demo-"), whole == DEMO
    expected = expected_rows("mimic_iv", whole)
    counted = [table for table in rows if table in expected]
    differing = [table for table in counted if rows[table] != expected[table]]
    evidence = f"rows of {', '.join(table for table in SIZED_BY if table in rows)}"
    candidates: tuple[str, ...] = (name,)
    told_apart = {"labevents", "d_labitems"}.intersection(counted)
    if name == "3.1" and not told_apart:
        candidates = ("3.0", "3.1")
        evidence += ", which 3.0 shares"
    if name == "3.1" and told_apart.intersection(differing):
        name, candidates = "3.0", ("3.0",)
        evidence += f" are those of 3.0 and 3.1, those of {', '.join(differing)} not of 3.1"
    elif differing:
        evidence += "; but " + ", ".join(_differing(table, rows[table]) for table in differing)
    certain = len(candidates) == 1 and name in fitting and not differing
    if name not in fitting:
        evidence += f"; its columns are those of {_name_of(fitting)}"
    return Version(name, is_demo, certain, evidence, candidates)


def _differing(table: str, rows: int) -> str:
    others = [v for v in MIMIC_IV if expected_rows("mimic_iv", v).get(table) == rows]
    return f"{table} has {rows:,}" + (f", as in {' and '.join(others)}" if others else "")


def _recognise_part(
    columns: Mapping[str, Sequence[str]], rows: Mapping[str, int], fitting: tuple[str, ...]
) -> Version:
    """A tree of other sizes than any version: by columns, dictionaries and spelling."""
    evidence = ["columns"]
    by_rows = [v for v in fitting if _has_dictionaries_of(v, rows)]
    if by_rows:
        fitting = tuple(by_rows)
        evidence.append("rows of its dictionaries")
    by_spelling = [v for v in fitting if _spells_as(v, columns)]
    if len(fitting) > 1 and by_spelling and len(by_spelling) < len(fitting):
        fitting = tuple(by_spelling)
        evidence.append(f"spelling of {SPELLED}")
    demo = expected_rows("mimic_iv", DEMO)
    is_demo = (
        fitting == ("2.2",)
        and bool(by_rows)
        and "patients" in rows
        and all(rows[name] <= demo[name] for name in SIZED_BY if name in rows)
    )
    subset = _count(rows["patients"], "patient") if "patients" in rows else ""
    if is_demo:
        evidence.append(f"{rows['patients']} of the demo's {demo['patients']} patients")
    return Version(_name_of(fitting), is_demo, False, ", ".join(evidence), fitting, subset)


def _has_dictionaries_of(version: str, rows: Mapping[str, int]) -> bool:
    expected = expected_rows("mimic_iv", version)
    counted = [name for name in DICTIONARIES if name in rows and name in expected]
    return bool(counted) and all(rows[name] == expected[name] for name in counted)


def _spells_as(version: str, columns: Mapping[str, Sequence[str]]) -> bool:
    schema = MIMIC_IV[version]
    return SPELLED not in columns or set(columns[SPELLED]) == set(schema.header(SPELLED))


def _name_of(versions: tuple[str, ...]) -> str:
    return _RANGES.get(versions) or " or ".join(versions)


def _recognise_cxr(
    columns: Mapping[str, Sequence[str]], rows: Mapping[str, int], found_files: Collection[str]
) -> Version:
    """2.1.0 has two files more than 2.0.0, and no table of it differs."""
    of_new = [name for name in (FILE_NAMES, TEST_SET) if name in found_files]
    if "cxr_radiologist" in columns and TEST_SET not in of_new:
        of_new.append(TEST_SET)
    films = rows.get("cxr_metadata")
    expected = expected_rows("mimic_cxr_jpg", "2.1.0")["cxr_metadata"]
    subset = "" if films in (None, expected) else _count(films or 0, "film")
    if of_new:
        evidence = f"{' and '.join(of_new)}"
        return Version("2.1.0", False, True, evidence, ("2.1.0",), subset)
    evidence = f"the absence of {FILE_NAMES} and {TEST_SET}"
    is_listed = CHECKSUMS in found_files
    candidates = ("2.0.0",) if is_listed else ("2.0.0", "2.1.0")
    return Version("2.0.0", False, is_listed, evidence, candidates, subset)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
