from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor.cli import app
from auditor.watch.store import Lock
from tests.github.conftest import SECRET
from tests.github.fake import GitHub


def pgolf(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_one_round_and_the_list(hub: GitHub, tmp_path: Path) -> None:
    queue = str(tmp_path / "queue")
    assert pgolf("watch", queue, "--repo", "golf/course", "--list").exit_code == 2
    done = pgolf("watch", queue, "--repo", "golf/course", "--once")
    assert done.exit_code == 0, done.output
    listed = pgolf("watch", queue, "--repo", "golf/course", "--list")
    assert "     1  111111111111  draft     flag (ngram-target-in-key)" in listed.stdout
    for path in (tmp_path / "queue").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_a_second_watch_in_the_same_folder_is_refused(hub: GitHub, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, time; from pathlib import Path; from auditor.watch.store import Lock\n"
    code += "with Lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdout.readline()
        done = pgolf("watch", str(tmp_path), "--repo", "golf/course", "--once")
        other.communicate()
    assert done.exit_code == 2 and "another pgolf watch is at work" in done.stderr
    Lock(tmp_path).__exit__()


def test_posting_needs_a_token(hub: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    done = pgolf("watch", str(tmp_path), "--repo", "golf/course", "--once", "--post")
    assert done.exit_code == 2 and "GITHUB_TOKEN" in done.stderr
