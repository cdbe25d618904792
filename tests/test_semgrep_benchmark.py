"""The benchmark against Semgrep without Semgrep: what is compared, and what is said when it is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from auditor.submission.mirror import Mirror
from benchmarks.semgrep import __main__ as benchmark
from tests.forge import Forge

FOLDER = b"records/track_10min_16mb/2026-01-01_x"
FILES = {
    FOLDER + b"/train_gpt.py": b"val_bpb = 1\nloss.backward()\n",
    FOLDER + b"/submission.json": b'{"val_bpb": 1.1}',
}


def test_without_semgrep_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["semgrep", "--mirror", "x", "--labels", "y", "--semgrep", "no-such-program"])
    benchmark.main()
    assert "skipped: there is no no-such-program. To get it: python -m venv" in capsys.readouterr().err


def test_labels_of_other_patterns_are_left_out(forge: Forge) -> None:
    forge.ref("heads/main", base := forge.commit({b"README.md": b"rules"}))
    heads = {number: forge.commit({b"README.md": b"rules", **FILES}, base) for number in range(1, 7)}
    for number, head in heads.items():
        forge.pull(number, head)

    def label(pr: int, verdict: str, *rules: str, tier: str = "A") -> dict[str, object]:
        head = heads[pr]
        return {"pr": pr, "head": head, "verdict": verdict, "rules": rules, "tier": tier, "aspect": "legality"}

    labels = [
        label(1, "clean"),
        label(2, "flag", "val-token-ttt"),
        label(3, "flag", "slot-scored-region"),
        label(4, "hold"),
        label(5, "clean", tier="C"),
        {**label(6, "clean"), "head": "f" * 40},
    ]
    with Mirror(forge.gitdir) as mirror:
        assert {one["pr"] for one, _ in benchmark.chosen(labels, 100, mirror)} == {1, 2}
        assert len(benchmark.chosen(labels, 1, mirror)) == 1


def test_what_semgrep_does_not_match_counts_as_clean() -> None:
    cases = [({"pr": pr, "verdict": "flag" if pr < 3 else "clean"}, None) for pr in range(5)]
    assert benchmark.figures(cases, {0: "flag", 1: "hold", 3: "flag"})[2:] == (1, 1, 1, 1)  # type: ignore[arg-type]


def test_there_is_a_rule_for_each_seed_pattern() -> None:
    assert {path.stem for path in Path(benchmark.RULES).glob("*.yml")} == {*benchmark.PATTERNS, "score-first-ttt"}
