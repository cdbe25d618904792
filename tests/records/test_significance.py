"""Both verdicts: the published p-values of the accepted chain, the units, and what few runs cannot say."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.records.significance import Bar, applied_rule, nats_per_token, readme_rule
from rules.leaderboard import bar, load

ROWS = {row.pr: row for row in load().rows}
PUBLISHED = {(1514, 1493): 0.020, (1529, 1514): 0.001, (1769, 1736): 0.063}
"""(row, row before): p as the maintainers print it on the leaderboard."""


@pytest.mark.parametrize("pair", PUBLISHED)
def test_published_p_values_of_the_chain(pair: tuple[int, int]) -> None:
    row, before = (ROWS[number] for number in pair)
    assert round(applied_rule(row.scores, bar(before), row.bytes_per_token)["p"], 3) == PUBLISHED[pair]
    assert load().best_before(row.pr) == before


def test_the_last_row_rests_on_runs_that_no_log_shows() -> None:
    # the maintainers print 0.188, "with broader reproduction support"; the three logs alone do not carry that
    row = ROWS[1855]
    verdict = applied_rule(row.scores, bar(ROWS[1851]), row.bytes_per_token)
    assert verdict["p"] == pytest.approx(0.324, abs=5e-4)
    assert verdict["met"] is False


def test_the_required_gain_in_bits_per_byte() -> None:
    # 0.005 nats per token with the published tokenizers
    for per_token, bits in ((2.436, 0.00296), (3.157, 0.00228), (3.727, 0.00194)):
        assert readme_rule([1.0, 1.1], Bar("a", 1.2), per_token)["required_bpb"] == pytest.approx(bits, abs=6e-6)


@given(st.floats(0.5, 2), st.floats(1, 5))
def test_a_score_in_nats_per_token_and_back(score: float, per_token: float) -> None:
    assert nats_per_token(score, per_token) / (per_token * log(2)) == pytest.approx(score)


BAR = Bar("a", 1.1, (1.0995, 1.1000, 1.1005))


def test_both_rules_on_a_clear_and_on_a_small_gain() -> None:
    clear, small = (1.0895, 1.0900, 1.0905), (1.0980, 1.0990, 1.0995)
    assert (readme_rule(clear, BAR, 2.436)["met"], applied_rule(clear, BAR, 2.436)["met"]) == (True, True)
    assert (readme_rule(small, BAR, 2.436)["met"], applied_rule(small, BAR, 2.436)["met"]) == (False, True)
    assert applied_rule((1.1, 1.101, 1.102), BAR, 2.436)["met"] is False


def test_all_numbers_are_given() -> None:
    verdict = readme_rule((1.0980, 1.0990, 1.0995), BAR, 2.436)
    assert (verdict["n"], verdict["against"]["n"], verdict["test"]) == (3, 3, "welch")
    assert verdict["gain_nats"] == pytest.approx(verdict["gain_bpb"] * log(2) * 2.436, abs=1e-7)
    low, high = verdict["interval_nats"]
    assert low < verdict["gain_nats"] < high
    assert verdict["detectable_nats"] > verdict["required_nats"]


def test_one_run_can_fail_and_never_pass() -> None:
    assert applied_rule([1.2], BAR, 2.436)["met"] is False
    assert readme_rule([1.099], BAR, 2.436)["met"] is False
    for verdict in (applied_rule([0.9], BAR, 2.436), readme_rule([0.9], BAR, 2.436)):
        assert verdict["met"] is None
        assert "one run" in verdict["reason"]
        assert "p" not in verdict


def test_without_a_loss_there_are_no_nats() -> None:
    assert readme_rule([0.9, 0.91], BAR, None)["met"] is None
    verdict = applied_rule([0.9, 0.91], BAR, None)
    assert (verdict["met"], verdict["gain_nats"], verdict["interval_nats"]) == (True, None, None)


def test_runs_that_are_the_same_to_the_last_digit_are_no_sample() -> None:
    assert applied_rule([0.9, 0.9], Bar("a", 1.1), 2.436)["met"] is None


def test_more_runs_detect_less() -> None:
    few, many = [1.0, 1.001, 1.002], [1.0, 1.001, 1.002] * 3
    assert applied_rule(many, BAR, 2.4)["detectable_bpb"] < applied_rule(few, BAR, 2.4)["detectable_bpb"]
