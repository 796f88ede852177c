"""The papers' tables, filled from evaluations whose numbers are known."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
import typer
from rich.console import Console

import cxrfuture
from cxrfuture_data.schema import ContractError
from train.table import fill, read_table, table_names
from train.table_result import Filled, has_settings
from train.table_text import as_rich, title_of, to_csv, to_json
from train.tasks import read_task_settings

# The numbers of the papers: rows of the specifications' tables (ddl-cxr 11, ehrxdiff 11).
PUBLISHED = {
    "ddl_cxr.4": ("DDL-CXR", [[33.83], [2316.08], [7132.82]]),
    "ehrxdiff.2": ("EHRXDiff w_null", [[0.764, 0.004], [0.580, 0.008], [0.844, 0.004]]),
    "ehrxdiff.3": ("EHRXDiff", [[5.98, 0.07], [0.453, 0.007], [0.963, 0.002]]),
    "ehrxdiff.4": (
        "5: concat VAE, xattn CLIP-tab",
        [[0.660, 0.009], [0.586, 0.018], [0.701, 0.011]],
    ),
}
ROWS = {"ddl_cxr.4": 7, "ehrxdiff.2": 8, "ehrxdiff.3": 6, "ehrxdiff.4": 8}


def run(words, capsys):
    """Standard output and error of a command."""
    cxrfuture.app(words, standalone_mode=False)
    return capsys.readouterr()


def cells(**values):
    return {name: {"value": value, "sd": None, "seeds": 1} for name, value in values.items()}


def evaluation(rows, recipe="ddl_cxr", pairs=2353, **data):
    return {
        "data": {
            "origin": "all SIMULATED",
            "recipe": recipe,
            "made_from": "x",
            "split": "test",
            "pairs": pairs,
            "patients": 769,
        }
        | data,
        "scored": {
            "labels": "findings",
            "records": {"all": 9, "diff": 4, "same": 5},
            "fidelity": "corrected",
            "features": "the project's classifier",
            "judge": {"run": "judge", "steps": 5, "settings": {}},
            "seeds": [0],
            "draws": 10,
            "level": 0.95,
        },
        "rows": rows,
    }


def model(task_settings, **values):
    return {"run": "a", "steps": 1, "settings": task_settings, "cells": cells(**values)}


@pytest.fixture
def write(tmp_path):
    """Writes an evaluation into a folder, each newer than the one before."""
    written = []

    def write(name, value):
        path = tmp_path / name / "evaluation.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(value))
        written.append(path)
        os.utime(path, (len(written), len(written)))
        return tmp_path

    return write


def plain(filled: Filled) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(as_rich(filled))
    return console.export_text()


def line_of(text, title):
    """What stands behind the title of a row."""
    words = title.split()
    lines = (line.split() for line in text.splitlines())
    return " ".join(next(line[len(words) :] for line in lines if line[: len(words)] == words))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_papers_numbers(name):
    table = read_table(name)
    assert len(table.rows) == ROWS[name]
    assert len({row.title for row in table.rows}) == len(table.rows)
    title, values = PUBLISHED[name]
    (row,) = [row for row in table.rows if row.title == title]
    assert [row.paper[column.name] for column in table.columns] == values
    for row in table.rows:
        assert set(row.paper) <= {column.name for column in table.columns}


def test_every_table_is_known_here():
    ours = [f"ddl_cxr.{number}" for number in range(1, 15)]
    assert table_names() == [*ours, "ehrxdiff.2", "ehrxdiff.3", "ehrxdiff.4"]
    assert read_table("ehrxdiff.II") == read_table("ehrxdiff.2")
    assert read_table("ehrxdiff.IV") == read_table("ehrxdiff.4")
    with pytest.raises(ContractError, match=r"no table 'ddl_cxr.15'; there are ddl_cxr.1,"):
        read_table("ddl_cxr.15")


def test_without_an_evaluation_the_paper_stands_alone(tmp_path):
    filled = fill(read_table("ddl_cxr.4"), tmp_path)
    assert "no evaluation yet" in title_of(filled)
    assert line_of(plain(filled), "DDL-CXR") == "33.83 - 2316.08 - 7132.82 -"
    lines = filled.notes
    assert "  w/o EHR: cxrfuture train ddl_cxr --set without=[window]" in "\n".join(lines)
    assert lines[-1].endswith("--out build/train/evaluation-ddl_cxr")


def test_rows_are_found_by_name_and_by_settings(write):
    rows = {
        "previous_film": {"cells": cells(fid=1.0, fd=2.0, wd=3.0)},
        "a": model({"task": "ddl_cxr", "without": []}, fid=4.0, fd=5.0, wd=6.0),
        "b": model({"task": "ddl_cxr", "without": ["window"]}, fid=7.0, fd=8.0, wd=9.0),
        "c": model({"task": "ehrxdiff"}, fid=10.0, fd=11.0, wd=12.0),
    }
    filled = fill(read_table("ddl_cxr.4"), write("one", evaluation(rows)))
    text = plain(filled)
    assert "2,353 test pairs of 769 patients" in text
    assert "all SIMULATED" in text
    assert line_of(text, "DDL-CXR") == "33.83 4.00 2316.08 5.00 7132.82 6.00"
    assert line_of(text, "w/o EHR") == "30.03 7.00 2412.80 8.00 7226.38 9.00"
    assert line_of(text, "Last-CXR (reference)") == "16.50 1.00 2322.68 2.00 6353.06 3.00"
    assert line_of(text, "w/o z0") == "47.91 - 3260.17 - 7491.17 -"
    assert line_of(text, "GAN-based") == "98.67 - 3651.27 - 7922.71 -"
    commands = "\n".join(filled.notes)
    assert "w/o z0: cxrfuture train" in commands
    assert "w/o EHR: cxrfuture train" not in commands


def test_intervals_and_deviations_are_shown(write):
    found = {"value": 0.5, "sd": 0.01, "seeds": 3, "low": 0.41, "high": 0.6, "draws_left_out": 0}
    rows = {"target_film": {"cells": {"auroc_all": found, "auroc_diff": {"value": None}}}}
    filled = fill(read_table("ehrxdiff.2"), write("one", evaluation(rows, "ehrxdiff")))
    text = plain(filled)
    assert line_of(text, "GT") == "0.842 0.500 ± 0.010 0.722 - 0.905 -"
    assert "[0.410, 0.600]" in text


def test_the_order_of_a_list_is_free(write):
    settings = {
        "task": "ehrxdiff",
        "recipe": "ehrxdiff",
        "condition": {"attend": ["latent", "events", "film"], "concatenate": False, "width": 768},
    }
    rows = {"a": model(settings, auroc_all=0.7)}
    filled = fill(read_table("ehrxdiff.4"), write("one", evaluation(rows, "ehrxdiff")))
    assert [title[0] for title, found in filled.cells.items() if found is not None] == ["7"]


def test_the_newest_fills_a_row_and_older_ones_the_others(write):
    both = {"task": "ddl_cxr", "without": []}
    write("old", evaluation({"a": model(both, fid=1.0), "mean_film": {"cells": cells(fid=2.0)}}))
    runs = write("new", evaluation({"a": model(both, fid=3.0)}))
    filled = fill(read_table("ddl_cxr.4"), runs)
    assert filled.cells["DDL-CXR"]["fid"]["value"] == 3.0
    assert filled.cells["mean film (ours)"]["fid"]["value"] == 2.0
    assert filled.others == 0


def test_evaluations_of_other_pairs_are_left_out(write):
    write("old", evaluation({"mean_film": {"cells": cells(fid=2.0)}}))
    write("valid", evaluation({"mean_film": {"cells": cells(fid=4.0)}}, split="valid"))
    write("future", evaluation({"mean_film": {"cells": cells(fid=5.0)}}, "future"))
    runs = write("new", evaluation({"previous_film": {"cells": cells(fid=3.0)}}, pairs=21))
    filled = fill(read_table("ddl_cxr.4"), runs)
    assert filled.cells["Last-CXR (reference)"]["fid"]["value"] == 3.0
    assert filled.cells["mean film (ours)"] is None
    assert filled.others == 1
    assert "left out: 1 evaluations" in "\n".join(filled.notes)


def test_null_events_are_another_dataset_of_the_same_pairs(write):
    attends = {"attend": ["events", "film", "latent"], "concatenate": False}
    settings = {"task": "ehrxdiff", "recipe": "ehrxdiff_null", "condition": attends}
    write("one", evaluation({"target_film": {"cells": cells(auroc_all=0.9)}}, "ehrxdiff"))
    runs = write(
        "two", evaluation({"a": model(settings, auroc_all=0.8)}, "ehrxdiff_null", made_from="y")
    )
    filled = fill(read_table("ehrxdiff.2"), runs)
    assert filled.cells["EHRXDiff w_null"]["auroc_all"]["value"] == 0.8
    assert filled.cells["GT"]["auroc_all"]["value"] == 0.9
    assert filled.cells["EHRXDiff"] is None


def test_json_and_csv_hold_what_is_printed(write):
    rows = {"previous_film": {"cells": cells(fid=1.25)}}
    filled = fill(read_table("ehrxdiff.3"), write("one", evaluation(rows, "ehrxdiff")))
    value = json.loads(json.dumps(to_json(filled)))
    assert value["data"]["origin"] == "all SIMULATED"
    assert [row["title"] for row in value["rows"] if row["ours"]] == ["Previous image"]
    found = list(csv.DictReader(io.StringIO(to_csv(filled))))
    assert len(found) == 3 * ROWS["ehrxdiff.3"]
    (line,) = [x for x in found if (x["row"], x["column"]) == ("Previous image", "fid")]
    assert (line["paper"], line["paper_sd"], line["value"]) == ("0.16", "", "1.25")
    assert line["data"] == "all SIMULATED"


def test_a_broken_evaluation_is_named(write):
    runs = write("one", evaluation({}))
    (runs / "one" / "evaluation.json").write_text("{")
    with pytest.raises(ContractError, match=r"one/evaluation.json: not an evaluation"):
        fill(read_table("ddl_cxr.4"), runs)


def test_the_command(write, capsys):
    runs = write("one", evaluation({"mean_film": {"cells": cells(fid=7.5)}}))
    command = ["table", "ddl_cxr.4", "--runs", str(runs)]
    assert run(command, capsys)[0].count("7.50") == 1
    value = json.loads(run([*command, "--json"], capsys)[0])
    assert value["rows"][5]["ours"]["fid"]["value"] == 7.5
    assert run([*command, "--csv"], capsys)[0].count("\n") == 1 + 3 * ROWS["ddl_cxr.4"]
    assert run(["table"], capsys)[0].split() == table_names()


def test_a_mistake_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cxrfuture", "table", "ddl_cxr.15"])
    with pytest.raises(SystemExit) as stopped:
        cxrfuture.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: no table 'ddl_cxr.15'; there are ddl_cxr.1,")


def commands():
    """Every command of every table; of a row that any evaluation fills there is one too."""
    for name in table_names():
        filled = fill(read_table(name), Path("nowhere"))
        for row in filled.table.rows:
            yield from ((name, command) for command in filled.commands[row.title].split("; "))


def test_every_row_has_a_command_that_is_understood():
    """Of all words of every command: there is such a command, with such options."""
    known = typer.main.get_command(cxrfuture.app)
    seen = 0
    for name, command in commands():
        words = command.replace("SEED", "0").split()
        assert words[0] == "cxrfuture", name
        found = known.commands[words[1]]
        found.make_context(words[1], words[2:])
        seen += 1
    assert seen > 300


@pytest.mark.parametrize("name", ["ddl_cxr.4", "ehrxdiff.2", "ehrxdiff.3", "ehrxdiff.4"])
def test_the_commands_train_what_the_row_is_of(name):
    """The settings that a row's command makes are those that the row asks for."""
    for row in read_table(name).rows:
        if row.command is not None:
            assert has_settings(settings_of(row.command), row.where or {})


