"""A volunteer's queue against the fake: what is drafted, approved, posted, marked, and what is never written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.github.account import Account
from auditor.github.client import Client
from auditor.review import read_marker
from auditor.token import Token
from auditor.verdict import PgolfError, Unreachable
from auditor.watch import rounds
from auditor.watch.poll import poll
from auditor.watch.rounds import Watch, approve, listing
from auditor.watch.store import Store
from tests.github.conftest import SECRET
from tests.github.fake import PERSON, Fault, GitHub
from tests.watch.conftest import files_of

REPO = "golf/course"
ME = Account(PERSON["id"], PERSON["login"])


@pytest.fixture
def go_round(tmp_path: Path) -> Callable[..., list[str]]:
    """Go round once, as a new process would; returns what was said."""

    def go(post: bool = False) -> list[str]:
        said: list[str] = []
        with Store(tmp_path, REPO) as store:
            Watch(tmp_path, REPO, store, Client(Token(SECRET)), ME if post else None, said.append).round()
        return said

    return go


def states(folder: Path) -> dict[int, str]:
    with Store(folder, REPO) as store:
        return {row.number: row.state for row in store.rows()}


def test_from_a_new_head_to_an_approved_comment(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]
) -> None:
    said = go_round()
    assert states(tmp_path) == {1: "draft", 2: "skipped", 3: "draft"}
    assert "flag (ngram-target-in-key)" in said[0] and "skipped" in said[1]
    assert "ngram-target-in-key" in (tmp_path / "drafts" / "1.md").read_text()
    assert "skipped (not submissions)" in listing(tmp_path, REPO)

    approve(tmp_path, REPO, 1)
    go_round(post=False)
    assert states(tmp_path)[1] == "approved" and hub.writes() == []
    go_round(post=True)
    assert states(tmp_path) == {1: "posted", 2: "skipped", 3: "draft"}
    assert hub.comments_of(1, PERSON) == [(tmp_path / "drafts" / "1.md").read_text()]
    assert len(hub.comments) == 1, "only what was approved"


def test_a_round_without_news_is_one_request(hub: GitHub, go_round: Callable[..., list[str]]) -> None:
    go_round()
    before = len(hub.seen)
    assert go_round() == []
    assert [seen.status for seen in hub.seen[before:]] == [304]


def test_only_what_moved_is_read_again(hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]) -> None:
    go_round()
    hub.pull(3, "4" * 40, files_of("adapt_first"), updated_at="2026-05-02T00:00:00Z")
    (said,) = go_round()
    assert said.startswith("[1/1] 3: flag")


def test_a_posted_review_of_an_older_head_says_so_before_the_new_one_is_read(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]
) -> None:
    go_round()
    approve(tmp_path, REPO, 1)
    go_round(post=True)
    hub.pull(1, "5" * 40, files_of("chunked_sgd"), updated_at="2026-05-03T00:00:00Z")
    go_round(post=True)
    (body,) = hub.comments_of(1, PERSON)
    assert read_marker(body).stale == "5" * 40  # type: ignore[union-attr]
    assert states(tmp_path)[1] == "draft", "the new one waits for a person"
    writes = len(hub.writes())
    go_round(post=True)
    assert len(hub.writes()) == writes


def test_a_head_that_moves_after_the_approval_is_not_written_about(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_round()
    approve(tmp_path, REPO, 1)
    monkeypatch.setattr(rounds, "poll", lambda *args: 0)  # the list does not know yet
    hub.pull(1, "6" * 40, files_of("ngram_cache"))
    said = go_round(post=True)
    assert hub.comments == {} and "has moved" in said[0]
    assert states(tmp_path)[1] == "new"


def test_a_changed_draft_is_neither_approved_nor_posted(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]
) -> None:
    go_round()
    shown = tmp_path / "drafts" / "1.md"
    shown.write_text(shown.read_text() + "\nand more")
    with pytest.raises(PgolfError, match="was changed"):
        approve(tmp_path, REPO, 1)
    approve(tmp_path, REPO, 3)
    path = tmp_path / "drafts" / "3.json"
    data = json.loads(path.read_text())
    data["head"] = "9" * 40
    path.write_text(json.dumps(data))
    said = go_round(post=True)
    assert "not posted" in said[-1] and hub.comments == {}


def test_only_drafts_are_approved(hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]) -> None:
    with pytest.raises(PgolfError, match="no draft"):
        approve(tmp_path, REPO, 1)
    go_round()
    approve(tmp_path, REPO, 1)
    assert approve(tmp_path, REPO, 1).state == "approved", "twice is as good as once"
    go_round(post=True)
    with pytest.raises(PgolfError, match="is posted"):
        approve(tmp_path, REPO, 1)


def test_one_that_cannot_be_read_does_not_stop_the_others(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]
) -> None:
    hub.faults = [Fault(path="pulls/1$", status=404, body={"message": "Not Found"})]
    said = go_round()
    assert "failed" in said[0]
    assert states(tmp_path) == {1: "failed", 2: "skipped", 3: "draft"}
    go_round()
    assert states(tmp_path)[1] == "draft"


def test_a_github_that_is_down_stops_the_round_and_nothing_is_lost(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]
) -> None:
    hub.faults = [Fault(path="pulls/3$", status=500)]
    with pytest.raises(Unreachable):
        go_round()
    assert states(tmp_path) == {1: "draft", 2: "skipped", 3: "new"}
    go_round()
    assert states(tmp_path) == {1: "draft", 2: "skipped", 3: "draft"}


def test_a_kill_after_the_comment_and_before_it_was_noted_posts_nothing_twice(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_round()
    approve(tmp_path, REPO, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "posted", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            go_round(post=True)
    assert states(tmp_path)[1] == "approved" and len(hub.comments) == 1
    assert go_round(post=True) == ["1: comment unchanged"]
    assert states(tmp_path)[1] == "posted" and len(hub.comments) == 1


@pytest.mark.parametrize("request_number", [1, 6, 14])
def test_killed_in_the_middle_the_next_round_goes_on(
    hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]], request_number: int
) -> None:
    code = "import sys; from auditor.cli import main; sys.stdin.readline(); main()"
    words = ["watch", str(tmp_path), "--repo", REPO, "--once"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code, *words], cwd=root, stdin=subprocess.PIPE) as process:
        hub.faults = [Fault(after=request_number, kill=process.pid)]
        process.communicate(b"go\n")
    assert process.returncode == -signal.SIGKILL
    go_round()
    assert states(tmp_path) == {1: "draft", 2: "skipped", 3: "draft"}
    assert sorted(path.name for path in (tmp_path / "drafts").iterdir()) == ["1.json", "1.md", "3.json", "3.md"]


def test_closed_ones_leave_the_queue(hub: GitHub, tmp_path: Path, go_round: Callable[..., list[str]]) -> None:
    go_round()
    hub.pulls[1].update(state="closed", updated_at="2026-05-04T00:00:00Z")
    go_round()
    assert states(tmp_path)[1] == "closed"
    with pytest.raises(PgolfError, match="is closed"):
        approve(tmp_path, REPO, 1)


def test_the_list_is_read_only_down_to_where_it_was(hub: GitHub, tmp_path: Path) -> None:
    for number in range(10, 340):
        hub.pull(number, f"{number:040x}", updated_at=f"2026-04-01T00:{number % 60:02}:00Z")
    with Store(tmp_path, REPO) as store:
        client = Client(Token(SECRET))
        assert poll(client, REPO, store) == 333
        hub.pull(12, "e" * 40, updated_at="2026-05-05T00:00:00Z")
        before = len(hub.seen)
        assert poll(client, REPO, store) == 100
        assert len(hub.seen) == before + 1
        assert next(row.head for row in store.rows() if row.number == 12) == "e" * 40


def test_a_poll_that_is_cut_off_is_done_again(hub: GitHub, tmp_path: Path) -> None:
    for number in range(10, 140):
        hub.pull(number, f"{number:040x}")
    hub.faults = [Fault(path="/pulls$", after=1, status=404)]
    with Store(tmp_path, REPO) as store:
        with pytest.raises(PgolfError):
            poll(Client(Token(SECRET)), REPO, store)
        assert store.rows() == []
        assert poll(Client(Token(SECRET)), REPO, store) == 133
