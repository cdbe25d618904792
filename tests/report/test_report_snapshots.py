"""What readers see, word for word: rendered reports and rule pages. Update with `pytest --snapshot-update`."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from auditor.report import render
from auditor.report.explain import explain, rules_table
from auditor.report.tool import version
from rules.rulings import rulings
from tests.report.report_rules import RULES
from tests.report.report_samples import ALL

CASES = [(kind, fmt) for kind in sorted(ALL) for fmt in ("text", "markdown", "github")]
CASES += [("flag", "json"), ("flag", "sarif")]


@pytest.mark.parametrize(("kind", "fmt"), CASES)
def test_rendered_report(kind: str, fmt: str, snapshot: SnapshotAssertion) -> None:
    printed = render([ALL[kind]], fmt, rules=RULES, rulings=rulings(), color=False, width=None)
    assert printed.replace(version(), "VERSION") == snapshot


def test_rule_page(snapshot: SnapshotAssertion) -> None:
    assert explain(RULES[1], rulings()) == snapshot


def test_rule_list(snapshot: SnapshotAssertion) -> None:
    assert rules_table(RULES) == snapshot
