"""One entrance: a number, a URL, a folder or a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditor.submission import open_target
from auditor.verdict import PgolfError

FOLDER = b"records/track_10min_16mb/2026-01-01_x/"
FILES = {FOLDER + b"train_gpt.py": b"loss.backward() # val_bpb\n", FOLDER + b"submission.json": b'{"val_bpb": 1.1}'}


@pytest.fixture
def clone(forge: Any) -> Path:
    base = forge.commit({b"README.md": b"x"})
    forge.ref("heads/main", base)
    forge.pull(7, forge.commit({b"README.md": b"x", **FILES}, base))
    forge.pull(8, forge.commit({b"README.md": b"y"}, base))
    return Path(forge.gitdir)


@pytest.mark.parametrize("target", ["7", "#7", "https://github.com/owner/name/pull/7/files"])
def test_a_pull_request_from_the_mirror(clone: Path, target: str) -> None:
    submission = open_target(target, mirror=clone, repo="owner/name")
    assert submission.script == (FOLDER + b"train_gpt.py").decode()
    assert submission.track == "track_10min_16mb"
    assert submission.claims.val_bpb == 1.1
    assert (submission.target.repo, submission.target.pr) == ("owner/name", 7)


def test_a_pull_request_without_a_submission_says_so(clone: Path) -> None:
    submission = open_target("8", mirror=clone, repo="owner/name")
    assert submission.script is None
    assert submission.reason


def test_a_path_needs_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("print('val_bpb')\n")
    assert open_target(str(tmp_path / "train_gpt.py"), mirror=None, repo="o/n").code


def test_a_folder_that_is_called_like_a_number_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "715").mkdir()
    (tmp_path / "715" / "train_gpt.py").write_text("loss.backward()\n")
    monkeypatch.chdir(tmp_path)
    assert open_target("715", mirror=None, repo="o/n").script == "715/train_gpt.py"


@pytest.mark.parametrize(
    "target", ["", "https://example.org/x", "https://github.com/o/n", "--upload-pack=x", "99999999", "\u0667"]
)
def test_what_names_nothing_is_one_clear_line(clone: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone.parent)
    with pytest.raises(PgolfError) as caught:
        open_target(target, mirror=clone, repo="o/n")
    assert "\n" not in str(caught.value)
