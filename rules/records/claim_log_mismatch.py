"""What is claimed is not what the logs show.

What it does
------------
Looks for the claimed score among the scores of the logs and their means over runs, and for the claimed scores of single
seeds in the logs of those seeds. Finds a size that is claimed below the printed ones, or for a seed whose log prints
another one or none, a declaration of three seeds where fewer are shown, and a score in submission.json that the README
calls pending. Compares the size of the committed script with the code size that the logs print, and data that the
README calls those of others with the number of shards in the logs.

Why it matters
--------------
The logs are the evidence for the claim. A headline that stands in none of them was refused.

Limits
------
A score that is printed to fewer digits than it is claimed with counts as found when it rounds to the claim. A different
code size is a note: packed and readable forms of one program differ, and accepted rows have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import Score, Stage
from auditor.submission.claims import Claim
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import ENOUGH, finding, reported
from rules.records.samples import DECLARED, example, log

_ROUNDED = 0.01
"""A size in megabytes may be this far from the exact one."""
_EXACT = 1000
"""A size that is a multiple of this was rounded; one that is a little below a printed one may be of other code."""
_THREE_SEEDS = re.compile(r"(?:three|3)[_ -]?seeds?", re.IGNORECASE)
_TICKED = DECLARED.replace('"seeds": [1337, 42, 7]', '"compliance": {"three_seeds": true}, "seeds": [1337]').replace(
    ',\n    "42": {"val_bpb": 1.2197},\n    "7": {"val_bpb": 1.2203}', ""
)
_SAME_DATA = re.compile(
    r"\b(?:same|identical|unchanged)\b[^.\n|]{0,60}\bshards\b",
    re.IGNORECASE,
)
_MOST_SHARDS = 195
"""Training shards of the largest published data set with a vocabulary of 1,024 and more."""
_MOST_TOKENS = 63_000_000
"""Validation tokens of no more: those sets."""
_FEW = 3
"""Decimals below which a claim matches almost anything."""


class ClaimLogMismatch:
    """Claims against logs."""

    id: ClassVar[str] = "claim-log-mismatch"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr2071",)
    examples: ClassVar[tuple[Example, ...]] = (
        example("The claimed mean is better than any run", True, submission=DECLARED.replace("1.2198", "1.2098")),
        example("One seed scores worse than claimed", True, train_seed42=log(42, bpb=1.2297)),
        example(
            "Three seeds are declared and one is shown",
            True,
            without=("train_seed42.log", "train_seed7.log"),
            submission=_TICKED.replace("1.2198", "1.2194"),
        ),
        example("Claims and logs agree", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The headline, then the seeds, then the code."""
        yield from self._pending(facts)
        yield from self._headline(facts)
        yield from self._seeds(facts)
        yield from self._size(facts)
        yield from self._seed_sizes(facts)
        yield from self._three_seeds(facts)
        yield from self._shards(facts)
        yield from self._code(facts)

    def _pending(self, facts: Facts) -> Iterator[Finding]:
        """A README or title that says the score is yet to come, beside a submission.json that still has one."""
        claims = [claim for claim in facts.records.claimed("val_bpb") if claim.where.startswith("submission.json")]
        said = facts.submission.claims
        if said.status == "pending" and said.source == "README" and claims:
            message = f"The README says that the score is pending; {claims[0].where} gives {claims[0].value:.10g}."
            yield finding(facts, self, message, level="note")

    def _headline(self, facts: Facts) -> Iterator[Finding]:
        claims = [c for c in facts.records.claimed("val_bpb") if c.seed is None and c.decimals >= _FEW]
        if not claims or not facts.records.finished:
            return
        claim = claims[0]
        shown = list(_values(facts))
        if any(_is(claim, value) for value in shown):
            return
        best = min(shown, key=lambda value: abs(value - claim.value))
        message = (
            f"{claim.where} claims {claim.value:.10g}; no log shows it, nor a mean over runs. The nearest is"
            f" {best:.6g}."
        )
        runs = [(record, record.run.score) for record in facts.records.finished]
        quoted = [(record, score.line, "a reported score") for record, score in runs[:3] if score]
        yield finding(facts, self, message, quoted)

    def _seeds(self, facts: Facts) -> Iterator[Finding]:
        by_seed: dict[int, list[Score]] = {}
        for record in facts.records.logs:
            for run in record.runs:
                if run.seed is not None and run.score is not None:
                    by_seed.setdefault(run.seed.value, []).extend(run.scores)
        off = []
        for claim in facts.records.claimed("val_bpb"):
            scores = by_seed.get(claim.seed) if claim.seed is not None else None
            if scores and claim.decimals >= _FEW and not any(_is(claim, score.val_bpb) for score in scores):
                best = min((score.val_bpb for score in scores), key=lambda value: abs(value - claim.value))
                off.append(f"{claim.where} claims {claim.value:.10g}, its log shows {best:.6g}")
        if off:
            yield finding(facts, self, f"{'; '.join(off[:4])}.")

    def _size(self, facts: Facts) -> Iterator[Finding]:
        """A size that is claimed well below what any log prints."""
        claims = facts.records.claimed("artifact_bytes")
        printed = [(record, run.artifact) for record, run in reported(facts) if run.artifact is not None]
        if not claims or not printed:
            return
        record, least = min(printed, key=lambda found: found[1].bytes)
        if claims[0].value < least.bytes * (1 - _ROUNDED):
            message = f"{claims[0].where} claims {claims[0].value:,.0f} bytes; no log prints less than {least.bytes:,}."
            yield finding(facts, self, message, [(record, least.line, "the printed size")])

    def _seed_sizes(self, facts: Facts) -> Iterator[Finding]:
        """Sizes of single seeds that are claimed exactly, where the logs of the seed print a larger one or none."""
        printed: dict[int, list[int]] = {}
        for _, run in facts.records.runs:
            if run.seed is not None:
                sizes = [size.bytes for size in run.sizes if size.kind == "total"]
                printed.setdefault(run.seed.value, []).extend([*sizes, *([run.artifact.bytes] if run.artifact else [])])
        if not any(printed.values()):
            return
        off = []
        for claim in facts.records.claimed("artifact_bytes"):
            if claim.seed not in printed or claim.value % _EXACT == 0:
                continue
            sizes = printed[claim.seed]
            said = f"{claim.where.rpartition(': artifact')[0] or claim.where} claims {claim.value:,.0f} bytes"
            if not sizes:
                off.append(f"{said}, and no log of it prints a size")
            elif claim.value < min(sizes) - _EXACT:
                off.append(f"{said}, its log prints {min(sizes):,}")
        if off:
            yield finding(facts, self, f"{'; '.join(off[:4])}.", level="note")

    def _three_seeds(self, facts: Facts) -> Iterator[Finding]:
        """A box that is ticked for three seeds, where neither logs nor claims have as many."""
        runs = reported(facts)
        shown = {run.seed.value if run.seed else record.path for record, run in runs}
        claimed = {claim.value for claim in facts.records.claimed("seed")}
        ticked = _ticked(facts.submission.submission_json or {})
        if ticked and runs and max(len(shown), len(claimed)) < ENOUGH:
            message = f"submission.json declares {ticked}; {len(shown)} of the {ENOUGH} runs are shown."
            yield finding(
                facts, self, message, [(r, run.score.line, "a reported score") for r, run in runs if run.score]
            )

    def _shards(self, facts: Facts) -> Iterator[Finding]:
        """Data that the README calls those of others, where a log prints more shards than any published set has."""
        said = _SAME_DATA.search(facts.submission.readme or "")
        for record, run in reported(facts) if said is not None else ():
            shards, tokens = run.train_shards, run.val_tokens
            if said is None or shards is None or tokens is None or tokens.value > _MOST_TOKENS:
                continue
            if shards.value > _MOST_SHARDS:
                message = (
                    f"README.md has {said[0][:80]!r}; {record.name} prints {shards.value:,} training shards, and no"
                    f" published set of so few tokens has more than {_MOST_SHARDS}: they were made anew."
                )
                yield finding(facts, self, message, [(record, shards.line, "the shards")], level="note")
                return

    def _code(self, facts: Facts) -> Iterator[Finding]:
        sizes = {len(facts.submission.code), len(facts.text.encode(errors="replace"))}
        for record in facts.records.finished:
            printed = [size for size in record.run.sizes if size.kind == "code"]
            if printed and not any(size.bytes in sizes for size in printed):
                message = (
                    f"{record.name} is of a program of {printed[0].bytes:,} bytes; the committed script has"
                    f" {len(facts.submission.code):,}."
                )
                yield finding(facts, self, message, [(record, printed[0].line, "the printed code size")], level="note")
                return


