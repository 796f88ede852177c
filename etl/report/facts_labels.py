"""Labels: findings of films, their change, outcomes and phenotypes."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxrfuture_data.labels import (
    ABSENT,
    CHANGE_ATTRIBUTES,
    CHANGES,
    FINDING_CHANGES,
    FINDING_OF_ATTRIBUTE,
    NOT_SAID,
    PRESENT,
    UNCERTAIN,
    change_labels,
    said_changes,
)
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FINDINGS, PHENOTYPES
from etl.report.facts import Counts, Numbers, Section
from etl.report.facts_samples import count_flags
from etl.report.material import KIND_WORDS, Material
from etl.report.tally import NOT_KNOWN, Draft, Heading, count_true
from etl.reproduction import TABLE_FILE

# The film whose labels are learnt, by kind.
LABELLED = {"pair": "target", "stay": "previous", "image": "image"}
STATES = ("present", "absent", "uncertain", "not mentioned")
UNKNOWN = "unknown"
PREVALENCE = "/prevalence/"


def describe_findings(material: Material) -> Section | None:
    draft = Draft(
        "findings",
        "Findings",
        [
            "What the labeler read in the report of the target (of a stay: of its last film), for"
            " each split. Uncertain and not mentioned are kept as they are: what they mean for a"
            " loss is the model's choice.",
            "Look for findings with few positives in the split you judge by, and for how much is"
            " not mentioned: taking that as absent is a choice. Of a stay without a film nothing is"
            " mentioned.",
        ],
    )
    for kind in material.kinds:
        for split, columns in material.columns(kind).items():
            if not columns.samples:
                continue
            role = LABELLED[kind]
            states = _states(columns[f"{role}.labels"], columns[f"{role}.label_known"])
            caption = f"Findings of {KIND_WORDS[kind]}, {split}: {role} film"
            draft.draw(
                _count_states(f"{kind}_{split}_findings", caption, "finding", STATES, states),
                "shares",
                f"Of the {KIND_WORDS[kind]} of {split}, the share in which each finding is present,"
                " absent, uncertain or not mentioned.",
            )
    return draft.finish()


def _states(labels: Array, known: Array) -> Array:
    """(N, 14) -> (N, 14) indices in STATES."""
    return np.select(
        [~known, labels == PRESENT, labels == ABSENT, labels == UNCERTAIN], [3, 0, 1, 2], 3
    )


def _count_states(
    key: str, caption: str, corner: str, states: Sequence[str], codes: Array
) -> Counts:
    """``codes`` (N, 14), indices in ``states``: every sample is in one state of each finding."""
    return Counts(
        key=key,
        caption=caption,
        corner=corner,
        unit="samples",
        rows=FINDINGS,
        columns=states,
        values=[
            np.bincount(codes[:, at], minlength=len(states)).tolist() for at in range(len(FINDINGS))
        ],
        of=[[len(codes)] * len(states) for _ in FINDINGS],
        rows_add_up=False,
    )


def describe_changes(material: Material) -> Section | None:
    """Of pairs, all splits together, without null events: those have one film."""
    draft = Draft(
        "changes",
        "Change between films",
        [
            "How each finding changed from the previous film to the target. Absent then present is"
            " new, the other way round resolved; of what is present twice, the target's report says"
            " whether it is better or worse, if it does. The rest is unknown.",
            "Look for the share unchanged: a model that copies the previous film is right there, so"
            " judge models on the others.",
        ],
    )
    if "pair" not in material.kinds:
        return None
    codes = np.concatenate(
        [_change_codes(material, split) for split in material.splits] or [np.zeros((0, 14), int)]
    )
    if len(codes):
        states = (*FINDING_CHANGES, UNKNOWN)
        draft.draw(
            _count_states(
                "pair_changes", "Change of findings, all splits", "finding", states, codes
            ),
            "shares",
            "Share of pairs in which each finding is new, worse, unchanged, better, resolved or not"
            " known.",
        )
    return draft.finish()


def _change_codes(material: Material, split: str) -> Array:
    """(N, 14) indices in FINDING_CHANGES, one beyond it where unknown."""
    columns = material.dataset.columns(split, "pair")
    chosen = np.flatnonzero(~columns["is_null_event"])
    previous, target = (
        (columns[f"{role}.labels"][chosen], columns[f"{role}.label_known"][chosen])
        for role in ("previous", "target")
    )
    codes, known = change_labels(previous, target, _said(columns["changes"][chosen]))
    return np.where(known, codes, len(FINDING_CHANGES))


def _said(changes: Array) -> Array:
    """(N, 11) indices in CHANGES -> what ``said_changes`` gives, (N, 14)."""
    means = said_changes([dict.fromkeys(FINDING_OF_ATTRIBUTE, change) for change in CHANGES])
    said = np.full((len(changes), len(FINDINGS)), NOT_SAID, np.int8)
    for at, attribute in enumerate(CHANGE_ATTRIBUTES):
        if attribute in FINDING_OF_ATTRIBUTE:
            to = FINDINGS.index(FINDING_OF_ATTRIBUTE[attribute])
            is_said = changes[:, at] != NOT_SAID
            said[is_said, to] = means[changes[is_said, at], to]
    return said


def describe_outcomes(material: Material) -> Section | None:
    """Of stays; death in hospital is in Table 1."""
    draft = Draft(
        "outcomes",
        "Outcomes",
        [
            "What is predicted of each stay, by split. Of what is not known a sample has no label.",
            "Look for outcomes that are rare in the split you judge by: an AUROC of ten positives"
            " means little. Death in hospital is in Table 1.",
        ],
    )
    if "stay" in material.kinds and material.count("stay"):
        for name, title in {
            "icu_transfer": "Transfer to the ICU",
            "readmitted": "Readmission",
        }.items():
            flags = material.of("stay", name)
            if any((column != NOT_SAID).any() for column in flags.values()):
                draft.add(count_flags(Heading(f"stay_{name}", title, "outcome"), flags))
        _add_phenotypes(draft, material)
    _add_paper(draft, material)
    return draft.finish()


def _add_phenotypes(draft: Draft, material: Material) -> None:
    tables = material.of("stay", "phenotypes")
    flags = {
        name: {split: table[:, at] == 1 for split, table in tables.items()}
        for at, name in enumerate(PHENOTYPES)
    }
    missing = {split: (table == NOT_SAID).all(axis=1) for split, table in tables.items()}
    if all(column.all() for column in missing.values()):
        return
    if any(column.any() for column in missing.values()):
        flags[NOT_KNOWN] = missing
    draft.draw(
        count_true(Heading("stay_phenotypes", "Phenotypes of stays", "phenotype"), flags),
        "points",
        "Share of stays with each group of diagnoses, a dot a split. Look for dots far apart.",
    )


@dataclass(frozen=True)
class PaperRow:
    """A line of check/reproduction.csv."""

    measure: str
    source: str
    paper: float
    ours: float | None
    within: str


def read_paper(material: Material) -> list[PaperRow]:
    with material.path("check", TABLE_FILE).open(newline="") as handle:
        return [
            PaperRow(
                line["measure"],
                line["source"],
                float(line["paper"]),
                float(line["ours"]) if line["ours"] else None,
                line["within"],
            )
            for line in csv.DictReader(handle)
        ]


def _add_paper(draft: Draft, material: Material) -> None:
    rows = [row for row in read_paper(material) if PREVALENCE in row.measure]
    caption = "Share of stays with an outcome: the paper's and ours"
    numbers = paper_numbers(material, Heading("paper_prevalence", caption, "outcome"), rows)
    if numbers is not None:
        draft.add(numbers)


def describe_paper(material: Material) -> Section | None:
    """What else a paper says of its cohort."""
    rows = [row for row in read_paper(material) if PREVALENCE not in row.measure]
    heading = Heading("paper", "The paper's numbers and ours", "number")
    numbers = paper_numbers(material, heading, rows)
    if numbers is None:
        return None
    return Section(
        "paper",
        "Beside the paper",
        [
            f"What {material.recipe.paper} says of its cohort, and what this build has. Marked is"
            " what is outside the tolerance; of simulated data, or a part of a release, none can be"
            " expected to agree, and nothing is marked.",
            "`cxrfuture reproduction` gives the section and the known reason of every difference.",
        ],
        [numbers],
    )


def paper_numbers(material: Material, heading: Heading, rows: Sequence[PaperRow]) -> Numbers | None:
    """Paper, ours, and ours less the paper's; None of nothing. A number of this build rests on the
    least of all of one table, for the others of a table may tell it."""
    known = [row for row in rows if row.ours is not None]
    if not known:
        return None
    least = _least_of_sources(material, read_paper(material))
    return Numbers(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        rows=[row.measure.replace("/", " ").replace("prevalence ", "") for row in known],
        columns=["paper", "ours", "difference"],
        values=[[row.paper, row.ours, (row.ours or 0.0) - row.paper] for row in known],
        rests_on=[least[row.source] for row in known],
        digits=3,
        marked=[(at, 1) for at, row in enumerate(known) if row.within == "False"],
    )


def _least_of_sources(material: Material, rows: Sequence[PaperRow]) -> Mapping[str, int]:
    """Of each table of the paper, the fewest samples that a number of it, or its complement, is
    of."""
    least: dict[str, int] = {}
    for row in rows:
        if row.ours is not None:
            found = _rests_on(material, row)
            least[row.source] = min(found, least.get(row.source, found))
    return least


def _rests_on(material: Material, row: PaperRow) -> int:
    ours = row.ours or 0.0
    parts = row.measure.split("/")
    splits = material.splits if parts[1:2] == ["total"] else [p for p in parts[1:2]]
    known = parts[0] in material.kinds and set(splits) <= set(material.splits)
    samples = sum(material.dataset.columns(s, parts[0]).samples for s in splits) if known else 0
    if PREVALENCE in row.measure:
        return min(round(ours * samples), round((1 - ours) * samples))
    is_of_part = parts[-1] in ("deaths", "with film") or parts[-1].startswith("last film")
    if is_of_part:
        return min(int(ours), samples - int(ours))
    is_count = parts[-1] in ("samples", "patients", "admissions", "stays", "before films")
    if is_count:
        return int(ours)
    if parts[-1] == "men percent":
        return min(round(ours * samples / 100), round((100 - ours) * samples / 100))
    return samples
