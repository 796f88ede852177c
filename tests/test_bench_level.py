import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cxrfuture
from cxrfuture_data import ContractError
from cxrfuture_data.level import decode_level, encode_levels
from etl.bench_level import WAYS, run_level_bench


@pytest.fixture
def films(tmp_path):
    """One of 256 by 300 pixels, one of 130."""
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    for name, shape in (("a.png", (256, 300)), ("more/b.jpg", (130, 130))):
        rows, columns = np.indices(shape)
        waves = 120 + 60 * np.sin(rows / 20) * np.cos(columns / 30)
        noise = np.random.default_rng(shape[0]).normal(0, 4, shape)
        Image.fromarray((waves + noise).astype(np.uint8)).save(folder / name)
    return folder


def test_every_level_is_measured_in_every_way(films, capsys):
    run_level_bench(films, count=2, rounds=1, as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert result["films"] == 2
    sizes = {"64": 1, "65": 1, "128": 1, "130": 1, "256": 1}
    assert {size: entry["films"] for size, entry in result["levels"].items()} == sizes
    with Image.open(films / "a.png") as film:
        middle = np.asarray(film.crop((22, 0, 278, 256)))
    data, ends = encode_levels(middle)
    for entry in result["levels"].values():
        assert list(entry["ways"]) == list(WAYS)
        times = {way: facts["ms"] for way, facts in entry["ways"].items()}
        assert entry["ratio"] == times["levels"] / times["png"] > 0
    for size, end in ends.items():
        ways = result["levels"][str(size)]["ways"]
        assert ways["levels"]["bytes"] == end
        resized = np.asarray(
            Image.fromarray(middle).resize((size, size), Image.Resampling.LANCZOS)
        ).astype(int)
        difference = np.abs(decode_level(data, size) - resized).mean()
        assert ways["levels"]["lanczos"] == pytest.approx(difference)
        assert ways["png"]["lanczos"] == 0
    top = result["levels"]["256"]["ways"]
    for way in ("levels", "png", "jpeg 2000"):  # what claims to be lossless is
        assert top[way]["lanczos"] == top[way]["box"] == 0
    assert top["jpeg"]["lanczos"] > 0


def test_the_command_prints_a_table(films):
    found = CliRunner().invoke(
        cxrfuture.app, ["bench", "level", str(films), "--rounds", "1", "--count", "1"]
    )
    assert found.exit_code == 0, found.output
    assert "prefix of the levels" in found.output
    assert "1 films, best of 1 rounds" in found.output


def test_a_folder_without_films_is_refused(tmp_path):
    with pytest.raises(ContractError, match="no film in it"):
        run_level_bench(tmp_path, count=1, rounds=1)
    with pytest.raises(ContractError, match="no such folder"):
        run_level_bench(tmp_path / "none", count=1, rounds=1)
    (tmp_path / "film.png").write_bytes(b"not a film")
    with pytest.raises(ContractError, match=r"film\.png: not a film"):
        run_level_bench(tmp_path, count=1, rounds=1)
