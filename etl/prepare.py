"""Cohort and windows of a recipe, from tables and metadata alone, made where out of date.

For commands that compare or export; `dvc repro` runs the same stages one by one.
"""

from importlib.resources import files
from pathlib import Path

from cxrfuture_data.publish import digest, file_sha256, read_done, write_done
from etl import cohort, event, imagenome, ingest, window
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_facts import read_json
from etl.stage_cost import measured

RECORD = "tables.json"
STAGES = {"event": event, "cohort": cohort, "window": window}


def prepare(params: Params, recipe: Recipe) -> Path:
    """Run ingest, event, cohort and window as far as needed; returns build/<recipe>."""
    ingest.run(params)
    return prepare_ingested(params, recipe)


def prepare_ingested(params: Params, recipe: Recipe) -> Path:
    """The same from tables that are ingested already."""
    folder = params.build(recipe.name)
    made_from = _made_from(params, recipe)
    if read_done(folder / RECORD, made_from) is None:
        (folder / RECORD).unlink(missing_ok=True)
        for name, stage in STAGES.items():
            with measured(folder, name):
                stage.run(params, recipe)
        write_done(folder / RECORD, made_from, {"recipe": recipe.name})
    return folder


def _made_from(params: Params, recipe: Recipe) -> str:
    """Digest of the recipe, the ingested tables and the code: all of sql/ and of this package."""
    source = read_json(params.build("ingest", "source.json"))
    code = [
        file_sha256(path)
        for package, pattern in (("sql", "*.sql"), ("etl", "*.py"))
        for path in sorted(Path(str(files(package))).rglob(pattern))
    ]
    labels = imagenome.facts_of_files(params.paths.chest_imagenome)
    return digest(recipe.model_dump(mode="json"), source["manifest_digest"], labels, code)
