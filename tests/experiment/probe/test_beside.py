"""The experiment beside the static verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.experiment.probe.beside import RULE, beside
from auditor.experiment.probe.model import CONDITIONS, Answer, Probe, Verdict, everywhere
from auditor.report.probe import as_text
from auditor.verdict import Claims, ExitCode, Finding, Report, ScriptInfo, Target
from rules import catalogue


def report(*findings: Finding) -> Report:
    verdict = next((level for level in ("flag", "hold") if any(f.level == level for f in findings)), "clean")
    info = ScriptInfo(script="train_gpt.py")
    cls = findings[0].rule if verdict != "clean" else "score-first-ttt"
    return Report(Target(), info, Claims(), verdict, cls, findings, source_lines=("a", "b", "total += loss"))  # type: ignore[arg-type]


def probe(**answers: Verdict) -> Probe:
    numbers = {"changed": 3, "updates": 8, "scores": 2048, "cross_entropy_over_logits": 1000}
    given = {name: Answer(answers.get(name, "not-refuted"), "as measured", numbers) for name in CONDITIONS}
    about = {
        "line": 3, "label": "final", "val_loss": 5.0, "val_bpb": 4.0, "recounted_bpb": 4.0, "bpb_agrees": True,
        "site": "sum in evaluate, train_gpt.py:3", "scored": 2048, "tokens": 2049, "in_stream_order": True,
    }  # fmt: skip
    return Probe(given, {"SEED": "1"}, (1,), "pgolf probe . --seed 1", about)


FLAG = Finding("val-token-ttt", "flag", "trains first", "train_gpt.py", 2, "run", conditions=("C1", "C3"))


def test_a_violation_makes_a_clean_report_a_flag_of_its_own() -> None:
    found = beside(report(), probe(C1="violated"), catalogue())
    assert (found.verdict, found.cls, found.exit_code) == ("flag", RULE, ExitCode.FLAG)
    [finding] = found.findings
    assert (finding.line, finding.conditions, finding.activation) == (3, ("C1",), "run")
    assert finding.evidence[0].path[0].text == "total += loss"
    assert "pgolf probe . --seed 1" in finding.message
    assert finding.rulings


def test_a_violation_settles_a_hold() -> None:
    hold = Finding("opaque-code", "hold", "not read", "train_gpt.py", 1)
    assert beside(report(hold), probe(C2="violated"), catalogue()).verdict == "flag"


def test_a_flag_is_confirmed_by_one_of_its_conditions() -> None:
    found = beside(report(FLAG), probe(C3="violated"), catalogue())
    assert (found.verdict, found.cls) == ("flag", "val-token-ttt")
    [evidence] = found.findings[0].evidence
    assert evidence.kind == "experiment"
    assert evidence.path[0].note == "confirmed by experiment: C3 violated: as measured"


def test_a_flag_that_is_not_reproduced_is_held_and_never_clean() -> None:
    found = beside(report(FLAG), probe(), catalogue())
    assert (found.verdict, found.cls) == ("hold", "val-token-ttt")
    assert found.findings[0].level == "hold"
    assert "not reproduced by experiment" in found.findings[0].evidence[0].path[0].note


@pytest.mark.parametrize(
    ("flag", "numbers"),
    [
        (FLAG, {"updates": 0}),
        (FLAG, {"updates": 8, "early_updates": 3}),
        (replace(FLAG, conditions=("C1", "C2")), {"scores": 2048, "cross_entropy_over_logits": 2048}),
    ],
    ids=["no update on validation tokens", "early updates of another evaluation", "nothing mixed in"],
)
def test_a_flag_that_the_runs_did_not_come_to_stays(flag: Finding, numbers: dict[str, int]) -> None:
    settled = {name: Answer("not-refuted", None, numbers) for name in CONDITIONS}
    found = beside(report(flag), replace(probe(), conditions=settled), catalogue())
    assert found.verdict == "flag"
    assert "did not come to it" in found.findings[0].evidence[0].path[0].note


@pytest.mark.parametrize("answer", ["inconclusive", "could-not-run"])
def test_an_undecided_experiment_leaves_the_flag(answer: Verdict) -> None:
    found = beside(report(FLAG), probe(C3=answer), catalogue())
    assert found.verdict == "flag"
    assert "undecided" in found.findings[0].evidence[0].path[0].note


def test_nothing_found_leaves_clean_clean() -> None:
    found = beside(report(), probe(), catalogue())
    assert (found.verdict, found.findings) == ("clean", ())
    assert found.probe is not None


def test_exit_codes() -> None:
    assert probe().exit_code == ExitCode.CLEAN
    assert probe(C2="violated", C1="inconclusive").exit_code == ExitCode.FLAG
    assert probe(C1="inconclusive").exit_code == ExitCode.HOLD
    assert Probe(everywhere("could-not-run", "x"), {}, (), "").exit_code == ExitCode.HOLD


def test_the_page_says_answers_numbers_and_how_to_repeat() -> None:
    text = as_text("a submission", probe(C1="violated").as_json(), width=80)
    assert "C1 causality" in text
    assert "violated" in text
    assert "pgolf probe . --seed 1" in text
    assert "Toy size on a CPU" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_page_of_a_script_that_could_not_run() -> None:
    failed = Probe(everywhere("could-not-run", "NameError: \x1b[31mx\u202e"), {}, (), "pgolf probe .")
    text = as_text("a submission", failed.as_json(), width=80)
    assert "could not run" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
