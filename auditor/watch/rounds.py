"""One round of a watch: see what moved, mark what is out of date, read what is new, post what was approved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.console import write_whole
from auditor.github import comment
from auditor.github.account import Account
from auditor.github.client import Client
from auditor.github.draft import Draft, dumps, loads
from auditor.github.post import Moved, post
from auditor.report.escape import code_line
from auditor.report.tool import RULESET, version
from auditor.verdict import PgolfError, Unreachable
from auditor.watch.audits import read_all
from auditor.watch.poll import poll
from auditor.watch.store import Row, Store

TOOL = f"{version()}/{RULESET}"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Watch:
    """A folder, a repository, and who looks at it."""

    folder: Path
    repo: str
    store: Store
    client: Client
    account: Account | None
    """Who posts what was approved; None to write nothing on GitHub."""
    say: Say
    """Takes one line a step."""
    jobs: int = 1

    def round(self) -> None:
        """Go round once. Raises `PgolfError` when GitHub does not answer; what was done is kept."""
        poll(self.client, self.repo, self.store)
        self.store.outdate(TOOL)
        if self.account is not None:
            self._mark(self.account)
        self._read(self.store.unread())
        if self.account is not None:
            self._post(self.account)

    def _mark(self, account: Account) -> None:
        for row in self.store.outlived():
            try:
                if comment.mark_stale(self.client, self.repo, row.number, account, row.head):
                    self.say(f"{row.number}: the posted review is marked as one of an older commit")
            except Unreachable:
                raise
            except PgolfError as error:  # a locked conversation, for example: nothing will change that
                self.say(f"{row.number}: not marked: {error}")
            self.store.marked(row.number, row.head)

    def _read(self, numbers: Sequence[int]) -> None:
        for done, read in enumerate(read_all(self.repo, numbers, jobs=self.jobs), 1):
            count = f"[{done}/{len(numbers)}] {read.number}"
            if read.stop:
                raise Unreachable(read.fail or "")
            if read.draft is not None:
                shown = write_draft(self.folder, read.draft)
                digest = read.draft.review.digest
                self.store.drafted(read.number, read.head, TOOL, read.draft.verdict, read.cls, digest)
                self.say(f"{count}: {read.draft.verdict} ({read.cls}), see {shown}")
            elif read.skip is not None:
                self.store.skipped(read.number, read.head, TOOL, read.skip)
                self.say(f"{count}: skipped: {read.skip}")
            else:
                self.store.failed(read.number, TOOL, read.fail or "")
                self.say(f"{count}: failed: {read.fail}")

    def _post(self, account: Account) -> None:
        for row in self.store.rows("approved"):
            try:
                draft = read_draft(self.folder, row)
                done = post(self.client, account, draft)
            except Moved as moved:
                self.store.moved(row.number, moved.head)
                self.say(str(moved))
            except Unreachable:
                raise
            except PgolfError as error:
                self.store.failed(row.number, TOOL, str(error))
                self.say(f"{row.number}: not posted: {error}")
            else:
                self.store.posted(row.number, draft.head)
                self.say(f"{row.number}: comment {done.comment}")


def write_draft(folder: Path, draft: Draft) -> Path:
    """Put the draft into the folder, to be read (`N.md`) and to be posted (`N.json`); returns the former."""
    shown = folder / "drafts" / f"{draft.pr}.md"
    shown.parent.mkdir(exist_ok=True)
    for path, text in ((shown.with_suffix(".json"), dumps(draft)), (shown, draft.review.body)):
        write_whole(text, path, shown=str(path))
    return shown


def read_draft(folder: Path, row: Row) -> Draft:
    """The draft that was approved; `PgolfError` when the file is not that one any more."""
    path = folder / "drafts" / f"{row.number}.json"
    try:
        draft = loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PgolfError(f"{path}: {error.strerror}") from None
    if (draft.pr, draft.head, draft.review.digest) != (row.number, row.head, row.digest):
        raise PgolfError(f"{path} is not the draft that was approved: it is made again")
    return draft


def listing(folder: Path, repo: str) -> str:
    """The queue as text: what waits for a person first, what is closed or skipped only counted."""
    if not (folder / "queue.sqlite").is_file():
        raise PgolfError(f"there is no queue in {folder}; type: pgolf watch {folder} --once")
    with Store(folder, repo) as store:
        rows = store.rows()
    lines = []
    for state in ("draft", "approved", "failed", "new", "posted"):
        for row in rows:
            if row.state == state:
                what = f"{row.verdict} ({row.cls})" if row.verdict and state != "new" else ""
                detail = " ".join(filter(None, [what, row.reason]))
                lines.append(code_line(f"{row.number:>6}  {row.head[:12]}  {state:<9} {detail}", 200))
    left = {state: sum(row.state == state for row in rows) for state in ("skipped", "closed")}
    lines.append(f"{left['skipped']} skipped (not submissions), {left['closed']} closed")
    return "\n".join(lines) + "\n"


def approve(folder: Path, repo: str, number: int) -> Row:
    """Approve the draft as it lies in the folder, for the next round to post; `PgolfError` when there is none."""
    path = folder / "drafts" / f"{number}.json"
    if not path.is_file():
        raise PgolfError(f"there is no draft {path}; type: pgolf watch {folder} --list")
    draft = loads(path.read_text(encoding="utf-8"))
    if (path.with_suffix(".md")).read_text(encoding="utf-8") != draft.review.body:
        raise PgolfError(f"{path.with_suffix('.md')} was changed: what is posted is what pgolf found; restore it")
    with Store(folder, repo) as store:
        row = store.approve(number, draft.review.digest)
        if row is None:
            state = next((row.state for row in store.rows() if row.number == number), "unknown")
            raise PgolfError(f"the review of {number} is {state}: only a draft can be approved")
        return row
