"""docs/loading.md: its script on one rank and on two, its batch script, its object store."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from object_server import BUCKET
from tiny_build import build_dataset

from cxrfuture_data import open_dataset
from cxrfuture_data.transfer import push

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "loading.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(BATCH_SCRIPT,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
SCRIPT, STORE = PYTHON
# What SLURM would do on a cluster of one node.
STAND_INS = {
    "scontrol": "#!/bin/bash\necho 127.0.0.1\n",
    "srun": '#!/bin/bash\nexec "$@"\n',
    "torchrun": f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -m torch.distributed.run "$@"\n',
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    options = {"samples_per_shard": 4, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("loading"), "ddl_cxr", shard=options)


@pytest.fixture
def run_script(folder, tmp_path, monkeypatch, capsys):
    """Runs the page's script; its losses by step. 15 pairs, so an epoch has 3 steps of 4."""
    (tmp_path / "train_pairs.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)

    def run(steps, ranks=1, saved="run.pt"):
        asked = {"DATASET": str(folder), "BATCH": "4", "STEPS": str(steps), "RUN": saved}
        if ranks > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
            command = [sys.executable, *launcher, str(ranks), "train_pairs.py"]
            return losses_of(run_there(command, tmp_path, asked))
        for name, value in asked.items():
            monkeypatch.setenv(name, value)
        exec(compile(SCRIPT, "train_pairs.py", "exec"), {"__name__": "__main__"})
        return losses_of(capsys.readouterr().out)

    return run


def run_there(command, place, asked):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | asked
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def losses_of(text):
    return {int(step): float(loss) for step, loss in re.findall(r"^(\d+) ([\d.e-]+)$", text, re.M)}


def test_any_number_of_ranks_sees_the_same_steps_and_goes_on_where_others_stopped(run_script):
    whole = run_script(7, saved="whole.pt")
    assert list(whole) == [1, 2, 3, 4, 5, 6, 7]
    assert len(set(whole.values())) == 7
    first = run_script(2, ranks=2)
    rest = run_script(7, ranks=1)
    assert list(first | rest) == list(whole)
    assert len(first) == 2
    assert (first | rest) == pytest.approx(whole, rel=1e-5)


def test_the_batch_script_trains(folder, tmp_path):
    """In the words of the page, but for places, the model's size and the number of GPUs."""
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o700)
    changes = {
        "--nproc-per-node 8": "--nproc-per-node 1",
        "train ddl_cxr": "train unet.yaml",
        "/scratch/ddl_cxr/shard": str(folder),
        "/scratch/runs": str(tmp_path),
    }
    script = BATCH_SCRIPT
    for old, new in changes.items():
        assert script.count(old) == 1
        script = script.replace(old, new)
    write_tiny_config(tmp_path / "unet.yaml")
    job = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "node[1]",
        "SLURM_NNODES": "1",
        "SLURM_JOB_ID": str(os.getpid()),
    }
    run_there(["bash", "-e", "-c", script], tmp_path, job)
    assert (tmp_path / "ddl_cxr" / "metrics.json").exists()
    assert (tmp_path / "ddl_cxr" / "loss.jsonl").read_text().count("\n") == 2


def write_tiny_config(path):
    import yaml
    from tiny_train import ddl_cxr_settings

    settings = ddl_cxr_settings(length={"epochs": None, "steps": 2})
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))


def test_the_batch_script_asks_slurm_for_what_torchrun_starts():
    asked = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)", BATCH_SCRIPT, re.M))
    assert asked["gpus-per-node"] == re.search(r"--nproc-per-node (\d+)", BATCH_SCRIPT).group(1)
    assert asked["ntasks-per-node"] == "1"


def test_a_store_gives_the_folder_s_samples(bucket, folder, tmp_path, monkeypatch):
    url = f"s3://{BUCKET}/ddl_cxr"
    push(folder, url, "")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(STORE.replace("s3://bucket/ddl_cxr", url), "loading.md", "exec"), names)
    assert names["pair"].key == open_dataset(folder).split("train", "pair").key(0)
    assert (tmp_path / "cache").is_dir()


def test_its_links_lead_to_pages():
    for name in re.findall(r"\]\(([a-z_-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).exists(), name
