"""Which pull requests of a mirror a benchmark runs over."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from auditor.submission.mirror import Mirror
from auditor.sweep import pulls

SEED = 1017


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--mirror", type=Path, required=True, metavar="GITDIR", help="clone that holds refs/pull/N/head"
    )
    parser.add_argument("--prs", default="", metavar="LIST", help="for example 290,715 or 1-500; default: all")
    parser.add_argument("--sample", type=int, metavar="N", help="a fixed random sample of that many")
    return parser


def chosen(mirror: Path, prs: str, sample: int | None) -> list[int]:
    """The pull requests asked for, in order; a sample is the same on every run."""
    with Mirror(mirror) as clone:
        wanted = pulls.among(pulls.ranges(prs), clone.prs()) if prs else list(clone.prs())
    if sample is not None and sample < len(wanted):
        wanted = sorted(random.Random(SEED).sample(wanted, sample))
    return wanted
