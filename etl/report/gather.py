"""Every number of a recipe's report, section by section."""

from etl.params import Params
from etl.recipe import Recipe
from etl.report.facts import Report
from etl.report.facts_attrition import describe_attrition
from etl.report.facts_distance import describe_distances
from etl.report.facts_events import describe_events, describe_hours
from etl.report.facts_films import describe_gaps, describe_quality, describe_views
from etl.report.facts_labels import (
    describe_changes,
    describe_findings,
    describe_outcomes,
)
from etl.report.facts_leakage import describe_leakage
from etl.report.facts_paper import describe_paper
from etl.report.facts_people import describe_people
from etl.report.facts_provenance import describe_provenance, origin_of
from etl.report.facts_samples import describe_samples, headline
from etl.report.facts_storage import describe_storage
from etl.report.material import open_material, read_windows


def gather(params: Params, recipe: Recipe) -> Report:
    """Read once what the stages have built; a section that has nothing to say is left out."""
    material = open_material(params, recipe)
    windows = read_windows(material)
    sections = [
        describe_samples(material),
        describe_attrition(material),
        *(describe_people(material, kind) for kind in material.kinds),
        describe_gaps(material),
        describe_views(material),
        describe_events(material, windows),
        describe_hours(material, windows),
        describe_findings(material),
        describe_outcomes(material),
        describe_changes(material),
        describe_paper(material),
        describe_distances(material),
        describe_leakage(material, windows),
        describe_quality(material),
        describe_storage(material),
        describe_provenance(material),
    ]
    simulated = material.manifest.simulated
    return Report(
        recipe=recipe.name,
        origin=origin_of(material),
        is_simulated=simulated.tables or simulated.films,
        headline=headline(material),
        sections=[section for section in sections if section is not None],
    )
