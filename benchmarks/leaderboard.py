"""Write rules/leaderboard.toml: the accepted rows with the scores of their runs, from a clone of the contest.

    python -m benchmarks.leaderboard --mirror GITDIR --update 2146

Rows, dates and places come from the README of the clone's default branch; scores, seeds and bytes per token from the
logs in the folder or the pull request that a row links to, read with the parser of `pgolf records`. Where neither the
mean of the runs nor the best of them is the printed score, the row keeps that alone, and the difference is named on
stderr.
`--update` names a pull request of the maintainers whose README has further rows; these are marked with its number.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from auditor.facts import Facts
from auditor.program.config import Settings
from auditor.records.statistics import mean
from auditor.submission import open_target
from auditor.submission.model import Submission
from rules.leaderboard import Row, Track
from rules.records.reading import counted_score, reported

REPOSITORY = "openai/parameter-golf"
OUT = Path(__file__).parent.parent / "rules" / "leaderboard.toml"
HEAD = """\
# The accepted rows of the contest's leaderboard. Written by `python -m benchmarks.leaderboard`; do not edit.
#
# `score` is as printed there; `scores` are those of the single runs, by their logs, in the order of `seeds`;
# both in bits per byte. `evidence` is the pull request whose runs stand for the row, where it is another one;
# `update` is the pull request of the maintainers that lists the row, where the default branch did not yet.
"""
_PULL = re.compile(r"/pull/(\d+)\)")
_COMMIT = re.compile(r"PR #\d+ commit ([0-9a-f]{7,40})\b")
_FOLDER = re.compile(r"\((records/[^)]+)/README\.md\)")


@dataclass(frozen=True)
class Entry:
    """One row of the README's tables: what it prints, and where it points."""

    row: Row
    folder: str | None
    commit: str | None
    """Of the pull request, where an earlier one than its head is meant."""


def git(mirror: Path, *words: str) -> bytes:
    """Output of a git command in the clone."""
    return subprocess.run(["git", "-C", str(mirror), *words], check=True, capture_output=True).stdout


def entries(readme: str) -> Iterator[Entry]:
    """The rows of the leaderboard; the first table is of the record track."""
    track: Track = "record"
    for line in readme.splitlines():
        if line.startswith("#") and "non-record" in line.lower():
            track = "non-record"
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 6 or not re.fullmatch(r"\d\.\d+", cells[1]):
            continue
        pulls = [int(number) for number in dict.fromkeys(_PULL.findall(cells[5]))]
        folder = _FOLDER.search(cells[5])
        row = Row(
            score=float(cells[1]),
            date=date.fromisoformat(cells[4]),
            track=track,
            pr=pulls[0] if pulls else None,
            evidence=pulls[-1] if len(pulls) > 1 else None,
        )
        at = _COMMIT.search(cells[3])
        yield Entry(row, folder[1] if folder and not pulls else None, at[1] if at else None)


def added_by(mirror: Path, commit: str, folder: str) -> int | None:
    """The pull request whose merge brought a folder to the default branch."""
    log = ("log", "--first-parent", "--format=%s", "--diff-filter=A", commit, "--", folder)
    subjects = git(mirror, *log).decode(errors="replace").splitlines()
    numbers = re.findall(r"#(\d+)", subjects[-1]) if subjects else []
    return int(numbers[-1]) if numbers else None


def opened(mirror: Path, commit: str, entry: Entry, scratch: Path) -> Submission:
    """The submission behind a row."""
    folder = entry.folder
    if folder is None:
        pull = open_target(str(entry.row.evidence or entry.row.pr), mirror=mirror, repo=REPOSITORY)
        if entry.commit is None or pull.folder is None:
            return pull
        commit, folder = entry.commit, pull.folder
    with tarfile.open(fileobj=io.BytesIO(git(mirror, "archive", commit, folder))) as archive:
        archive.extractall(scratch, filter="data")
    return open_target(str(scratch / folder), mirror=None, repo=REPOSITORY)


def with_runs(row: Row, submission: Submission) -> Row:
    """The row with its runs, where they give its score."""
    facts = Facts(submission, submission.script or "", "", None, Settings({}))
    runs: dict[int, tuple[float, float | None]] = {}
    for _, run in reported(facts):
        score = counted_score(facts, run)
        if score is not None and run.seed is not None:
            runs.setdefault(run.seed.value, (score.val_bpb, score.implied_bytes(1)))
    found = [score for score, _ in runs.values()]
    printed = 10.0 ** -len(str(row.score).partition(".")[2])
    if not any(abs(score - row.score) < printed for score in ([mean(found), min(found)] if found else [])):
        shown = ", ".join(f"{seed}: {score:.5f}" for seed, (score, _) in sorted(runs.items())) or "none"
        print(f"{row.name}: runs do not give {row.score}: {shown}", file=sys.stderr)
        return row
    ratios = [ratio for _, ratio in runs.values() if ratio is not None]
    return replace(
        row,
        seeds=tuple(sorted(runs)),
        scores=tuple(runs[seed][0] for seed in sorted(runs)),
        bytes_per_token=round(mean(ratios), 4) if ratios else None,
    )


def as_toml(row: Row) -> str:
    """One table, without what is not known."""
    lines = ["[[row]]"]
    lines += [f"pr = {row.pr}"] if row.pr is not None else []
    lines += [f"evidence = {row.evidence}"] if row.evidence is not None else []
    lines += [f"update = {row.update}"] if row.update is not None else []
    lines += [f"date = {row.date.isoformat()}", f'track = "{row.track}"', f"score = {row.score}"]
    if row.scores:
        lines += [f"seeds = {list(row.seeds)}", f"scores = {list(row.scores)}"]
    lines += [f"bytes_per_token = {row.bytes_per_token}"] if row.bytes_per_token is not None else []
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the clone and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirror", type=Path, required=True, metavar="GITDIR", help="clone with refs/pull/N/head")
    parser.add_argument("--update", type=int, metavar="N", help="pull request that adds rows to the README")
    given = parser.parse_args()
    mirror = given.mirror
    commit = git(mirror, "rev-parse", "HEAD").decode().strip()
    found = list(entries(git(mirror, "show", f"{commit}:README.md").decode()))
    if given.update is not None:
        known = {entry.row.pr for entry in found}
        update = entries(git(mirror, "show", f"refs/pull/{given.update}/head:README.md").decode())
        more = [e for e in update if e.folder is None and e.row.track == "record" and e.row.pr not in known]
        found = [replace(entry, row=replace(entry.row, update=given.update)) for entry in more] + found
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for entry in found:
            row = entry.row
            if entry.folder is not None:
                row = replace(row, pr=added_by(mirror, commit, entry.folder))
            rows.append(with_runs(row, opened(mirror, commit, entry, Path(scratch))))
    text = "\n".join([HEAD, f'commit = "{commit}"\n', *map(as_toml, rows)])
    new = OUT.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(OUT)
    print(f"{len(rows)} rows, {sum(bool(row.scores) for row in rows)} with runs: {OUT}")


if __name__ == "__main__":
    main()
