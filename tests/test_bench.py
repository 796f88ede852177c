import json

import pytest
from tiny_mimic import ITEM, chart, tiny_params, write_tree

from cxrfuture_data.schema import ContractError
from etl.bench import run_ingest_bench
from etl.mimic_schema import RECIPE_TABLES


def test_both_ways_are_measured_on_the_same_tables(tmp_path, capsys):
    params = write_tree(tmp_path, {"chartevents": [chart(1, 1, "a")], "d_items": [ITEM]})
    run_ingest_bench(params, rounds=1, as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert result["tables"] == len(RECIPE_TABLES)
    assert result["ratio"] == result["ingest"]["median"] / result["bare copy"]["median"]
    assert result["ingest"]["peak_mb"] > 10
    assert not params.build("ingest").exists()  # both build elsewhere


def test_a_tree_of_films_alone_is_refused(tmp_path):
    with pytest.raises(ContractError, match="give --mimic-iv too"):
        run_ingest_bench(tiny_params(tmp_path), mimic_cxr_jpg=tmp_path)


def test_a_failed_run_is_not_a_measurement(tmp_path):
    params = write_tree(tmp_path, {"chartevents": [chart(1, 1, "a", valuenum="high")]})
    with pytest.raises(ContractError, match=r"ingest failed: .*1 not a number"):
        run_ingest_bench(params, rounds=1)
