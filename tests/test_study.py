"""The study of DDL-CXR's outcomes: its shipped file, and all its stages on a handful of stays."""

import csv
import json
from pathlib import Path

import pytest
import tiny_build
import yaml
from accelerate.state import AcceleratorState

from cxrfuture_data import open_dataset
from cxrfuture_data.schema import ContractError
from train.study import compare, run
from train.study.settings import Study, read_study
from train.tasks import read_task_settings

STUDY = Path(__file__).resolve().parent.parent / "train" / "study"
pytestmark = pytest.mark.usefixtures("one_thread", "new_accelerator")


@pytest.fixture(scope="module")
def shipped():
    return read_study(STUDY / "study.yaml")


@pytest.mark.parametrize("size", ["", "-tiny"])
def test_every_described_run_has_a_config(shipped, size):
    study = shipped.model_copy(update={"size": size})
    for described in study.described.generators.values():
        assert study.settings_of(described, {}).task in ("ddl_cxr", "gan")
    for name, described in study.described.models.items():
        found = study.settings_of(described, {"outcome": "mortality"})
        assert found.task == "fusion"
        assert found.select_by == "auprc", name


def test_what_is_listed_is_described_and_the_pipeline_reads_the_file(shipped):
    assert set(shipped.generators) <= set(shipped.described.generators)
    assert set(shipped.models) <= set(shipped.described.models)
    for model in shipped.described.models.values():
        assert model.generated is None or model.generated in shipped.described.generators
    pipeline = yaml.safe_load((STUDY / "dvc.yaml").read_text())
    assert pipeline["vars"] == ["study.yaml"]
    assert pipeline["stages"]["fit_fusion"]["matrix"] == {"seed": "${seeds}"}
    assert len(shipped.seeds) == 5


def test_a_name_that_is_not_described_is_refused(shipped):
    with pytest.raises(ContractError, match="study: no model 'mmtn'; there are tabular"):
        shipped.model("mmtn")
    with pytest.raises(ContractError, match="study: no generator 'x'; there are ddl_cxr"):
        shipped.generator("x")


@pytest.fixture(scope="module")
def done(tmp_path_factory, shipped):
    """A study of three models and two seeds, through all stages."""
    root = tmp_path_factory.mktemp("study")
    recipe = yaml.safe_load((STUDY.parent.parent / "etl/recipes/ddl_cxr.yaml").read_text())
    recipe["image"]["size"] = tiny_build.SIZE
    (root / "ddl_cxr.yaml").write_text(yaml.safe_dump(recipe))
    dataset = tiny_build.build_dataset(root, str(root / "ddl_cxr.yaml"), shard={"workers": 1})
    small = {"length": "{epochs: null, steps: 2}", "batch_size": 2}
    value = yaml.safe_load((STUDY / "study.yaml").read_text())
    value |= {"build": str(root / "out"), "dataset": str(dataset), "seeds": [0, 1], "draws": 20}
    value |= {"generators": ["ddl_cxr"], "models": ["tabular", "medfuse", "ddl_cxr"]}
    value |= {"outcomes": ["phenotypes"], "size": "-tiny"}
    for kind in ("generators", "models"):
        for one in value["described"][kind].values():
            one["set"] |= small
    described = value["described"]
    described["generators"]["ddl_cxr"]["set"] |= {"sampler.steps": 2}
    (root / "study.yaml").write_text(yaml.safe_dump(value))
    study = read_study(root / "study.yaml")
    for stage, arguments in stages(study):
        AcceleratorState._reset_state(reset_partial_state=True)
        stage(study, *arguments)
    return study


def stages(study: Study):
    yield run.fit_generator, ("ddl_cxr",)
    yield run.generate_stays, ("ddl_cxr",)
    yield fit_first_shortly, ()
    yield run.fit_fusion, (1, ["medfuse"])
    for seed in study.seeds:
        yield run.fit_fusion, (seed, [])
    yield compare.compare, ()
    yield compare.write_tables, ()


def fit_first_shortly(study):
    """As run.fit_first, in two steps each; two validation films of one kind select by no score."""
    for name, outcome in (("film_findings", "findings"), ("record", "phenotypes")):
        changes = ["length={epochs: null, steps: 2}", "batch_size=2", "select_by=loss"]
        config = run.FIRST[name] + study.size
        settings = read_task_settings(config, [*changes, f"outcome={outcome}"])
        run.fit(study.dataset, study.first_run(name, outcome), settings, run.SEED)


def test_every_row_is_compared(done):
    found = json.loads((done.outcomes_folder / "outcomes.json").read_text())
    assert set(found["rows"]) == {"tabular", "medfuse", "ddl_cxr"}
    for row in found["rows"].values():
        assert row["phenotypes"]["cells"]["auroc"]["seeds"] == 2
    assert found["data"]["stays"] == 2
    assert len(found["compared"]) > 0


def test_training_latents_are_of_the_folds(done):
    record = done.generator_run("ddl_cxr") / "generated" / "stay-train-0.json"
    runs = json.loads(record.read_text())["runs"]
    assert runs == [str(done.generator_run("ddl_cxr", fold)) for fold in (0, 1)]
    stays = open_dataset(done.dataset).split("train", "stay")
    assert len(json.loads(record.read_text())["keys"]) == len(stays)


def test_tables_are_filled(done):
    rows = list(csv.DictReader((done.tables_folder / "ddl_cxr.1.csv").open()))
    ours = {row["row"]: row["value"] for row in rows if row["column"] == "phenotypes.auroc"}
    assert ours["MedFuse"]
    assert ours["DDL-CXR"]
    assert not ours["MMTM"]
    text = (done.tables_folder / "ddl_cxr.1.txt").read_text()
    assert "ours: all SIMULATED" in text
    assert "0.434 ± 0.009" in text
    names = {path.stem for path in done.tables_folder.glob("*.csv")}
    assert names == {f"ddl_cxr.{number}" for number in (1, 2, 3, 5, *range(6, 15))}
