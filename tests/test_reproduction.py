"""A paper's numbers beside those of a cohort of a few literal rows."""

import csv
import json

import polars as pl
import pytest
from tiny_stages import SUBJECT, build, film, heart_rates, patient

from cxrfuture_data import ContractError
from cxrfuture_data.hourly import CONTINUOUS_NAMES
from cxrfuture_data.schema import PHENOTYPES
from cxrfuture_data.settings import parse_settings
from etl import reproduction
from etl.papers import Paper, paper_of
from etl.recipe import read_recipe, shipped_recipes
from etl.reproduction_values import measure

TABLES = {
    "patients": [patient(gender="M")],
    "cxr_metadata": [film("first", 1, 51), film("second", 20, 52), film("third", 44, 53)],
    "chartevents": heart_rates(*(hour + 0.5 for hour in range(1, 30))),
}
OWN = {
    "mimic_iv": {"version": "2.0", "simulated": False},
    "mimic_cxr_jpg": {"version": "2.0.0", "simulated": False},
}


def paper(rows, **changes):
    """A made-up paper with one table of counts of stays and pairs."""
    table = {
        "source": "Table 1",
        "section": "2.2",
        "measure": "{row}/{column}/samples",
        "columns": ["total"],
        "rows": rows,
        "of": [],
        "when": {},
        "tolerance": 0,
        "rounding": 0,
        "reason": "made up",
    }
    value = {
        "paper": "made up",
        "mimic_iv": ["2.0"],
        "mimic_cxr_jpg": ["2.0.0"],
        "elsewhere": {"tolerance": 0.1, "reason": "2.0 had more patients"},
        "tables": [table | changes],
    }
    return parse_settings(Paper, value, "made-up.yaml")


def judge(made_up, ours, fidelity="published", **versions):
    """Whether ``ours`` is within tolerance of the one number of a paper."""
    recipe = read_recipe("ddl_cxr", fidelity)
    source = {key: OWN[key] | versions.get(key, {}) for key in OWN}
    release = reproduction.describe_release(made_up, source)
    (number,) = made_up.numbers(recipe)
    allowed = reproduction.expect(made_up, recipe, release, number)
    return reproduction.compare_number(number, ours, allowed)


def test_the_measures_of_a_tiny_cohort(tmp_path):
    # Films at 1, 20 and 44 h: three pairs further apart than 12 h. Of them 20-44 has measurements
    # in the hours from 20.5 to 29.5; the last film is 4 h before the prediction.
    built = build(tmp_path, "ddl_cxr", TABLES)
    values = measure(built.params, built.recipe)
    split = built.column("cohort", "stay", "split")[0]
    assert values["pair/total/samples"] == 3
    assert values["pair/total/stays"] == values["pair/total/patients"] == 1
    assert values["pair/total/mean gap hours"] == pytest.approx((19 + 43 + 24) / 3)
    assert values[f"stay/{split}/samples"] == values["stay/total/with film"] == 1
    assert values["image/total/samples"] == 3
    assert values["stay/before films"] == 1
    assert values["stay/total/men percent"] == 100
    assert values["stay/total/deaths"] == 0
    assert values["stay/total/last film under 12 h"] == 1
    assert values["stay/total/last film 36 h or more"] == 0
    assert values["split/total/patients"] == 1


def test_hourly_means_are_of_clipped_and_imputed_hours_of_training_stays(tmp_path):
    # Rates of 80 from the second hour on; the first has the normal value, 86. Of 48 hours the
    # other stay's hold 200, clipped to 143.61.
    built = build(tmp_path, "ddl_cxr", TABLES)
    stays = pl.read_parquet(built.params.build("ddl_cxr", "cohort", "stay.parquet"))
    other = pl.lit("other").alias("key")
    split = pl.lit("train").alias("split")
    pl.concat([stays, stays.with_columns(other)]).with_columns(split).write_parquet(
        built.params.build("ddl_cxr", "cohort", "stay.parquet")
    )
    for name in ("window", "hourly"):
        path = built.params.build("ddl_cxr", "window", f"{name}.parquet")
        rows = pl.read_parquet(path)
        copy = rows.filter(pl.col("kind") == "stay").with_columns(other)
        if name == "hourly":
            copy = copy.head(1).with_columns(
                pl.lit(0).cast(rows.schema["hour"]).alias("hour"),
                pl.lit(200.0).cast(rows.schema["Heart Rate"]).alias("Heart Rate"),
            )
        pl.concat([rows, copy]).write_parquet(path)
    values = measure(built.params, built.recipe)
    first = (86 + 47 * 80) / 48
    assert values["stay/train/mean/Heart Rate"] == pytest.approx((first + 143.61) / 2, rel=1e-5)
    spread = abs(first - 143.61) / 2**0.5  # of two numbers, one degree of freedom
    assert values["stay/train/sd/Heart Rate"] == pytest.approx(spread, rel=1e-5)
    assert values["stay/train/mean/Height"] == 170  # never measured
    assert values["stay/train/mean/age"] == 62


