"""The record of rulings: complete, well formed, and never citing what was not ruled."""

from __future__ import annotations

import pytest

from auditor.report.tool import RULESET
from rules.rulings import parse, rulings

RULES = {
    "val-token-ttt", "two-pass-rescoring", "oracle-selection", "val-calibration", "ttt-warmup-on-val",
    "slot-scored-region", "slot-context-only", "ngram-target-in-key", "unnormalized-mixture", "target-gated-mixing",
    "cache-before-score", "ppm-byte-mixture", "bos-boundary-leak", "non-causal", "val-in-train",
    "external-data-or-network", "undecodable-order", "state-outside-artifact", "no-evaluation", "opaque-code",
    "broken-script", "artifact-over-cap", "time-over-budget", "calibration-outside-budget", "missing-seeds",
    "mixed-config-seeds", "not-significant", "claim-log-mismatch", "byte-accounting", "partial-validation",
    "missing-evidence",
}  # fmt: skip
CLASSES = {"score-first-ttt", "context-only-ngram", "pure-neural"}
# Held to no ruling: they are about our own ability to read the code.
UNRULED = {"opaque-code", "broken-script", "no-evaluation"}

BOOK = rulings()
RULING = """
ruleset = 2026-05-02
[[ruling]]
id = "pr1"
who = "x"
role = "maintainer"
url = "https://github.com/openai/parameter-golf/pull/1"
says = "s"
establishes = ["val-token-ttt"]
trust = "comment"
[[pattern]]
class = "pure-neural"
says = "s"
contrasts = []
[[precedent]]
pr = 2
class = "pure-neural"
date = 2026-03-30
url = "https://github.com/openai/parameter-golf/pull/2"
note = "n"
"""


def test_rulings_establish_known_rules_and_classes_only() -> None:
    for ruling in BOOK.rulings.values():
        assert ruling.establishes and set(ruling.establishes) <= RULES | CLASSES, ruling.id
    for pattern in BOOK.patterns:
        assert pattern.cls in CLASSES and set(pattern.contrasts) <= RULES, pattern.cls


def test_every_rule_that_judges_a_submission_rests_on_a_ruling() -> None:
    established = {name for ruling in BOOK.rulings.values() for name in ruling.establishes}
    assert established | UNRULED == RULES | CLASSES


@pytest.mark.parametrize("rule", ["val-token-ttt", "two-pass-rescoring", "ngram-target-in-key", "unnormalized-mixture"])
def test_rules_that_flag_have_a_maintainer_s_ruling_and_a_legal_pattern(rule: str) -> None:
    assert any(r.role != "community" for r in BOOK.rulings.values() if rule in r.establishes)
    pattern = BOOK.pattern_for(rule)
    assert pattern is not None and BOOK.precedents_for(pattern.cls)


def test_every_class_has_a_pattern_and_an_accepted_row() -> None:
    for cls in CLASSES:
        assert BOOK.pattern_for(cls) is not None
        assert BOOK.precedents_for(cls)


def test_no_rule_is_answered_by_two_patterns() -> None:
    answered = [rule for pattern in BOOK.patterns for rule in pattern.contrasts]
    assert len(answered) == len(set(answered))


def test_ids_name_the_place_that_the_link_points_at() -> None:
    for ruling in BOOK.rulings.values():
        kind, _, rest = ruling.id.partition("-")
        if kind.startswith("pr"):
            comment = f"#issuecomment-{rest[1:]}" if rest else ""
            assert ruling.url.endswith(f"/pull/{kind[2:]}{comment}")
        elif kind.startswith("issue"):
            assert ruling.url.endswith(f"/issues/{kind[5:]}")
        else:
            assert ruling.role == "readme"
    for precedent in BOOK.precedents:
        assert precedent.url.endswith(f"/pull/{precedent.pr}")


def test_rows_that_were_cited_by_mistake_are_not_precedents_nor_rulings() -> None:
    assert not {1416, 1423, 1376} & {p.pr for p in BOOK.precedents}
    assert not {"pr1416", "pr1423", "pr1376"} & set(BOOK.rulings)


def test_community_voices_are_marked_as_such() -> None:
    for ruling in BOOK.rulings.values():
        assert (ruling.role == "community") == (ruling.trust == "community"), ruling.id


def test_our_words_are_short_and_mention_nobody() -> None:
    texts = (
        [r.says for r in BOOK.rulings.values()] + [p.says for p in BOOK.patterns] + [p.note for p in BOOK.precedents]
    )
    for says in texts:
        assert "@" not in says and "#" not in says and len(says) < 320, says
    for ruling in BOOK.rulings.values():
        assert ruling.says.endswith(".") and ruling.says[0].isupper(), ruling.id


def test_the_rule_set_of_the_reports_is_the_day_of_the_latest_ruling() -> None:
    days = [r.date for r in BOOK.rulings.values() if r.date]
    assert BOOK.ruleset == max(days)
    assert BOOK.ruleset.isoformat() == RULESET


def test_cited_rulings_come_in_the_order_asked_for_without_unknown_ones() -> None:
    assert [r.id for r in BOOK.cited(("pr549", "nowhere", "issue677"))] == ["pr549", "issue677"]


def test_dates_are_told_with_their_uncertainty() -> None:
    assert BOOK.rulings["issue677"].when == "2026-03-27"
    assert BOOK.rulings["pr659"].when == "by 2026-03-24"
    assert BOOK.rulings["pr993"].when == "date not on record"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("/pull/1\"", "/pull/1?x\"", "not a link"),
        ("https://github.com/openai/parameter-golf/pull/2", "https://evil.example/2", "not a link"),
        ('role = "maintainer"', 'role = "king"', "not known"),
        ('trust = "comment"', 'trust = "hearsay"', "not known"),
        ('who = "x"', 'whom = "x"', "whom"),
        ("[[pattern]]", RULING.partition("[[pattern]]")[0].partition("05-02")[2] + "[[pattern]]", "twice"),
    ],
)  # fmt: skip
def test_a_defect_in_the_file_is_refused(old: str, new: str, complaint: str) -> None:
    assert parse(RULING).rulings["pr1"].short == "PR 1"
    with pytest.raises(ValueError, match=complaint):
        parse(RULING.replace(old, new))
