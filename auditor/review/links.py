"""Links into the repository at the commit that was judged: our address, in which names of files are encoded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from auditor.report.view import UNPACKED
from auditor.review.environment import Safe, code
from auditor.verdict import Target

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Links:
    """Where the files of a target can be read; without a repository and a commit, names stay names."""

    repo: str
    head: str

    @classmethod
    def to(cls, target: Target) -> Links:
        """Links for one target."""
        repo, head = target.repo or "", target.head or ""
        return cls(repo, head) if _REPO.fullmatch(repo) and _COMMIT.fullmatch(head) else cls("", head)

    @property
    def commit(self) -> Safe:
        """The commit, by its first twelve digits."""
        shown = code(self.head[:12])
        return Safe(f"[{shown}](https://github.com/{self.repo}/commit/{self.head})") if self.repo else shown

    def file(self, path: str) -> Safe:
        """A file at the commit, by its path."""
        return self.blob(path, code(path))

    def line(self, path: str, line: int, end: int | None = None) -> Safe:
        """`line 12`; a line of an unpacked source is in no file and cannot be linked."""
        last = max(end or line, line)
        text = f"line {line}" if last == line else f"lines {line} to {last}"
        if path.endswith(UNPACKED):
            return Safe(text)
        return self.blob(path, Safe(text), line, last)

    def blob(self, path: str, text: Safe, line: int = 0, last: int = 0) -> Safe:
        """Text of ours or escaped text, linked to a file at the commit, or to lines of it, if there is an address."""
        anchor = "" if line < 1 else f"#L{line}-L{last}" if last > line else f"#L{line}"
        path = path.removesuffix(UNPACKED)
        # A browser would follow `..` out of the repository.
        if not self.repo or any(part in ("", ".", "..") for part in path.split("/")):
            return text
        address = quote(path.encode("utf-8", "surrogatepass"), safe="/")
        return Safe(f"[{text}](https://github.com/{self.repo}/blob/{self.head}/{address}{anchor})")
