"""dataset.json: what a dataset was made from, and every shard with its counts and hashes.

It is written last, so a folder without it is not a dataset.
"""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import SCHEMA_VERSION, ContractError, FilmsKept
from cxrfuture_data.settings import Settings, parse_settings

DATASET_FILE = "dataset.json"
EMBEDDINGS = "embeddings"
TABLE_FILE, HASHES_FILE, TEXTS_FILE = "table.npy", "sha256.txt", "text.jsonl"
CARD_FILE, CROISSANT_FILE = "README.md", "croissant.json"

# Names are plain file names, so that no dataset can point a reader outside its folder.
SplitName = Annotated[str, Field(pattern=r"^(train|valid|test)$")]
Kind = Annotated[str, Field(pattern=r"^(pair|stay|image)$")]
SourceName = Annotated[str, Field(pattern=r"^(mimic_iv|mimic_cxr_jpg)$")]
DocumentFile = Annotated[str, Field(pattern=r"^(README\.md|croissant\.json)$")]
EmbeddingFile = Annotated[str, Field(pattern=r"^[a-z0-9]+\.[a-z]+$")]
ShardName = Annotated[str, Field(pattern=r"^(pair|stay|image)-[0-9]{6}\.tar$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class Moments(Settings):
    """Count, mean and standard deviation (n - 1); of nothing: the normal value, and 0."""

    count: Count
    mean: float
    std: float


class WindowStatistics(Settings):
    """Of training windows of one kind: observed hourly values after clipping to schema's bounds,
    each continuous variable in its unit; and age in years, once a sample."""

    variables: dict[str, Moments]
    age: Moments


class LatentStatistics(Settings):
    """Of one draw from the posterior of every film of every training sample, as stored.

    ``mean`` and ``std`` are over all values, the lists are per channel.
    """

    films: Count
    mean: float
    std: float
    channel_mean: list[float]
    channel_std: list[float]


class Statistics(Settings):
    """Of training patients only."""

    pair: WindowStatistics
    stay: WindowStatistics
    latent: LatentStatistics


class RecipeRecord(Settings):
    name: str
    body: dict[str, Any]


class LatentForm(Settings):
    """What the numbers of a latent are: (raw - shift) * scale of an autoencoder that ran in
    ``precision``, kept in ``dtype``."""

    shape: Annotated[list[Count], Field(min_length=3, max_length=3)]  # C, h, w
    scale: float
    shift: float
    precision: str
    dtype: str


class Weights(Settings):
    """Digests of the models' weights; embedder is None where the recipe has no events."""

    vae: str
    embedder: str | None


class Simulated(Settings):
    tables: bool
    films: bool


class Embeddings(Settings):
    """``files`` maps each file below embeddings/ to its sha256.

    A vector has ``dimensions``, cut from ``full_dimensions`` of the model (None: it was not asked);
    a text was cut at ``maximum_tokens`` (0: nowhere).
    """

    rows: Count
    dimensions: Count
    full_dimensions: Count | None
    maximum_tokens: Count
    model: str
    files: dict[EmbeddingFile, Sha256]


class DropRow(Settings):
    stage: str
    unit: str
    reason: str
    before: Count
    removed: Count
    after: Count


class ShardEntry(Settings):
    name: ShardName
    samples: Annotated[int, Field(gt=0)]
    bytes: Count
    sha256: Sha256
    index_sha256: Sha256


class KindEntry(Settings):
    samples: Count
    columns_sha256: Sha256
    shards: list[ShardEntry]


class Manifest(Settings):
    """``sources``: the version of each. ``documents``: the card and Croissant's file, which tell of
    the rest, and their sha256."""

    schema_version: int
    recipe: RecipeRecord
    made_from: str
    params_digest: str
    git_commit: str | None
    input_digest: str
    sources: dict[SourceName, str]
    weights: Weights
    licence: str
    simulated: Simulated
    attestation: str | None
    films_kept: FilmsKept
    latent: LatentForm
    embeddings: Embeddings
    statistics: Statistics
    attrition: list[DropRow]
    splits: dict[SplitName, dict[Kind, KindEntry]]
    documents: dict[DocumentFile, Sha256]

    @property
    def is_simulated(self) -> bool:
        """Of no patient at all."""
        return self.simulated.tables and self.simulated.films

    def kind(self, split: str, kind: str) -> KindEntry:
        """The shards of a split and kind; both must be in the dataset, if with 0 samples."""
        for word, name, known in (
            ("split", split, self.splits),
            ("kind", kind, self.splits.get(split, {})),
        ):
            if name not in known:
                raise ContractError(f"no {word} {name!r} in this dataset; it has {sorted(known)}")
        return self.splits[split][kind]

    def kinds(self, split: str) -> list[str]:
        """The kinds of samples that a split has, if with 0 of them."""
        if split not in self.splits:
            raise ContractError(f"no split {split!r} in this dataset; it has {sorted(self.splits)}")
        return sorted(self.splits[split])

    def shards(self) -> list[tuple[str, str, ShardEntry]]:
        """(split, kind, shard) of every shard."""
        return [
            (split, kind, shard)
            for split, kinds in self.splits.items()
            for kind, entry in kinds.items()
            for shard in entry.shards
        ]


def index_name(shard: str) -> str:
    """The sample index beside a tar."""
    return shard.removesuffix(".tar") + ".json"


def columns_name(kind: str) -> str:
    """The columns of a kind's samples, in the folder of a split."""
    return f"{kind}.safetensors"


def read_manifest(folder: Path) -> Manifest:
    """Read ``dataset.json``; another schema version is refused by number."""
    path = folder / DATASET_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ContractError(
            f"{path}: no such file; the folder is no dataset, or its build has not finished"
        ) from None
    return parse_manifest(text, str(path))


def parse_manifest(text: bytes, path: str) -> Manifest:
    """What ``dataset.json`` holds; ``path`` is named in errors."""
    try:
        value = json.loads(text)
    except ValueError:
        raise ContractError(f"{path}: not JSON; rebuild with `cxrfuture shard`") from None
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise ContractError(
            f"{path}: schema version {version}, this reader knows {SCHEMA_VERSION}; "
            "install the matching cxrfuture or rebuild"
        )
    manifest = parse_settings(Manifest, value, path)
    for split, kinds in manifest.splits.items():
        for kind, entry in kinds.items():
            if entry.samples != sum(shard.samples for shard in entry.shards):
                raise ContractError(f"{path}: {split}/{kind}: samples do not add up; rebuild")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Publish ``dataset.json``, the dataset's done record."""
    write_json(folder / DATASET_FILE, manifest.model_dump(mode="json"))
