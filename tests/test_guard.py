"""`cxrfuture guard` in real git repositories: tree, index, history, hook, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cxrfuture_data.schema import ContractError
from etl import guard, guard_git
from etl.guard import scan
from etl.guard_allow import ALLOW_FILE
from etl.guard_hook import COMMAND

ROOT = Path(__file__).resolve().parent.parent
SUBJECT, HADM = 12_345_678, 23_456_789
LEAK = f"subject_id,hadm_id\n{SUBJECT},{HADM}\n"
WITHOUT_GIT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
ENVIRONMENT = WITHOUT_GIT | {
    "PYTHONPATH": str(ROOT),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Anne",
    "GIT_AUTHOR_EMAIL": "anne@example.org",
    "GIT_COMMITTER_NAME": "Anne",
    "GIT_COMMITTER_EMAIL": "anne@example.org",
}


def git(folder, *arguments, check=True):
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def command(folder, *arguments):
    """Run `cxrfuture guard`."""
    whole = [sys.executable, "-m", "cxrfuture", "guard", *arguments]
    return subprocess.run(whole, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository with one clean commit."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("clean\n")
    (folder / ".gitignore").write_text("/build/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def found(report):
    return [(finding.path, finding.kind) for finding in report.findings]


# --- the tree


def test_tracked_and_new_files_are_scanned_and_ignored_ones_are_not(tree):
    (tree / "build").mkdir()
    for name in ("tracked.csv", "new.csv", "build/ignored.csv"):
        (tree / name).write_text(LEAK)
    git(tree, "add", "tracked.csv")
    assert found(scan(tree)) == [("new.csv", "id"), ("tracked.csv", "id")]
    (tree / "deleted.csv").write_text(LEAK)
    git(tree, "add", "deleted.csv")
    (tree / "deleted.csv").unlink()
    assert ("deleted.csv", "id") not in found(scan(tree))


def test_a_scan_from_below_covers_the_whole_tree(tree):
    (tree / "below").mkdir()
    (tree / "leak.csv").write_text(LEAK)
    assert found(scan(tree / "below")) == [("leak.csv", "id")]


def test_named_paths_are_scanned_ignored_or_not(tree):
    (tree / "build" / "deep").mkdir(parents=True)
    (tree / "build" / "deep" / "a.csv").write_text(LEAK)
    (tree / "b.csv").write_text(LEAK)
    assert found(scan(tree, [Path("build/deep/a.csv")])) == [("build/deep/a.csv", "id")]
    assert found(scan(tree, [Path("build")])) == [("build/deep/a.csv", "id")]
    assert found(scan(tree, [Path("README.md")])) == []
    assert found(scan(tree, [tree / "b.csv"])) == [("b.csv", "id")]
    with pytest.raises(ContractError, match=r"nothing\.csv: no such file"):
        scan(tree, [Path("nothing.csv")])


def test_a_folder_without_git_is_scanned_too(tmp_path):
    (tmp_path / "a.csv").write_text(LEAK)
    assert found(scan(tmp_path)) == [("a.csv", "id")]
    for options in ({"staged": True}, {"history": True}):
        with pytest.raises(ContractError, match="not in a git repository"):
            scan(tmp_path, **options)


def test_links_are_not_followed_but_read(tree):
    (tree / "loop").symlink_to(tree / "loop")
    (tree / "up").symlink_to("..")
    (tree / "data").symlink_to(f"/data/files/p12/p{SUBJECT}")
    (tree / "elsewhere.csv").symlink_to(tree.parent / "outside.csv")
    (tree.parent / "outside.csv").write_text(LEAK)
    assert found(scan(tree)) == [("data", "id")]
    assert found(scan(tree, [Path("up")])) == []
    git(tree, "add", ".")
    assert found(scan(tree, staged=True)) == [("data", "id")]


def test_a_folder_with_a_loop_of_links_ends(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "leak.csv").write_text(LEAK)
    assert found(scan(tmp_path)) == [("a/leak.csv", "id")]


def test_an_unreadable_file_is_named(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(guard_git, "read_file", refuse)
    assert found(scan(tree, [Path("README.md")])) == [("README.md", "unread")]


def test_a_pipe_is_not_waited_for(tree):
    os.mkfifo(tree / "pipe")
    assert scan(tree, [Path("pipe")]).findings == ()


def test_odd_names_do_no_harm(tree):
    for name in ("a b.csv", "umlaut-ä.csv", "-rf.csv", "tab\t.csv", "line\nbreak.csv", "*.csv"):
        (tree / name).write_text(LEAK)
    no_unicode = tree / os.fsdecode(b"\xff")
    no_unicode.mkdir()
    (no_unicode / "a.csv").write_text(LEAK)
    report = scan(tree)
    assert len(report.findings) == 7
    for finding in report.findings:
        assert "\n" not in finding.text()
        finding.text().encode()
    git(tree, "add", ".")
    assert len(scan(tree, staged=True).findings) == 7


def test_a_huge_file_is_read_in_part_and_named(tree, monkeypatch):
    monkeypatch.setattr(guard_git, "READ_BYTES", 1000)
    (tree / "huge.csv").write_text(LEAK + "a" * 5000)
    assert found(scan(tree)) == [("huge.csv", "id"), ("huge.csv", "unread")]
    git(tree, "add", ".")
    assert found(scan(tree, staged=True)) == [("huge.csv", "id"), ("huge.csv", "unread")]


# --- the index and the history


def test_the_index_is_scanned_not_the_disk(tree):
    (tree / "a.csv").write_text(LEAK)
    git(tree, "add", "a.csv")
    (tree / "a.csv").write_text("clean now\n")
    (tree / "b.csv").write_text(LEAK)  # not added
    assert found(scan(tree, staged=True)) == [("a.csv", "id")]
    git(tree, "commit", "-qm", "leak")
    assert scan(tree, staged=True).files == 0


def test_the_first_commit_s_index_is_scanned(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.csv").write_text(LEAK)
    git(tmp_path, "add", "a.csv")
    assert found(scan(tmp_path, staged=True)) == [("a.csv", "id")]


def test_what_was_removed_is_found_in_the_history_with_its_commit(tree):
    (tree / "a.csv").write_text(LEAK)
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "second")
    leaking = git(tree, "rev-parse", "--short", "HEAD").stdout.strip()
    git(tree, "rm", "-q", "a.csv")
    git(tree, "commit", "-qm", f"third: subject_id {SUBJECT} is gone")
    assert scan(tree).findings == ()
    first, second = scan(tree, history=True).findings
    assert (first.path, first.commit, first.line) == ("a.csv", leaking, 2)
    assert (second.path, second.kind) == ("(commit message)", "id")


def test_other_branches_belong_to_the_history(tree):
    git(tree, "checkout", "-qb", "other")
    (tree / "a.csv").write_text(LEAK)
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "leak")
    git(tree, "checkout", "-q", "main")
    assert found(scan(tree, history=True)) == [("a.csv", "id")]


def test_a_repository_without_commits_has_no_history(tmp_path):
    git(tmp_path, "init", "-q")
    assert scan(tmp_path, history=True).files == 0


# --- what is allowed


def allow(tree, **value):
    (tree / ALLOW_FILE).write_text(yaml.safe_dump(value))


def test_an_allowed_file_is_passed_until_it_changes(tree):
    (tree / "a.csv").write_text(LEAK)
    (finding,) = scan(tree).findings
    allow(tree, files=[{"path": "a.csv", "sha256": finding.sha256, "reason": "invented"}])
    assert scan(tree).findings == ()
    (tree / "a.csv").write_text(LEAK + LEAK)
    (finding,) = scan(tree).findings
    assert "it has changed since it was allowed" in finding.what


def test_allowed_values_are_passed_everywhere(tree):
    (tree / "a.csv").write_text(LEAK)
    allow(tree, values=[{"value": SUBJECT, "reason": "invented"}])
    assert len(scan(tree).findings) == 1
    allow(tree, values=[{"value": value, "reason": "invented"} for value in (SUBJECT, HADM)])
    assert scan(tree).findings == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"values": [{"value": 1, "reason": " "}]}, "reason"),
        ({"values": [{"value": 1}]}, "reason is missing"),
        ({"files": [{"path": "a", "sha256": "no", "reason": "why not"}]}, "sha256"),
        ({"file": []}, "unknown key 'file'"),
        ("nonsense", "expected a mapping"),
    ],
)
def test_a_malformed_allow_file_is_refused(tree, value, message):
    (tree / ALLOW_FILE).write_text(yaml.safe_dump(value))
    with pytest.raises(ContractError, match=message):
        scan(tree)


@pytest.mark.parametrize("is_simulated", [True, False])
def test_shards_of_a_simulated_dataset_are_passed(tree, is_simulated):
    import hashlib
    import io
    import tarfile

    with tarfile.open(tree / "pair-000000.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("0.sample.json"), io.BytesIO())
    digest = hashlib.sha256((tree / "pair-000000.tar").read_bytes()).hexdigest()
    shard = {"name": "pair-000000.tar", "sha256": digest, "index_sha256": "0" * 64}
    facts = {
        "schema_version": 3,
        "simulated": {"tables": is_simulated, "films": True},
        "splits": {"train": {"pair": {"samples": 1, "shards": [shard]}}},
        "embeddings": None,
    }
    (tree / "dataset.json").write_text(json.dumps(facts))
    expected = [] if is_simulated else [("dataset.json", "data"), ("pair-000000.tar", "data")]
    assert found(scan(tree)) == expected


# --- the command


def test_exit_codes_lines_and_json(tree):
    clean = command(tree)
    assert (clean.returncode, clean.stdout) == (0, "")
    (tree / "a.csv").write_text(LEAK)
    leaking = command(tree)
    assert leaking.returncode == 1
    (line,) = leaking.stdout.splitlines()
    assert line.startswith("a.csv:2: id: a table with ids in subject_id, hadm_id; take it out")
    assert str(SUBJECT) not in leaking.stdout + leaking.stderr
    as_json = command(tree, "--json")
    assert as_json.returncode == 1
    value = json.loads(as_json.stdout)
    assert value["files"] == 3
    assert (value["findings"][0]["path"], value["findings"][0]["line"]) == ("a.csv", 2)


@pytest.mark.parametrize(
    "arguments",
    [["nowhere"], ["--staged", "--history"], ["--staged", "README.md"], ["--no-such-option"]],
)
def test_an_error_is_exit_code_2(tree, arguments):
    done = command(tree, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_secret_is_never_printed(tree):
    (tree / "download.sh").write_text(
        "wget --user me --pass" + "word=Xk29pqrs https://physionet.org\n"
    )
    for options in ([], ["--json"]):
        done = command(tree, *options)
        assert done.returncode == 1
        assert "Xk29" not in done.stdout + done.stderr


def test_the_base_install_is_enough(tree):
    (tree / "a.csv").write_text(LEAK)
    (tree / "a.parquet").write_bytes(b"PAR1 subject_id hadm_id PAR1")
    blocked = (
        "polars",
        "duckdb",
        "pyarrow",
        "torch",
        "h5py",
        "pydicom",
        "webdataset",
        "sqlalchemy",
    )
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "sys.argv = ['cxrfuture', 'guard']\nimport cxrfuture; cxrfuture.main()"
    )
    whole = [sys.executable, "-c", code]
    done = subprocess.run(whole, cwd=tree, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2), done.stderr


# --- the hook


def test_the_hook_refuses_a_leaking_commit_and_lets_a_clean_one_pass(tree):
    installed = command(tree, "--install-hook")
    assert installed.returncode == 0, installed.stderr
    assert command(tree, "--install-hook").returncode == 0  # again: no harm
    (tree / "a.csv").write_text(LEAK)
    git(tree, "add", "a.csv")
    refused = git(tree, "commit", "-m", "leak", check=False)
    assert refused.returncode != 0
    assert "a.csv:2: id" in refused.stdout + refused.stderr
    assert git(tree, "rev-list", "--count", "HEAD").stdout.strip() == "1"
    git(tree, "rm", "-q", "--cached", "a.csv")
    (tree / "README.md").write_text("still clean\n")
    git(tree, "commit", "-qam", "clean")  # a.csv lies there, but is not part of it
    assert git(tree, "rev-list", "--count", "HEAD").stdout.strip() == "2"


def test_the_hook_sees_what_commit_takes_from_the_disk(tree):
    command(tree, "--install-hook")
    (tree / "README.md").write_text(LEAK + f"patient {SUBJECT}\n")
    assert git(tree, "commit", "-am", "leak", check=False).returncode != 0
    assert git(tree, "commit", "-m", "leak", "README.md", check=False).returncode != 0


def test_another_s_hook_is_kept(tree):
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    done = command(tree, "--install-hook")
    assert done.returncode == 2
    assert f"add to it the line: {COMMAND} || exit 1" in done.stderr
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"
    hook.write_text(f"#!/bin/sh\n{COMMAND} || exit 1\n")
    assert command(tree, "--install-hook").returncode == 0
    assert hook.read_text() == f"#!/bin/sh\n{COMMAND} || exit 1\n"


def test_the_hook_goes_where_git_looks_for_it(tree):
    git(tree, "config", "core.hooksPath", "own-hooks")
    (tree / "below").mkdir()
    assert command(tree / "below", "--install-hook").returncode == 0
    assert os.access(tree / "own-hooks" / "pre-commit", os.X_OK)


def test_a_hook_without_a_repository_is_an_error(tmp_path):
    assert command(tmp_path, "--install-hook").returncode == 2


def test_the_hook_for_pre_commit_names_this_command():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == COMMAND
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False


# --- the project itself


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git tree: an unpacked archive")
def test_this_repository_is_clean():
    names = guard_git.git(ROOT, "ls-files", "-z").decode().split("\0")
    paths = [ROOT / name for name in names if name and os.path.lexists(ROOT / name)]
    report = scan(ROOT, paths)
    assert report.files > 500
    assert [finding.text() for finding in report.findings] == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git tree: an unpacked archive")
def test_this_repository_s_allowances_are_all_needed():
    allowed = yaml.safe_load((ROOT / ALLOW_FILE).read_text())
    tracked = guard_git.git(ROOT, "grep", "-lF", str(allowed["values"][0]["value"])).split()
    assert len(tracked) > 1
    for entry in allowed["values"]:
        files = guard_git.git(ROOT, "grep", "-lF", str(entry["value"])).decode().split()
        assert set(files) - {ALLOW_FILE}, entry


def test_the_guide_names_every_kind_and_option():
    text = (ROOT / "docs" / "guard.md").read_text()
    for kind in guard.NEXT_STEP:
        assert f"| `{kind}` |" in text
    for option in ("--staged", "--history", "--json", "--install-hook", ALLOW_FILE):
        assert option in text
