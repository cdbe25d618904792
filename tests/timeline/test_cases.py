"""The literate cases in `cases/`: facts, findings, verdicts and settings, as the comments in them assert."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.engine import audit, deep, gather
from auditor.submission.model import Log, Submission
from auditor.timeline.events import Place, Timeline
from auditor.verdict import Claims, Report
from rules import catalogue
from tests.scripts import submission
from tests.timeline.literate import MAIN, Assertion, Case, read_cases

CASES = [case for path in sorted(Path(__file__).with_name("cases").glob("*.md")) for case in read_cases(path)]
UPDATES = {"gradient": "UPDATE", "counts": "CACHE_WRITE", "statistic": "CALIBRATE"}
KINDS = {"SCORE", "UPDATE", "CACHE_WRITE", "CALIBRATE", "APPLY", "CACHE_READ", "MIX", "REPORT", "HEADLINE", "SKIPPED"}
Event = tuple[str, set[str], tuple[str, int] | None]


def of_case(case: Case) -> Submission:
    run = case.run
    made = submission(
        case.code,
        command=run.get("command"),
        argv=run.get("argv", ()),
        nproc=run.get("nproc"),
        log=case.logs[0] if case.logs else None,
        printed=run.get("printed"),
        modules=case.modules,
        claims=Claims(val_bpb=run.get("claim")),
    )
    more = (Log(f"train_{number}.log", text, {}) for number, text in enumerate(case.logs[1:], 2))
    return replace(made, target=replace(made.target, title=run.get("title")), logs=(*made.logs, *more))


def visible(case: Case, place: Place) -> tuple[str, int] | None:
    """The line of a case that an event shows on: its own, else the innermost call that leads to it."""
    if place.file:
        return (place.file, place.line) if place.file in case.modules else None
    for line in (place.line, *(line for _, line in reversed(place.calls))):
        if case.first <= line <= case.last:
            return MAIN, line
    return None


def words_of_events(case: Case, timeline: Timeline) -> Iterator[Event]:
    """Every event: its kind, the words that describe it, and where the case shows it."""
    for score in timeline.scores:
        orders = {dep.legal for dep in score.deps}
        order = "out-of-order" if False in orders else "in-order" if orders else "unchanged"
        yield "SCORE", {order}, visible(case, score.place)
    for update in timeline.updates:
        words = {update.kind, "local" if update.local_state else "model", *filter(None, [update.optimizer])}
        yield UPDATES[update.kind], words, visible(case, update.place)
        for place in update.applied:
            yield "APPLY", words, visible(case, place)
    for read in timeline.count_reads:
        key = "bytes" if read.pieces else "target" if read.target_in_key else "context"
        yield "CACHE_READ", {key}, visible(case, read.place)
    for mix in timeline.mixes:
        yield "MIX", {"bytes" if mix.pieces else "tokens"}, visible(case, mix.place)
    for report in timeline.reports:
        kind = "HEADLINE" if report is timeline.headline else "REPORT"
        yield kind, {"bits" if report.bits else "nats"}, visible(case, report.place)
    for block in timeline.skipped:
        yield "SKIPPED", set(), (MAIN, block.line) if case.first <= block.line <= case.last else None


def unmatched(
    case: Case, asserted: list[Assertion], found: list[tuple[str, set[str], tuple[str, int] | None]]
) -> list[str]:
    """Assertions without a fact, and facts without an assertion."""
    problems, covered = [], []
    for assertion in asserted:
        name, *words = assertion.words
        here = [f for f in found if f[0] == name and f[2] == assertion.where and set(words) <= f[1]]
        if not here:
            near = [f"{sorted(f[1])} at {f[2]}" for f in found if f[0] == name]
            problems.append(f"not found: {assertion} (there are {near})")
        covered += here
    left = [f for f in found if f not in covered]
    return problems + [f"not asserted: {name} {sorted(words)} at {where}" for name, words, where in left]


def check_events(case: Case, timeline: Timeline) -> Iterator[str]:
    positive = [a for a in case.asserted if a.kind == "event"]
    kinds = {a.words[0] for a in case.asserted if a.kind in ("event", "no event")}
    if kinds - KINDS:
        yield f"no such kind of event: {kinds - KINDS}"
    shown = [event for event in words_of_events(case, timeline) if event[0] in kinds and event[2] is not None]
    yield from unmatched(case, positive, shown)


def check_findings(case: Case, report: Report) -> Iterator[str]:
    kinds = {rule.id: rule.kind for rule in catalogue()}
    found: list[Event] = []
    for finding in report.findings:
        path = finding.file.removesuffix(".py").replace("/", ".")
        known = (name for name in case.modules if path.endswith(f".{name}"))
        file = MAIN if finding.file == report.submission.script else next(known, Path(finding.file).stem)
        if kinds[finding.rule] not in ("positive", "record"):  # the logs of the cases are a few lines
            shown = bool(file) or case.first <= finding.line <= case.last
            found.append((finding.rule, {finding.level, finding.activation}, (file, finding.line) if shown else None))
    yield from unmatched(case, [a for a in case.asserted if a.kind in ("finding", "finding elsewhere")], found)


def check_outcome(case: Case, report: Report) -> Iterator[str]:
    for assertion in case.asserted:
        if assertion.kind == "verdict" and (report.verdict, report.cls) != assertion.words:
            yield f"{assertion}, but it is {report.verdict} {report.cls}"
        elif assertion.kind == "config":
            setting, *source = assertion.words
            name, _, value = setting.partition("=")
            read = report.submission.config.get(name)
            if read is None or read.value != value or not read.source.startswith(tuple(source) or ""):
                yield f"{assertion}, but it is {read}"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=f"{c.source.stem}: {c.name}", marks=[pytest.mark.xfail(reason=c.xfail)] if c.xfail else [])
        for c in CASES
    ],
)
def test_case(case: Case) -> None:
    assert any(a.kind == "verdict" for a in case.asserted), "a case asserts its verdict"
    subject = of_case(case)
    env = case.run.get("env", {})
    report = audit(subject, catalogue(), env=env)
    facts = deep(lambda: gather(subject, env, {}))
    checks: tuple[Iterator[str], ...] = (
        check_outcome(case, report),
        check_findings(case, report),
        check_events(case, facts.run),
    )
    problems = [problem for check in checks for problem in check]
    assert not problems, "\n".join([f"{case.source.name}:{case.line}: {case.name}", *problems])


def test_an_assertion_that_does_not_hold_fails() -> None:
    case = next(c for c in CASES if c.name == "Scored, then trained on")
    facts = deep(lambda: gather(of_case(case), {}, {}))
    report = audit(of_case(case), catalogue())
    wrong = Case(case.name, case.source, case.line, case.code, case.first, case.last)
    wrong.asserted = [
        Assertion("event", ("UPDATE", "counts"), MAIN, case.first),
        Assertion("verdict", ("hold", "x"), MAIN, 1),
    ]
    assert len(list(check_events(wrong, facts.run))) == 2
    assert len(list(check_outcome(wrong, report))) == 1
