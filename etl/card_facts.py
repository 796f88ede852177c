"""What a dataset's card counts: samples and patients of each split, filters, members and tensors.

Of a dataset that holds patients, counts are told in tens and small ones not at all: a card is often
readable where its dataset is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from cxrfuture_data.columns import Columns, open_columns
from cxrfuture_data.manifest import DropRow, Manifest, columns_name
from cxrfuture_data.page.shareable import round_count
from cxrfuture_data.record import members_of
from cxrfuture_data.schema import (
    EVENT_TABLES,
    FILMS_OF_KIND,
    SAMPLE_MEMBER,
    SPLITS,
    STATIC,
    TENSORS_MEMBER,
    TENSORS_OF_KIND,
    VARIABLE_SETS,
)
from etl.source_release import Terms, citation, published_at, terms_of
from etl.sources import Source

NAMES: dict[Source, str] = {"mimic_iv": "MIMIC-IV", "mimic_cxr_jpg": "MIMIC-CXR-JPG"}
# Hugging Face's words.
SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_WINDOW_WORDS = {
    "hourly": "each hour's value of each variable in its unit, as measured; NaN: not measured",
    "event_row": "row of embeddings/table.npy, oldest event first",
    "event_hours": "hours from the window's start; negative: it began before",
    "event_end_hours": "hours; NaN: a moment; +inf: it still runs at the window's end",
    "event_table": f"0 to {len(EVENT_TABLES) - 1}: {', '.join(EVENT_TABLES)}",
    "generation_hourly": "as hourly, of the window that a film at the prediction is made from",
    "static": "; ".join(f"{name} ({unit})" for name, unit in STATIC.items()) + "; NaN: not known",
}


@dataclass(frozen=True)
class Size:
    samples: int
    patients: int


@dataclass(frozen=True)
class Tensor:
    """``shape``: T hours, E events; (0, 0, 0) of a film that a stay lacks."""

    name: str
    dtype: str
    shape: str
    words: str


@dataclass(frozen=True)
class CardFacts:
    """Of a dataset whose shards and columns are all there."""

    dataset: Path
    manifest: Manifest

    @property
    def body(self) -> Mapping[str, Any]:
        """The recipe."""
        return self.manifest.recipe.body

    @property
    def has_events(self) -> bool:
        """Whether windows have events as texts."""
        return bool(self.body["window"]["events"])

    @property
    def includes_end(self) -> bool:
        """Whether what was recorded at the minute of the target film is in the window."""
        is_mended = self.body["fidelity"] == "corrected" and (
            "target_minute_left_out" in self.body["corrections"]
        )
        return self.body["window"]["includes_end"] and not is_mended

    @property
    def terms(self) -> Terms:
        return terms_of(self.manifest)

    @property
    def sources(self) -> dict[Source, str]:
        """In an order of their own: dataset.json has none."""
        found = cast(dict[Source, str], self.manifest.sources)
        return {source: found[source] for source in NAMES if source in found}

    @property
    def source_names(self) -> list[str]:
        return [f"{NAMES[source]} {version}" for source, version in self.sources.items()]

    @property
    def citations(self) -> list[str]:
        return [citation(source, version) for source, version in self.sources.items()]

    @property
    def published_at(self) -> str:
        return published_at(self.sources)

    @property
    def kinds(self) -> list[str]:
        """Those of the recipe, in its order."""
        return [str(kind) for kind in self.body["kinds"]]

    @property
    def kinds_with_samples(self) -> list[str]:
        return [
            kind for kind in self.kinds if any(one.samples for one in self.sizes[kind].values())
        ]

    @cached_property
    def sizes(self) -> dict[str, dict[str, Size]]:
        """Kind -> split -> how many."""
        return {
            kind: {
                split: Size(columns.samples, len(np.unique(columns["subject_id"])))
                for split, columns in self._columns(kind).items()
            }
            for kind in self.kinds
        }

    @property
    def size_category(self) -> str:
        samples = sum(one.samples for sizes in self.sizes.values() for one in sizes.values())
        return next((word for limit, word in SIZE_CATEGORIES if samples < limit), "n>10M")

    def splits_of(self, kind: str) -> list[str]:
        """Those with a sample of a kind."""
        return [split for split in SPLITS if self.sizes[kind][split].samples]

    def has_all_films(self, kind: str) -> bool:
        """Whether every sample of a kind has every film of it, and the build kept them."""
        return self.manifest.films_kept != "none" and all(
            bool(columns[f"{role}.has"].all())
            for columns in self._columns(kind).values()
            for role in FILMS_OF_KIND[kind]
        )

    def _columns(self, kind: str) -> dict[str, Columns]:
        return {split: open_columns(self.dataset / split / columns_name(kind)) for split in SPLITS}

    def shown(self, count: int) -> str:
        """A count as the card tells it."""
        return f"{count:,}" if self.manifest.is_simulated else round_count(count)

    def drop_numbers(self, drop: DropRow) -> tuple[str, str, str]:
        """What reached a filter, what it removed and what was left."""
        return self.shown(drop.before), self.shown(drop.removed), self.shown(drop.after)

    def members(self, kind: str) -> dict[str, str]:
        """The members of a kind's samples, and what they hold."""
        words = {
            SAMPLE_MEMBER: "ids, times, views, age, sex, labels and outcomes",
            TENSORS_MEMBER: "the tensors below",
        }
        return {
            name: words.get(name) or self._film_words(kind, name)
            for name in members_of(kind, films=self.manifest.films_kept)
        }

    def _film_words(self, kind: str, name: str) -> str:
        role = name.partition(".")[0]
        size = self.body["image"]["size"]
        how = {
            ".png": f"grey PNG of {size} x {size} pixels",
            ".levels": f"up to {size} x {size} grey pixels in levels (docs/levels.md of CXRFuture)",
        }
        suffix = name.removeprefix(role)
        empty = "; empty without a film" if kind == "stay" else ""
        return f"{_of_film(role)}, {how[suffix]}{empty}"

    def tensors(self, kind: str) -> list[Tensor]:
        """The tensors of a kind, with their shapes and units."""
        return [
            Tensor(name, dtype, self._shape(name), self._words(name))
            for name, dtype in TENSORS_OF_KIND[kind].items()
        ]

    @property
    def variables(self) -> list[str]:
        """The columns of ``hourly`` with their units, in order."""
        chosen = VARIABLE_SETS[self.body["window"]["variables"]]
        return [f"{one.name} ({one.unit})" for one in chosen]

    def _shape(self, name: str) -> str:
        if name.endswith(("_mean", "_logvar")):
            return ",".join(map(str, self.manifest.latent.shape))
        if name == "static":
            return str(len(STATIC))
        return f"-1,{len(self.variables)}" if name.endswith("hourly") else "-1"

    def _words(self, name: str) -> str:
        if name in _WINDOW_WORDS:
            return _WINDOW_WORDS[name]
        role, _, part = name.rpartition("_")
        of = {"mean": "mean", "logvar": "log-variance"}[part]
        form = self.manifest.latent
        return f"{of} of the autoencoder's posterior of {_of_film(role)}; scale {form.scale:g}"


def _of_film(role: str) -> str:
    return "the film" if role == "image" else f"the {role} film"
