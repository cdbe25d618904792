"""Rules x submission -> report. The engine is handed the rules and never imports them."""

from __future__ import annotations

import ast
import gc
import hashlib
import posixpath
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from auditor.facts import Facts, spelled
from auditor.memory import Memory
from auditor.program.config import settings
from auditor.program.source import UnreadableSource, parse
from auditor.records.data import as_data
from auditor.submission.claims import stated_scores
from auditor.submission.logs import of_one_run
from auditor.submission.model import Submission, code_size
from auditor.submission.stated import scored_with
from auditor.submission.unpack import unpack
from auditor.timeline.evidence import (
    CLAIM_SPREAD,
    Messages,
    claimed_lines,
    claimed_report,
    executed,
    in_loop,
    not_executed,
    shown_branches,
)
from auditor.verdict import ConfigValue, Finding, Outcome, PgolfError, Report, ScriptInfo

T = TypeVar("T")
STACK_BYTES = 512 << 20
RECURSION = 60_000
FRAME_WORDS = 1 << 17
LOG_LINES = 20_000
NESTED = 4
"""How deep branches that only the log shows may lie in each other: each is seen once the outer one is on."""
MIN_HEADS = 5
SIBLING_BYTES = 4 << 20
_COMPUTED = re.compile(r"import_module|__import__|spec_from_file_location|runpy")
"""What may import a module by a name that is put together at run time."""
OFF = frozenset(["0", "0.0", "false", "none", ""])
"""Values that switch something off."""


class Rule(Protocol):
    """What the engine needs of a rule; `rules.base.Rule` has the rest."""

    @property
    def id(self) -> str:
        """Fixed name of the rule."""
        ...

    @property
    def kind(self) -> str:
        """`violation`, `record`, `positive` or `readability`."""
        ...

    def check(self, facts: Facts) -> Iterable[Finding]:
        """Findings under these facts."""
        ...


def audit(
    submission: Submission,
    rules: Sequence[Rule],
    *,
    env: Mapping[str, str] | None = None,
    memory: Memory | None = None,
) -> Report:
    """Audit one submission: unpack, configure, interpret, ask every rule, decide.

    What earlier audits with the same `memory` did is not done again. Never raises on hostile input: what cannot be read
    is `hold` or `error` with its reason.
    """
    enabled = gc.isenabled()
    gc.disable()  # trees and values live until the end; collecting them in between costs a third of the time
    try:
        return deep(lambda: _audit(submission, rules, env or {}, memory or Memory()))
    finally:
        if enabled:
            gc.enable()


def deep(work: Callable[[], T]) -> T:
    """Run `work` on a thread with a deep stack, for sources that nest deeply."""
    if threading.current_thread().name == "pgolf-deep":
        return work()
    result: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            result.append(_with_room(work))
        except BaseException as error:  # handed to the caller's thread
            failure.append(error)

    before, limit = threading.stack_size(STACK_BYTES), sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION)
    try:
        thread = threading.Thread(target=target, name="pgolf-deep", daemon=True)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
        sys.setrecursionlimit(limit)
    if failure:
        raise failure[0]
    return result[0]


def _with_room(work: Callable[[], T]) -> T:
    """Run `work` in a frame of 1 MB, of which nothing is used.

    CPython keeps frames in chunks of 16 KB, and maps one anew whenever a call goes over the end of the last one; a deep
    recursion that goes up and down there spent an eighth of the audit in the system. A large frame gets a chunk of
    twice its size, and leaves the rest to the calls below it.
    """
    return work()


_with_room.__code__ = _with_room.__code__.replace(co_stacksize=FRAME_WORDS)


