"""What the logs say of the code that ran.

A message that only one place prints proves that the place was reached; a message that a place must print, and that a
complete log lacks, proves that it was not.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from auditor.program.index import CallIndex
from auditor.timeline.events import ReportEvent, Skipped

MIN_PREFIX = 6
CLAIM_SPREAD = 0.006
"""A claimed mean over seeds may lie this far from the number in one log."""
MIN_DECIMALS = 4
"""A number with fewer decimals is met by chance."""
MIN_FIXED = 12
"""Letters and signs that a message must fix to be known when it begins with a value."""
_NUMBER = re.compile(r"(?<![\w.])[0-4]\.\d{3,}")


@dataclass(frozen=True)
class Message:
    """The fixed text that a message begins with, where it is printed, and whether its function must print it."""

    text: str
    line: int
    certain: bool
    optional: tuple[tuple[ast.expr, str], ...] = ()
    """Tests, and the text that the message holds where they are true."""


class Messages:
    """All messages of a script, set against one log."""

    def __init__(self, index: CallIndex, log: frozenset[str]) -> None:
        self.index = index
        self.log = log
        """Lines of the log, stripped."""
        self.all = [message for call, certain in index.said for message in _message(call, certain)]

    @cached_property
    def patterns(self) -> dict[int, re.Pattern[str]]:
        """Messages that begin with a value, or with little before it, by line: the values may be anything."""
        found = {}
        for call, _ in self.index.said:
            template = _template(call)
            if template is not None:
                found[call.lineno] = re.compile(_regex(template))
        return found

    @cached_property
    def logged(self) -> frozenset[str]:
        """Texts of messages that stand in the log."""
        lines = sorted(self.log)
        found = set()
        for message in self.all:
            at = bisect_left(lines, message.text)
            if at < len(lines) and lines[at].startswith(message.text):
                found.add(message.text)
        return frozenset(found)

    def spans(self, block: Skipped) -> list[tuple[int, int]]:
        """The block, and the functions that are called from it alone."""
        out = [(block.line, block.end_line)]
        for name in self.index.called(block.line, block.end_line):
            if all(block.line <= line <= block.end_line for line, n in self.index.calls if n == name):
                out.extend(self.index.functions[name])
        return out

    def own(self, block: Skipped) -> list[Message]:
        """Messages that only this block prints."""
        spans = self.spans(block)
        inside = [m for m in self.all if any(low <= m.line <= high for low, high in spans)]
        outside = {m.text for m in self.all if not any(low <= m.line <= high for low, high in spans)}
        return [m for m in inside if m.text not in outside]


def _message(call: ast.Call, certain: bool) -> Iterator[Message]:
    """The message that a call prints, if it is given a text."""
    first = call.args[0]
    lines = _fixed_start(first).strip().splitlines()
    if lines and len(lines[0]) >= MIN_PREFIX and not lines[0].startswith(("--", "{", "_")):
        yield Message(lines[0], call.lineno, certain, tuple(_optional(first)))


def _template(call: ast.Call) -> ast.JoinedStr | None:
    """The text of a message that begins with a value, or with little before it, and fixes enough of the rest."""
    first = call.args[0]
    if not isinstance(first, ast.JoinedStr) or len(_fixed_start(first).strip()) >= MIN_PREFIX:
        return None
    fixed = "".join(str(p.value) for p in first.values if isinstance(p, ast.Constant))
    return first if len("".join(fixed.split())) >= MIN_FIXED else None


def _regex(template: ast.JoinedStr) -> str:
    """A pattern that the message matches."""
    return "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".*?" for p in template.values)


def executed(messages: Messages, skipped: Sequence[Skipped]) -> list[Skipped]:
    """Blocks that the configuration skips and the log shows."""
    return [block for block in skipped if any(m.text in messages.logged for m in messages.own(block))]


def in_loop(index: CallIndex, line: int) -> bool:
    """Whether a line lies in a loop: what a branch does there, it need not do the first time."""
    loops = (node for node, _ in index.statements if isinstance(node, ast.For | ast.While))
    return any(node.lineno < line <= (node.end_lineno or 0) for node in loops)


def shown_branches(messages: Messages, branches: Sequence[ast.If]) -> Iterator[tuple[int, bool]]:
    """Branches whose outcome a logged message tells: part of it is printed under the very test that they make."""
    parts = [(m, test, text) for m in messages.all if m.text in messages.logged for test, text in m.optional]
    for message, test, text in parts:
        lines = [line for line in messages.log if line.startswith(message.text)]
        outcome = all(text in line for line in lines)
        if outcome or not any(text in line for line in lines):
            wanted = ast.dump(test)
            for node in branches:
                if messages.index.same_function(message.line, node.lineno) and ast.dump(node.test) == wanted:
                    yield node.lineno, outcome


def _optional(first: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    """Parts of a message that are printed under a test: `{f" rate={rate}" if adapts else ""}`."""
    for part in first.values if isinstance(first, ast.JoinedStr) else ():
        choice = part.value if isinstance(part, ast.FormattedValue) else None
        if isinstance(choice, ast.IfExp) and isinstance(choice.orelse, ast.Constant) and choice.orelse.value == "":
            text = _fixed_start(choice.body).strip()
            if len(text) >= MIN_PREFIX:
                yield choice.test, text


def _fixed_start(node: ast.expr) -> str:
    """The text that a string begins with, whatever is put into it."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def claimed_lines(messages: Messages, claim: float, logs: Sequence[str]) -> list[int]:
    """Lines of the messages that printed the claimed number, whatever it was computed from."""
    return [
        m.line
        for m in messages.all
        if m.text in messages.logged and _prints([_last_line(log, m.text) for log in logs], claim)
    ]


