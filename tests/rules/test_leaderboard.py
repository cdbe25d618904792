"""The accepted rows that are shipped, the script that writes them, and `pgolf leaderboard`."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.records.statistics import mean
from auditor.submission.model import Submission
from benchmarks.leaderboard import as_toml, entries, with_runs
from rules.base import Example
from rules.leaderboard import Row, load
from rules.records.samples import CODE, SOUND
from tests.scripts import of_example


def test_rows_stand_in_the_order_of_their_scores() -> None:
    for track in ("record", "non-record"):
        scores = [row.score for row in load().rows if row.track == track]
        assert scores == sorted(scores)
        assert len(scores) > 10


def test_runs_give_the_printed_score() -> None:
    for row in load().rows:
        assert len(row.seeds) == len(row.scores) == len(set(row.seeds))
        if row.scores:
            printed = 10.0 ** -len(str(row.score).partition(".")[2])
            assert min(abs(score - row.score) for score in (mean(row.scores), min(row.scores))) < printed


def test_bytes_per_token_are_those_of_the_published_tokenizers() -> None:
    known = (2.436, 3.157, 3.320, 3.727)
    ratios = {row.bytes_per_token for row in load().rows if row.track == "record" and row.bytes_per_token}
    assert all(min(abs(ratio - right) for right in known) < 0.007 for ratio in ratios)


@pytest.mark.parametrize("pr", [39, 290, 1092, 2149, None])
def test_the_bar_is_the_best_row_that_was_opened_before(pr: int | None) -> None:
    best = load().best_before(pr)
    assert best.track == "record"
    assert pr is None or best.pr is None or best.pr < pr
    earlier = [r for r in load().rows if r.track == "record" and (pr is None or r.pr is None or r.pr < pr)]
    assert best.score == min(row.score for row in earlier)


def test_the_bar_only_rises() -> None:
    bars = [load().best_before(pr).score for pr in range(1, 2150)]
    assert all(later <= earlier for earlier, later in pairwise(bars))


README = """\
## Leaderboard
| Run | Score | Author | Summary | Date | Info |
|-----|------:|--------|---------|------|------|
| One | 1.2198 | a | b | 2026-03-20 | [info](https://example.org/pull/12), [runs](https://example.org/pull/34) |
| Two | 1.2244 | a | b | 2026-03-18 | [info](records/track_10min_16mb/two/README.md) |
#### Notable Non-Record Runs
| Three | 1.3 | a | On PR #56 commit abcdef01: c | 2026-03-18 | [info](https://example.org/pull/56) |
"""


def test_rows_are_read_from_the_tables_of_a_readme() -> None:
    found = list(entries(README))
    day = date(2026, 3, 18)
    assert [entry.row for entry in found] == [
        Row(1.2198, date(2026, 3, 20), "record", pr=12, evidence=34),
        Row(1.2244, day, "record"),
        Row(1.3, day, "non-record", pr=56),
    ]
    assert [entry.folder for entry in found] == [None, "records/track_10min_16mb/two", None]
    assert [entry.commit for entry in found] == [None, None, "abcdef01"]


def miniature() -> Submission:
    return of_example(Example("", CODE, False, files=tuple(SOUND.items())))


def test_a_row_takes_its_runs_from_the_logs() -> None:
    row = with_runs(Row(1.2198, date(2026, 3, 20), "record", pr=12), miniature())
    assert row.seeds == (7, 42, 1337)
    assert row.scores == (1.2203, 1.2197, 1.2194)
    assert row.bytes_per_token == pytest.approx(2.4359, abs=1e-4)
    assert tomllib.loads(as_toml(row))["row"][0]["scores"] == list(row.scores)


def test_runs_that_do_not_give_the_printed_score_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_runs(Row(1.1, date(2026, 3, 20), "record", pr=12), miniature()).scores == ()
    assert "PR 12: runs do not give 1.1" in capsys.readouterr().err


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["leaderboard", *words])
    assert result.exit_code == 0
    return result.stdout


def test_the_command_lists_one_track_or_all() -> None:
    tracks = {
        word: json.loads(run("--track", word, "--format", "json"))["rows"] for word in ("record", "non-record", "all")
    }
    assert tracks["record"] + tracks["non-record"] == tracks["all"]
    assert {row["track"] for row in tracks["record"]} == {"record"}
    assert len(run().splitlines()) == len(tracks["record"]) + 3
    assert max(map(len, run().splitlines())) <= 80
