"""Code and compressed model take more than 16,000,000 bytes.

What it does
------------
Adds up the compressed model, as the logs print it, and the code: once as the log counts the code, once as it is
committed. Both over the cap is a warning, one of them a note, and so are runs that are not the reported ones. A size
over the cap that submission.json or the README gives is a warning too; megabytes of a README count where no size is
given in bytes.

Why it matters
--------------
The cap is decimal and counts code and model together; maintainers closed entries for less than a thousandth too much.

Limits
------
Modules beside the script are not added. A log that prints no compressed size says nothing here, and no artifact is
built again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.records.model import CAP
from auditor.submission.claims import stated_megabytes
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import Quoted, finding, reported
from rules.records.samples import example, log


class ArtifactOverCap:
    """Sizes against the cap."""

    id: ClassVar[str] = "artifact-over-cap"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("readme-records", "pr1809")
    examples: ClassVar[tuple[Example, ...]] = (
        example("One seed is over the cap", True, train_seed7=log(7, model=16_050_433)),
        example("All seeds are under the cap", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The largest artifact of the reported runs, else the largest one claimed."""
        over: list[tuple[bool, int, str, Quoted]] = []
        counted = {id(run) for _, run in reported(facts)}
        for record, run in facts.records.runs:
            if run.artifact is None or run.score is None:
                continue
            logged, quoted = run.artifact.bytes, run.artifact
            committed = run.model.bytes + len(facts.submission.code) if run.model else logged
            if max(logged, committed) > CAP:
                text = f"{logged:,} bytes with the code as {record.name} counts it, {committed:,} as it is committed"
                both = min(logged, committed) > CAP and id(run) in counted
                over.append((both, max(logged, committed), text, (record, quoted.line, "the printed size")))
        claimed = [c for c in facts.records.claimed("artifact_bytes") if c.value > CAP]
        stated = [size for size in facts.submission.claims.artifact_bytes if size > CAP]
        if over:
            both, _, text, quote = max(over, key=lambda found: found[:2])
            count = f" in {len(over)} runs" if len(over) > 1 else ""
            message = f"Code and model are over {CAP:,} bytes{count}: {text}."
            yield finding(facts, self, message, [quote], level="warning" if both or claimed else "note")
        elif claimed:
            yield finding(facts, self, f"{claimed[0].where} gives {claimed[0].value:,.0f} bytes; the cap is {CAP:,}.")
        elif stated:
            yield finding(facts, self, f"The submission states {stated[0]:,} bytes; the cap is {CAP:,}.")
        elif not self._sized(facts):
            megabytes = stated_megabytes(facts.submission.readme or "")
            if megabytes is not None and megabytes > CAP / 1e6:
                yield finding(
                    facts, self, f"README.md gives an artifact of {megabytes:g} MB; the cap is {CAP:,} bytes."
                )

    def _sized(self, facts: Facts) -> bool:
        """Whether logs or claims give a size in bytes."""
        printed = any(run.artifact is not None for _, run in facts.records.runs)
        return bool(printed or facts.records.claimed("artifact_bytes") or facts.submission.claims.artifact_bytes)
