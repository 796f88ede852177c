"""Distinct event texts -> one fp16 vector each, in a table that windows point into."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.lib.format import write_array_header_1_0

from cxrfuture_data.console import say
from cxrfuture_data.publish import digest, publish, read_done, write_done
from cxrfuture_data.schema import ContractError
from etl.embedder import Embedder, open_embedder
from etl.params import EmbedParams, Params
from etl.part import array_path, rate_of, record_path, remove_parts_from
from etl.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """One unit of work: a run of the sorted texts."""

    number: int
    folder: Path
    texts: tuple[str, ...]
    made_from: str

    @property
    def array(self) -> Path:
        return array_path(self.folder, self.number)

    @property
    def record(self) -> Path:
        return record_path(self.folder, self.number)

    def is_done(self) -> bool:
        return read_done(self.record, self.made_from) is not None and self.array.exists()


def run(params: Params, recipe: Recipe) -> None:
    """Embed every distinct text of the recipe's windows; parts that are done are kept."""
    embedder = open_embedder(params.embed)
    numbers, texts = read_texts(
        params.build(recipe.name, "window", "window_event.parquet"),
        params.build(recipe.name, "event", "text.parquet"),
    )
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    folder = params.build(recipe.name, "embed")
    parts = plan_parts(texts, hashes, folder / "part", params.embed, embedder)
    embed_parts(parts, embedder, folder / "done.json")
    remove_parts_from(folder / "part", len(parts))

    dim = write_table(folder / "table.npy", parts, embedder.facts.dim)
    write_texts(folder / "text.parquet", texts, hashes)
    with publish(folder / "text_row.parquet") as part:
        numbers.write_parquet(part)
    model = asdict(embedder.facts) | {"dim": dim}
    facts: dict[str, Any] = {"model": model, "texts": len(texts)}
    if params.embed.backend == "remote":
        facts["attestation"] = params.embed.remote.attestation
        facts["base_url"] = params.embed.remote.base_url
    write_done(folder / "done.json", digest([part.made_from for part in parts]), facts)
    say(f"embed: {len(texts):,} texts, {dim} numbers each")


def read_texts(events: Path, texts: Path) -> tuple[pl.DataFrame, list[str]]:
    """The distinct texts of the windows' events, in the order of their UTF-8 bytes.

    Also which of them each text_id reads: (text_id, row), sorted. Two ids may read alike.
    """
    for path in (events, texts):
        if not path.exists():
            raise ContractError(f"{path}: no such file; run `cxrfuture {path.parent.name}` first")
    used = pl.scan_parquet(events).select("text_id").unique()
    found = pl.scan_parquet(texts).join(used, on="text_id", how="semi").sort("text", "text_id")
    rows = found.with_columns((pl.col("text").rank("dense") - 1).cast(pl.Int32).alias("row"))
    read = rows.collect()
    distinct = read["text"].unique(maintain_order=True).to_list()
    return read.select("text_id", "row").sort("text_id"), distinct


def plan_parts(
    texts: Sequence[str],
    hashes: Sequence[str],
    folder: Path,
    params: EmbedParams,
    embedder: Embedder,
) -> list[TextPart]:
    """Cut the texts into parts, each with a digest of its texts and of the model."""
    # Batches change MiniLM's numbers in the seventh digit; a service's answers cost money to redo.
    batch_size = params.batch_size if params.backend != "remote" else None
    parts = []
    for number, start in enumerate(range(0, len(texts), params.texts_per_part)):
        end = start + params.texts_per_part
        parts.append(
            TextPart(
                number=number,
                folder=folder,
                texts=tuple(texts[start:end]),
                made_from=digest(embedder.facts.digest, batch_size, hashes[start:end]),
            )
        )
    return parts


def embed_parts(parts: Sequence[TextPart], embedder: Embedder, record: Path) -> None:
    """Embed the parts that are not done; the stage's record goes before its first part changes."""
    left = [part for part in parts if not part.is_done()]
    if not left:
        return
    record.unlink(missing_ok=True)
    count = sum(len(part.texts) for part in parts)
    kept = count - sum(len(part.texts) for part in left)
    with rate_of("embed", count, kept, "texts") as advance:
        for part in left:
            embed_part(part, embedder)
            advance(len(part.texts))


def embed_part(part: TextPart, embedder: Embedder) -> None:
    """Publish a part's vectors as fp16 (N, D), then its record."""
    part.record.unlink(missing_ok=True)  # never an old record beside a new array
    vectors = embedder.embed(part.texts)
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ContractError(
            f"embed: model {embedder.facts.name!r} gave a number that fp16 cannot hold "
            f"(largest {np.abs(vectors).max():.3g}, fp16 ends at 65504); choose another model"
        )
    with publish(part.array) as path, path.open("wb") as handle:
        np.save(handle, halves, allow_pickle=False)
    write_done(part.record, part.made_from)


def write_table(path: Path, parts: Sequence[TextPart], dim: int | None) -> int:
    """Join the parts into one fp16 (R, D) file, one part in memory at a time; gives D."""
    widths = sorted({np.load(part.array, mmap_mode="r").shape[1] for part in parts})
    if len(widths) > 1:
        raise ContractError(
            f"{path.parent}: parts have vectors of lengths {widths}, so the model changed under "
            "its name; remove the folder and run the stage again"
        )
    dim = widths[0] if widths else dim or 0
    rows = sum(len(part.texts) for part in parts)
    header = {"descr": "<f2", "fortran_order": False, "shape": (rows, dim)}
    with publish(path) as table, table.open("wb") as handle:
        write_array_header_1_0(handle, header)
        for part in parts:
            handle.write(np.load(part.array).astype("<f2").tobytes())
    return dim


def write_texts(path: Path, texts: Sequence[str], hashes: Sequence[str]) -> None:
    """The table's rows by number, hash and text."""
    table = pl.DataFrame(
        {"row": range(len(texts)), "sha256": list(hashes), "text": list(texts)},
        schema={"row": pl.Int32, "sha256": pl.String, "text": pl.String},
    )
    with publish(path) as part_file:
        table.write_parquet(part_file)
