"""docs/naming.md: its snippet runs, and what it says of the documents is so."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_build import build_dataset

pytest.importorskip("mlcroissant")

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "naming.md").read_text()
(SNIPPET,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("naming")
    build_dataset(folder, "ddl_cxr", shard={"samples_per_shard": 100, "workers": 1})
    return folder


def test_its_snippet_reads_a_film_and_leaves_its_cache_where_it_says(root):
    code = f"{SNIPPET}\nprint(film.size, film.mode)\n"
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(root / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("(32, 32) L\n")
    assert "pair_films" in done.stdout
    assert (root / "build" / "croissant" / "ddl_cxr").is_dir()
    assert not (root / "home" / ".cache" / "croissant").exists()


def test_the_record_sets_that_it_names_are_there(root):
    value = json.loads((root / "build" / "ddl_cxr" / "shard" / "croissant.json").read_text())
    named = {one["@id"] for one in value["recordSet"]}
    assert {"pair_films", "pair_json", "pair", "stay", "image"} <= named
    assert value["url"].startswith("urn:uuid:")
    assert "+" in value["version"]


def test_its_links_lead_to_pages():
    for name in re.findall(r"\]\(([a-z_-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).exists(), name
