"""With the settings as shipped no stage opens a network connection, and no hub is asked."""

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import no_network
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent

# Loaded by every Python process that has its folder on PYTHONPATH, so by spawned workers too. An
# audit hook sees what goes through Python's socket module, however it was imported.
REFUSE = """
import os, socket, sys

FAMILIES = (socket.AF_INET, socket.AF_INET6)
LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def note(name, line):
    with open(os.path.join(os.environ["NO_NETWORK"], name), "a") as log:
        log.write(line + "\\n")


def refuse(event, arguments):
    sends = event in {"socket.connect", "socket.sendto", "socket.sendmsg"}
    if event in LOOKUPS or (sends and arguments[0].family in FAMILIES):
        note("refused", f"{event} {arguments[-1] if sends else arguments[0]}")
        raise PermissionError(f"no network: {event}")


sys.addaudithook(refuse)
note("processes", str(os.getpid()))
"""


@pytest.fixture
def refusing(tmp_path):
    """The environment of a process that may not use the network."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(REFUSE)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MIMIC_", "HF_", "TRANSFORMERS_", "DIFFUSERS_"))
    }
    paths = (tmp_path / "hook", ROOT, ROOT / "tests")
    return inherited | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "NO_NETWORK": str(tmp_path),
        "HF_HOME": str(tmp_path / "hub"),  # nothing is there, so it would have to be fetched
        "OMP_NUM_THREADS": "1",
    }


def run(folder: Path, environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def own_network() -> list[str]:
    """A prefix that gives a command an empty network of its own; [] where that is not allowed."""
    try:
        tried = subprocess.run(["unshare", "-rn", "true"], capture_output=True)
    except FileNotFoundError:
        return []
    return ["unshare", "-rn"] if tried.returncode == 0 else []


@pytest.mark.slow
def test_no_stage_opens_a_connection(tmp_path, refusing):
    folder = tmp_path / "work"
    folder.mkdir()
    prefix = own_network()
    script = str(ROOT / "tests" / "no_network.py")
    output = run(folder, refusing, *prefix, sys.executable, script, str(ROOT))
    assert not (tmp_path / "refused").exists(), (tmp_path / "refused").read_text()
    assert len((tmp_path / "processes").read_text().split()) > 2, "no worker was watched"
    assert (folder / "build" / "fit_diffusion" / "metrics.json").exists()
    if prefix:  # native code too: it would have looked for a way out
        last = output.strip().splitlines()[-1]
        nothing = "Ip:OutNoRoutes=0 Ip:OutRequests=0 Ip6OutNoRoutes=0 Tcp:ActiveOpens=0"
        assert last == f"network: {nothing}"


def test_every_stage_of_the_pipeline_is_run_here():
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    ran = {*no_network.FIRST, *no_network.TO_DATASET, *no_network.LAST}
    assert stages <= ran


ATTEMPTS = """
import multiprocessing, socket, sys

def attempt():
    for ask in (
        lambda: socket.socket().connect(("192.0.2.1", 443)),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53)),
        lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 443)),
        lambda: socket.getaddrinfo("example.org", 443),
    ):
        try:
            ask()
        except PermissionError:
            continue
        sys.exit("not refused")

if __name__ == "__main__":
    attempt()
    worker = multiprocessing.get_context("spawn").Process(target=attempt)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


def test_the_refusal_holds_in_a_process_and_its_workers(tmp_path, refusing):
    (tmp_path / "attempts.py").write_text(ATTEMPTS)
    run(tmp_path, refusing, sys.executable, "attempts.py")
    refused = (tmp_path / "refused").read_text().splitlines()
    assert len(refused) == 8
    assert {line.split()[0] for line in refused} == {
        "socket.connect",
        "socket.sendto",
        "socket.getaddrinfo",
    }


@pytest.mark.skipif(not own_network(), reason="no network of one's own may be made here")
def test_native_code_that_asks_is_counted(tmp_path):
    # 192.0.2.1 is nobody's (RFC 5737). bash connects without Python.
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import subprocess, no_network;"
        "subprocess.run(['bash', '-c', 'exec 3<>/dev/tcp/192.0.2.1/80'], capture_output=True);"
        "print(no_network.unsent())"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [*own_network(), sys.executable, "-c", script, str(ROOT / "tests")]
    assert "Ip:OutNoRoutes=1" in run(tmp_path, environment, *command)


def test_the_shipped_settings_name_no_host():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert "://" not in yaml.safe_dump(params)  # comments may show an example
    assert params["embed"]["backend"] != "remote"
    assert params["embed"]["remote"]["base_url"] == ""
    assert params["embed"]["remote"]["attestation"] == ""


def test_dvc_asks_nobody_and_has_no_remote():
    config = configparser.ConfigParser()
    config.read_string(
        "\n".join(map(str.strip, (ROOT / ".dvc" / "config").read_text().split("\n")))
    )
    assert config.getboolean("core", "analytics") is False
    assert config.getboolean("core", "check_update") is False
    assert not [name for name in config.sections() if "remote" in name]
    assert "remote" not in config["core"]


def test_models_are_only_ever_loaded_from_this_machine():
    sources = [
        path for name in ("etl", "train", "cxrfuture_data") for path in (ROOT / name).rglob("*.py")
    ]
    loads = 0
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "attr", getattr(called, "id", ""))
            assert name not in {"snapshot_download", "hf_hub_download", "load_dataset"}, path
            if name in {"from_pretrained", "from_config_file"}:
                loads += 1
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                only = given.get("local_files_only")
                assert isinstance(only, ast.Constant), f"{path}:{node.lineno}"
                assert only.value is True, f"{path}:{node.lineno}"
    assert loads
