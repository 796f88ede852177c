"""The splits and kinds of one dataset, each opened when it is first asked for."""

import threading
from collections import OrderedDict
from functools import cached_property
from typing import Any

from cxrfuture_data.browse.column import columns_of
from cxrfuture_data.browse.drawn import Drawn
from cxrfuture_data.browse.listing import Listing
from cxrfuture_data.browse.problem import NOT_FOUND, Problem
from cxrfuture_data.browse.query import choose, read_conditions
from cxrfuture_data.browse.reader import Reader
from cxrfuture_data.browse.texts import Texts
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.manifest import EMBEDDINGS, TEXTS_FILE
from cxrfuture_data.order import Positions
from cxrfuture_data.schema import KINDS, SPLITS, ContractError
from cxrfuture_data.summary import describe_origin

ORDERS_KEPT = 32


class Catalogue:
    """Asked by several threads."""

    def __init__(self, dataset: Dataset, drawn: Drawn) -> None:
        self.dataset = dataset
        self.drawn = drawn
        self._readers: dict[tuple[str, str], Reader] = {}
        self._orders: OrderedDict[tuple[str, ...], Positions] = OrderedDict()
        self._opening = threading.Lock()

    def reader(self, split: str, kind: str) -> Reader:
        try:
            self.dataset.manifest.kind(split, kind)
        except ContractError as error:
            raise Problem(NOT_FOUND, str(error)) from None
        with self._opening:
            if (split, kind) not in self._readers:
                self._readers[split, kind] = Reader(self.dataset, split, kind)
            return self._readers[split, kind]

    def order(self, reader: Reader, where: str, find: str, sort: str) -> Positions:
        """The positions that meet the conditions, in their order; the last few are kept."""
        asked = (reader.split, reader.kind, where, find, sort)
        with self._opening:
            if asked in self._orders:
                self._orders.move_to_end(asked)
                return self._orders[asked]
        chosen = choose(reader.listing, read_conditions(where), find, sort)
        with self._opening:
            self._orders[asked] = chosen
            if len(self._orders) > ORDERS_KEPT:
                self._orders.popitem(last=False)
        return chosen

    @cached_property
    def texts(self) -> Texts | None:
        """Where the build keeps them."""
        if not self.dataset.has_texts:
            return None
        sha256 = self.dataset.manifest.embeddings.files[TEXTS_FILE]
        return Texts(self.dataset.source.table(f"{EMBEDDINGS}/{TEXTS_FILE}", sha256))

    def first(
        self, split: str | None = None, kind: str | None = None, key: str | None = None
    ) -> tuple[str, str, str] | None:
        """Split, kind and key of the first sample there is, of those that are named; None: there
        are no samples."""
        manifest = self.dataset.manifest
        for name in [s for s in SPLITS if s in manifest.splits] if split is None else [split]:
            kinds = manifest.kinds(name)
            for found in [k for k in KINDS if k in kinds] if kind is None else [kind]:
                if not manifest.kind(name, found).samples:
                    continue
                listing = self.reader(name, found).listing
                if key is None:
                    return name, found, listing.key(0)
                if listing.stored.find(key) is not None:
                    return name, found, key
        if key is not None:
            raise Problem(NOT_FOUND, f"no sample {key!r} in {self.dataset.source}")
        return None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The dataset as JSON."""
        manifest, first = self.dataset.manifest, self.first()
        kinds = {kind for found in manifest.splits.values() for kind in found}
        return {
            "name": f"{manifest.recipe.name} ({describe_origin(manifest)})",
            "folder": str(self.dataset.source),
            "recipe": manifest.recipe.name,
            "origin": describe_origin(manifest),
            "licence": manifest.licence,
            "made_from": manifest.made_from,
            "splits": {
                split: {kind: entry.samples for kind, entry in manifest.splits[split].items()}
                for split in SPLITS
                if split in manifest.splits
            },
            "columns": {kind: self._columns(kind) for kind in KINDS if kind in kinds},
            "first": None
            if first is None
            else dict(zip(("split", "kind", "key"), first, strict=True)),
            "has_texts": self.dataset.has_texts,
            "has_generated": self.drawn.has_generated,
            "has_anomaly": self.drawn.anomaly is not None,
        }

    def _columns(self, kind: str) -> list[dict[str, Any]]:
        """With the words and ends of all splits."""
        splits = self.dataset.manifest.splits
        listings = [self.reader(s, kind).listing for s in SPLITS if kind in splits.get(s, {})]
        return [_join(listings, column.name) for column in columns_of(kind)]


def _join(listings: list[Listing], name: str) -> dict[str, Any]:
    found = [listing.facts(name) for listing in listings]
    joined = dict(found[0])
    if joined["values"] is not None:
        joined["values"] = list(dict.fromkeys(v for facts in found for v in facts["values"]))
    for end, best in (("min", min), ("max", max)):
        known = [facts[end] for facts in found if facts[end] is not None]
        joined[end] = best(known) if known else None
    return joined
