"""Summaries are an optimisation: without them the analysis finds the same."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.demo import MINIATURES
from auditor.engine import audit, deep, gather
from auditor.submission import open_target
from auditor.submission.model import Submission
from auditor.timeline.events import Place, Timeline
from auditor.timeline.frames import Impure
from auditor.timeline.interpreter import Interpreter
from auditor.timeline.machine import MAX_DEPTH
from auditor.timeline.summaries import Summaries
from rules import catalogue
from rules.miniature import script
from tests.scripts import outline, submission
from tests.timeline.test_cases import CASES, of_case

EXAMPLES = {
    f"{rule.id}: {example.title}": (submission(example.code), dict(example.env))
    for rule in catalogue()
    for example in rule.examples
    if not example.files
}


SUBJECTS = [
    *(pytest.param(subject, env, id=name) for name, (subject, env) in EXAMPLES.items()),
    *(pytest.param(of_case(c), c.run.get("env", {}), id=f"{c.source.stem}: {c.name}") for c in CASES),
    *(
        pytest.param(open_target(str(m.folder), mirror=None, repo="owner/name"), {}, id=f"demo: {m.name}")
        for m in MINIATURES
    ),
]


def without_summaries(self: Summaries, fn: Any, args: Any, kwargs: Any, node: Any) -> Any:
    if self.depth >= MAX_DEPTH or self.stack.count(fn.node) >= 2:
        return self.unknown(*args, *kwargs.values())
    return self.enter_function(fn, fn.node, args, kwargs, node)


def facts_of(timeline: Timeline) -> dict[str, Any]:
    """What rules ask for, with places in place of numbers, which depend on how often a function was entered."""

    def at(place: Place) -> tuple[int, str, tuple[tuple[str, int], ...]]:
        return place.line, place.file, place.calls

    updates = {u.number: at(u.place) for u in timeline.updates}
    scores = {s.number: at(s.place) for s in timeline.scores}

    def deps(events: Any) -> list[Any]:
        return sorted((str(updates.get(d.update)), d.legal) for d in {(d.update, d.legal): d for d in events}.values())

    return {
        "updates": sorted(
            (at(u.place), u.kind, sorted(map(at, u.applied)), sorted(u.states)) for u in timeline.updates
        ),
        "scores": sorted((at(s.place), deps(s.deps)) for s in timeline.scores),
        "reads": sorted((at(r.place), r.target_in_key) for r in timeline.count_reads),
        "mixes": sorted(at(m.place) for m in timeline.mixes),
        "reports": sorted(
            (at(r.place), sorted(str(scores[n]) for n in r.scores), deps(r.deps), r.bits) for r in timeline.reports
        ),
        "config": timeline.config,
    }


@pytest.mark.parametrize(("subject", "env"), SUBJECTS)
def test_the_same_is_found_without_summaries(
    subject: Submission, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_them = deep(lambda: gather(subject, env, {}))
    expected = outline(audit(subject, catalogue(), env=env))
    monkeypatch.setattr(Summaries, "summarised", without_summaries)
    without = deep(lambda: gather(subject, env, {}))
    assert facts_of(without.run) == facts_of(with_them.run)
    assert outline(audit(subject, catalogue(), env=env)) == expected


def test_a_pure_function_is_entered_a_few_times_for_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []
    usual = Summaries.observe

    def counting(self: Summaries, fn: Any, *rest: Any) -> Any:
        entered.append(fn.name)
        return usual(self, fn, *rest)

    monkeypatch.setattr(Summaries, "observe", counting)
    calls = "\n".join(f"        v{i} = step(x, {i % 2} + 1)" for i in range(60))
    code = f"""
import torch
def step(x, y):
    return torch.relu(x) * y
def run(x):
    for _ in range(int(x)):
{calls}
    return v0
run(torch.zeros(4))
"""
    deep(lambda: gather(submission(code), {}, {}))
    assert 1 <= entered.count("step") < 20


_CACHED = """
    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kept = torch.ones(4)
            self.length = 0

        def forward(self, x):
            if self.length != x.size(1):
                self.kept = x.new_ones(8)
                self.length = x.size(1)
            return x * 2

    def evaluate(s, model, val):
        first, second = Table(), Table()
        x, y = window(val, 0, s.seq_len)
        first(x)
        first(x)
        first(x)
        second(x)
        return plain_eval(s, model, val)
"""


def test_a_call_that_is_left_at_its_first_effect_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    machines: list[Interpreter] = []
    left: list[Impure] = []
    analyse, begin = Interpreter.analyse, Impure.__init__

    def watched(self: Interpreter, tree: Any) -> Timeline:
        machines.append(self)
        return analyse(self, tree)

    def counted(self: Impure, born: int) -> None:
        left.append(self)
        begin(self, born)

    monkeypatch.setattr(Interpreter, "analyse", watched)
    monkeypatch.setattr(Impure, "__init__", counted)
    assert audit(submission(script(_CACHED)), catalogue()).verdict == "clean"
    assert left, "the second table fills its cache although calls of the first one were pure"
    for machine in machines:
        counters = (machine.weak, machine.unsure, machine.in_training, machine.depth, machine.active)
        assert counters == (0, 0, 0, 0, 0) and not machine.stack and not machine.loops
        assert machine.marking is None and machine.frame.parent is None


_UPDATED = """
    class Kept(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)

        def seen(self, x):
            return torch.relu(self.inner(x))

    def evaluate(s, model, val):
        kept = Kept()
        x, y = window(val, 0, s.seq_len)
        kept.seen(x)
        loss = model(x, y) + kept.seen(x).sum()
        loss.backward()
        torch.optim.SGD(UPDATED.parameters(), lr=0.1).step()
        kept.seen(x)
        return plain_eval(s, model, val)
"""


@pytest.mark.parametrize(("updated", "summaries"), [("model", 1), ("kept", 2)])
def test_a_summary_holds_until_what_it_asked_for_is_updated(
    updated: str, summaries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    usual = Summaries.summarise

    def counting(self: Summaries, fn: Any, *rest: Any) -> Any:
        made.append(fn.name)
        return usual(self, fn, *rest)

    monkeypatch.setattr(Summaries, "summarise", counting)
    facts = deep(lambda: gather(submission(script(_UPDATED.replace("UPDATED", updated))), {}, {}))
    assert facts.run.updates
    assert made.count("seen") == summaries