def _audit(submission: Submission, rules: Sequence[Rule], env: Mapping[str, str], memory: Memory) -> Report:
    timings: dict[str, float] = {}
    if submission.script is None:
        info = ScriptInfo(
            submission.track, submission.folder, None, submission.reason, other_folders=submission.other_folders
        )
        return Report(submission.target, info, submission.claims, "hold", "not-a-submission", (), timings)
    facts = gather(submission, env, timings, memory)
    scored: Facts | None = None
    if submission.evaluator is not None:
        also: dict[str, float] = {}
        scored = gather(submission.evaluator, env, also, memory)
        timings |= {step: timings.get(step, 0.0) + spent for step, spent in also.items()}
    start = time.perf_counter()
    findings = [finding for rule in rules for finding in rule.check(facts)]
    if scored is not None:
        # logs and claims are the same for both scripts, and one often imports the other
        said = {(finding.rule, finding.file, finding.line) for finding in findings}
        again = [finding for rule in rules if rule.kind != "record" for finding in rule.check(scored)]
        findings += [finding for finding in again if (finding.rule, finding.file, finding.line) not in said]
    timings["rules"] = _since(start)
    findings.sort(key=lambda f: (_RANK[f.level], f.file, f.line, f.rule))
    verdict, cls = decide(findings, rules)
    info = describe(submission, facts)
    lines = facts.lines
    records = _records(facts, rules) if any(rule.kind == "record" for rule in rules) else None
    return Report(submission.target, info, submission.claims, verdict, cls, tuple(findings), timings, lines, records)


def check_records(submission: Submission, rules: Sequence[Rule]) -> tuple[dict[str, Any], list[Finding]]:
    """The records of a submission and what the rules on records say of them; the script is read, not interpreted."""
    try:
        text = deep(lambda: unpack(submission.code, siblings=_siblings(submission), name=submission.script or "").text)
    except UnreadableSource:
        text = ""
    facts = Facts(submission, submission.script or "", text, None, {})
    found = [finding for rule in rules if rule.kind == "record" for finding in rule.check(facts)]
    return _records(facts, rules), found


@runtime_checkable
class Measures(Protocol):
    """A rule that gives numbers for the report beside its findings."""

    def significance(self, facts: Facts) -> Mapping[str, dict[str, Any]]:
        """Both verdicts on significance, as `records` holds them."""
        ...


def _records(facts: Facts, rules: Sequence[Rule]) -> dict[str, Any]:
    measured = (rule.significance(facts) for rule in rules if isinstance(rule, Measures))
    return as_data(facts.records, next(measured, None))


def script_info(submission: Submission, env: Mapping[str, str]) -> ScriptInfo:
    """What the code says of its model and of its settings, under the effective configuration; no rule is asked."""
    return deep(lambda: describe(submission, gather(submission, env, {})))


_RANK = {"flag": 0, "hold": 1, "warning": 2, "note": 3}


def decide(findings: Sequence[Finding], rules: Sequence[Rule]) -> tuple[Outcome, str]:
    """Verdict and class: the first flagged rule in catalogue order, else a hold, else the positive class."""
    order = {rule.id: index for index, rule in enumerate(rules)}
    levels: tuple[Literal["flag", "hold"], ...] = ("flag", "hold")
    for level in levels:
        hit = sorted((f for f in findings if f.level == level), key=lambda f: order.get(f.rule, len(order)))
        if hit:
            return level, hit[0].rule
    kinds = {rule.id: rule.kind for rule in rules}
    for f in findings:
        if kinds.get(f.rule) == "positive" and f.activation != "off":
            return "clean", f.rule
    return "hold", "undecided"


