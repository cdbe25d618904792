"""Small rewrites that may make a flagged script legal. Whether one does is for the audit to say, not for them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from auditor.fix.edit import Edit
from auditor.fix.repairs.document_starts import document_starts
from auditor.fix.repairs.other_branch import other_branch
from auditor.fix.repairs.score_chunks import score_chunks
from auditor.fix.repairs.score_first import score_first
from auditor.fix.repairs.switched_off import switched_off
from auditor.fix.repairs.training_tokens import training_tokens
from auditor.fix.repairs.without_adaptation import without_adaptation
from auditor.fix.repairs.without_mixture import without_mixture
from auditor.fix.script import Script
from auditor.verdict import Finding

_EACH = 4
"""Proposals of one kind that are tried: there are others yet."""


def proposals(script: Script, finding: Finding) -> Iterator[Edit]:
    """Rewrites for one finding: those that keep what was flagged, in a legal form, before those that leave it out."""
    if finding.level == "warning":
        yield from document_starts(script, finding)
        return
    here = finding.file == script.path  # else the script only leads to the module that is flagged
    order = {"C3", "C4"} & set(finding.conditions)  # else the lines are those of the score
    if order and here:
        for rewrite in (training_tokens, score_first, score_chunks):
            yield from islice(rewrite(script, finding), _EACH)
    yield from switched_off(script, finding)
    if order and here:
        yield from without_adaptation(script, finding)
    yield from other_branch(script, finding)
    if here:
        yield from without_mixture(script, finding)
