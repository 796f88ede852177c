"""The documents beside a dataset's tars: its card and Croissant's file, proven by dataset.json."""

import hashlib
from pathlib import Path

from cxrfuture_data.manifest import CARD_FILE, CROISSANT_FILE, Manifest
from cxrfuture_data.publish import publish
from etl.card import card_of
from etl.card_facts import CardFacts
from etl.croissant import croissant_of


def documents_of(dataset: Path, manifest: Manifest) -> dict[str, bytes]:
    """What the documents of a dataset say, whose every other file is there."""
    facts = CardFacts(dataset, manifest)
    card = card_of(facts)
    return {CARD_FILE: card, CROISSANT_FILE: croissant_of(facts, card)}


def write_documents(dataset: Path, manifest: Manifest) -> Manifest:
    """Publish them; the manifest that vouches for them."""
    documents = documents_of(dataset, manifest)
    for name, data in documents.items():
        with publish(dataset / name) as part:
            part.write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in documents.items()}
    return manifest.model_copy(update={"documents": sums})


def has_documents(dataset: Path, manifest: Manifest) -> bool:
    """Whether the documents are there, and what this code would write."""
    return all(
        (dataset / name).is_file()
        and (dataset / name).read_bytes() == data
        and manifest.documents.get(name) == hashlib.sha256(data).hexdigest()
        for name, data in documents_of(dataset, manifest).items()
    )
