"""Whether the score comes from the script: logs of other programs, phases that nothing calls, literal scores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.engine import audit
from auditor.submission.model import Log, Submission
from auditor.verdict import Claims
from rules import catalogue
from rules.miniature import script
from tests.scripts import submission

PLAIN = script("""
    def adapt_first(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        for epoch in range(s.epochs):
            x, y = window(val, 0, s.seq_len)
            model(x, y).backward()
            opt.step()
            print(f"adapting: epoch {epoch}")

    def evaluate(s, model, val):
        print("scoring: window by window")
        return plain_eval(s, model, val)
""")
CALLED = PLAIN.replace("    print(", "    adapt_first(s, model, val)\n    print(", 1)


def levels(target: Submission) -> list[str]:
    return [f.level for f in audit(target, catalogue()).findings if f.rule == "no-evaluation"]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("Code size: 99999 bytes\nmixture_pass val_bpb:0.9000\n", ["hold"]),
        ("Code size: 99999 bytes\nfinal val_loss:2.0 val_bpb:1.1000\n", []),
        ("Code size: 99999 bytes\nfinal val_loss:2.0 val_bpb:1.1000\nmixture_pass val_bpb:0.9000\n", ["hold"]),
        ("Code size: 99999 bytes\nfinal val_loss:2.0 val_bpb:1.1000\nlauncher done val_bpb:1.1000\n", []),
        (f"Code size: {len(PLAIN)} bytes\nmixture_pass val_bpb:0.9000\n", []),
        ("mixture_pass val_bpb:0.9000\n", []),
    ],
    ids=["other size, other results", "own results", "a better one", "repeated", "own size", "no size"],
)
def test_results_of_another_program(log: str, expected: list[str]) -> None:
    assert levels(submission(PLAIN, log=log)) == expected


def test_one_log_of_its_own_is_enough() -> None:
    first = Log("a.log", "Code size: 99999 bytes\nmixture_pass val_bpb:0.9000\n", {})
    second = Log("b.log", f"Code size: {len(PLAIN)} bytes\nfinal val_loss:2.0 val_bpb:1.1000\n", {})
    assert levels(replace(submission(PLAIN), logs=(first, second))) == []


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("final val_loss:2.0 val_bpb:1.2000\nwith_lookup val_loss:1.7 val_bpb:1.1000\n", ["hold"]),
        ("final val_loss:2.0 val_bpb:1.1000\nwith_lookup val_loss:1.7 val_bpb:1.1000\n", []),
        ("final val_loss:2.0 val_bpb:1.2000\nwith_lookup val_loss:1.7 val_bpb:1.1500\n", []),
    ],
    ids=["only another program", "this one too", "not claimed"],
)
def test_the_claimed_score_is_of_another_program(log: str, expected: list[str]) -> None:
    target = replace(submission(PLAIN, log=log), claims=Claims(val_bpb=1.1))
    assert levels(target) == expected


@pytest.mark.parametrize(
    ("size", "trained", "expected"),
    [(99999, 1.19, ["hold"]), (99999, 1.13, []), (len(PLAIN), 1.19, [])],
    ids=["out of reach", "a sliding window", "own size"],
)
def test_a_score_that_the_model_does_not_come_to(size: int, trained: float, expected: list[str]) -> None:
    log = f"Code size: {size} bytes\nstep:9/9 val_loss:2.0 val_bpb:{trained:.4f}\nfinal val_loss:2.0 val_bpb:1.1000\n"
    assert levels(submission(PLAIN, log=log)) == expected


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [
        (PLAIN, "adapting: epoch 0\nfinal val_loss:2.0 val_bpb:1.1\n", ["hold"]),
        (PLAIN, "scoring: window by window\nfinal val_loss:2.0 val_bpb:1.1\n", []),
        (CALLED, "adapting: epoch 0\nfinal val_loss:2.0 val_bpb:1.1\n", []),
    ],
    ids=["nothing calls it", "not shown", "called"],
)
def test_a_phase_that_nothing_calls(code: str, log: str, expected: list[str]) -> None:
    assert levels(submission(code, log=log)) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("final val_bpb: 1.0512", ["flag"]), ("best so far val_bpb: 1.2244", ["hold"])]
)
def test_a_literal_score(text: str, expected: list[str]) -> None:
    code = f"import torch\n\nprint({text!r})\n"
    assert levels(submission(code, claims=Claims(val_bpb=1.0512))) == expected