def _ticked(declared: Mapping[str, object]) -> str | None:
    """The name of a switch for three seeds that is on, at the top or among the switches for compliance."""
    for name, value in declared.items():
        if isinstance(value, Mapping):
            value = next(
                (name for name, inner in value.items() if inner is True and _THREE_SEEDS.search(str(name))), None
            )
            if value is not None:
                return f"{name}.{value}"
        elif value is True and _THREE_SEEDS.search(name):
            return name
    return None


def _is(claim: Claim, value: float) -> bool:
    """Whether a printed score is the claimed one, rounded or cut to the claim's digits."""
    return abs(value - claim.value) < 1.001 * 10.0 ** -min(claim.decimals, 4)


def _values(facts: Facts) -> Iterator[float]:
    """Every score, and for each label the mean over the runs that print it; of several by one seed the last counts.

    What the logs end with is averaged too: over the first log of each seed and over the last, because a run may have
    one log of its training and one of its evaluation.
    """
    by_label: dict[str, dict[object, float]] = {}
    firsts: dict[object, float] = {}
    lasts: dict[object, float] = {}
    for record in facts.records.logs:
        for number, run in enumerate(record.runs):
            key = run.seed.value if run.seed is not None else (record.path, number)
            for score in run.scores:
                yield score.val_bpb
                if score.stage > Stage.TRAINING:
                    by_label.setdefault(score.label, {})[key] = score.val_bpb
            if run.score is not None:
                firsts.setdefault(key, run.score.val_bpb)
                lasts[key] = run.score.val_bpb
    for values in (*by_label.values(), firsts, lasts):
        if len(values) > 1:
            yield sum(values.values()) / len(values)