def gather(
    submission: Submission, env: Mapping[str, str], timings: dict[str, float], memory: Memory | None = None
) -> Facts:
    """Read, unpack, parse and configure; what fails is remembered in the facts."""
    memory = memory or Memory()
    start = time.perf_counter()
    name = submission.script or ""
    problem = broken = None
    text, tree = "", None
    packing: tuple[str, ...] = ()
    modules: dict[str, ast.Module] = {}
    siblings: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    try:
        unpacked = unpack(submission.code, siblings=_siblings(submission), name=name)
        text, packing, problem = unpacked.text, unpacked.packing, unpacked.problem
        timings["unpack"] = _since(start)
        start = time.perf_counter()
        tree = _parsed(text, memory)
        siblings = {**_decoded(submission.modules, unreadable), **unpacked.modules}
        for module in _named(text, siblings):
            try:
                modules[module] = _parsed(siblings[module], memory)
            except UnreadableSource as error:
                unreadable[module] = str(error)
    except UnreadableSource as error:
        if error.kind == "broken":
            broken = str(error)
        else:
            problem = str(error)
    timings["parse"] = _since(start)
    start = time.perf_counter()
    file = name + ("!unpacked" if packing else "")
    config = settings(submission, "\n".join([text, *siblings.values()]), env)
    facts = Facts(
        submission, file, text, tree, config, modules, siblings, unreadable, packing, problem, broken, memory=memory
    )
    if tree is not None and submission.logs and submission.claims.status != "pending":
        facts = with_log_evidence(facts)
    elif tree is not None and not submission.logs:
        facts = with_stated_evidence(facts)
    _ = facts.run
    timings["timeline"] = _since(start)
    return facts


def _named(text: str, siblings: Mapping[str, str]) -> list[str]:
    """The modules that a script may import, itself or through one of them: it has to name them."""
    named: dict[str, None] = {}
    todo = [text]
    while todo:
        code = todo.pop()
        if _COMPUTED.search(code):
            return list(siblings)
        found = [module for module in siblings if module not in named and module.rpartition(".")[2] in code]
        named.update(dict.fromkeys(found))
        todo += [siblings[module] for module in found]
    return [module for module in siblings if module in named]


def _parsed(text: str, memory: Memory) -> ast.Module:
    return memory.once(("tree", text), lambda: parse(text))


def with_log_evidence(facts: Facts) -> Facts:
    """Correct the configuration by the log: switch on what it shows to have run, off what it must show and lacks."""
    assert facts.tree is not None
    log = facts.submission.logs[0]
    parts = of_one_run(facts.submission.logs)
    lines = frozenset(line.strip() for part in parts for line in part.text.splitlines()[:LOG_LINES])
    messages = Messages(facts.index, lines)
    source = f"log:{log.path.rpartition('/')[2]}"
    chosen = _overridden(facts)
    claim = facts.submission.claims.val_bpb
    logs = [log.text for log in facts.submission.logs]
    claimed = claimed_lines(messages, claim, logs) if claim is not None else []
    for _ in range(NESTED):
        run = facts.run
        forced = {**facts.forced, **dict(shown_branches(messages, facts.index.branches))}
        telling = [
            b
            for b in run.skipped
            if facts.index.updates(b.line, b.end_line)
            or (any(b.line <= line <= b.end_line for line in claimed) and not in_loop(facts.index, b.branch_line))
        ]
        for block in executed(messages, telling):
            forced[block.branch_line] = block.branch
        if run.headline is not None and _same_program(log.text, facts):
            finals = [r.place.line for r in run.reports if r.bits and r.order > run.headline.order * 0.4]
            updating = [b for b in run.taken if facts.index.updates(b.line, b.end_line)]
            missing = not_executed(messages, updating, finals)
            if missing and not _better_than_logs(facts):
                forced.update((block.branch_line, not block.branch) for block in missing)
        forced = {line: outcome for line, outcome in forced.items() if line not in chosen}
        if forced == facts.forced:
            break
        facts = replace(facts, forced=forced, evidence_source=source)
    if claim is not None:
        earlier = stated_scores(f"{facts.submission.folder} {facts.submission.target.title or ''}")
        line = claimed_report(messages, facts.run.reports, claim, logs, earlier)
        facts.headline_line = facts.run.headline_line = line
    return facts


