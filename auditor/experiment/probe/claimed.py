"""Which of the results that a program prints is the one that is claimed."""

from __future__ import annotations

from collections import Counter

from auditor.records.model import Records, Run

_CLOSE = 0.002
"""BPB by which the runs of several seeds differ from their mean, which is often what is claimed."""


def claimed_label(records: Records) -> str | None:
    """The label of the claimed score, where the logs print it and end with one that is far from it.

    Some programs go on to evaluations that the submission does not rely on. None where the claim is what the logs end
    with, or is not in them.
    """
    claims = [claim.value for claim in records.claimed("val_bpb")]
    if not claims:
        return None
    labels = Counter(label for _, run in records.runs if (label := _label(run, claims[0])) is not None)
    return labels.most_common(1)[0][0] if labels else None


def _label(run: Run, claim: float) -> str | None:
    if run.score is None or abs(run.score.val_bpb - claim) <= 2 * _CLOSE:
        return None
    near = min(run.finals, key=lambda score: abs(score.val_bpb - claim))
    return near.label if abs(near.val_bpb - claim) <= _CLOSE else None
