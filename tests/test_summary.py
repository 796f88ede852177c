import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from tiny_build import SPLIT_OF, leave_out_film, write_build

from cxrfuture_data import ContractError
from cxrfuture_data.summary import print_summary
from etl import shard
from etl.recipe import read_recipe


def summary_of(root, kinds, spoil=None):
    """The summary of DDL-CXR's dataset with these kinds alone; ``spoil`` changes its inputs."""
    path = root / "mine.yaml"
    body = read_recipe("ddl_cxr").model_dump(mode="json") | {"kinds": kinds}
    path.write_text(yaml.safe_dump(body))
    params, recipe = write_build(root, str(path), shard={"workers": 1})
    if spoil is not None:
        spoil(params.build(recipe.name))
    shard.run(params, recipe)
    console = Console(file=io.StringIO(), width=200)
    print_summary(params.build(), console)
    return console.file.getvalue()


def without_films(folder):
    for subject in SPLIT_OF:
        leave_out_film(folder, subject)


@pytest.mark.parametrize(
    ("kinds", "spoil", "words"),
    [
        (["pair", "stay"], None, "10.0 h from the previous film to the target, 10 hours and 0 ev"),
        (["stay"], None, "last film 38.0 h before the prediction, 48 hours and 0 events"),
        (["stay"], without_films, "ICU stay without a film before the prediction, 48 hours"),
        (["image"], None, "latents (4, 4, 4), one film"),
    ],
)
def test_the_first_sample_of_the_first_kind_is_described(tmp_path, kinds, spoil, words):
    found = summary_of(tmp_path, kinds, spoil)
    assert f"ddl_cxr, train {kinds[0]} " in found
    assert words in found


def test_it_ends_with_the_reports_and_the_browser(tmp_path):
    def add_report(folder):
        (folder / "report").mkdir()
        (folder / "report" / "report.html").write_text("a page")

    *_, report, browse = summary_of(tmp_path, ["pair"], add_report).rstrip().splitlines()
    assert report.split()[0].endswith("/ddl_cxr/report/report.html")
    assert Path(report.split()[0]).read_text() == "a page"
    words = browse.split()
    assert words[:2] == ["cxrfuture", "browse"]
    assert (Path(words[2]) / "dataset.json").exists()


def test_a_folder_without_a_dataset_says_what_to_run(tmp_path):
    with pytest.raises(ContractError, match="no finished dataset; run `dvc repro`"):
        print_summary(tmp_path, Console(file=io.StringIO()))
