"""The experiment on evaluators of ours: each violation is found, and nothing legal is refuted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from auditor.experiment.probe.bench import Bench  # noqa: E402
from auditor.experiment.probe.claimed import Claimed  # noqa: E402
from auditor.experiment.probe.judge import Outcome, judge  # noqa: E402
from auditor.experiment.probe.streams import Recipe  # noqa: E402
from auditor.records.model import Stage  # noqa: E402
from tests.experiment.probe import evaluators  # noqa: E402
from tests.experiment.probe.forked import ForkedRunner  # noqa: E402

RECIPE = Recipe(512, tuple(range(2, evaluators.VOCABULARY)), evaluators.BOS, 6)


def _judged(evaluate: Callable[..., None], claimed: Claimed | None = None) -> Outcome:
    def two(tokens: Sequence[int]) -> np.ndarray:
        return np.full(len(tokens), 2.0)

    return judge(Bench(ForkedRunner(evaluate), RECIPE, two, claimed), (1, 2))


@pytest.mark.parametrize(
    "evaluate",
    [
        evaluators.neural,
        evaluators.chunks(0),
        evaluators.by_length,
        evaluators.last_tokens,
        evaluators.hashed_cache(with_target=False),
    ],
    ids=["neural", "score-first", "by-length", "last-tokens", "context-only"],
)
def test_legal_evaluators_are_not_refuted(evaluate: Callable[..., None]) -> None:
    outcome = _judged(evaluate)
    assert {name: found.answer for name, found in outcome.conditions.items()} == dict.fromkeys(
        ("C1", "C2", "C3", "C4"), "not-refuted"
    )
    assert outcome.evaluation["bpb_agrees"]
    assert outcome.seeds == (1,)


@pytest.mark.parametrize(
    ("evaluate", "violated"),
    [
        (evaluators.pooled, {"C1"}),
        (evaluators.chunks(33), {"C1", "C3"}),
        (evaluators.chunks(0, scored_first=False), {"C1", "C3"}),
        (evaluators.chunks(0, scored_first=False, fresh=True), {"C1", "C3"}),
        (evaluators.trained_before, {"C1", "C3"}),
        (evaluators.documents_first, {"C1", "C3"}),
        (evaluators.hashed_cache(with_target=True), {"C2"}),
    ],
    ids=["pooled", "33-ahead", "train-first", "slot", "trained-before", "documents-first", "target-in-key"],
)
def test_violations_are_found(evaluate: Callable[..., None], violated: set[str]) -> None:
    outcome = _judged(evaluate)
    assert {name for name, found in outcome.conditions.items() if found.answer == "violated"} == violated


def test_probabilities_of_all_tokens_are_summed() -> None:
    numbers = _judged(evaluators.hashed_cache(with_target=False)).conditions["C2"].numbers
    assert numbers["tokens_tried"] == evaluators.VOCABULARY
    assert abs(numbers["sum_of_probabilities"] - 1) < 1e-4
    assert _judged(evaluators.hashed_cache(with_target=True)).conditions["C2"].numbers["sum_of_probabilities"] > 1.01


def test_the_claimed_result_is_judged() -> None:
    found = _judged(evaluators.trained_before, Claimed("before", Stage.ROUND_TRIP, last=False))
    assert found.evaluation["label"] == "before"
    assert {answer.answer for answer in found.conditions.values()} == {"not-refuted"}


def test_a_claimed_result_that_does_not_come_leaves_nothing_refuted() -> None:
    ngrams = Claimed("ngrams", Stage.ADAPTED, last=True)
    answers = _judged(evaluators.neural, ngrams).conditions
    assert {answer.answer for answer in answers.values()} == {"inconclusive"}
    assert "ngrams" in str(answers["C1"].reason)
    assert _judged(evaluators.pooled, ngrams).conditions["C1"].answer == "violated"
