"""The command `cxrfuture browse`, as a process of its own and in this one."""

import json
import signal
import subprocess
import sys
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
import typer
from tiny_build import build_dataset
from typer.testing import CliRunner

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.browse.serve import bind, has_display
from cxrfuture_data.reader_command import browse


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("browse"), "ddl_cxr", shard={"workers": 1})


RUN = (
    "import typer; from cxrfuture_data.reader_command import browse;"
    "app = typer.Typer(); app.command()(browse); app()"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_one_address_and_a_signal_ends_it(folder, number):
    command = [sys.executable, "-c", RUN, str(folder), "--no-open", "--kind", "stay"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            address, words = run.stdout.readline().strip(), run.stdout.readline().strip()
            url = urlsplit(address)
            assert url.hostname == "127.0.0.1"
            assert (
                url.fragment == f"train/stay/{open_dataset(folder).split('train', 'stay').key(0)}"
            )
            assert words == "Ctrl-C ends it"
            opener = build_opener(HTTPCookieProcessor(CookieJar()))
            base = f"{url.scheme}://{url.netloc}"
            with pytest.raises(HTTPError, match="403"):
                opener.open(f"{base}/api/dataset", timeout=30)
            assert opener.open(f"{base}/?{url.query}", timeout=30).status == 200
            facts = json.loads(opener.open(f"{base}/api/dataset", timeout=30).read())
            assert facts["recipe"] == "ddl_cxr"
            run.send_signal(number)
            out, err = run.communicate(timeout=30)
        finally:
            run.kill()
    assert (run.returncode, out, err) == (0, "", "")


def refuse_to_start(*arguments):
    app = typer.Typer()
    app.command()(browse)
    error = CliRunner().invoke(app, [*arguments, "--no-open"]).exception
    assert isinstance(error, ContractError)
    assert "\n" not in str(error)
    return str(error)


def test_what_cannot_be_opened_is_one_line(folder, tmp_path):
    line = refuse_to_start(str(tmp_path))
    assert "the folder is no dataset, or its build has not finished" in line
    assert "no sample 'x'" in refuse_to_start(str(folder), "--key", "x")
    assert "no split 'tran'" in refuse_to_start(str(folder), "--split", "tran")
    assert "no kind 'video'" in refuse_to_start(str(folder), "--kind", "video")
    with bind(0) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}: " in refuse_to_start(str(folder), "--port", port)


def test_without_its_packages_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("cxrfuture_data.browse.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    line = refuse_to_start("anything")
    assert line == "bokeh is not installed; run: pip install 'cxrfuture[browse]'"


def test_a_browser_opens_only_where_it_could_be_seen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display()
