"""`pgolf explain` and `pgolf rules`."""

from __future__ import annotations

import json

import pytest

from auditor.report import rule_text
from auditor.report.explain import explain, explain_json, find, rules_json, rules_table
from auditor.verdict import PgolfError
from rules.base import Example
from rules.rulings import rulings
from tests.report.report_rules import RULES

RULINGS = rulings()
TARGET_IN_KEY = find(RULES, "ngram-target-in-key")


def test_a_rule_is_explained_with_text_examples_pattern_rulings_and_limits() -> None:
    text = explain(TARGET_IN_KEY, RULINGS)
    parts = [
        "ngram-target-in-key  flag  breaks C1 (causality), C2 (normalisation)",
        "The token that is being scored is part of the key",
        "What it does",
        "  - an address computed from it",
        "Why it matters",
        "Wrong: the scored token is in the key",
        "  run with CACHE=1",
        "    key = fold(context, token)",
        "Right: only the context is in the key",
        "The legal pattern",
        "  context-only-ngram: ",
        "    https://github.com/openai/parameter-golf/pull/1514",
        "Who ruled",
        "    https://github.com/openai/parameter-golf/pull/779#issuecomment-4145781641",
        "date not on record",
        "Limits",
    ]
    positions = [text.find(part) for part in parts]
    assert positions == sorted(positions) and positions[0] == 0
    assert all(len(line) <= 80 or line.lstrip().startswith("https://") for line in text.splitlines())


def test_long_examples_are_shown_where_they_differ_with_their_headers() -> None:
    class Long(type(TARGET_IN_KEY)):
        prefix = "".join(f"a{n} = {n}\n" for n in range(30))
        wrong = "def f():\n    x = 1\n    for t in ts:\n        y = 2\n        train(t)\n        score(t)\n"
        right = wrong.replace("        train(t)\n", "")
        examples = (Example("w", prefix + wrong, True), Example("r", prefix + right, False))

    lines = [line.strip() for line in explain(Long(), RULINGS).splitlines()]
    start = lines.index("Wrong: w")
    assert lines[start + 1 : start + 6] == ["...", "def f():", "x = 1", "for t in ts:", "y = 2"]
    assert "a29 = 29" not in lines


def test_a_rule_is_explained_as_json() -> None:
    data = json.loads(explain_json(TARGET_IN_KEY, RULINGS))
    assert data["id"] == "ngram-target-in-key"
    assert data["rulings"][0]["date"] == "2026-03-27"
    assert data["rulings"][1]["date"] is None
    assert data["legal_pattern"]["class"] == "context-only-ngram"
    assert [example["fires"] for example in data["examples"]] == [True, False]


def test_an_unknown_rule_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PgolfError, match="no rule is called 'x'; known rules: ngram-target-in-key, score-first-ttt"):
        find(RULES, "x")


def test_the_list_of_rules_has_violations_before_positive_classes() -> None:
    lines = rules_table(RULES).splitlines()
    assert lines[0].split()[:3] == ["rule", "level", "breaks"]
    assert lines[1].startswith("ngram-target-in-key  flag   C1 C2")
    assert any(line.startswith("score-first-ttt      legal  -") for line in lines)
    assert all(len(line) <= 80 for line in lines)
    assert [row["id"] for row in json.loads(rules_json(RULES))] == ["ngram-target-in-key", "score-first-ttt"]


@pytest.mark.parametrize("heading", ["Limits", "## Limits", "*Limits*", "**Limits.**", "Limits:", "LIMITS\n------"])
def test_headings_are_found_however_they_are_marked(heading: str) -> None:
    text = rule_text.parse(f"Summary.\n\nIntroduction.\n\n{heading}\nNone known.\n\nMore.")
    assert text.summary == "Summary."
    assert text.sections == (("", "Introduction."), ("Limits", "None known.\n\nMore."))


def test_a_rule_without_text_has_empty_parts() -> None:
    assert rule_text.parse("").summary == ""
