from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.verdict import PgolfError
from auditor.watch.store import MAX_TRIES, Lock, Seen, Store

A, B = "a" * 40, "b" * 40


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Store(tmp_path, "golf/course") as store:
        yield store


def state_of(store: Store, number: int = 7) -> str:
    return next(row.state for row in store.rows() if row.number == number)


def drafted(store: Store, head: str = A, digest: str = "d" * 16) -> None:
    store.saw([Seen(7, head, True)], {})
    store.drafted(7, head, "tool", "flag", "a-rule", digest)


def test_from_new_to_posted(store: Store) -> None:
    store.saw([Seen(7, A, True)], {})
    assert store.unread() == [7]
    store.drafted(7, A, "tool", "flag", "a-rule", "d" * 16)
    assert store.unread() == []
    assert store.approve(7, "d" * 16) is not None
    store.posted(7, A)
    assert state_of(store) == "posted" and store.outlived() == []


def test_only_the_draft_that_was_read_is_approved(store: Store) -> None:
    drafted(store, digest="d" * 16)
    assert store.approve(7, "e" * 16) is None
    assert state_of(store) == "draft"
    store.drafted(7, A, "tool", "clean", "pure-neural", "e" * 16)
    assert store.approve(7, "d" * 16) is None, "it was replaced while somebody read it"


@pytest.mark.parametrize("state", ["draft", "approved", "posted"])
def test_a_moved_head_is_new_and_its_approval_is_gone(store: Store, state: str) -> None:
    drafted(store)
    if state != "draft":
        store.approve(7, "d" * 16)
    if state == "posted":
        store.posted(7, A)
    store.saw([Seen(7, A, True)], {})
    assert state_of(store) == state, "the same head changes nothing"
    store.saw([Seen(7, B, True)], {})
    assert state_of(store) == "new"
    assert [row.number for row in store.outlived()] == ([7] if state == "posted" else [])
    store.marked(7, B)
    assert store.outlived() == []


def test_closed_and_opened_again(store: Store) -> None:
    drafted(store)
    store.saw([Seen(7, A, False), Seen(8, A, False)], {})
    assert state_of(store) == "closed"
    assert len(store.rows()) == 1, "what was closed all the time is of no interest"
    store.saw([Seen(7, A, True)], {})
    assert state_of(store) == "new"


def test_a_failure_is_tried_again_but_not_for_ever(store: Store) -> None:
    store.saw([Seen(7, A, True)], {})
    for _ in range(MAX_TRIES):
        assert store.unread() == [7]
        store.failed(7, "tool", "no")
    assert store.unread() == []
    store.saw([Seen(7, B, True)], {})
    assert store.unread() == [7]


def test_a_new_tool_reads_drafts_again_but_not_what_was_approved(store: Store) -> None:
    drafted(store)
    store.outdate("tool")
    assert state_of(store) == "draft"
    store.outdate("newer")
    assert state_of(store) == "new"
    drafted(store, digest="f" * 16)
    store.approve(7, "f" * 16)
    store.outdate("newest")
    assert state_of(store) == "approved"


def test_what_was_seen_is_taken_in_together_with_up_to_where(tmp_path: Path) -> None:
    with Store(tmp_path, "golf/course") as store:
        with pytest.raises(Exception, match="NOT NULL"):
            store.saw([Seen(1, A, True), Seen(2, None, True)], {"until": "now"})  # type: ignore[arg-type]
        assert store.rows() == [] and store.fact("until") is None


def test_a_folder_is_of_one_repository(tmp_path: Path) -> None:
    Store(tmp_path, "golf/course").__exit__()
    with pytest.raises(PgolfError, match="watches golf/course"):
        Store(tmp_path, "golf/other")


def test_a_folder_of_another_version_or_of_something_else_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path, "golf/course") as store:
        store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(PgolfError, match="another version"):
        Store(tmp_path, "golf/course")
    (tmp_path / "queue.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(PgolfError, match="not a database"):
        Store(tmp_path, "golf/course")


def test_one_watch_at_a_time(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from auditor.watch.store import Lock; Lock(Path(sys.argv[1]))"
    root = Path(__file__).resolve().parents[2]
    with Lock(tmp_path):
        found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True)
        assert "another pgolf watch is at work" in found.stderr
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root).returncode == 0


STEPS = st.sampled_from(["A", "B", "closed", "draft", "approve", "post", "fail", "skip", "mark", "tool"])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=14))
def test_nothing_is_ever_posted_that_was_not_approved_at_that_head(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """The watch posts rows that are `approved`: such a row always has the head and digest of that approval."""
    approved = None
    with Store(tmp_path_factory.mktemp("queue"), "golf/course") as store:
        head = A
        for step in ["A", *steps]:
            if step in ("A", "B"):
                head = {"A": A, "B": B}[step]
                store.saw([Seen(7, head, True)], {})
            elif step == "closed":
                store.saw([Seen(7, head, False)], {})
            elif step == "draft" and store.unread():
                store.drafted(7, head, "tool", "flag", "a-rule", head[:16])
            elif step == "approve" and store.approve(7, head[:16]):
                approved = head
            elif step == "fail" and store.unread():
                store.failed(7, "tool", "no")
            elif step == "skip" and store.unread():
                store.skipped(7, head, "tool", "not a submission")
            elif step == "tool":
                store.outdate("newer")
            for row in store.rows("approved"):
                assert (row.head, row.digest) == (approved, approved[:16])  # type: ignore[index]
                if step == "post":
                    store.posted(7, row.head)
