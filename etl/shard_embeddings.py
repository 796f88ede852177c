"""The table of event embeddings, copied into the dataset with the hash and the text of each row."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from cxrfuture_data.manifest import HASHES_FILE, TABLE_FILE, TEXTS_FILE, Embeddings
from cxrfuture_data.publish import canonical_json, file_sha256, publish
from cxrfuture_data.schema import ContractError
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_facts import read_json


def write_embeddings(params: Params, recipe: Recipe, folder: Path) -> Embeddings:
    """Copy the table of event embeddings, with the hash, and the text if kept, of each row."""
    source = params.build(recipe.name, "embed")
    table = np.load(source / TABLE_FILE, mmap_mode="r", allow_pickle=False)
    with publish(folder / TABLE_FILE) as part:
        shutil.copyfile(source / TABLE_FILE, part)
    columns = {HASHES_FILE: "sha256"} | ({TEXTS_FILE: "text"} if params.shard.keep_texts else {})
    texts = pq.ParquetFile(source / "text.parquet")
    if texts.metadata.num_rows != len(table):
        raise ContractError(
            f"{source}: {texts.metadata.num_rows} texts and {len(table)} embeddings; "
            f"run `cxrfuture embed --recipe {recipe.name}` again"
        )
    for name, column in columns.items():
        with publish(folder / name) as part, part.open("w") as lines:
            for batch in texts.iter_batches(columns=[column]):
                for value in batch.column(0).to_pylist():
                    lines.write((canonical_json(value) if column == "text" else value) + "\n")
    if not params.shard.keep_texts:
        (folder / TEXTS_FILE).unlink(missing_ok=True)
    names = (TABLE_FILE, *columns)
    model = read_json(source / "done.json")["model"]
    return Embeddings(
        rows=len(table),
        dimensions=table.shape[1],
        full_dimensions=model["full_dim"],
        maximum_tokens=model["max_tokens"],
        model=model["name"],
        files={name: file_sha256(folder / name) for name in names},
    )
