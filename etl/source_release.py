"""What a dataset owes to the releases it is made from: their dates, citations and terms.

Dates and DOIs: the releases' own pages on physionet.org; specs peers 4.1, 4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cxrfuture_data.manifest import Manifest
from etl.shard_facts import CREDENTIALED, OPEN
from etl.sources import Source

TITLES: dict[Source, str] = {
    "mimic_iv": "MIMIC-IV",
    "mimic_cxr_jpg": "MIMIC-CXR-JPG - chest radiographs with structured labels",
}
AUTHORS: dict[Source, str] = {
    "mimic_iv": "Johnson, A., Bulgarelli, L., Pollard, T., Gow, B., Moody, B., Horng, S., "
    "Celi, L. A., & Mark, R.",
    "mimic_cxr_jpg": "Johnson, A., Lungren, M., Peng, Y., Lu, Z., Mark, R., Berkowitz, S., & "
    "Horng, S.",
}
PAGES: dict[Source, str] = {
    "mimic_iv": "https://physionet.org/content/mimiciv/",
    "mimic_cxr_jpg": "https://physionet.org/content/mimic-cxr-jpg/",
}
PUBLISHED: dict[Source, dict[str, str]] = {
    "mimic_iv": {
        "2.0": "2022-06-12",
        "2.1": "2022-11-14",
        "2.2": "2023-01-06",
        "2.2 demo": "2023-01-31",
        "3.0": "2024-07-23",
        "3.1": "2024-10-11",
    },
    "mimic_cxr_jpg": {"2.0.0": "2019-11-14", "2.1.0": "2024-03-12"},
}
DOIS: dict[Source, dict[str, str]] = {
    "mimic_iv": {"3.0": "10.13026/hxp0-hg59", "3.1": "10.13026/kpb9-mt58"},
    "mimic_cxr_jpg": {"2.0.0": "10.13026/8360-t248", "2.1.0": "10.13026/jsn5-t979"},
}
PAPERS = (
    "Johnson, A. E. W., Bulgarelli, L., Shen, L., et al. MIMIC-IV, a freely accessible electronic "
    "health record dataset. Scientific Data 10, 1 (2023). "
    "https://doi.org/10.1038/s41597-022-01899-x",
    "Johnson, A. E. W., Pollard, T. J., Greenbaum, N. R., et al. MIMIC-CXR-JPG, a large publicly "
    "available database of labeled chest radiographs. arXiv:1901.07042 (2019).",
    "Goldberger, A., Amaral, L., Glass, L., et al. PhysioBank, PhysioToolkit, and PhysioNet. "
    "Circulation 101 (23), e215-e220 (2000).",
)
# Of a dataset whose sources have no known date: that of the contract (schema.SCHEMA_VERSION).
UNDATED = "2026-11-29"


@dataclass(frozen=True)
class Terms:
    """Under which terms a dataset may be used. ``identifier``: Hugging Face's; with ``other`` goes
    a name."""

    identifier: str
    name: str
    title: str
    link: str
    is_credentialed: bool


CREDENTIALED_TERMS = Terms(
    identifier="other",
    name="physionet-credentialed-health-data-license-1.5.0",
    title=CREDENTIALED,
    link="https://physionet.org/content/mimiciv/view-license/3.1/",
    is_credentialed=True,
)
AGREEMENT = "https://physionet.org/content/mimiciv/view-dua/3.1/"
OPEN_TERMS = Terms(
    identifier="odbl",
    name="",
    title=OPEN,
    link="https://opendatacommons.org/licenses/odbl/1-0/",
    is_credentialed=False,
)
SIMULATED_TERMS = Terms(
    identifier="other",
    name="simulated-of-no-patient",
    title="Simulated data, of no patient",
    link="",
    is_credentialed=False,
)


def terms_of(manifest: Manifest) -> Terms:
    """The strictest terms of what a dataset is made from; what is not known to be open is not."""
    if manifest.is_simulated:
        return SIMULATED_TERMS
    is_open = OPEN in manifest.licence and CREDENTIALED not in manifest.licence
    return OPEN_TERMS if is_open else CREDENTIALED_TERMS


def published_at(sources: Mapping[Source, str]) -> str:
    """The day of the newest source. A dataset has no date of its own: the same inputs give the same
    bytes on any day."""
    days = [PUBLISHED[source].get(version, "") for source, version in sources.items()]
    return max(days, default="") or UNDATED


def citation(source: Source, version: str) -> str:
    """As the release's own page asks to be cited."""
    day, doi = PUBLISHED[source].get(version), DOIS[source].get(version)
    where = f"https://doi.org/{doi}" if doi else PAGES[source]
    year = f" ({day[:4]})." if day else ""
    return f"{AUTHORS[source]}{year} {TITLES[source]} (version {version}). PhysioNet. {where}"
