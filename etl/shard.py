"""Everything -> the dataset: WebDataset tars, sample indexes, embeddings and dataset.json.

dataset.json goes first when a build begins and comes back last, so a reader never sees a half.
A killed build goes on with the first shard that has no done record.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from cxrfuture_data.columns import Columns, encode_columns, join_columns, open_columns
from cxrfuture_data.columns_of import no_columns
from cxrfuture_data.console import progress, say
from cxrfuture_data.energon import has_sidecar, write_sidecar
from cxrfuture_data.manifest import (
    DATASET_FILE,
    EMBEDDINGS,
    DropRow,
    KindEntry,
    Manifest,
    RecipeRecord,
    columns_name,
    index_name,
    read_manifest,
    write_manifest,
)
from cxrfuture_data.publish import digest, file_sha256, publish
from cxrfuture_data.record import members_of
from cxrfuture_data.schema import SCHEMA_VERSION, SPLITS, ContractError, FilmsKept
from etl import shard_facts
from etl.documents import has_documents, write_documents
from etl.ledger import Drop, read_ledgers, write_ledger
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_embeddings import write_embeddings
from etl.shard_rows import read_rows
from etl.shard_sums import statistics_of
from etl.shard_tar import Shard, write_shards
from etl.shard_window import EVENT_FILE
from etl.sqlfile import bind_tables, open_sql, write_parquet


def run(params: Params, recipe: Recipe) -> None:
    """Build the dataset of a recipe, or find that it is built already."""
    source = shard_facts.read_json(params.build("ingest", "source.json"))
    made_from = shard_facts.inputs_digest(params, recipe, source)
    dataset = params.build(recipe.name, "shard")
    work = params.build(recipe.name, "shard.work")
    built = _read_built(dataset, made_from)
    if built is not None:
        _renew_documents(dataset, built)
        say(f"shard: {recipe.name} is up to date")
        return
    for split in SPLITS:
        (dataset / split).mkdir(parents=True, exist_ok=True)
    (dataset / DATASET_FILE).unlink(missing_ok=True)
    embeddings = write_embeddings(params, recipe, dataset / EMBEDDINGS)
    shards, drops = plan_shards(params, recipe, made_from)
    _write_events(params, recipe, work)
    _write_missing(shards, params.shard.workers)

    facts = [_facts(shard) for shard in shards]
    splits = _list_shards(dataset, recipe, params.shard.keep_films, shards, facts)
    _remove_stale(dataset, splits)
    write_ledger(dataset, drops)
    pairs = zip(shards, facts, strict=True)
    sums = [(shard.kind, fact["sums"]) for shard, fact in pairs if shard.split == "train"]
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        recipe=RecipeRecord(name=recipe.name, body=recipe.model_dump(mode="json")),
        made_from=made_from,
        **shard_facts.origin(params, recipe, source),
        films_kept=params.shard.keep_films,
        embeddings=embeddings,
        statistics=statistics_of(sums, recipe.window.variables),
        attrition=attrition_of(params, recipe),
        splits=splits,
        documents={},
    )
    write_sidecar(dataset, manifest)
    write_manifest(dataset, write_documents(dataset, manifest))
    shutil.rmtree(work)
    samples = sum(shard.rows.height for shard in shards)
    say(f"shard: {recipe.name}: {samples:,} samples in {len(shards):,} shards")


def plan_shards(params: Params, recipe: Recipe, made_from: str) -> tuple[list[Shard], list[Drop]]:
    """Cut the samples of each split and kind, ordered by key, into shards."""
    build = params.build(recipe.name)
    shards: list[Shard] = []
    drops: list[Drop] = []
    record = shard_facts.read_json(params.build(recipe.name, "latent", "done.json"))
    channels = shard_facts.latent_form(record).shape[0]
    for kind in recipe.kinds:
        rows, dropped = read_rows(build, kind)
        drops += dropped
        strangers = sorted(set(rows["split"].unique().to_list()) - set(SPLITS))
        if strangers:
            raise ContractError(
                f"cohort/{kind}.parquet: split {strangers[0]!r} is none of {SPLITS}"
            )
        for split in SPLITS:
            chosen = rows.filter(pl.col("split") == split)
            size = params.shard.samples_per_shard
            for number, part in enumerate(chosen.iter_slices(size) if chosen.height else ()):
                shards.append(
                    Shard(
                        build=build,
                        dataset=build / "shard",
                        work=build / "shard.work",
                        recipe=recipe.name,
                        variables=recipe.window.variables,
                        split=split,
                        kind=kind,
                        number=number,
                        rows=part,
                        channels=channels,
                        keep_films=params.shard.keep_films,
                        made_from=digest(made_from, split, kind, number),
                    )
                )
    return shards, drops


def _read_built(dataset: Path, made_from: str) -> Manifest | None:
    """The manifest of a finished build from the same inputs whose files are there; else None."""
    try:
        manifest = read_manifest(dataset)
    except ContractError:
        return None
    if manifest.made_from != made_from:
        return None
    for split, _, shard in manifest.shards():
        path = dataset / split / shard.name
        index = path.with_name(index_name(shard.name))
        if not path.exists() or path.stat().st_size != shard.bytes or not index.exists():
            return None
    for split, kinds in manifest.splits.items():
        if not all((dataset / split / columns_name(kind)).exists() for kind in kinds):
            return None
    is_whole = all((dataset / EMBEDDINGS / name).exists() for name in manifest.embeddings.files)
    return manifest if is_whole and has_sidecar(dataset, manifest) else None


def _renew_documents(dataset: Path, manifest: Manifest) -> None:
    """Write the documents of a finished build again if they are lost, altered or of older code."""
    if not has_documents(dataset, manifest):
        (dataset / DATASET_FILE).unlink()
        write_manifest(dataset, write_documents(dataset, manifest))
        say(f"shard: {manifest.recipe.name}: {' and '.join(manifest.documents)} written again")


def _write_events(params: Params, recipe: Recipe, work: Path) -> None:
    """Events with rows of the embedding table instead of texts, once for all shards."""
    window, embed = params.build(recipe.name, "window"), params.build(recipe.name, "embed")
    with open_sql(params.sql, work / "spill") as connection:
        tables = {
            "window_event": window / "window_event.parquet",
            "text_row": embed / "text_row.parquet",
        }
        bind_tables(connection, tables)
        write_parquet(connection, work / EVENT_FILE, "shard/event")
    rows = pl.scan_parquet(work / EVENT_FILE).select(pl.col("event_row").null_count()).collect()
    if rows.item():
        raise ContractError(
            f"{window}/window_event.parquet: {rows.item()} events have no embedding; "
            f"run `cxrfuture embed --recipe {recipe.name}` again"
        )


def _write_missing(shards: Sequence[Shard], workers: int) -> None:
    left = [shard for shard in shards if shard.done() is None]
    kept = sum(shard.rows.height for shard in shards if shard.done() is not None)
    total = kept + sum(shard.rows.height for shard in left)
    with progress("shard", total, "samples") as advance:
        if kept:
            advance(kept, "kept from an earlier run")
        for samples in write_shards(left, workers):
            advance(samples)


def _facts(shard: Shard) -> dict[str, Any]:
    facts = shard.done()
    if facts is None:
        raise ContractError(f"{shard.path}: changed while the build ran; run the stage again")
    return facts


def _list_shards(
    dataset: Path,
    recipe: Recipe,
    films: FilmsKept,
    shards: Sequence[Shard],
    facts: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, KindEntry]]:
    """Every split and kind of the recipe, those without samples too; publishes their columns."""
    found: dict[tuple[str, str], list[tuple[Shard, Any]]] = {
        (split, kind): [] for split in SPLITS for kind in recipe.kinds
    }
    for shard, fact in zip(shards, facts, strict=True):
        found[shard.split, shard.kind].append((shard, fact["entry"]))
    listed: dict[str, dict[str, KindEntry]] = {split: {} for split in SPLITS}
    for (split, kind), those in found.items():
        path = dataset / split / columns_name(kind)
        write_columns(path, kind, films, [open_columns(shard.columns_path) for shard, _ in those])
        entries = [entry for _, entry in those]
        listed[split][kind] = KindEntry(
            samples=sum(entry["samples"] for entry in entries),
            columns_sha256=file_sha256(path),
            shards=entries,
        )
    return listed


def write_columns(path: Path, kind: str, films: FilmsKept, parts: Sequence[Columns]) -> None:
    """Publish the columns of a split and kind: those of its shards, one after the other."""
    columns = join_columns(parts) if parts else no_columns(kind, members_of(kind, films=films))
    with publish(path) as part:
        part.write_bytes(encode_columns(columns))


def _remove_stale(dataset: Path, splits: Mapping[str, Mapping[str, KindEntry]]) -> None:
    """Remove what an earlier build left beside the shards of this one."""
    for split, kinds in splits.items():
        names = {shard.name for entry in kinds.values() for shard in entry.shards}
        names |= {index_name(name) for name in names} | {columns_name(kind) for kind in kinds}
        for path in (dataset / split).iterdir():
            if path.name not in names:
                path.unlink()


def attrition_of(params: Params, recipe: Recipe) -> list[DropRow]:
    """The ledgers of all stages, in the order in which the filters ran."""
    drops = read_ledgers(params.build(recipe.name))
    return [DropRow(**asdict(drop), after=drop.after) for drop in drops]
