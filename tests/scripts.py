"""Miniature scripts as submissions, for the tests of the analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditor.engine import audit
from auditor.submission.assemble import assemble
from auditor.submission.model import Log, Pull, RunCommand, Submission
from auditor.verdict import Claims, Finding, PgolfError, Report, Target
from rules import catalogue
from rules.base import Example


@dataclass(frozen=True)
class MemoryTree:
    """A tree of files that are held in memory."""

    files: Mapping[str, bytes] = field(default_factory=dict)

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.files))

    def added(self, path: str) -> bool:
        return path in self.files

    def upstream(self, path: str) -> bool:
        return False

    def folder(self, folder: str) -> tuple[str, ...]:
        return tuple(path for path in self.paths() if not folder or path.startswith(f"{folder}/"))

    def size(self, path: str) -> int:
        return len(self.read(path))

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise PgolfError(f"no such file: {path}")
        return self.files[path]


def submission(
    code: str | bytes,
    *,
    command: Mapping[str, str] | None = None,
    argv: Sequence[str] = (),
    nproc: int | None = None,
    log: str | None = None,
    printed: Mapping[str, str] | None = None,
    modules: Mapping[str, str | bytes] | None = None,
    claims: Claims | None = None,
) -> Submission:
    """A submission that is this script; `log` is the text of its log and `printed` the settings that stand in it."""
    data = code.encode() if isinstance(code, str) else code
    siblings = {name: text.encode() if isinstance(text, str) else text for name, text in (modules or {}).items()}
    files = {"train_gpt.py": data, **{f"{name.replace('.', '/')}.py": text for name, text in siblings.items()}}
    logs = (Log("train.log", log or "", dict(printed or {})),) if log is not None or printed is not None else ()
    return Submission(
        Target(path="x"),
        MemoryTree(files),
        script="train_gpt.py",
        code=data,
        modules=siblings,
        logs=logs,
        command=RunCommand(env=dict(command or {}), argv=tuple(argv), nproc=nproc),
        claims=claims or Claims(),
    )


def of_example(example: Example) -> Submission:
    """The submission of an example: its script alone, or the whole folder when it brings files."""
    if not example.files:
        return submission(example.code)
    folder = "records/track_10min_16mb/miniature"
    files = {"train_gpt.py": example.code, **dict(example.files)}
    tree = MemoryTree({f"{folder}/{name}": text.encode() for name, text in files.items()})
    return assemble(Pull(Target(path="x"), tree))


def audited(code: str | bytes, env: Mapping[str, str] | None = None) -> Report:
    """The report on a script, under its defaults and `env`."""
    return audit(submission(code), catalogue(), env=env)


def active(report: Report) -> list[Finding]:
    """Findings of the run: what it leaves out is a note with activation `off`."""
    return [finding for finding in report.findings if finding.activation != "off"]


def outline(report: Report) -> tuple[str, str, list[tuple[str, str, str]]]:
    """Verdict, class and which rules said what, without places and words."""
    return report.verdict, report.cls, sorted((f.rule, f.level, f.activation) for f in report.findings)
