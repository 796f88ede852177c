import json

import pytest
from tiny_mimic import tiny_params, write_tree
from tiny_stages import admission, chart, film, heart_rates, icu_stay, patient

from cxrfuture_data.schema import ContractError
from etl.bench_etl import FULL_ROWS, extrapolate, run_etl_bench, run_rows_bench
from etl.recipe import read_recipe

STAGES = ("ingest", "event", "cohort", "window")


def tree(root):
    films = [film("a", 2, 1), film("b", 20, 2)]
    return write_tree(
        root,
        {
            "patients": [patient()],
            "admissions": [admission()],
            "icustays": [icu_stay()],
            "chartevents": [*heart_rates(3, 4, 5, 6, 7, 8), chart(1, 3, 1.0)],
            "cxr_metadata": films,
            "cxr_chexpert": [
                {"subject_id": row["subject_id"], "study_id": row["study_id"], "Edema": 1.0}
                for row in films
            ],
        },
    )


def test_rows_and_seconds_of_the_stages_add_up(tmp_path, capsys):
    params = tree(tmp_path)
    run_etl_bench(params, read_recipe("ddl_cxr"), rounds=2, as_json=True)
    result = json.loads(capsys.readouterr().out)
    stages = result["stages"]
    assert tuple(stages) == STAGES
    # 1 patient, 1 admission, 1 stay, 7 chart rows, 2 films and their 2 label rows.
    assert stages["ingest"]["rows_read"] == stages["ingest"]["rows_written"] == 14
    # event opens patients, admissions, icustays, chartevents, labevents and the films' list.
    assert stages["event"]["rows_read"] == 1 + 1 + 1 + 7 + 0 + 2
    assert stages["event"]["rows_written"] == 6
    # window opens measurements, a pair, its admission, a stay and that stay of the benchmark.
    assert stages["window"]["rows_read"] == stages["event"]["rows_written"] + 1 + 1 + 1 + 1
    for facts in stages.values():
        assert facts["rows_per_second"] == facts["rows_read"] / facts["median"]
    for round_ in (0, 1):
        seconds = sum(facts["seconds"][round_] for facts in stages.values())
        assert result["total"]["seconds"][round_] == pytest.approx(seconds)
    assert result["total"]["peak_mb"] == max(facts["peak_mb"] for facts in stages.values())
    assert result["ratio"] == result["total"]["median"] / result["bare copy"]["median"]
    assert result["limits"] == {
        "ingest.memory_limit": "4GB",
        "ingest.threads": 0,
        "sql.memory_limit": "2GB",
        "sql.threads": 0,
    }
    assert not params.build("ingest").exists()  # it builds elsewhere


def test_the_table_names_stages_and_limits(tmp_path, capsys):
    run_etl_bench(tree(tmp_path), read_recipe("ddl_cxr", "published"), rounds=1)
    said = " ".join(capsys.readouterr().out.split())
    for word in (*STAGES, "total", "bare copy", "ddl_cxr_published", "sql.memory_limit 2GB"):
        assert word in said


def test_a_stage_that_fails_is_not_a_measurement(tmp_path):
    params = write_tree(tmp_path, {})
    with pytest.raises(ContractError, match=r"cohort failed: .*no sample is left"):
        run_etl_bench(params, read_recipe("ddl_cxr"), rounds=1)


def test_tables_without_films_are_refused(tmp_path):
    with pytest.raises(ContractError, match="a cohort needs --mimic-cxr-jpg too"):
        run_etl_bench(tiny_params(tmp_path), read_recipe("ddl_cxr"), mimic_iv=tmp_path)


def test_an_extrapolation_is_linear_in_the_rows_that_ingest_reads():
    stages = {"ingest": {"median": 3.0}, "event": {"median": 1.0}}
    found = extrapolate({"total": {"rows_read": FULL_ROWS // 2}, "stages": stages})
    assert found["seconds"] == {"ingest": 6.0, "event": 2.0, "total": 8.0}
    assert "not measured" in found["is_extrapolated"]


def test_a_hospital_is_simulated_of_about_so_many_rows(tmp_path, capsys):
    params = tiny_params(tmp_path)
    run_rows_bench(params, read_recipe("ddl_cxr"), 60_000, rounds=1, as_json=True)
    result = json.loads(capsys.readouterr().out)
    # Dictionaries, the lists of films and labels, admissions and codes come on top.
    assert 45_000 < result["stages"]["ingest"]["rows_read"] < 80_000
    assert result["extrapolation"]["from_rows"] == result["stages"]["ingest"]["rows_read"]
    assert not params.build("ingest").exists()
