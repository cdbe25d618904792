"""The review of a submission: one comment, one line for a check run, and annotations, made from a report.

`render` is a pure function of the report, the rules and the rulings; what posts a review needs nothing else
of this package but `stale` and `read_marker`.
"""

from __future__ import annotations

from auditor.review.marker import Marker, read_marker, stale
from auditor.review.model import Annotation, Review
from auditor.review.render import MAX_CHARACTERS, render

__all__ = ["MAX_CHARACTERS", "Annotation", "Marker", "Review", "read_marker", "render", "stale"]