def test_the_share_of_stays_with_a_phenotype(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES)
    stays = pl.read_parquet(built.params.build("ddl_cxr", "cohort", "stay.parquet"))
    shock = [pl.lit(int(name == "Shock")).alias(name) for name in PHENOTYPES]
    stays.select("stay_id", *shock).write_parquet(
        built.params.build("ddl_cxr", "cohort", "phenotype.parquet")
    )
    values = measure(built.params, built.recipe)
    (split,) = stays["split"]
    assert values[f"stay/{split}/prevalence/Shock"] == 1
    assert values[f"stay/{split}/prevalence/Pneumonia (except that caused by tuberculosis"
                  " or sexually transmitted disease)"] == 0  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "fidelity", "versions", "within"),
    [
        (100, "published", {}, True),
        (101, "published", {}, False),  # exact where the paper's releases and rules are
        (110, "corrected", {}, True),  # a tenth off elsewhere
        (111, "corrected", {}, False),
        (90, "published", {"mimic_iv": {"version": "3.1"}}, True),
        (89, "published", {"mimic_iv": {"version": "3.1"}}, False),
        (100, "published", {"mimic_iv": {"version": "3.1", "simulated": True}}, None),
        (100, "published", {"mimic_cxr_jpg": {"simulated": True}}, None),
        (100, "published", {"mimic_iv": {"version": "demo-2.2"}}, None),
        (100, "published", {"mimic_iv": {"version": "unknown"}}, None),
        (None, "published", {}, None),
    ],
)
def test_what_is_expected_depends_on_release_and_fidelity(ours, fidelity, versions, within):
    found = judge(paper({"stay": [100]}), ours, fidelity, **versions)
    assert found.within is within
    assert found.ratio == (None if ours is None else ours / 100)


def test_a_printed_number_may_be_off_by_its_rounding():
    made_up = paper({"pair": [25.64]}, rounding=0.005)
    assert judge(made_up, 25.6449).within is True
    assert judge(made_up, 25.646).within is False


def test_counts_become_shares_of_their_column():
    made_up = paper(
        {"Shock": [30, 4]}, measure="{column}/{row}", columns=["train", "test"], of=[100, 16]
    )
    numbers = made_up.numbers(read_recipe("ddl_cxr"))
    assert [(number.measure, number.value) for number in numbers] == [
        ("train/Shock", 0.3),
        ("test/Shock", 0.25),
    ]


def test_a_table_of_another_cohort_is_left_out():
    made_up = paper({"stay": [100]}, when={"minimum_age": 21})
    assert made_up.numbers(read_recipe("ddl_cxr")) == []
    assert (
        len(paper({"stay": [100]}, when={"minimum_age": 18}).numbers(read_recipe("ddl_cxr"))) == 1
    )


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ContractError, match="has not one number a column"):
        paper({"stay": [100, 200]})


def test_on_other_data_it_says_so_on_top_and_never_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    built = build(tmp_path, "ddl_cxr", TABLES)
    reproduction.run_reproduction(built.params, built.recipe, strict=True, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    said = " ".join(" ".join(lines[:2]).split())
    assert "not MIMIC-IV 2.0 + MIMIC-CXR-JPG 2.0.0: the counts cannot agree." in said
    cells = next(line.split() for line in lines if "pair total samples" in line)
    assert cells[-3:] == ["12,290", "3", "0.000"]


def test_strict_stops_where_the_papers_own_releases_disagree(tmp_path, capsys):
    built = build(tmp_path, "ddl_cxr", TABLES)
    path = built.params.build("ingest", "source.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | OWN))
    reproduction.run_reproduction(built.params, built.recipe, strict=False, as_json=False)
    assert "as in the paper, with its errors corrected" in " ".join(capsys.readouterr().out.split())
    # The only patient tests, so the training split is empty.
    with pytest.raises(ContractError, match="first stay/train/samples: 0, the paper has 5142"):
        reproduction.run_reproduction(built.params, built.recipe, strict=True, as_json=False)


def test_without_a_cohort_the_next_step_is_named(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES, until="event")
    with pytest.raises(ContractError, match="no cohort yet; run `cxrfuture event`"):
        reproduction.compare(built.params, built.recipe)


def test_files_for_dvc_hold_counts_and_no_patient(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES)
    reproduction.write_reproduction(built.params, built.recipe)
    folder = built.params.build("ddl_cxr", "check")
    metrics = json.loads((folder / "reproduction.json").read_text())
    assert metrics["ratio"]["pair total samples"] == 3 / 12290
    assert metrics["within tolerance"] == metrics["out of tolerance"] == 0
    with (folder / "prevalence.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "total"]
    assert [(row["label"], row["ours"]) for row in rows] == [("death in hospital", "0.0")]
    for path in folder.glob("*.*"):
        assert str(SUBJECT) not in path.read_text(), path


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name != "future"])
def test_a_paper_is_found_for_every_variant_of_a_recipe(name):
    for fidelity, availability in ((None, None), ("published", None), ("published", "known")):
        found = paper_of(read_recipe(name, fidelity, availability))
        assert found == paper_of(read_recipe(name))


def test_the_papers_name_measures_that_there_are(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES)
    known = {key.partition("/")[2].partition("/")[2] for key in measure(built.params, built.recipe)}
    known |= {f"prevalence/{name}" for name in PHENOTYPES} | {""}
    known |= {f"prevalence/death, last film {group}" for group in ("12 to 24 h", "24 to 36 h")}
    known |= {"prevalence/death, last film 36 h or more"}
    known |= {f"{word}/{name}" for word in ("mean", "sd") for name in (*CONTINUOUS_NAMES, "age")}
    for number in paper_of(built.recipe).numbers(built.recipe):
        assert number.measure.partition("/")[2].partition("/")[2] in known, number.measure
