"""What a build takes on disk."""

import json
from collections.abc import Sequence
from pathlib import Path

from cxrfuture_data.cache_rows import STAGE_RECORD
from cxrfuture_data.object_store import is_url
from etl.ledger import STAGES
from etl.report.facts import Counts, Numbers, Section
from etl.report.material import KIND_WORDS, Material
from etl.report.tally import Draft

CACHED = {"image": "images", "latent": "latents", "embed": "embeddings"}


def describe_storage(material: Material) -> Section | None:
    draft = Draft(
        "storage",
        "Storage",
        [
            "Bytes of each stage's folder, of the shards of each split, and of the rows of the"
            " cache that this build reads, which other builds may share.",
            "A training machine needs the shard folder alone.",
        ],
    )
    stages = [(stage, _bytes_below(material.path(stage))) for stage in STAGES]
    draft.draw(
        _bytes("stage_bytes", "Bytes by stage", "stage", stages),
        "bars",
        "Bytes of each stage's folder below the build.",
    )
    draft.add(_shards(material))
    draft.add(_bytes_a_sample(material))
    cached = [
        (title, size) for stage, title in CACHED.items() if (size := _cached(material, stage))
    ]
    if cached:
        draft.add(_bytes("cache_bytes", "Bytes of the cache that this build reads", "rows", cached))
    return draft.finish()


def _bytes(key: str, caption: str, corner: str, found: Sequence[tuple[str, int]]) -> Counts:
    return Counts(
        key=key,
        caption=caption,
        corner=corner,
        unit="bytes",
        rows=[name for name, _ in found],
        columns=["bytes"],
        values=[[size] for _, size in found],
        is_private=False,
    )


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cached(material: Material, stage: str) -> int:
    """Bytes of a stage's rows in the cache; 0 of rows that lie elsewhere."""
    record = json.loads(material.path(stage, STAGE_RECORD).read_text())
    rows = record.get("rows")
    if not rows or is_url(rows):
        return 0
    return _bytes_below(material.path(stage) / rows)


def _shards(material: Material) -> Numbers:
    """Of tars; what indices and embeddings take is in the stage's folder. Bytes of a split tell how
    many samples it has, so they rest on the fewest that one has."""
    counts = [
        [columns.samples for columns in material.columns(kind).values()] for kind in material.kinds
    ]
    return Numbers(
        key="shard_bytes",
        caption="Bytes of the shards",
        corner="kind",
        rows=[KIND_WORDS[kind] for kind in material.kinds],
        columns=material.splits,
        values=[
            [_size(material, split, kind) for split in material.splits] for kind in material.kinds
        ],
        rests_on=[min((count for count in row if count), default=0) for row in counts],
        digits=0,
    )


def _size(material: Material, split: str, kind: str) -> int:
    return sum(shard.bytes for shard in material.manifest.kind(split, kind).shards)


def _bytes_a_sample(material: Material) -> Numbers:
    samples = [material.count(kind) for kind in material.kinds]
    totals = [
        sum(_size(material, split, kind) for split in material.splits) for kind in material.kinds
    ]
    return Numbers(
        key="bytes_a_sample",
        caption="Bytes of a sample, on average",
        corner="kind",
        rows=[KIND_WORDS[kind] for kind in material.kinds],
        columns=["bytes"],
        values=[
            [round(total / count) if count else None]
            for total, count in zip(totals, samples, strict=True)
        ],
        rests_on=samples,
        digits=0,
    )