def with_stated_evidence(facts: Facts) -> Facts:
    """Without a log: switch on what adapts the model and what the claimed score is said to be made with."""
    forced = {}
    for block in facts.run.skipped:
        if not facts.index.updates(block.line, block.end_line):
            continue
        for node in facts.index.branches:
            if node.lineno == block.branch_line:
                names = {name.upper() for name in facts.index.settings(node.test)}
                reads = [read for name, read in facts.run.config.items() if name in names]
                off = [read for read in reads if read.value.lower() in OFF]
                if off and all(r.source.startswith("default") and scored_with(r.name, facts.submission) for r in off):
                    forced[block.branch_line] = block.branch
    return replace(facts, forced=forced, evidence_source="the stated score") if forced else facts


def _overridden(facts: Facts) -> set[int]:
    """Lines of branches that test what the user set: `--env` is stronger than any log."""
    given = spelled(name for name, (_, source) in facts.settings.items() if source == "--env")
    return {node.lineno for node in facts.index.branches if given & facts.index.settings(node.test)} if given else set()


def _better_than_logs(facts: Facts) -> bool:
    """Whether the claimed score is far below all that the logs print: what they lack, the claimed run may have had."""
    claim = facts.submission.claims.val_bpb
    printed = [score.val_bpb for _, run in facts.records.runs for score in run.scores]
    return claim is not None and bool(printed) and claim < min(printed) - CLAIM_SPREAD


def _same_program(log: str, facts: Facts) -> bool:
    """Whether the log may be of this script: of its very size, or without a line that the script cannot print."""
    if code_size(log) in (None, len(facts.submission.code), len(facts.text.encode())):
        return True
    heads = {m.group(1) for m in re.finditer(r"^([A-Za-z_]{6,40})[:=]", log, re.MULTILINE)}
    return len(heads) >= MIN_HEADS and all(head in facts.text for head in heads)


def _siblings(submission: Submission) -> Callable[[str], bytes | None]:
    """Other files of the submission, by path relative to the script's folder; None where there is none."""
    folder = (submission.script or "").rpartition("/")[0]

    def read(path: str) -> bytes | None:
        whole = posixpath.normpath(posixpath.join(folder, path))
        try:
            return submission.tree.read(whole) if submission.tree.size(whole) <= SIBLING_BYTES else None
        except (PgolfError, KeyError, OSError):
            return None

    return read


def _decoded(modules: Mapping[str, bytes], unreadable: dict[str, str]) -> dict[str, str]:
    """Sibling modules as text, unpacked where they are packed; what cannot be read goes to `unreadable`."""
    out = {}
    for name, code in modules.items():
        if not code.strip():  # a bare `__init__.py`
            out[name] = ""
            continue
        try:
            inner = unpack(code, siblings={}, name=f"{name}.py")
        except UnreadableSource as error:
            unreadable[name] = str(error)
            continue
        out[name] = inner.text
        if inner.problem is not None:
            unreadable[name] = inner.problem
    return out


def describe(submission: Submission, facts: Facts) -> ScriptInfo:
    """Which script was audited, why, and under which configuration."""
    timeline = facts.run
    config = {name: ConfigValue(read.value, read.source) for name, read in sorted(timeline.config.items())}
    return ScriptInfo(
        track=submission.track,
        folder=submission.folder,
        script=submission.script,
        chosen_because=submission.chosen_because,
        script_sha256=hashlib.sha256(submission.code).hexdigest(),
        code_bytes=len(submission.code),
        packing=facts.packing,
        other_folders=submission.other_folders,
        model={"dim": None, "layers": None, "vocab": None, **timeline.model},
        config=config,
    )


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1e3, 3)


@dataclass(frozen=True)
class Row:
    """One line of a printed timeline."""

    depth: int
    kind: str
    line: int
    function: str
    text: str
    detail: str


def timeline_rows(submission: Submission, env: Mapping[str, str] | None = None) -> list[Row]:
    """The evaluation timeline, for the reader: what happens to validation tokens, in order."""
    from auditor.timeline.rows import rows

    facts = deep(lambda: gather(submission, env or {}, {}))
    return [Row(*row) for row in rows(facts.run, facts.line)]


__all__ = ["Row", "Rule", "audit", "check_records", "timeline_rows"]
