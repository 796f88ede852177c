"""Films: the gap between them, their views, and what was found when they were read."""

import numpy as np
import polars as pl

from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FILMS_OF_KIND
from etl.film_reader import OUTCOMES
from etl.report.facts import Counts, Section
from etl.report.material import KIND_WORDS, Material
from etl.report.tally import (
    NOT_KNOWN,
    BySplit,
    Draft,
    Heading,
    bins_of,
    count_bins,
    count_shares,
    count_words,
    spread_of,
)

NO_FILM = "no film"
GAPS = bins_of((0, 6, 12, 24, 36, 48, 72, 168), "h")
SUSPICIONS = {
    "inverted": "looks inverted",
    "view_suspected": "looks as if it were not frontal",
    "near_duplicate_of": "looks like another film of its study",
}
SHAPES = {
    "width": "Width, pixels",
    "height": "Height, pixels",
    "bits": "Bits a pixel",
    "mean": "Mean grey, 0 to 255",
    "deviation": "Deviation of grey",
    "likeness": "Likeness to a mean frontal film, -1 to 1",
}


def describe_gaps(material: Material) -> Section | None:
    draft = Draft(
        "gap",
        "Gap between films",
        [
            "Hours from the previous film to the target, and from a stay's last film to its"
            " prediction. Null events, whose two films are one, are left out.",
            "Look for a long tail: a film of days ago says little of today's, and a model that"
            " copies it does well where gaps are short.",
        ],
    )
    if material.windowed and "pair" in material.kinds:
        gaps = {
            split: columns["gap_hours"][~columns["is_null_event"]]
            for split, columns in material.columns("pair").items()
        }
        if any(len(column) for column in gaps.values()):
            draft.draw(
                count_bins(
                    Heading("pair_gap", "Hours between the films of a pair", "gap"), gaps, GAPS
                ),
                "histogram",
                "Pairs by the hours between their films, a line a split. Look for splits whose"
                " lines part. Bins are not of one width.",
            )
    if "stay" in material.kinds and material.count("stay"):
        hours = material.of("stay", "hours_since_previous")
        heading = Heading(
            "stay_gap", "Hours from a stay's last film to its prediction", "age of film"
        )
        counts = count_bins(heading, hours, GAPS)
        rows = [NO_FILM if row == NOT_KNOWN else row for row in counts.rows]
        draft.draw(
            Counts(**vars(counts) | {"rows": rows}),
            "histogram",
            "Stays by the age of their last film at the prediction. Look for the share without any"
            " film, and for old ones: DDL-CXR's gain is largest there.",
        )
    return draft.finish()


def describe_views(material: Material) -> Section | None:
    draft = Draft(
        "views",
        "Views",
        [
            "The views of films, as the release names them. AP films are mostly of patients in bed,"
            " PA films of those who can stand.",
            "Look off the diagonal: where view and illness change together, a model can take the"
            " one for the other.",
        ],
    )
    for kind in material.kinds:
        if not material.count(kind):
            continue
        crossed = _cross_views(material) if kind == "pair" else None
        if crossed is not None and len(crossed.rows) * len(crossed.columns) > 1:
            draft.draw(
                crossed,
                "heat",
                "Pairs by the view of the previous film (rows) and of the target (columns).",
            )
        for role in FILMS_OF_KIND[kind]:
            caption = f"Views of {KIND_WORDS[kind]}: {role} film"
            counts = count_words(
                Heading(f"{kind}_{role}_view", caption, "view"), _views(material, kind, role)
            )
            # The heat map has the totals of all splits.
            draft.add(with_known_totals(counts) if kind == "pair" else counts)
    return draft.finish()


def _views(material: Material, kind: str, role: str) -> dict[str, Array]:
    has = material.of(kind, f"{role}.has")
    return {
        split: np.where(has[split], views, NO_FILM)
        for split, views in material.of(kind, f"{role}.view").items()
    }


