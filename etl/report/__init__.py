"""The report of a built recipe: what is in it, what was left out, and what could leak."""

import shutil

from cxrfuture_data.console import say
from etl.params import Params
from etl.recipe import Recipe
from etl.report.gather import gather
from etl.report.material import STAGE
from etl.report.record import PLOTS, REPORT_FILE, read_report, write_plots, write_record


def run(params: Params, recipe: Recipe) -> None:
    """Write report.json, plots/, report.html and figures/ below build/<recipe>/report."""
    from etl.report.page import write_report

    folder = params.build(recipe.name, STAGE)
    report = gather(params, recipe)
    shutil.rmtree(folder, ignore_errors=True)
    write_record(report, folder / REPORT_FILE)
    write_plots(report, folder / PLOTS)
    page = write_report(report, folder, is_shareable=False)
    say(f"report: {recipe.name}: open {page}")


def run_shareable(params: Params, recipe: Recipe) -> None:
    """Write shareable.html beside a report that was written before."""
    from etl.report.page import write_report

    folder = params.build(recipe.name, STAGE)
    page = write_report(read_report(folder / REPORT_FILE), folder, is_shareable=True)
    say(f"report: {recipe.name}: {page} may be shown to others under the same licence")
