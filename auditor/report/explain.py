"""`pgolf explain RULE` and `pgolf rules`: rules for readers, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.text import Text

from auditor.report import rule_text
from auditor.report.escape import code_line
from auditor.report.terminal import LEVEL_STYLE, Page
from auditor.report.view import CONDITIONS
from auditor.verdict import PgolfError

if TYPE_CHECKING:
    from rules.base import Example, Rule
    from rules.rulings import Rulings

SHORT = 15
"""Examples up to this length are shown whole."""
GAP = 4
"""Fewer lines in common than this are shown, not left out."""


def find(rules: Sequence[Rule], name: str) -> Rule:
    """The rule with this id; raises `PgolfError` that lists the ids when there is none."""
    for rule in rules:
        if rule.id == name:
            return rule
    known = ", ".join(sorted(rule.id for rule in rules))
    raise PgolfError(f"no rule is called {name!r}; known rules: {known}")


def explain(rule: Rule, rulings: Rulings, *, color: bool = False, width: int | None = None) -> str:
    """One rule in full: text, conditions, rulings, the legal pattern, a wrong and a right example, limits."""
    page = Page(color=color, width=width)
    text = rule_text.read(rule)
    page.line((rule.id, "bold"), "  ", (_level(rule), LEVEL_STYLE[rule.level]), f"  {_conditions(rule)}")
    page.line(text.summary)
    for heading, body in text.sections:
        if heading != "Limits":
            _section(page, heading, body)
    _examples(page, rule)
    pattern = rulings.pattern_for(rule.id)
    if pattern is not None:
        page.gap()
        page.line(("The legal pattern" if rule.kind != "positive" else "The pattern", "bold"))
        page.line(f"{pattern.cls}: {pattern.says}.", indent=2)
        for precedent in rulings.precedents_for(pattern.cls):
            page.line(f"accepted: {precedent.note}", indent=2)
            page.link(precedent.url, indent=4)
    cited = rulings.cited(rule.rulings)
    if cited:
        page.gap()
        page.line(("Who ruled", "bold"))
    for ruling in cited:
        page.line(f"{ruling.who} ({ruling.role}), {ruling.when}: {ruling.says}", indent=2)
        page.link(ruling.url, indent=4)
    if text.section("Limits"):
        _section(page, "Limits", text.section("Limits"))
    return page.finish()


def explain_dict(rule: Rule, rulings: Rulings) -> dict[str, Any]:
    """One rule as plain data."""
    text = rule_text.read(rule)
    pattern = rulings.pattern_for(rule.id)
    return {
        "id": rule.id,
        "kind": rule.kind,
        "level": rule.level,
        "conditions": list(rule.conditions),
        "summary": text.summary,
        "text": text.body,
        "rulings": [
            {
                "id": r.id,
                "who": r.who,
                "role": r.role,
                "date": r.date.isoformat() if r.date else None,
                "circa": r.circa,
                "url": r.url,
                "says": r.says,
                "trust": r.trust,
            }
            for r in rulings.cited(rule.rulings)
        ],
        "legal_pattern": None
        if pattern is None
        else {
            "class": pattern.cls,
            "says": pattern.says,
            "precedents": [{"pr": p.pr, "url": p.url, "note": p.note} for p in rulings.precedents_for(pattern.cls)],
        },
        "examples": [
            {"title": e.title, "fires": e.fires, "env": dict(e.env), "code": e.code, "files": dict(e.files)}
            for e in rule.examples
        ],
    }


def explain_json(rule: Rule, rulings: Rulings) -> str:
    """One rule as JSON text."""
    return json.dumps(explain_dict(rule, rulings), indent=2) + "\n"


def rules_table(rules: Sequence[Rule], *, color: bool = False, width: int | None = None) -> str:
    """All rules, one row each, by kind and id."""
    page = Page(color=color, width=width)
    rows = [
        (
            Text(rule.id, style="bold"),
            Text(_level(rule), style=LEVEL_STYLE[rule.level]),
            Text(" ".join(rule.conditions) or "-"),
            Text(rule_text.read(rule).summary),
        )
        for rule in _listed(rules)
    ]
    page.table(("rule", "level", "breaks", "what it finds"), rows)
    return page.finish()


def rules_json(rules: Sequence[Rule]) -> str:
    """All rules as JSON text: id, kind, level, conditions, summary."""
    rows = [
        {
            "id": rule.id,
            "kind": rule.kind,
            "level": rule.level,
            "conditions": list(rule.conditions),
            "summary": rule_text.read(rule).summary,
        }
        for rule in _listed(rules)
    ]
    return json.dumps(rows, indent=2) + "\n"


def _listed(rules: Sequence[Rule]) -> list[Rule]:
    kinds = ("violation", "experiment", "record", "readability", "positive")
    return sorted(rules, key=lambda rule: (kinds.index(rule.kind), rule.id))


def _level(rule: Rule) -> str:
    return "legal" if rule.kind == "positive" else rule.level


def _conditions(rule: Rule) -> str:
    if not rule.conditions:
        return ""
    return "breaks " + ", ".join(f"{name} ({CONDITIONS[name]})" for name in rule.conditions)


def _section(page: Page, heading: str, body: str) -> None:
    page.gap()
    if heading:
        page.line((heading, "bold"))
    for paragraph in body.split("\n\n"):
        if paragraph.startswith(("    ", "- ", "* ")) or "\n- " in paragraph or "\n    " in paragraph:
            for line in paragraph.splitlines():
                page.line(line, indent=2)
        else:
            page.line(" ".join(paragraph.split()), indent=2)


def _examples(page: Page, rule: Rule) -> None:
    """The first example that fires and the first that differs from it in code and stays silent."""
    labels = ("Wrong", "Right") if rule.kind != "positive" else ("Example", "Not this")
    fires = next((e for e in rule.examples if e.fires), None)
    silent = next((e for e in rule.examples if not e.fires and (fires is None or _shown(e) != _shown(fires))), None)
    for label, example, other in ((labels[0], fires, silent), (labels[1], silent, fires)):
        if example is not None:
            _example(page, label, example, _shown(other) if other else "")


def _example(page: Page, label: str, example: Example, other: str) -> None:
    """One example; a long one only where it differs from the other."""
    page.gap()
    page.line((f"{label}: ", "bold"), example.title)
    if example.env:
        page.line("run with " + " ".join(f"{name}={value}" for name, value in example.env), indent=2)
    lines = _shown(example).strip("\n").splitlines()
    shown = set(range(len(lines)))
    if len(lines) > SHORT and other:
        shown = _telling(lines, other.strip("\n").splitlines()) or shown
    previous = -1
    for number in sorted(shown):
        if number > previous + 1:
            page.exact(("...", "dim"), indent=4)
        page.exact(code_line(lines[number]), indent=4)
        previous = number
    if previous < len(lines) - 1:
        page.exact(("...", "dim"), indent=4)


def _shown(example: Example) -> str:
    """What an example is about: its files where it has any, else its script."""
    return "\n".join(f"{name}:\n{text}" for name, text in example.files) or example.code


def _telling(lines: list[str], other: list[str], context: int = 1) -> set[int]:
    """Line numbers that differ from the other example, with neighbours and the headers they are nested in."""
    differing: set[int] = set()
    for tag, start, end, _, _ in SequenceMatcher(a=lines, b=other, autojunk=False).get_opcodes():
        if tag != "equal":
            differing.update(range(max(0, start - context), min(len(lines), end + context)))
    headers = set()
    for number in differing:
        depth = _depth(lines[number])
        for above in range(number - 1, -1, -1):
            if lines[above].strip() and _depth(lines[above]) < depth:
                headers.add(above)
                depth = _depth(lines[above])
    kept = sorted(differing | headers)
    short_gaps = {n for low, high in pairwise(kept) if high - low <= GAP for n in range(low, high)}
    return {n for n in (*kept, *short_gaps) if lines[n].strip()}


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