def _cross_views(material: Material) -> Counts:
    """All splits together."""
    both = [
        np.concatenate(list(material.of("pair", f"{role}.view").values()))
        for role in FILMS_OF_KIND["pair"]
    ]
    before, after = (np.where(views == "", NOT_KNOWN, views) for views in both)
    rows, columns = np.unique(before).tolist(), np.unique(after).tolist()
    return Counts(
        key="pair_views",
        caption="Views of pairs, all splits",
        corner="previous \\ target",
        unit="samples",
        rows=rows,
        columns=columns,
        values=[
            [int(((before == row) & (after == column)).sum()) for column in columns] for row in rows
        ],
    )


def describe_quality(material: Material) -> Section | None:
    """From image/film.parquet: every film of the cohort, whether or not a sample uses it."""
    films = pl.read_parquet(material.path("image", "film.parquet"))
    draft = Draft(
        "film-quality",
        "Film quality",
        [
            "Every film of the cohort was read once. One that is missing or broken takes its"
            " samples with it; what merely looks odd stays, and is counted here.",
            "Look for missing films (an incomplete download) and for suspicions that are common:"
            " they are guesses from a small image, so look at some of the films before you act.",
        ],
    )
    if not films.height:
        return None
    named = films.with_columns(pl.col("split").fill_null(NOT_KNOWN))
    splits = [s for s in (*material.splits, NOT_KNOWN) if s in set(named["split"])]
    parts = {split: named.filter(pl.col("split") == split) for split in splits}
    _add_outcomes(draft, parts)
    good = {split: part.filter(pl.col("outcome") == "ok") for split, part in parts.items()}
    _add_suspicions(draft, good)
    spread = spread_of(
        Heading("film_shape", "Films as they were found", "number"),
        {title: _floats(good, name) for name, title in SHAPES.items() if name in films.columns},
    )
    if spread.rows:
        draft.add(spread)
    return draft.finish()


def _add_outcomes(draft: Draft, parts: dict[str, pl.DataFrame]) -> None:
    """And the reasons of an outcome that has several."""
    outcomes = {split: part["outcome"].to_numpy().astype(str) for split, part in parts.items()}
    order = ("ok", *(name for name in OUTCOMES if name != "ok"))
    heading = Heading("film_outcome", "Films by outcome", "outcome", "films")
    draft.add(with_known_totals(count_words(heading, outcomes, order)))
    for outcome in order:
        reasons = {
            split: part.filter(pl.col("outcome") == outcome)["reason"].fill_null("")
            for split, part in parts.items()
        }
        if len({reason for found in reasons.values() for reason in found}) > 1:
            words = {split: found.to_numpy().astype(str) for split, found in reasons.items()}
            heading = Heading(f"film_{outcome}", f"Films that are {outcome}", "reason", "films")
            draft.add(with_known_totals(count_words(heading, words)))


def with_known_totals(counts: Counts) -> Counts:
    """Of which another table or the ledger has the total of all splits."""
    return Counts(**vars(counts) | {"columns_add_up": True})


def _add_suspicions(draft: Draft, good: dict[str, pl.DataFrame]) -> None:
    first = next(iter(good.values()))
    names = [name for name in SUSPICIONS if name in first.columns]
    if not names:
        return
    values = []
    for name in names:
        is_so = pl.col(name).is_not_null() if name == "near_duplicate_of" else pl.col(name)
        values.append(
            [part.select(is_so.fill_null(value=False).sum()).item() for part in good.values()]
        )
    of = [[part.height for part in good.values()] for _ in names]
    heading = Heading("film_suspicion", "Films with an image that looks odd", "suspicion", "films")
    rows = [SUSPICIONS[name] for name in names]
    draft.add(count_shares(heading, rows, list(good), (values, of)))


def _floats(parts: dict[str, pl.DataFrame], name: str) -> BySplit:
    return {
        split: part[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for split, part in parts.items()
    }
