"""What is audited, and the three places it comes from: GitHub, a local mirror, a path."""

from __future__ import annotations

import re
from pathlib import Path

from auditor.submission.assemble import assemble
from auditor.submission.folder import open_path
from auditor.submission.github import open_pull, parse_url
from auditor.submission.mirror import Mirror
from auditor.submission.model import Submission
from auditor.verdict import PgolfError

__all__ = ["Submission", "named_pull", "open_target"]


def open_target(target: str, *, mirror: Path | None, repo: str) -> Submission:
    """The submission that `target` names: a pull request's number or URL, a folder, or a script.

    Pull requests are read from `mirror` when one is given, else from GitHub; a URL names its own
    repository. Raises `PgolfError` with one clear line when there is nothing to audit.
    """
    if located := named_pull(target, repo):
        return _open_pull(*located, mirror)
    if not target.strip():
        raise PgolfError("an empty target names nothing; for the current folder type: pgolf audit .")
    if "://" in target:
        raise PgolfError(f"not the URL of a pull request: {target[:200]!r}")
    return open_path(Path(target))


def named_pull(target: str, repo: str) -> tuple[str, int] | None:
    """Repository and number of the pull request that `target` names; None when it names none."""
    if re.fullmatch(r"#?\d{1,7}", target, re.ASCII) and not Path(target).exists():
        return repo, int(target.lstrip("#"))
    return parse_url(target)


def _open_pull(repo: str, number: int, mirror: Path | None) -> Submission:
    if mirror is None:
        return assemble(open_pull(repo, number))
    with Mirror(mirror) as clone:
        return assemble(clone.open(number, repo=repo))
