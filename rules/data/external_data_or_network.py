"""The run downloads data or reaches the network.

What it does
------------
Reports calls of the run that download files or open connections, and commands that do. A call between the scores of
validation tokens is a flag: what it brings is not in the artifact. A download elsewhere, mostly of the data set when
the script starts, is a warning, and an installation of packages a note.

Why it matters
--------------
The evaluation may use the artifact and the tokens already scored, and nothing else. The contest forbids network calls
at evaluation; scripts that fetch their own data set before training were never ruled on.

What helps
----------
Bring what the run needs in the folder, and fetch data in a script of its own beforehand.

Limits
------
Separate scripts that prepare the data are not part of the run. What a library downloads by itself, and what a native
extension does, is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Fetch
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_AT_START = script("""
    def evaluate(s, model, val):
        from huggingface_hub import snapshot_download
        snapshot_download("someone/data-set", repo_type="dataset", local_dir="data")
        return plain_eval(s, model, val)
""")

_UNCALLED = script("""
    def prepare():
        from huggingface_hub import snapshot_download
        snapshot_download("someone/data-set", repo_type="dataset", local_dir="data")

    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


class ExternalDataOrNetwork:
    """Network calls of the run."""

    id: ClassVar[str] = "external-data-or-network"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ("C1",)
    rulings: ClassVar[tuple[str, ...]] = ("readme-records",)
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The run downloads a data set", _AT_START, True),
        Example("A function that downloads is never called", _UNCALLED, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each kind of call, the one during the scoring first."""
        told = set()
        for fetch in sorted(facts.run.fetches, key=lambda f: not _while_scoring(facts, f)):
            scoring = _while_scoring(facts, fetch)
            level: Level = "flag" if scoring else "warning" if fetch.kind == "download" else "note"
            if level in told:
                continue
            told.add(level)
            what = "reaches the network" if fetch.kind == "download" else "installs packages"
            when = " while it scores validation tokens" if scoring else ""
            message = f"`{fetch.place.function}` {what}{when}: {fetch.what[:100]}"
            yield facts.finding(self, fetch.place, message, [facts.step(fetch.place, what)], level=level)


def _while_scoring(facts: Facts, fetch: Fetch) -> bool:
    """Whether the call stands in a loop that also computes scores of the headline."""
    headline = facts.run.headline
    if headline is None:
        return False
    mine = {loop.bit for loop in fetch.loops}
    return any(mine & {loop.bit for loop in facts.run.scores[number].loops} for number in headline.scores)
