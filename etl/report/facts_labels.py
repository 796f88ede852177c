"""Labels: findings of films, their change, outcomes and phenotypes."""

from collections.abc import Sequence

import numpy as np

from cxrfuture_data.labels import (
    ABSENT,
    ATTRIBUTES,
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
from etl.report.facts import Counts, Section
from etl.report.facts_paper import describe_prevalences
from etl.report.facts_people import count_flags
from etl.report.material import KIND_WORDS, Material
from etl.report.tally import NOT_KNOWN, Draft, Heading, count_true

# The film whose labels are learnt, by kind.
LABELLED = {"pair": "target", "stay": "previous", "image": "image"}
STATES = ("present", "absent", "uncertain", "not mentioned")
ATTRIBUTE_STATES = ("present", "absent", "not said")
UNKNOWN = "unknown"


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
                _count_states(
                    Heading(f"{kind}_{split}_findings", caption, "finding"),
                    STATES,
                    FINDINGS,
                    states,
                ),
                "shares",
                f"Of the {KIND_WORDS[kind]} of {split}, the share in which each finding is present,"
                " absent, uncertain or not mentioned.",
            )
        _add_attributes(draft, material, kind)
    return draft.finish()


def _add_attributes(draft: Draft, material: Material, kind: str) -> None:
    """Of Chest ImaGenome, all splits together, where it was given."""
    tables = material.of(kind, f"{LABELLED[kind]}.attributes")
    codes = np.concatenate(list(tables.values()))
    if not (codes != NOT_SAID).any():
        return
    caption = f"Chest ImaGenome's attributes of {KIND_WORDS[kind]}, all splits"
    states = np.select([codes == PRESENT, codes == ABSENT], [0, 1], 2)
    heading = Heading(f"{kind}_attributes", caption, "attribute")
    draft.add(_count_states(heading, ATTRIBUTE_STATES, ATTRIBUTES, states), is_folded=True)


def _states(labels: Array, known: Array) -> Array:
    """(N, 14) -> (N, 14) indices in STATES."""
    return np.select(
        [~known, labels == PRESENT, labels == ABSENT, labels == UNCERTAIN], [3, 0, 1, 2], 3
    )


def _count_states(
    heading: Heading, states: Sequence[str], rows: Sequence[str], codes: Array
) -> Counts:
    """``codes`` (N, R), indices in ``states``: every sample is in one state of each row."""
    return Counts(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        unit=heading.unit,
        rows=rows,
        columns=states,
        values=[
            np.bincount(codes[:, at], minlength=len(states)).tolist() for at in range(len(rows))
        ],
        of=[[len(codes)] * len(states) for _ in rows],
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
        draft.draw(
            _count_states(
                Heading("pair_changes", "Change of findings, all splits", "finding"),
                (*FINDING_CHANGES, UNKNOWN),
                FINDINGS,
                codes,
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
    prevalences = describe_prevalences(material)
    if prevalences is not None:
        draft.add(prevalences, is_folded=True)
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
