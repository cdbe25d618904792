"""The marker by which a review is found again, the digest, and the note on a review that has gone stale."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.review import Marker, Review, read_marker, render, stale
from auditor.verdict import Report
from rules.rulings import rulings
from tests.report.hostile import reports, text
from tests.report.report_rules import RULES
from tests.report.report_samples import ALL, CLEAN, FLAG, HEAD, NGRAM

NEW = "f" * 40
COMMITS = st.text("0123456789abcdef", min_size=40, max_size=40)


def review(report: Report, stale_since: str | None = None) -> Review:
    return render(report, rules=RULES, rulings=rulings(), stale_since=stale_since)


@pytest.mark.parametrize("kind", sorted(ALL))
def test_the_first_line_says_which_commit_was_judged_and_what_was_found(kind: str) -> None:
    made = review(ALL[kind])
    assert read_marker(made.body) == Marker(ALL[kind].target.head, made.digest)


@given(reports)
def test_every_review_has_a_marker(report: Report) -> None:
    made = review(report)
    assert read_marker(made.body) == Marker(report.target.head, made.digest)


@given(text)
def test_text_without_a_marker_is_no_review(text: str) -> None:
    assert read_marker(text) is None
    with pytest.raises(ValueError, match="not a review"):
        stale(text, NEW)


@pytest.mark.parametrize("body", ["<!-- pgolf:review v1 head=none digest=0 -->", "x <!-- pgolf:review v1 -->", ""])
def test_a_line_that_only_looks_like_a_marker_is_none(body: str) -> None:
    assert read_marker(body) is None


@given(COMMITS, COMMITS)
def test_a_stale_review_names_the_commit_that_took_its_place(first: str, second: str) -> None:
    made = review(FLAG)
    once = stale(made.body, first)
    assert read_marker(once) == Marker(HEAD, made.digest, first)
    assert f"The pull request has moved to `{first[:12]}`" in once
    assert once.endswith(made.body.partition("\n\n")[2])
    assert stale(once, second) == stale(made.body, second)
    assert stale(once.replace("\n", "\r\n"), second) == stale(made.body, second)


def test_a_review_can_be_rendered_stale() -> None:
    assert review(FLAG, stale_since=NEW).body == stale(review(FLAG).body, NEW)


def test_only_a_commit_id_makes_a_review_stale() -> None:
    with pytest.raises(ValueError, match="not a commit id"):
        stale(review(FLAG).body, "main -->")


def test_the_digest_follows_the_facts_and_nothing_else() -> None:
    digest = review(FLAG).digest
    assert review(dataclasses.replace(FLAG, timings_ms={"parse": 1e9})).digest == digest
    assert review(dataclasses.replace(FLAG, findings=FLAG.findings[::-1])).digest == digest
    for other in (
        dataclasses.replace(FLAG, target=dataclasses.replace(FLAG.target, head="0" * 40)),
        dataclasses.replace(FLAG, findings=(dataclasses.replace(NGRAM, line=6),)),
        dataclasses.replace(FLAG, claims=dataclasses.replace(FLAG.claims, val_bpb=1.0)),
        dataclasses.replace(FLAG, verdict="hold"),
    ):
        assert review(other).digest != digest


def test_the_check_run_speaks_in_our_words_alone() -> None:
    made = review(FLAG)
    assert made.title == "flag: ngram-target-in-key"
    assert made.summary == f"flag: ngram-target-in-key; 1 flag. Read at commit `{HEAD[:12]}`."
    assert review(CLEAN).title == "looks clean by these checks, at this commit: score-first-ttt"
    assert review(CLEAN).summary == f"{review(CLEAN).title}; nothing to look at. Read at commit `{HEAD[:12]}`."
    (note,) = made.annotations
    assert (note.path, note.line, note.level) == (NGRAM.file, 5, "failure")
    assert note.title == "ngram-target-in-key (on by the script's defaults)"
