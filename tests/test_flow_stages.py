"""Where a build stands, told of small pipelines that DVC itself has run."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from etl.flow import find_root, next_command, read_flow
from etl.flow_pipeline import read_stages, read_yaml_fast
from etl.flow_print import facts_of, print_flow, run_flow

ROOT = Path(__file__).resolve().parent.parent
PARAMS = """\
recipes: [one, two]
paths: {mimic_iv: simulate, mimic_cxr_jpg: simulate}
sql: {threads: 0, memory_limit: 2GB}
shard: {workers: 2}
fit_diffusion: {recipe: one}
"""
# Each stage writes one file, by the shell.
PIPELINE = """\
stages:
  ingest:
    cmd: mkdir -p build/ingest && echo 1 > build/ingest/patients && cp source.json build/ingest/
    always_changed: true
    params: [paths]
    deps: [code/ingest.py, source.json]
    outs:
      - build/ingest: {cache: false, persist: true}
  event:
    matrix: {recipe: "${recipes}"}
    cmd: mkdir -p build/${item.recipe}/event && cat code/event.py > build/${item.recipe}/event/rows
    params: [sql]
    deps: [build/ingest, code/event.py, sql]
    outs:
      - build/${item.recipe}/event: {cache: false}
  shard:
    matrix: {recipe: "${recipes}"}
    cmd: mkdir -p build/${item.recipe}/shard && cp dataset.json build/${item.recipe}/shard/
    params: [shard.workers]
    deps: ["build/${item.recipe}/event", build/ingest/source.json, dataset.json]
    outs:
      - build/${item.recipe}/shard: {cache: false, persist: true}
  fit_diffusion:
    cmd: mkdir -p build/fit_diffusion && echo 1 > build/fit_diffusion/metrics.json
    deps: ["build/${fit_diffusion.recipe}/shard"]
    outs:
      - build/fit_diffusion: {cache: false, persist: true}
"""
SIMULATED = {"mimic_iv": {"root": "/made", "simulated": True}}
DATASET = {"splits": {"train": {"pair": {"samples": 3}}, "test": {"pair": {"samples": 2}}}}
NAMES = ["ingest", "event@one", "event@two", "shard@one", "shard@two", "fit_diffusion"]


def dvc(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project that `dvc repro` has built."""
    root = tmp_path_factory.mktemp("project")
    for name, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "source.json": json.dumps(SIMULATED),
        "dataset.json": json.dumps(DATASET),
        "code/ingest.py": "1",
        "code/event.py": "2",
        "sql/event/rows.sql": "select 1",
        "sql/names.sql": "select 2",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    dvc(root, "init", "--no-scm", "-q")
    dvc(root, "repro")
    return root


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    for variable in ("MIMIC_IV_DIR", "MIMIC_CXR_JPG_DIR"):
        monkeypatch.delenv(variable, raising=False)
    return shutil.copytree(finished, tmp_path / "project")


def states(root):
    return {standing.stage.name: standing.state for standing in read_flow(root).standings}


def reasons(root, name):
    (standing,) = (s for s in read_flow(root).standings if s.stage.name == name)
    return standing.reasons


