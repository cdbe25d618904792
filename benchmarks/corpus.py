"""Which pull requests of a mirror a benchmark runs over."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from auditor.submission.mirror import Mirror
from auditor.sweep import pulls
from auditor.verdict import ExitCode

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


def swept(mirror: Path, prs: Iterable[int], folder: Path, *options: str) -> Path:
    """The reports on these pull requests, as `pgolf sweep` writes them to a file in `folder`."""
    out = folder / "reports.jsonl"
    listed = ",".join(map(str, sorted(set(prs))))
    command = [
        sys.executable,
        "-m",
        "auditor.cli",
        "sweep",
        "--mirror",
        str(mirror),
        "--prs",
        listed,
        "--out",
        str(out),
    ]
    done = subprocess.run([*command, *options], check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (ExitCode.CLEAN, ExitCode.FLAG, ExitCode.HOLD, ExitCode.USAGE) or not out.exists():
        raise SystemExit(f"the sweep ended with {done.returncode}")
    return out
