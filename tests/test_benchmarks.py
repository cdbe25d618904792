"""The parts of the benchmarks that decide what is measured."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import Score, evidence, score, summary
from benchmarks.corpus import chosen


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A repository with the heads of pull requests 1 to 20, and other refs."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "root"], check=True)
    refs = [f"refs/pull/{n}/head" for n in range(1, 21)] + ["refs/pull/5/merge", "refs/heads/other"]
    for ref in refs:
        subprocess.run([*git, "update-ref", ref, "HEAD"], check=True)
    return tmp_path


def test_without_a_list_every_head_is_taken(mirror: Path) -> None:
    assert chosen(mirror, "", None) == list(range(1, 21))


def test_a_sample_is_the_same_on_every_run(mirror: Path) -> None:
    sample = chosen(mirror, "", 6)
    assert sample == chosen(mirror, "", 6)
    assert len(set(sample)) == 6
    assert set(sample) <= set(range(1, 21))


def test_a_sample_larger_than_the_list_is_the_list(mirror: Path) -> None:
    assert chosen(mirror, "1-3", 10) == [1, 2, 3]


# Accuracy.


def label(pr: int, verdict: str, *rules: str, tier: str = "A", aspect: str = "legality", **more: Any) -> dict[str, Any]:
    head = f"{pr:040}"
    return {"pr": pr, "head": head, "aspect": aspect, "verdict": verdict, "rules": [*rules], "tier": tier, **more}


def report(pr: int, verdict: str, *findings: tuple[str, str], cls: str = "pure-neural") -> dict[str, Any]:
    step = {"line": 7, "text": "loss.backward()", "note": "trains", "function": "f"}
    found = [
        {"rule": rule, "level": level, "line": 7, "message": "why", "evidence": [{"path": [step]}]}
        for rule, level in findings
    ]
    return {"target": {"pr": pr, "head": f"{pr:040}"}, "verdict": verdict, "class": cls, "findings": found}


def scored(*pairs: tuple[dict[str, Any], dict[str, Any]], tiers: str = "AB") -> Score:
    return score([one for one, _ in pairs], {other["target"]["pr"]: other for _, other in pairs}, tiers)


FLAG = ("val-token-ttt", "flag")


def test_recall_counts_errors_and_leaves_holds_out() -> None:
    figures = scored(
        (label(1, "flag", "val-token-ttt"), report(1, "flag", FLAG)),
        (label(2, "flag", "val-token-ttt"), report(2, "error", ("opaque-code", "hold"))),
        (label(3, "flag", "val-token-ttt"), report(3, "hold", ("opaque-code", "hold"))),
        (label(4, "clean"), report(4, "flag", FLAG)),
        (label(5, "clean"), report(5, "clean")),
        (label(6, "clean"), report(6, "hold", cls="not-a-submission")),
    ).figures()
    assert (figures["scored"], figures["recall"], figures["precision"]) == (6, 0.5, 0.5)
    assert figures["hold_rate"] == round(1 / 6, 4)


def test_a_record_rule_decides_nothing_about_legality() -> None:
    result = scored((label(1, "clean"), report(1, "flag", ("artifact-over-cap", "flag"))))
    assert result.outcomes == {("clean", "clean"): 1}
    result = scored((label(1, "flag", "artifact-over-cap", aspect="record"), report(1, "clean")))
    assert result.figures()["record_recall"] == {"artifact-over-cap": "0/1"}
    assert len(result.disagreements) == 1


def test_a_neighbouring_rule_is_of_the_family_and_another_is_not() -> None:
    for named, right in (("two-pass-rescoring", True), ("ngram-target-in-key", False)):
        assert scored((label(1, "flag", named), report(1, "flag", FLAG))).family == [right]


def test_labels_of_other_tiers_and_heads_do_not_count() -> None:
    pairs = [(label(1, "flag", tier="C"), report(1, "flag", FLAG)), (label(2, "flag"), report(2, "flag", FLAG))]
    assert scored(*pairs).figures()["scored"] == 1
    pairs[1][1]["target"]["head"] = "f" * 40
    assert scored(*pairs).figures()["skipped"] == 1


def test_accepted_rows_that_are_flagged_are_counted() -> None:
    pairs = [(label(n, "clean", accepted=True), report(n, "flag", *[FLAG] * (n == 1))) for n in (1, 2, 3)]
    assert scored(*pairs).figures()["accepted_flagged"] == "1/3"


def test_a_disagreement_is_shown_with_its_lines() -> None:
    result = scored((label(4, "clean", note="scored first", cls="score-first-ttt"), report(4, "flag", FLAG)))
    (wrong,) = result.disagreements
    assert evidence(*wrong).splitlines() == [
        "#4 [A] label: clean; report: flag (pure-neural)",
        "  label says: scored first",
        "  flag val-token-ttt L7: why",
        "    L7 loss.backward()  trains",
    ]
    assert "| score-first-ttt | 1 |" in summary(result)
    assert "| val-token-ttt | 0 | 0 | 1 |" in summary(result)
