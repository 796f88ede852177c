from pathlib import Path

import pytest
import yaml

from cxrfuture_data.schema import ContractError
from etl.params import read_params
from etl.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def changed_params(tmp_path):
    def write(change):
        value = yaml.safe_load((ROOT / "params.yaml").read_text())
        change(value)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(value))
        return path

    return write


@pytest.fixture
def changed_recipe(tmp_path):
    def write(change):
        value = yaml.safe_load((ROOT / "etl" / "recipes" / "ddl_cxr.yaml").read_text())
        change(value)
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(value))
        return str(path)

    return write


def test_the_shipped_params_are_complete():
    assert read_params(ROOT / "params.yaml").recipes == ["ddl_cxr", "ehrxdiff", "future"]


def test_a_misspelt_key_is_named_with_the_nearest_one(changed_params):
    def misspell(value):
        value["shard"]["sample_per_shard"] = value["shard"].pop("samples_per_shard")

    message = r"params.yaml: unknown key 'shard.sample_per_shard'; did you mean 'samples_per_shard'"
    with pytest.raises(ContractError, match=message):
        read_params(changed_params(misspell))


def test_a_missing_key_is_named(changed_params):
    with pytest.raises(ContractError, match=r"ingest.threads is missing"):
        read_params(changed_params(lambda value: value["ingest"].pop("threads")))


def test_an_impossible_value_is_shown(changed_params):
    def empty_shards(value):
        value["shard"]["samples_per_shard"] = 0

    with pytest.raises(ContractError, match=r"shard.samples_per_shard: .*greater than 0, found 0"):
        read_params(changed_params(empty_shards))


def test_the_environment_goes_over_the_paths(changed_params, monkeypatch):
    monkeypatch.setenv("MIMIC_IV_DIR", "elsewhere")
    monkeypatch.setenv("MIMIC_CXR_JPG_DIR", "")
    monkeypatch.setenv("CHEST_IMAGENOME_DIR", "beside")
    paths = read_params(changed_params(lambda value: None)).paths
    assert (paths.mimic_iv, paths.mimic_cxr_jpg) == ("elsewhere", "simulate")
    assert paths.chest_imagenome == "beside"


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "just words"])
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match=r"params.yaml: ") as caught:
        read_params(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_lists_the_known(tmp_path):
    with pytest.raises(ContractError, match=r"no recipe 'ddlcxr'; there are ddl_cxr, .*ehrxdiff"):
        read_recipe("ddlcxr")


def test_a_recipe_of_ones_own_is_read_by_path(changed_recipe):
    def longer(value):
        value["cohort"]["minimum_gap_hours"] = 24

    assert read_recipe(changed_recipe(longer)).cohort.minimum_gap_hours == 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(fidelity="exact"), "fidelity: .*'corrected' or 'published'.*'exact'"),
        (lambda r: r.update(rules="ddl"), "rules 'ddl'; known are ddl_cxr"),
        (lambda r: r["cohort"].update(minimum_gap=1), "unknown key 'cohort.minimum_gap'; did you"),
        (lambda r: r["cohort"].update(minimum_age=-1), "cohort.minimum_age: .*found -1"),
        (lambda r: r["corrections"].update(full_css="x"), "corrections.full_css.*'full_ccs'"),
        (lambda r: r["corrections"].update(full_ccs=""), "corrections.full_ccs: .*found ''"),
        (lambda r: r["window"].update(maximum_event=1), "unknown key 'window.maximum_event'"),
        (lambda r: r["split"].update(test=1.5), "split.test: .*less than 1, found 1.5"),
        (lambda r: r["image"].update(size=100), "image.size: .*multiple of 8, found 100"),
    ],
)
def test_an_impossible_recipe_is_refused(changed_recipe, change, message):
    with pytest.raises(ContractError, match=message):
        read_recipe(changed_recipe(change))
