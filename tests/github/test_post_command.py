"""`pgolf review --post`, `pgolf post` and `pgolf pulls`, from the command line to the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor.cli import app
from auditor.review import read_marker
from tests.github.conftest import HEAD, NEXT, SECRET
from tests.github.fake import BOT, PERSON, GitHub
from tests.watch.conftest import files_of


def pgolf(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(autouse=True)
def environment(hub: GitHub, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", url)
    monkeypatch.setenv("GH_TOKEN", SECRET)
    hub.me = PERSON
    hub.pull(7, HEAD, files_of("ngram_cache"))


def test_nothing_is_posted_unless_it_is_asked_for(hub: GitHub) -> None:
    for words in (["7"], ["7", "--dry-run"]):
        done = pgolf("review", *words, "--repo", hub.repo)
        assert done.exit_code == 1 and "ngram-target-in-key" in done.stdout
    assert hub.writes() == []


def test_posted_once_and_then_left_alone(hub: GitHub) -> None:
    done = pgolf("review", "7", "--repo", hub.repo, "--post")
    assert done.exit_code == 1, "the exit code is that of the audit"
    assert done.stdout == (
        "pgolf: golf/course pull request 7 at aaaaaaaaaaaa: comment created, "
        "no check run (only an app's token can write one)\n"
    )
    assert "comment unchanged" in pgolf("review", "7", "--repo", hub.repo, "--post").stdout
    (body,) = hub.comments_of(7, PERSON)
    assert read_marker(body).head == HEAD  # type: ignore[union-attr]


def test_a_draft_of_one_job_is_posted_by_another(hub: GitHub, tmp_path: Path) -> None:
    draft = str(tmp_path / "draft.json")
    assert pgolf("review", "7", "--repo", hub.repo, "--draft", draft).exit_code == 1
    assert SECRET not in Path(draft).read_text()
    hub.me = BOT
    other = pgolf("post", draft, "--as", BOT["login"], "--head", NEXT)
    assert other.exit_code == 2 and "is of commit aaaaaaaaaaaa" in other.stderr and hub.writes() == []
    (tmp_path / "hint.json").write_text('{"status": "pass", "dim": 64}')
    done = pgolf("post", draft, "--as", BOT["login"], "--head", HEAD, "--hint", str(tmp_path / "hint.json"), "--label")
    assert done.exit_code == 0, done.output
    assert "comment created, check run created, label changed" in done.stdout
    (run,) = hub.shown_runs(HEAD)
    assert run["conclusion"] == "failure" and "nobody has verified" in run["output"]["summary"]
    assert "records/track_10min_16mb/ngram_cache/train_gpt.py" in {note["path"] for note in hub.notes[run["id"]]}


def test_a_head_that_has_moved_is_one_clear_line(hub: GitHub, tmp_path: Path) -> None:
    draft = str(tmp_path / "draft.json")
    pgolf("review", "7", "--repo", hub.repo, "--draft", draft)
    hub.pull(7, NEXT)
    done = pgolf("post", draft)
    assert done.exit_code == 2 and hub.writes() == []
    assert "type: pgolf review 7 --repo golf/course --post" in done.stderr


def test_without_a_token_it_says_which(hub: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.tokens = set()
    monkeypatch.delenv("GH_TOKEN")
    done = pgolf("review", "7", "--repo", hub.repo, "--post")
    assert done.exit_code == 2 and "needs a token in GITHUB_TOKEN or GH_TOKEN" in done.stderr


def test_only_pull_requests_are_posted(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("x = 1\n")
    done = pgolf("review", str(tmp_path), "--post")
    assert done.exit_code == 2 and "only the review of a pull request" in done.stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b'{"schema": "pgolf.draft/1"}'])
def test_what_is_no_draft_is_refused(hub: GitHub, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "draft.json").write_bytes(content)
    done = pgolf("post", str(tmp_path / "draft.json"))
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and hub.seen == []


def test_the_pull_requests_at_a_commit(hub: GitHub) -> None:
    hub.pull(9, HEAD)
    hub.pull(8, HEAD, state="closed")
    hub.pull(5, NEXT)
    for number in range(20, 30):
        hub.pull(number, HEAD)
    assert pgolf("pulls", "--head", HEAD, "--repo", hub.repo).stdout == "[7, 9, 20, 21, 22]\n"
    assert pgolf("pulls", "--head", "c" * 40, "--repo", hub.repo).stdout == "[]\n"
    assert pgolf("pulls", "--head", "main", "--repo", hub.repo).exit_code == 2


def test_approving_is_only_for_pull_requests_with_a_draft(hub: GitHub, tmp_path: Path) -> None:
    done = pgolf("review", "7", "--repo", hub.repo, "--approve", str(tmp_path))
    assert done.exit_code == 2 and "pgolf watch" in done.stderr
    assert pgolf("review", str(tmp_path), "--approve", str(tmp_path)).exit_code == 2
    pgolf("watch", str(tmp_path), "--repo", hub.repo, "--once")
    done = pgolf("review", "7", "--repo", hub.repo, "--approve", str(tmp_path))
    assert done.exit_code == 0 and "is approved" in done.stdout
    assert pgolf("watch", str(tmp_path), "--repo", hub.repo, "--once", "--post").exit_code == 0
    assert len(hub.comments_of(7, PERSON)) == 1
