"""A report of each kind of recipe is whole, is read back, and names nobody."""

import json
from dataclasses import asdict, replace

import pytest
from tiny_gathered import (
    RECIPES,
    facts_of,
    items,
    keep_builds,
    require_whole,
)

from cxrfuture_data import ContractError
from etl import report as stage
from etl.report.facts import Counts, Numbers, Words
from etl.report.gather import gather
from etl.report.material import NEEDED
from etl.report.record import read_report, write_plots, write_record


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    return keep_builds(tmp_path_factory)


@pytest.mark.parametrize("name", RECIPES)
def test_every_table_is_whole_and_every_figure_has_one(builds, name):
    _, _, report = builds(name)
    keys = [item.key for section in report.sections for item in section.items]
    assert len(set(keys)) == len(keys)
    assert len({section.id for section in report.sections}) == len(report.sections)
    for section in report.sections:
        drawn = {i.key for i in section.items if isinstance(i, Counts | Numbers)}
        assert {figure.key for figure in section.figures} <= drawn
        assert set(section.folded) <= {item.key for item in section.items}
        assert section.items
        assert section.says
        for item in section.items:
            require_whole(item)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_sections_that_it_has_something_to_say_in(builds, name):
    _, _, report = builds(name)
    found = {section.id for section in report.sections}
    always = {"samples", "attrition", "views", "findings", "distance", "leakage", "provenance"}
    assert always | {"film-quality", "storage"} <= found
    has_pairs, has_stays = name in RECIPES[:3], name in ("ddl_cxr", "future", "medfuse")
    assert ("changes" in found) == has_pairs
    assert ("table1-stay" in found) == ("outcomes" in found) == has_stays
    assert ("gap" in found) == (name != "diff3m")
    assert ("events" in found) == (name in ("ehrxdiff_null", "future"))
    assert ("hours" in found) == has_stays
    assert ("paper" in found) == (name in ("ddl_cxr", "ehrxdiff_null", "medfuse"))
    assert report.is_simulated
    assert report.origin.startswith("Simulated: of no patient")


@pytest.mark.parametrize("name", RECIPES)
def test_the_record_is_read_back_and_has_the_same_bytes_twice(builds, name, tmp_path):
    params, recipe, report = builds(name)
    write_record(report, tmp_path / "report.json")
    write_record(gather(params, recipe), tmp_path / "again.json")
    assert (tmp_path / "report.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    read = read_report(tmp_path / "report.json")
    assert as_json(read) == as_json(report)
    kinds = [[type(item) for item in section.items] for section in read.sections]
    assert kinds == [[type(item) for item in section.items] for section in report.sections]


def as_json(report):
    return json.loads(json.dumps(asdict(report)))


@pytest.mark.parametrize("name", RECIPES)
def test_what_may_be_shared_names_no_path_no_sample_and_no_film(builds, name):
    params, recipe, report = builds(name)
    shared = [
        replace(
            section,
            items=[i for i in section.items if not isinstance(i, Words) or i.is_shareable],
        )
        for section in report.sections
    ]
    text = json.dumps([asdict(section) for section in shared])
    assert "dicom-" not in text
    assert str(params.build().parent) not in text
    assert str(params.build().parent) in json.dumps(asdict(report))
    for kind in recipe.kinds:
        for one in facts_of(params, recipe, kind)["train"]:
            assert one["key"] not in text


@pytest.mark.parametrize(("stage", "name"), NEEDED)
def test_a_missing_stage_is_named_with_the_command_to_run(builds, stage, name):
    params, recipe, _ = builds("diff3m")
    names = (stage, name) if stage == "ingest" else (recipe.name, stage, name)
    path = params.build(*names)
    away = path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(ContractError) as error:
            gather(params, recipe)
    finally:
        away.rename(path)
    which = "" if stage == "ingest" else " --recipe diff3m"
    assert str(error.value) == f"{path}: no such file; run `cxrfuture {stage}{which}` first"


def test_plots_have_a_line_a_cell(builds, tmp_path):
    _, _, report = builds("ddl_cxr")
    write_plots(report, tmp_path / "plots")
    tables = [i for i in items(report).values() if isinstance(i, Counts | Numbers)]
    written = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert written == sorted(f"{table.key}.csv" for table in tables)
    lines = (tmp_path / "plots" / "pair_sex.csv").read_text().splitlines()
    assert lines[:2] == ["row,column,value,share", "female,train,4,0.500000"]
    assert len(lines) == 1 + 2 * 3


@pytest.mark.parametrize("text", ["", "{}", '{"sections": [{"items": [{"is": "Nothing"}]}]}'])
def test_a_broken_record_is_refused_by_name(tmp_path, text):
    path = tmp_path / "ddl_cxr" / "report" / "report.json"
    with pytest.raises(ContractError, match="no such file; run `cxrfuture report --recipe ddl_cxr"):
        read_report(path)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ContractError, match="not a report; run `cxrfuture report"):
        read_report(path)


def test_the_stage_writes_pages_figures_and_plots_and_forgets_what_it_wrote_before(builds):
    params, recipe, _ = builds("diff3m")
    folder = params.build(recipe.name, "report")
    (folder / "plots").mkdir(parents=True)
    (folder / "plots" / "old.csv").write_text("")
    stage.run(params, recipe)
    written = {path.name for path in folder.iterdir()}
    assert written == {"report.json", "report.html", "plots", "figures"}
    assert not (folder / "plots" / "old.csv").exists()
    stage.run_shareable(params, recipe)
    assert (folder / "shareable.html").stat().st_size > 0