@pytest.mark.parametrize("name", ["ddl_cxr.1", "ddl_cxr.2", "ddl_cxr.5", "ddl_cxr.10"])
def test_the_commands_train_the_model_of_the_row(name):
    for row in read_table(name).rows:
        if row.command is not None:
            own = {k: v for k, v in row.where.items() if not k.startswith("generator.")}
            assert has_settings(settings_of(row.command), own), row.title


@pytest.mark.parametrize("name", ["ddl_cxr.3", "ddl_cxr.11", "ddl_cxr.12"])
def test_the_commands_train_the_model_of_the_column(name):
    for column in read_table(name).columns:
        own = {k: v for k, v in column.where.items() if not k.startswith("generator.")}
        assert has_settings(settings_of(column.command), own), column.title


@pytest.mark.parametrize("name", ["ddl_cxr.13", "ddl_cxr.14"])
def test_the_commands_train_on_the_share_of_the_column(name):
    table = read_table(name)
    for row in table.rows:
        own = {k: v for k, v in row.where.items() if not k.startswith("generator.")}
        for share in (1.0, 0.75, 0.5):
            command = row.command.replace("share=SHARE", f"share={share}")
            assert has_settings(settings_of(command), own | {"share": share})
            assert {"share": share} in [column.where for column in table.columns]


def settings_of(command):
    _, _, config, *words = command.replace("OUTCOME", "mortality").split()
    changes = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    return read_task_settings(config, changes).model_dump()
