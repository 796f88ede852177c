"""The house rules that a file tree can show."""

import ast
import importlib.util
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("etl", "cxrfuture_data", "train")
ETL_STAGES = ("ingest", "event", "cohort", "window", "image", "embed", "latent", "shard", "check")


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("stage", ETL_STAGES)
def test_a_stage_word_is_in_all_its_places(stage):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert f"cxrfuture {stage}" in stages[stage]["cmd"]
    assert any(f"/{stage}" in path for out in stages[stage]["outs"] for path in out)
    assert (ROOT / "etl" / f"{stage}.py").exists()


def test_dvc_shows_the_reports_of_every_recipe_it_builds():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    plots = {path for plot in pipeline["plots"] for path in plot}
    for recipe in yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]:
        assert f"build/{recipe}/check/reproduction.json" in pipeline["metrics"]
        assert f"build/{recipe}/check/attrition.csv" in plots


@pytest.mark.parametrize(
    ("package", "closed"),
    [("etl", {"train"}), ("train", {"etl"}), ("cxrfuture_data", {"etl", "train"})],
)
def test_imports_point_one_way(package, closed):
    for path in python_files(package):
        tops = {name.split(".")[0] for name in imported_modules(path)}
        assert not tops & closed, path


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_pickles(package):
    for path in python_files(package):
        assert not imported_modules(path) & {"pickle", "dill", "joblib", "shelve"}, path
        assert "torch.save" not in path.read_text(), path
        assert "allow_pickle=True" not in path.read_text(), path


def test_torchvision_is_absent():
    # Beside the CPU build of torch it breaks diffusers, transformers and torchmetrics.
    assert importlib.util.find_spec("torchvision") is None


def test_torchvision_is_not_pinned():
    assert "torchvision" not in (ROOT / "constraints.txt").read_text()


def test_every_dependency_has_a_tested_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {
        name.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip().lower()
        for name in wanted
    }
    assert names <= pinned


def test_data_is_hard_to_commit():
    ignored = (ROOT / ".gitignore").read_text().split()
    for pattern in ("/build/", "*.csv.gz", "*.parquet", "*.tar", "*.jpg", "*.npy", "*.safetensors"):
        assert pattern in ignored
