"""The last stages of a study: all models over the same test stays, and DDL-CXR's tables."""

from cxrfuture_data.console import say
from cxrfuture_data.publish import publish
from train.outcome_evaluation import Request, evaluate_outcomes
from train.study.settings import Study
from train.table import fill, read_table, table_names
from train.table_text import to_csv, to_text

PAPER = "ddl_cxr."
OF_GENERATION = ("ddl_cxr.4",)  # `cxrfuture evaluate` fills it


def compare(study: Study) -> None:
    """Evaluate all models of the study over the same test stays."""
    rows = [study.row(model, seed) for model in study.models for seed in study.seeds]
    request = Request(rows=rows, dataset=study.dataset, draws=study.draws)
    evaluate_outcomes(request, study.outcomes_folder)


def write_tables(study: Study) -> None:
    """Publish every table of DDL-CXR's outcomes and cohort, as text and as CSV."""
    for name in table_names():
        if name.startswith(PAPER) and name not in OF_GENERATION:
            filled = fill(read_table(name), study.outcomes_folder, study.dataset)
            for suffix, text in ((".txt", to_text(filled)), (".csv", to_csv(filled))):
                with publish(study.tables_folder / (name + suffix)) as part:
                    part.write_text(text)
    say(f"study: tables in {study.tables_folder}")
