"""The evaluation path could not be read in full, so no verdict is given.

What it does
------------
Holds a submission whose code does not unpack, runs computed text, hands validation tokens to native code that it brings
along, or spends the analysis budget. The message says what
to look at.

Why it matters
--------------
A verdict says that the whole evaluation path was read. What was not read is no evidence, for or against.

What helps
----------
Commit the plain source beside the packed one, or pack it so that it decodes without being run; write the step that
could not be read in PyTorch or NumPy.

Limits
------
A packed script that unpacks is read like any other and is not reported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Place
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_HIDDEN = """
import base64, os
exec(base64.b64decode(os.environ["PAYLOAD"]))
"""
_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


_NATIVE = script("""
    def evaluate(s, model, val):
        from mixing import Hints
        hints = Hints(s.vocab)
        hints.set_tokens(val.numpy())
        tilt = torch.zeros(val.numel())
        hints.fill(tilt)
        return plain_eval(s, model, val)
""")

_SOURCES = (("mixing.cpp", "NB_MODULE(mixing, m) { nb::class_<Hints>(m); }"),)


class OpaqueCode:
    """Code that could not be followed."""

    id: ClassVar[str] = "opaque-code"
    kind: ClassVar[Kind] = "readability"
    level: ClassVar[Level] = "hold"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The program is not in the file", _HIDDEN, True),
        Example("A plain evaluation", _PLAIN, False),
        Example("An extension of the submission gives hints for the tokens", _NATIVE, True, files=_SOURCES),
        Example("An installed package of that name, for all that is known", _NATIVE, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One hold, with the first reason."""
        if facts.broken is not None:
            return
        if facts.problem is not None:
            yield self._hold(facts, 1, facts.problem)
        elif facts.run.opaque:
            line, reason = facts.run.opaque[0]
            yield self._hold(facts, line or 1, reason)
        elif facts.run.headline is not None and facts.run.headline.outside:
            line, command = next(iter(facts.run.workers.items()))
            yield self._hold(
                facts,
                line,
                f"the reported loss depends on a file that a started program (`{command}`) may have written",
            )

    def _hold(self, facts: Facts, line: int, reason: str) -> Finding:
        place = Place(line, "<module>", 1)
        return facts.finding(self, place, f"Undecided: {reason}.", [], activation="unknown", anchor=reason)