def printed(root, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_flow(read_flow(root), root, console)
    return console.file.getvalue()


def edit(path, **values):
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def test_all_is_built_by_hashes_equal_to_dvcs(project):
    assert states(project) == dict.fromkeys(NAMES, "built")
    flow = read_flow(project)
    assert next_command(flow)[0] == "cxrfuture summary"
    assert {s.stage.name: s.samples for s in flow.standings if s.samples} == {
        "shard@one": {"pair": 5},
        "shard@two": {"pair": 5},
    }


def test_nothing_is_built(project, monkeypatch):
    shutil.rmtree(project / "build")
    (project / "dvc.lock").unlink()
    assert set(states(project).values()) == {"missing"}
    assert next_command(read_flow(project))[0] == "dvc repro"
    monkeypatch.setenv("MIMIC_IV_DIR", "/data/mimiciv/3.1")
    assert next_command(read_flow(project))[0] == "cxrfuture doctor"


def test_half_is_built(project):
    shutil.rmtree(project / "build" / "two" / "event")
    assert states(project) == dict.fromkeys(NAMES, "built") | {
        "event@two": "missing",
        "shard@two": "stale",
    }
    assert reasons(project, "shard@two") == ("after event@two",)
    assert next_command(read_flow(project))[0] == "dvc repro"


def test_what_changed_is_named_and_dvc_agrees(project):
    edit(project / "params.yaml", sql={"threads": 4, "memory_limit": "2GB"})
    (project / "sql" / "names.sql").write_text("select 3")
    (project / "dataset.json").write_text(json.dumps({"splits": {}}))
    expected = ("sql.threads: 0 -> 4", "sql changed")
    assert reasons(project, "event@one") == reasons(project, "event@two") == expected
    assert reasons(project, "shard@one") == ("dataset.json changed",)
    assert reasons(project, "fit_diffusion") == ("after shard@one",)
    assert "stale 1 more stage follows from these" in printed(project)
    by_dvc = json.loads(dvc(project, "status", "--json"))
    ours = {s.stage.name for s in read_flow(project).of_state("stale") if not s.follows}
    assert set(by_dvc) - {"ingest"} == ours  # which DVC always asks


def test_a_stage_made_again_makes_the_next_one_stale(project):
    (project / "code" / "event.py").write_text("3")
    dvc(project, "repro", "-s", "event@one")
    assert reasons(project, "shard@one") == ("build/one/event was made again since",)


def test_an_output_that_is_not_dvcs_is_told(project):
    (project / "build" / "two" / "event" / "rows").write_text("other")
    assert reasons(project, "event@two") == (
        "build/two/event is not what DVC recorded: 1 files of 5 bytes",
    )


@pytest.mark.parametrize("left", ["one/event/rows.part", "one/event.work/rows", "one/event.run/x"])
def test_a_killed_stage_is_partial(project, left):
    path = project / "build" / left
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    assert states(project)["event@one"] == "partial"
    assert "stopped midway: build/one/event" in printed(project)
    assert states(project)["shard@one"] == "stale"


def test_a_stage_without_a_record_of_its_end_is_partial(project):
    (project / "dvc.lock").unlink()
    assert states(project)["event@one"] == "partial"
    for cost in ("metrics/ingest.json", "one/metrics/event.json"):
        path = project / "build" / cost
        path.parent.mkdir()
        path.write_text('{"seconds": 90.0, "rows_written": 7}')
    assert states(project)["event@one"] == "unrecorded"
    assert printed(project).count("unrecorded 2 min") == 2


@pytest.mark.parametrize(("is_alive", "state"), [(True, "running"), (False, "built")])
def test_only_a_live_process_runs_a_stage(project, is_alive, state):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    held = {"pid": os.getpid() if is_alive else ended.pid, "cmd": "dvc repro"}
    (project / ".dvc" / "tmp").mkdir(exist_ok=True)
    lock = {"write": {str(project / "build" / "one" / "event"): held}, "read": {}}
    (project / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(lock))
    assert states(project)["event@one"] == state
    if is_alive:
        assert next_command(read_flow(project))[0] == "cxrfuture"


@pytest.mark.parametrize("text", ["stages: {event@one: [", "stages: {event@one: 1}", "\x00", "[]"])
def test_a_corrupted_lock_is_said_and_nothing_is_called_built(project, text):
    (project / "dvc.lock").write_text(text)
    assert "built" not in states(project).values()
    shown = printed(project, width=400)
    assert "warning" in shown
    assert "dvc.lock: " in shown


def test_other_folders_than_those_read_are_told(project, monkeypatch):
    monkeypatch.setenv("MIMIC_IV_DIR", "/data/mimiciv/3.1")
    said = "paths.mimic_iv (or MIMIC_IV_DIR) is /data/mimiciv/3.1, and was simulated"
    assert reasons(project, "ingest") == (said,)
    assert "tables of /data/mimiciv/3.1, films SIMULATED" in printed(project)


def test_a_recipe_added_to_the_params_is_missing(project):
    edit(project / "params.yaml", recipes=["one", "two", "three"])
    assert states(project)["event@three"] == "missing"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_stage_of_every_recipe_is_shown_at_any_width(project, width):
    shown = printed(project, width)
    for word in ("ingest", "event", "shard", "fit_diffusion", "one", "two", "5 pair"):
        assert word in shown
    assert shown.count("built") == len(NAMES)


def test_from_any_folder_it_says_where_to_go(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(project / "sql")
    run_flow(Path("params.yaml"))
    assert f"Next:  cd {project} && cxrfuture summary" in capsys.readouterr().out
    assert find_root(tmp_path) is None
    monkeypatch.chdir(tmp_path)
    run_flow(Path("params.yaml"))
    assert "make demo" in capsys.readouterr().out


def test_json_holds_the_same(project):
    facts = json.loads(json.dumps(facts_of(read_flow(project))))
    assert [stage["stage"] for stage in facts["stages"]] == NAMES
    assert facts["next"] == "cxrfuture summary"


def test_the_projects_own_pipeline_is_understood():
    stages = read_stages(ROOT, read_yaml_fast(ROOT / "params.yaml"))
    words = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {stage.word for stage in stages} == set(words)
    for stage in stages:
        assert all(out.startswith("build/") for out in stage.outs)
        assert "$" not in "".join((stage.command, *stage.deps, *stage.outs))
        code = [dep for dep in stage.deps if not dep.startswith("build/")]
        assert all((ROOT / dep).exists() for dep in code)
