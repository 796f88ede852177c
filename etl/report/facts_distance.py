"""How far each split is from the others: standardised mean differences."""

from collections.abc import Iterator

import numpy as np

from cxrfuture_data.labels import NOT_SAID, PRESENT
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FINDINGS, PHENOTYPES
from etl.report.facts import Numbers, Section
from etl.report.facts_labels import LABELLED
from etl.report.material import KIND_WORDS, Material, as_floats
from etl.report.tally import BySplit, Draft

FAR = 0.1


def describe_distances(material: Material) -> Section | None:
    draft = Draft(
        "distance",
        "Distance of the splits",
        [
            "The standardised mean difference of each split from all others together:"
            " (m1 - m2) / sqrt((v1 + v2) / 2) of means m and variances v; of a share p, v is"
            f" p (1 - p). Marked where it is beyond {FAR:g} either way.",
            "Chance alone gives about sqrt(1/a + 1/b) of a and b patients, so small splits are"
            " often marked. A large split that is marked was not split at random.",
        ],
    )
    for kind in material.kinds:
        rows = [(name, columns) for name, columns in _measures(material, kind) if _varies(columns)]
        if rows and len(material.splits) > 1:
            draft.add(_distances(material, kind, rows))
    return draft.finish()


def _distances(material: Material, kind: str, rows: list[tuple[str, BySplit]]) -> Numbers:
    values = [[_distance(columns, split) for split in material.splits] for _, columns in rows]
    return Numbers(
        key=f"{kind}_distance",
        caption=f"{KIND_WORDS[kind].capitalize()}: each split against the others",
        corner="of",
        rows=[name for name, _ in rows],
        columns=material.splits,
        values=values,
        rests_on=[_rests_on(columns) for _, columns in rows],
        marked=[
            (row, column)
            for row, distances in enumerate(values)
            for column, distance in enumerate(distances)
            if distance is not None and abs(distance) > FAR
        ],
    )


def _measures(material: Material, kind: str) -> Iterator[tuple[str, BySplit]]:
    """Float columns, NaN where not known: (N,) each."""
    yield "age", material.of(kind, "age")
    yield "male", as_floats(material.of(kind, "is_male"))
    if kind == "pair":
        yield "hours between the films", material.of(kind, "gap_hours")
    if kind == "stay":
        yield "hours since the last film", material.of(kind, "hours_since_previous")
    if kind != "image":
        for name in ("hours", "events"):
            yield f"{name} in the window", as_floats(material.of(kind, name))
        yield "died in hospital", as_floats(material.of(kind, "died_in_hospital"), NOT_SAID)
    role = LABELLED[kind]
    labels, known = material.of(kind, f"{role}.labels"), material.of(kind, f"{role}.label_known")
    for at, finding in enumerate(FINDINGS):
        found = {s: (labels[s][:, at] == PRESENT) & known[s][:, at] for s in labels}
        yield f"{finding} present", as_floats(found)
    if kind == "stay":
        for name in ("icu_transfer", "readmitted"):
            yield name.replace("_", " "), as_floats(material.of(kind, name), NOT_SAID)
        tables = as_floats(material.of(kind, "phenotypes"), NOT_SAID)
        for at, name in enumerate(PHENOTYPES):
            yield name, {split: table[:, at] for split, table in tables.items()}


def _varies(columns: BySplit) -> bool:
    known = _known(np.concatenate(list(columns.values())))
    return len(known) > 1 and known.min() != known.max()


def _known(values: Array) -> Array:
    return values[~np.isnan(values)]


def _distance(columns: BySplit, split: str) -> float | None:
    """None where a side has nothing, or nothing varies."""
    ours = _known(columns[split])
    others = _known(np.concatenate([c for name, c in columns.items() if name != split]))
    if not len(ours) or not len(others):
        return None
    spread = float(np.sqrt((ours.var() + others.var()) / 2))
    return float((ours.mean() - others.mean()) / spread) if spread else None


def _rests_on(columns: BySplit) -> int:
    """The fewest known of a split that has any; of a share, the fewest with or without."""
    known = [_known(column) for column in columns.values()]
    is_share = set(np.unique(np.concatenate(known)).tolist()) <= {0.0, 1.0}
    counts = [
        min(int(column.sum()), int((1 - column).sum())) if is_share else len(column)
        for column in known
        if len(column)
    ]
    return min(counts, default=0)
