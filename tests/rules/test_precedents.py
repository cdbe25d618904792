"""Accepted rows that reviews cite as the legal pattern audit as they are cited; needs a clone of the contest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditor.engine import audit
from auditor.submission import open_target
from rules import catalogue
from rules.rulings import Precedent, rulings

MIRROR = os.environ.get("PGOLF_MIRROR")


@pytest.mark.skipif(not MIRROR, reason="PGOLF_MIRROR names no clone that holds refs/pull/N/head")
@pytest.mark.parametrize("precedent", rulings().precedents, ids=lambda p: f"pr{p.pr}")
def test_a_cited_row_is_clean(precedent: Precedent) -> None:
    report = audit(open_target(str(precedent.pr), mirror=Path(str(MIRROR)), repo="openai/parameter-golf"), catalogue())
    assert report.verdict == "clean"
    if precedent.cls != "context-only-ngram":  # such a row may adapt as well, and is then named for that
        assert report.cls == precedent.cls
