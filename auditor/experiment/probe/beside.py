"""The experiment beside the static verdict: what it confirms, what it adds, what a human must look at.

It never turns a flag into clean by itself: a flag that it could not reproduce becomes a hold that shows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from auditor.experiment.probe.model import Answer, Condition, Probe
from auditor.verdict import Evidence, Finding, Report, Step

RULE = "experiment-violation"


class Cited(Protocol):
    """A rule, as far as it matters here."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def rulings(self) -> tuple[str, ...]:
        """What it rests on."""


def beside(report: Report, probe: Probe, rules: Sequence[Cited]) -> Report:
    """The report with the experiment's evidence and outcome."""
    findings = [_with_evidence(finding, probe) for finding in report.findings]
    flagged = any(finding.level == "flag" for finding in findings)
    if probe.violated and not any(finding.level == "flag" for finding in report.findings):
        rulings = next((rule.rulings for rule in rules if rule.id == RULE), ())
        findings.insert(0, _found(report, probe, rulings))
        return replace(report, findings=tuple(findings), probe=probe.as_json(), verdict="flag", cls=RULE)
    if report.verdict == "flag" and not flagged:
        held = next(finding.rule for finding in findings if finding.level == "hold")
        return replace(report, findings=tuple(findings), probe=probe.as_json(), verdict="hold", cls=held)
    return replace(report, findings=tuple(findings), probe=probe.as_json())


def _with_evidence(finding: Finding, probe: Probe) -> Finding:
    """A flagged finding with what the experiment says of the conditions that it breaks."""
    asked = [name for name in probe.conditions if name in finding.conditions]
    if finding.level != "flag" or not asked:
        return finding
    answers = {name: probe.conditions[name] for name in asked}
    violated = [name for name in asked if answers[name].answer == "violated"]
    if violated:
        return _said(finding, "confirmed by experiment", probe, violated)
    if not _reached(answers):
        return _said(finding, "the experiment did not come to it", probe, asked)
    if all(answer.answer == "not-refuted" for answer in answers.values()):
        return replace(_said(finding, "not reproduced by experiment", probe, asked), level="hold")
    return _said(finding, "the experiment is undecided", probe, asked)


def _reached(answers: Mapping[Condition, Answer]) -> bool:
    """Whether what is flagged took place in the runs, in the evaluation that was judged.

    For C3 an update on validation tokens, and none on tokens before their score: such an update without an effect
    belongs to another evaluation. For C2 something mixed into the scores.
    """
    if "C3" in answers:
        numbers = answers["C3"].numbers
        if not numbers.get("updates") or numbers.get("early_updates"):
            return False
    if "C2" in answers:
        numbers = answers["C2"].numbers
        return numbers.get("cross_entropy_over_logits") != numbers.get("scores")
    return True


def _said(finding: Finding, what: str, probe: Probe, names: Sequence[Condition]) -> Finding:
    told = "; ".join(f"{name} {saying(probe, name)}" for name in names)
    line = next((step for evidence in finding.evidence for step in evidence.path if step.line == finding.line), None)
    step = Step(finding.line, line.text if line else "", f"{what}: {told}", finding.function or "")
    return replace(finding, evidence=(*finding.evidence, Evidence("experiment", (step,))))


def saying(probe: Probe, name: Condition) -> str:
    """The answer for a condition, with its reason."""
    found = probe.conditions[name]
    return found.answer.replace("-", " ") + (f": {found.reason}" if found.reason else "")


def _found(report: Report, probe: Probe, rulings: tuple[str, ...]) -> Finding:
    """The experiment's own finding, at the place where the scores are made."""
    line = int(probe.evaluation["line"])
    told = "; ".join(f"{name}: {probe.conditions[name].reason}" for name in probe.violated)
    lines = report.source_lines
    text = lines[line - 1].strip() if line <= len(lines) else ""
    packed = "!unpacked" if report.submission.packing else ""
    return Finding(
        rule=RULE,
        level="flag",
        message=f"the script was run, and its scores depend on what they must not see ({told}). {probe.repeat}",
        file=(report.submission.script or "") + packed,
        line=line,
        activation="run",
        conditions=probe.violated,
        rulings=rulings,
        evidence=(Evidence("experiment", (Step(line, text, "the scores that changed"),)),),
        anchor="experiment " + " ".join(probe.violated),
    )
