"""Which pull requests of a mirror a benchmark runs over."""

from __future__ import annotations

import argparse
import random
import subprocess
from pathlib import Path

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
    wanted = numbers(prs) if prs else heads(mirror)
    if sample is not None and sample < len(wanted):
        wanted = sorted(random.Random(SEED).sample(wanted, sample))
    return wanted


def heads(mirror: Path) -> list[int]:
    """Every pull request whose head the mirror holds."""
    listed = subprocess.run(
        ["git", "-C", str(mirror), "for-each-ref", "--format=%(refname)", "refs/pull/*/head"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(int(name.split("/")[2]) for name in listed.split())


def numbers(text: str) -> list[int]:
    """`1-3,7` as [1, 2, 3, 7]."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)
