"""Cohort and windows of a recipe, from tables and metadata alone, made where out of date.

For commands that compare or export; `dvc repro` runs the same stages one by one.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

from cxrfuture_data.publish import digest, file_sha256, read_done, write_done
from etl import cohort, event, imagenome, ingest, window
from etl.params import Params
from etl.prediction_index import index_files
from etl.recipe import FutureRecipe, Recipe
from etl.shard_facts import read_json
from etl.stage_cost import measured

RECORD = "tables.json"
COHORT_RECORD = "cohort.json"
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
        (folder / COHORT_RECORD).unlink(missing_ok=True)
        for name, stage in STAGES.items():
            with measured(folder, name):
                stage.run(params, recipe)
        write_done(folder / RECORD, made_from, {"recipe": recipe.name})
    return folder


def prepare_cohort(params: Params, recipe: Recipe) -> Path:
    """Run ingest and cohort as far as needed, for rules whose cohort reads no event."""
    ingest.run(params)
    folder = params.build(recipe.name)
    made_from = _made_from(params, recipe)
    if all(read_done(folder / name, made_from) is None for name in (RECORD, COHORT_RECORD)):
        (folder / RECORD).unlink(missing_ok=True)
        (folder / COHORT_RECORD).unlink(missing_ok=True)
        with measured(folder, "cohort"):
            cohort.run(params, recipe)
        write_done(folder / COHORT_RECORD, made_from, {"recipe": recipe.name})
    return folder


def _made_from(params: Params, recipe: Recipe) -> str:
    """Digest of the recipe, the ingested tables, the index of predictions and the code: all of sql/
    and of this package."""
    source = read_json(params.build("ingest", "source.json"))
    labels = imagenome.facts_of_files(params.paths.chest_imagenome)
    index = recipe.cohort.index if isinstance(recipe, FutureRecipe) else ""
    listed = [file_sha256(path) for path in index_files(index)] if index else []
    given = (source["manifest_digest"], labels, params.paths.mimic_cxr_reports, listed)
    return digest(recipe.model_dump(mode="json"), given, _digests_of_code())


@cache
def _digests_of_code() -> list[str]:
    return [
        file_sha256(path)
        for package, pattern in (("sql", "*.sql"), ("etl", "*.py"))
        for path in sorted(Path(str(files(package))).rglob(pattern))
    ]
