"""What of a report may be shown to others."""

from etl.report.facts import Report
from etl.report.shown import ShownReport, show_all


def hide_small(report: Report) -> ShownReport:
    return show_all(report)
