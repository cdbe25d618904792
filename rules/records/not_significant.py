"""The runs do not show an improvement over the best accepted row.

What it does
------------
Compares the scores of the reported runs with those of the best row of the leaderboard that was opened before, twice: by
the README's rule (better by 0.005 nats per token at p < 0.01) and by the rule that the maintainers have applied since
April (better at all, one-sided Welch test, p < 0.25). A note says which of the two is not met, with the numbers. Runs
outside the record track are compared too where they are what that track asks for: three seeds on eight GPUs, in time.

Why it matters
--------------
Runs of one program differ by about 0.0007 bits per byte. A gain of that size in three runs is luck as likely as not.

Limits
------
Only the logs of the submission are counted: runs by other people, which maintainers have accepted as support, are not
known. Improvements of speed alone are excused by the README, and one run can only fail, never pass. Rows count by the
number of their pull request, not by the day of their acceptance; a folder is compared with the best row of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from auditor.facts import Facts
from auditor.records import Run, Score
from auditor.records.model import BUDGET_S
from auditor.records.significance import applied_rule, readme_rule
from auditor.records.statistics import mean
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.leaderboard import bar, load
from rules.records.reading import ENOUGH, binds, counted_score, finding, is_packaged, repeated
from rules.records.samples import DECLARED, README, example, log
from rules.records.time_over_budget import ONE_STEP

_CLAIMED = (("1.2198", "0.9412"), ("1.2194", "0.9412"), ("1.2197", "0.9408"), ("1.2203", "0.9415"))


def _claimed(text: str) -> str:
    """The same claims with other scores."""
    for old, new in _CLAIMED:
        text = text.replace(old, new)
    return text


class NotSignificant:
    """Both significance verdicts."""

    id: ClassVar[str] = "not-significant"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "note"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("readme-records", "pr1902", "pr2146")
    examples: ClassVar[tuple[Example, ...]] = (
        example("Three runs are worse than the best row", True),
        example(
            "Three runs are better by far",
            False,
            train_seed1337=log(1337, bpb=0.9412),
            train_seed42=log(42, bpb=0.9408),
            train_seed7=log(7, bpb=0.9415),
            submission=_claimed(DECLARED),
            README=_claimed(README),
        ),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding that says which rule is not met."""
        both = self.significance(facts)
        readme, applied = both["readme_rule"], both["applied_rule"]
        if not readme or (readme["met"] is not False and applied["met"] is not False):
            return
        quoted = [(record, score.line, "a reported score") for record, run in repeated(facts) if (score := run.score)]
        sentence = _sentence(readme, applied)
        if not binds(facts):
            sentence = f"Outside the record track: {sentence[0].lower()}{sentence[1:]}"
        yield finding(facts, self, sentence, quoted[:3])

    def significance(self, facts: Facts) -> Mapping[str, dict[str, Any]]:
        """Both verdicts with their numbers; empty where nothing could compete in the record track."""
        found = [
            (record, run, score) for record, run in repeated(facts) if (score := counted_score(facts, run)) is not None
        ]
        competes = binds(facts) or _could_compete([run for _, run, _ in found])
        if not found or not is_packaged(facts) or not competes:
            return {"readme_rule": {}, "applied_rule": {}}
        by_seed: dict[object, tuple[str, Score]] = {}
        for number, (record, run, score) in enumerate(found):
            key = run.seed.value if run.seed else f"run {number}"
            path, other = by_seed.get(key, (record.path, score))
            if other.stage < score.stage + (path == record.path):  # of one log the last, of several the first
                by_seed[key] = (record.path, score)
        others = [score for record in facts.records.finished if (score := record.run.score) is not None]
        ratios = [r for *_, score in found if (r := score.implied_bytes(1)) is not None] or [
            r for score in others if (r := score.implied_bytes(1)) is not None
        ]
        sample, row = (
            [score.val_bpb for _, score in by_seed.values()],
            bar(load().best_before(facts.submission.target.pr)),
        )
        per_token = mean(ratios) if ratios else None
        return {
            "readme_rule": readme_rule(sample, row, per_token),
            "applied_rule": applied_rule(sample, row, per_token),
        }


def _could_compete(runs: Sequence[Run]) -> bool:
    """Whether runs outside the record track are what that track asks for: enough seeds, eight GPUs, in time."""
    return len({run.seed.value for run in runs if run.seed is not None}) >= ENOUGH and all(
        run.world_size is not None
        and run.world_size.value == 8
        and run.train_s is not None
        and run.train_s.value <= BUDGET_S + ONE_STEP
        for run in runs
    )


def _sentence(readme: Mapping[str, Any], applied: Mapping[str, Any]) -> str:
    """The numbers, and each rule's answer."""
    runs = f"the mean of {readme['n']} runs" if readme["n"] > 1 else "the only run"
    gain, nats = readme["gain_bpb"], readme["gain_nats"]
    per_token = "" if nats is None else f" ({abs(nats):.4f} nats per token)"
    by = f"{abs(gain):.5f} bits per byte{per_token} {'better' if gain > 0 else 'worse'}"
    text = f"{runs.capitalize()} is {readme['mean']:.5f}, {by} than {readme['against']['row']}."
    return f"{text} {_answer('0.005 nats at p < 0.01', readme)} {_answer('Welch p < 0.25', applied)}"


def _answer(rule: str, verdict: Mapping[str, Any]) -> str:
    shown = f" (p = {verdict['p']:.3g})" if "p" in verdict else f" ({verdict['reason']})" if verdict["reason"] else ""
    return f"{rule}: {({True: 'met', False: 'not met', None: 'open'})[verdict['met']]}{shown}."
