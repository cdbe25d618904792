"""Whatever happens: at most one comment and one check run of ours, and the right content in the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditor.github import check_run, comment
from auditor.github.account import Account, own
from auditor.github.client import Client, Refused
from auditor.github.post import Moved, Posted, post
from auditor.review import read_marker
from auditor.verdict import PgolfError, Unreachable
from tests.github.conftest import HEAD, NEXT, Time, client_at, draft
from tests.github.fake import BOT, PERSON, Fault, GitHub

ME = Account(BOT["id"], BOT["login"])
Connect = Callable[[], Client]


def state(hub: GitHub, head: str = HEAD) -> tuple[list[str], list[dict]]:
    return hub.comments_of(7, hub.me), hub.shown_runs(head)


def assert_says(hub: GitHub, text: str, lines: tuple[int, ...] = (), head: str = HEAD) -> None:
    """One comment and one check run, with this text and annotations at these lines."""
    comments, runs = state(hub, head)
    assert len(comments) == 1 and text in comments[0]
    assert read_marker(comments[0]).head == head  # type: ignore[union-attr]
    assert read_marker(comments[0]).stale is None  # type: ignore[union-attr]
    (run,) = runs
    assert text in run["output"]["summary"] and run["status"] == "completed"
    assert sorted(note["start_line"] for note in hub.notes[run["id"]]) == sorted(lines)


def test_created_then_unchanged_then_updated(hub: GitHub, client: Client) -> None:
    assert post(client, ME, draft("One.", lines=(1,))) == Posted("created", "created", False, 0)
    assert_says(hub, "One.", (1,))
    writes = len(hub.writes())
    assert post(client, ME, draft("One.", lines=(1,))) == Posted("unchanged", "unchanged", False, 0)
    assert len(hub.writes()) == writes, "nothing changed, nothing is written"
    assert post(client, ME, draft("Two.", lines=(1, 2))) == Posted("updated", "updated", False, 0)
    assert_says(hub, "Two.", (1, 2))
    assert len(hub.comments) == len(hub.runs) == 1


def test_annotations_are_only_at_lines_of_the_diff(hub: GitHub, client: Client) -> None:
    posted = post(client, ME, draft(lines=(2, 3, 4, 400)))
    assert posted.left_out == 2
    (run,) = hub.runs.values()
    assert [note["start_line"] for note in hub.notes[run["id"]]] == [2, 3]
    assert "2 of the findings are at lines outside the diff" in run["output"]["summary"]


def test_many_annotations_go_in_batches(hub: GitHub, client: Client) -> None:
    hub.pull(7, HEAD, {"records/track/run/train_gpt.py": b"x\n" * 130})
    lines = tuple(range(1, 131))
    post(client, ME, draft(lines=lines))
    assert_says(hub, "It obeys.", lines)
    sizes = [len(seen.body["output"]["annotations"]) for seen in hub.writes() if "check-runs" in seen.path]
    assert sizes == [50, 50, 30]


def test_an_annotation_that_no_longer_holds_takes_a_new_check_run_in_place_of_the_old(
    hub: GitHub, client: Client
) -> None:
    post(client, ME, draft("One.", lines=(1, 2)))
    post(client, ME, draft("Two.", lines=(2,)))
    assert len(hub.runs) == 2, "annotations cannot be taken away"
    assert_says(hub, "Two.", (2,))


def test_a_moved_head_is_not_written_about(hub: GitHub, client: Client) -> None:
    hub.pull(7, NEXT)
    with pytest.raises(Moved, match="moved from aaaaaaaaaaaa to bbbbbbbbbbbb"):
        post(client, ME, draft())
    assert hub.writes() == []


def test_a_head_that_moves_while_we_read_is_seen(hub: GitHub, client: Client) -> None:
    def move(seen: object) -> None:
        if "/files" in seen.path:  # type: ignore[attr-defined]
            hub.pull(7, NEXT)

    hub.before = move
    with pytest.raises(Moved):
        post(client, ME, draft(lines=(1,)))
    assert hub.writes() == []


def test_the_verdict_of_an_old_head_is_marked_and_then_replaced(hub: GitHub, client: Client) -> None:
    post(client, ME, draft("Old."))
    hub.pull(7, NEXT)
    for _ in range(2):
        with pytest.raises(Moved):
            post(client, ME, draft("Old."))
    (body,) = hub.comments_of(7, BOT)
    assert "Stale" in body and read_marker(body).stale == NEXT  # type: ignore[union-attr]
    assert [seen.verb for seen in hub.writes()] == ["POST", "POST", "PATCH"], "marked once"
    post(client, ME, draft("New.", head=NEXT))
    assert_says(hub, "New.", head=NEXT)
    assert "Stale" not in hub.comments_of(7, BOT)[0]


def test_a_head_that_comes_back_takes_the_mark_away(hub: GitHub, client: Client) -> None:
    post(client, ME, draft("Old."))
    assert comment.mark_stale(client, hub.repo, 7, ME, NEXT)
    post(client, ME, draft("Old."))
    assert_says(hub, "Old.")


def test_a_comment_with_our_marker_by_another_account_is_left_alone(hub: GitHub, client: Client) -> None:
    forged = draft("APPROVED").review.body
    hub.comment(7, PERSON, forged)
    hub.comment(7, None, forged)  # of a deleted account
    assert not comment.mark_stale(client, hub.repo, 7, ME, NEXT)
    post(client, ME, draft("Real."))
    assert_says(hub, "Real.")
    assert hub.comments_of(7, PERSON) == hub.comments_of(7, None) == [forged]  # type: ignore[arg-type]


def test_a_comment_of_our_account_without_our_marker_is_left_alone(hub: GitHub, client: Client) -> None:
    hub.comment(7, BOT, "quoted:\n" + draft().review.body)
    post(client, ME, draft("Real."))
    assert len(hub.comments_of(7, BOT)) == 2
    assert hub.comments_of(7, BOT)[0].startswith("quoted:")


def test_a_check_run_of_another_app_with_our_name_and_mark_is_left_alone(hub: GitHub, client: Client) -> None:
    hub.me = {**BOT, "login": "other[bot]", "id": 9}
    post(client, Account(9, "other[bot]"), draft("Theirs."))
    hub.me = BOT
    post(client, ME, draft("Ours."))
    assert sorted(run["output"]["summary"] for run in hub.shown_runs(HEAD)) == ["Summary: Ours.", "Summary: Theirs."]


def test_our_comment_is_found_among_hundreds(hub: GitHub, client: Client) -> None:
    for n in range(150):
        hub.comment(7, PERSON, f"comment {n}")
    post(client, ME, draft("One."))
    post(client, ME, draft("Two."))
    assert_says(hub, "Two.")


def test_two_runs_at_once_leave_one_comment_in_the_end(hub: GitHub, client: Client) -> None:
    hub.comment(7, BOT, draft("One.").review.body)
    hub.comment(7, BOT, draft("One.").review.body)
    post(client, ME, draft("Two."))
    assert_says(hub, "Two.")


def test_a_persons_token_writes_no_check_run(hub: GitHub, client: Client) -> None:
    hub.me = PERSON
    account = own(client)
    assert account == Account(PERSON["id"], PERSON["login"])
    assert post(client, account, draft(lines=(1,))) == Posted("created", None, False, 0)
    assert not hub.runs and len(hub.comments_of(7, PERSON)) == 1


def test_an_apps_token_has_to_be_told_who_it_is(hub: GitHub, client: Client) -> None:
    with pytest.raises(PgolfError, match="--as"):
        own(client)
    assert own(client, BOT["login"]) == ME
    assert own(client, BOT["login"]).app == "pgolf-review"


def test_a_token_that_writes_as_somebody_else_takes_it_back(hub: GitHub, client: Client) -> None:
    for _ in range(2):
        with pytest.raises(PgolfError, match="writes as 'pgolf-review\\[bot\\]', not as 'somebody'"):
            post(client, Account(PERSON["id"], PERSON["login"]), draft())
    assert not hub.comments and not hub.runs


def test_the_label_of_the_verdict_replaces_ours_and_no_others(hub: GitHub, client: Client) -> None:
    hub.labels[7] = ["pgolf: clean", "bug", "pgolf-like"]
    assert post(client, ME, draft(), label=True).label
    assert hub.labels[7] == ["bug", "pgolf-like", "pgolf: flag"]
    assert not post(client, ME, draft(), label=True).label


def test_a_hint_is_in_the_check_run_only(hub: GitHub, client: Client) -> None:
    post(client, ME, draft(), hint="Not verified: smoke passes.")
    assert "Not verified" in hub.shown_runs(HEAD)[0]["output"]["summary"]
    assert "Not verified" not in hub.comments_of(7, BOT)[0]


def test_what_github_would_refuse_is_not_sent(hub: GitHub, client: Client) -> None:
    with pytest.raises(PgolfError, match="characters"):
        post(client, ME, draft("x" * 70_000))
    content = check_run.Content("neutral", "t", "s" * 66_000, ())
    with pytest.raises(PgolfError, match="too long"):
        check_run.settle(client, hub.repo, HEAD, "pgolf-review", content)
    assert hub.writes() == []


def test_a_locked_conversation_is_one_clear_line(hub: GitHub, client: Client) -> None:
    hub.faults = [Fault("POST", "comments", status=403, body={"message": "Issue is locked"})]
    with pytest.raises(Refused, match="Issue is locked"):
        post(client, ME, draft())


FAULTS = {
    "403 with Retry-After": {"status": 403, "headers": {"Retry-After": "3"}},
    "429": {"status": 429, "headers": {"Retry-After": "3"}},
    "secondary limit": {"status": 403, "body": {"message": "You have exceeded a secondary rate limit"}},
    "500 before": {"status": 500},
    "500 after": {"status": 500, "done": True},
    "cut": {"cut": True, "done": True},
    "cut before": {"cut": True},
}
LINES = tuple(range(1, 61))
WRITES = [("POST", "comments"), ("POST", "check-runs"), ("PATCH", "check-runs")]
READS = [("GET", "files"), ("GET", "pulls/7$"), ("GET", "comments"), ("GET", "check-runs")]


@pytest.mark.parametrize("verb, path", WRITES + READS, ids=lambda word: word)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_of_each_in_the_end_whatever_request_fails(
    hub: GitHub, client: Client, connect: Connect, verb: str, path: str, fault: str
) -> None:
    hub.pull(7, HEAD, {"records/track/run/train_gpt.py": b"x\n" * 60})
    hub.faults = [Fault(verb, path, **FAULTS[fault])]  # type: ignore[arg-type]
    post(client, ME, draft("One.", lines=LINES))
    assert hub.faults == [], "the fault was met"
    assert_says(hub, "One.", LINES)
    assert len(hub.runs) == 1
    hub.faults = [Fault("PATCH", "comments", **FAULTS[fault])]  # type: ignore[arg-type]
    post(connect(), ME, draft("Two.", lines=LINES))
    assert hub.faults == []
    assert_says(hub, "Two.", LINES)
    assert len(hub.runs) == 1
    writes = len(hub.writes())
    post(connect(), ME, draft("Two.", lines=LINES))
    assert len(hub.writes()) == writes


@pytest.mark.parametrize("status", [500, 429])
def test_a_server_that_stays_down_leaves_nothing_twice(
    hub: GitHub, client: Client, connect: Connect, status: int
) -> None:
    hub.faults = [Fault("POST", "comments", status=status) for _ in range(6)]
    with pytest.raises(Unreachable):
        post(client, ME, draft("One."))
    hub.faults = []
    post(connect(), ME, draft("One."))
    assert_says(hub, "One.")


def test_a_server_that_answers_no_question_is_asked_six_times(hub: GitHub, client: Client) -> None:
    hub.faults = [Fault("GET", "comments", cut=True) for _ in range(100)]
    with pytest.raises(Unreachable, match="did not answer"):
        post(client, ME, draft())
    assert sum("comments" in seen.path for seen in hub.seen) == 6 and hub.writes() == []


def test_a_timeout_after_the_comment_was_made_makes_no_second_one(
    hub: GitHub, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.github.client.TIMEOUT_S", 1)
    hub.faults = [Fault("POST", "comments", done=True, hang_s=1.3)]
    post(client_at(url, Time()), ME, draft("One."))
    assert hub.faults == []
    assert_says(hub, "One.")