def claimed_report(
    messages: Messages,
    reports: Sequence[ReportEvent],
    claim: float,
    logs: Sequence[str],
    earlier: Sequence[float] = (),
) -> int:
    """Line of the report that printed the claimed number; 0 when the last report did, or when the logs do not tell.

    A claim that no report comes near was corrected after the run; then one of the `earlier` claims tells.
    """
    by_line = {m.line: m.text for m in messages.all if m.text in messages.logged}
    fixed = tuple(by_line[r.place.line] for r in reports if r.place.line in by_line)
    latest = list(dict.fromkeys(r.place.line for r in sorted(reports, key=lambda r: -r.order) if r.bits))

    def exact(number: float) -> int:
        lines = (line for line in latest if line in by_line)
        return next((x for x in lines if _prints([_last_line(log, by_line[x]) for log in logs], number)), 0)

    def in_training() -> int:
        """The message that is printed again and again, when its last number is the claimed one."""
        lines = (line for line in latest if line not in by_line and line in messages.patterns)
        found = ((x, [_last_match(log, messages.patterns[x], fixed) for log in logs]) for x in lines)
        return next((line for line, printed in found if _prints(printed, claim)), 0)

    if found := exact(claim):
        return found
    others = [line for line in messages.log if not line.startswith(fixed)]
    distances: dict[int, float] = {}
    for report in reports:
        if not report.bits:
            continue
        text = by_line.get(report.place.line)
        if text is not None:
            printed = [line[len(text) - 1 :] for line in messages.log if line.startswith(text)]
        else:
            pattern = messages.patterns.get(report.place.line)
            # what begins with a text is printed again and again in training: some step's score is near any claim
            labelled = pattern if pattern and pattern.pattern.startswith(".*") else None
            printed = [line for line in others if labelled.match(line)] if labelled else []
        numbers = [float(n) for rest in printed for n in _NUMBER.findall(rest)]
        if numbers:
            distances[report.place.line] = min(abs(n - claim) for n in numbers)
    if not distances:
        return in_training()
    final = max((r for r in reports if r.bits), key=lambda r: r.order).place.line
    never_printed = final not in by_line and any(m.line == final for m in messages.all)
    best = min(distances, key=lambda line: (distances[line], -line))
    if distances[best] > CLAIM_SPREAD:
        return next((line for number in earlier if (line := exact(number))), 0) or in_training()
    if distances.get(final, 0.0 if not never_printed else 9.0) <= CLAIM_SPREAD:
        return 0
    return best


def _prints(printed: Sequence[str], claim: float) -> bool:
    """Whether the last of a message in each log holds the claimed number: in one of them, or as the mean over all."""
    decimals = len(repr(claim).partition(".")[2])
    if decimals < MIN_DECIMALS:
        return False
    columns = [[float(n) for n in _NUMBER.findall(line)] for line in printed]
    columns = [numbers for numbers in columns if numbers]
    means = [sum(column) / len(columns) for column in zip(*columns, strict=False)] if len(columns) > 1 else []
    return any(abs(n - claim) < 10.0**-decimals for n in [*means, *(n for numbers in columns for n in numbers)])


def _last_match(log: str, pattern: re.Pattern[str], others: tuple[str, ...]) -> str:
    """The last line of a log that matches, and that does not begin as one of `others`."""
    lines = (line.strip() for line in reversed(log.split("\n")))
    return next((line for line in lines if pattern.match(line) and not line.startswith(others)), "")


def _last_line(log: str, text: str) -> str:
    """What follows `text` on the last line of a log that begins with it."""
    at = log.rfind(text)
    while at >= 0:
        if not log[log.rfind("\n", 0, at) + 1 : at].strip():
            return log[at + len(text) - 1 :].partition("\n")[0]
        at = log.rfind(text, 0, at)
    return ""


def not_executed(messages: Messages, taken: Sequence[Skipped], report_lines: Sequence[int]) -> list[Skipped]:
    """Blocks that the configuration runs and the log lacks, although it holds one of the final reports."""
    logged_lines = {m.line for m in messages.all if m.text in messages.logged}
    if not logged_lines & set(report_lines):
        return []
    missing = []
    for block in taken:
        must = [m for m in messages.own(block) if _unconditional(messages, m, block)]
        if must and not any(m.text in messages.logged for m in messages.own(block)):
            missing.append(block)
    return missing


def _unconditional(messages: Messages, message: Message, block: Skipped) -> bool:
    """A message that is printed whenever the block runs: directly in it, or in a function that it calls."""
    if block.line <= message.line <= block.end_line:
        return message.line in _direct_lines(messages.index, block)
    return message.certain


def _direct_lines(index: CallIndex, block: Skipped) -> set[int]:
    """Lines of the block that lie under no further branch or loop."""
    for node in index.branches:
        if node.lineno == block.branch_line:
            body = node.body if block.branch else node.orelse
            return {n.lineno for s in body if isinstance(s, ast.Expr) for n in ast.walk(s) if isinstance(n, ast.Call)}
    return set()
