"""Every rule's own examples, audited; and what every rule must say of itself."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from auditor.engine import audit
from auditor.verdict import LEVELS
from rules import catalogue
from rules.base import Example, Rule, summary_of, text_of
from rules.rulings import rulings
from tests.scripts import active, of_example

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.id}: {example.title}") for rule in catalogue() for example in rule.examples
]
each_rule = pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.id)

CATALOGUE = frozenset(
    """val-token-ttt two-pass-rescoring oracle-selection val-calibration ttt-warmup-on-val slot-scored-region
    slot-context-only ngram-target-in-key unnormalized-mixture target-gated-mixing cache-before-score ppm-byte-mixture
    bos-boundary-leak non-causal val-in-train external-data-or-network undecodable-order state-outside-artifact
    no-evaluation opaque-code broken-script score-first-ttt context-only-ngram pure-neural artifact-over-cap
    time-over-budget calibration-outside-budget missing-seeds mixed-config-seeds not-significant claim-log-mismatch
    byte-accounting partial-validation missing-evidence experiment-violation""".split()  # noqa: SIM905
)
"""Ids are part of the published interface: reports, suppressions and reviews name rules by them."""


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_an_example_is_what_it_says(rule: Rule, example: Example) -> None:
    report = audit(of_example(example), catalogue(), env=dict(example.env))
    hits = [finding for finding in active(report) if finding.rule == rule.id]
    if not example.fires:
        assert not [finding for finding in hits if rule.kind != "record" or finding.level == rule.level]
        return
    assert rule.level in {finding.level for finding in hits}
    if rule.kind == "violation" and rule.level == "flag":
        assert report.verdict == "flag"


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_a_finding_points_at_lines_of_the_example(rule: Rule, example: Example) -> None:
    report = audit(of_example(example), catalogue(), env=dict(example.env))
    files = {"train_gpt.py": example.code, **dict(example.files)}
    for finding in report.findings:
        lines = files[finding.file.rpartition("/")[2]].split("\n")
        assert 1 <= finding.line <= (finding.end_line or finding.line) <= len(lines)
        for step in (step for evidence in finding.evidence for step in evidence.path):
            lines = files[(step.file or finding.file).rpartition("/")[2]].split("\n")
            assert step.text == lines[step.line - 1].strip() != ""


@each_rule
def test_a_rule_shows_a_right_and_a_wrong_example(rule: Rule) -> None:
    if rule.kind == "experiment":
        pytest.skip("it is found by running scripts: tests/experiment/probe holds its examples")
    assert {example.fires for example in rule.examples} == {True, False}
    titles = [example.title for example in rule.examples]
    assert len(titles) == len(set(titles))


@each_rule
def test_an_example_without_a_violation_of_its_own_kind_is_a_whole_script(rule: Rule) -> None:
    for example in rule.examples:
        if not example.fires:
            ast.parse(example.code)


@each_rule
def test_the_text_of_a_rule_has_its_headings_in_order(rule: Rule) -> None:
    text = text_of(rule)
    helps = ["What helps"] if rule.kind in ("violation", "readability", "experiment") else []
    headings = re.findall(r"^(.+)\n-{3,}$", text, re.MULTILINE)
    assert headings == ["What it does", "Why it matters", *helps, "Limits"]
    summary, blank = text.splitlines()[:2]
    assert summary == summary_of(rule)
    assert summary.endswith(".")
    assert blank == ""
    sections = re.split(r"^.+\n-{3,}$", text, flags=re.MULTILINE)[1:]
    assert all(len(section.split()) >= 8 for section in sections)


@each_rule
def test_the_id_is_in_the_published_catalogue(rule: Rule) -> None:
    assert rule.id in CATALOGUE


def test_ids_are_unique() -> None:
    ids = [rule.id for rule in catalogue()]
    assert len(ids) == len(set(ids))


@each_rule
def test_the_module_is_named_after_the_rule(rule: Rule) -> None:
    module = inspect.getmodule(type(rule))
    assert module is not None
    assert Path(str(module.__file__)).stem == rule.id.replace("-", "_")


@each_rule
def test_what_a_rule_cites_is_recorded(rule: Rule) -> None:
    assert set(rule.rulings) <= set(rulings().rulings)
    assert rule.rulings or rule.kind == "readability"


@each_rule
def test_level_kind_and_conditions_agree(rule: Rule) -> None:
    assert rule.level in LEVELS
    assert set(rule.conditions) <= {"C1", "C2", "C3", "C4"}
    if rule.kind == "positive":
        assert rule.level == "note"
        assert not rule.conditions
    elif rule.kind == "record":
        assert rule.level in ("warning", "note")
        assert not rule.conditions
    elif rule.kind == "readability":
        assert rule.level == "hold"
        assert not rule.conditions
    else:
        assert rule.level in ("flag", "warning", "hold")
        assert rule.conditions


def test_violations_come_before_what_could_not_be_read_and_both_before_positive_classes() -> None:
    rank = {"violation": 0, "experiment": 0, "readability": 1, "record": 2, "positive": 3}
    kinds = [rank[rule.kind] for rule in catalogue()]
    assert kinds == sorted(kinds)
