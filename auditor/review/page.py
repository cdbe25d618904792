"""What the templates are given: the report as a reader needs it, each piece escaped, each place linked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditor.report import rule_text, view
from auditor.report.escape import code_line, markdown_text
from auditor.report.records import significance_lines
from auditor.report.smoke import smoke_line
from auditor.report.tool import RULESET, version
from auditor.report.validation import as_markdown
from auditor.review.environment import Safe, code, fence, listed, message
from auditor.review.links import Links
from auditor.review.table import records_table
from auditor.verdict import ConfigValue, Evidence, Finding, Report, Step

if TYPE_CHECKING:
    from rules.base import Rule
    from rules.rulings import Pattern, Ruling, Rulings

_MAX_STEPS = 12
_MAX_LISTED = 10
_MAX_DIFF = 12_000
"""Characters of a diff that is shown; a longer one is named."""
_MAX_SETTINGS = 8
_MARKED = 900
_ON = ("1", "True", "true")
_WHO = {"maintainer": "maintainer", "community": "community analysis", "readme": "contest README"}
_EVIDENCE = {
    "static": "In the order in which it happens:",
    "records": "In the records:",
    "experiment": "When the script was run:",
}
_SETTING = re.compile(r"(?P<name>\w+)=(?P<value>.*) \((?P<source>[^()]+)\)", re.DOTALL)


@dataclass(frozen=True)
class Path:
    """One piece of evidence: steps to follow, and the settings under which they are taken."""

    heading: Safe
    steps: tuple[Safe, ...]
    more: int
    settings: Safe


@dataclass(frozen=True)
class Shown:
    """A finding in full."""

    rule: Safe
    head: Safe
    """Where it is and whether the run gets there."""
    says: Safe
    snippet: Safe
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Text:
    """What a rule's own text says of a finding: why it matters, what helps, and what reading for it cannot see."""

    rule: Safe
    summary: Safe
    why: Safe
    helps: Safe
    limits: Safe


@dataclass(frozen=True)
class Page:
    """Everything that a template may print; an empty value means that there is nothing to say."""

    title: Safe
    bpb: Safe
    pending: bool
    logs: int
    cls: Safe
    also: Safe
    """Other rules that flag."""
    checks: Safe
    """`by these checks, at this commit`."""
    where: Safe
    reason: Safe
    main: tuple[Shown, ...]
    unshown: tuple[Safe, ...]
    """Findings of the verdict's own level for which there is no room."""
    warnings: tuple[Safe, ...]
    """Of rules on the code."""
    warning_rules: Safe
    legal: tuple[Safe, ...]
    """Positive classes beside a flag or a hold."""
    dormant: tuple[Safe, ...]
    texts: tuple[Text, ...]
    """Of the rules of `main`, each once."""
    conditions: Safe
    rulings: tuple[Safe, ...]
    ruled: bool
    """Whether a maintainer or the contest's README is among them; of no matter where nothing is wrong."""
    patterns: tuple[Safe, ...]
    precedents: Safe
    silent: Safe
    """Rules that found nothing."""
    configuration: tuple[Safe, ...]
    switches: Safe
    """The settings that lead to what was found."""
    table: Safe
    validation: Safe
    """The table of `pgolf validate`."""
    significance: tuple[Safe, ...]
    readme_rule: Safe
    applied_rule: Safe
    open_records: tuple[Safe, ...]
    """Warnings of rules on records."""
    record_rules: Safe
    record_notes: tuple[Safe, ...]
    smoke: Safe
    experiment: tuple[tuple[Safe, Safe, Safe], ...]
    """Condition, answer, why."""
    experiment_repeat: Safe
    distance: Safe
    repairable: bool
    repair: Safe
    """A diff that makes the script legal, where it is short enough."""
    repair_command: Safe
    repeat: Safe
    tool: Safe


def page(
    report: Report,
    rules: Sequence[Rule],
    rulings: Rulings,
    *,
    full: int,
    repair: str | None,
    validation: Mapping[str, Any] | None,
) -> Page:
    """Prepare a report for the templates; at most `full` findings are shown in full."""
    return _Reader(report, rules, rulings).page(full, repair, validation)


class _Reader:
    """One report, its rules and its links."""

    def __init__(self, report: Report, rules: Sequence[Rule], rulings: Rulings):
        self.report = report
        self.rules = {rule.id: rule for rule in rules}
        self.rulings = rulings
        self.links = Links.to(report.target)
        self.findings = view.worst_first(report.findings)

    def page(self, full: int, repair: str | None, validation: Mapping[str, Any] | None) -> Page:
        report = self.report
        main = self._main()
        measured = report.records["significance"] if report.records else {"readme_rule": {}, "applied_rule": {}}
        significance = significance_lines(measured)
        # The finding on significance says in words what the lines on it say in numbers.
        told = {"not-significant"} if significance else set()
        others = [finding for finding in self.findings if finding not in main and finding.rule not in told]
        records = [finding for finding in others if self._kind(finding) == "record"]
        off = [finding for finding in others if finding.activation == "off"]
        legal = [f for f in others if f not in off and self._is_legal_part(f, main)]
        beside = [f for f in others if f not in (*records, *off) and self._kind(f) != "positive"]
        open_records = [finding for finding in records if finding.level == "warning"]
        rule_ids = list(dict.fromkeys(finding.rule for finding in main))
        patterns = list(dict.fromkeys(filter(None, map(self.rulings.pattern_for, rule_ids))))
        probe = report.probe or {"conditions": {}, "repeat": "", "distance": ""}
        return Page(
            title=self._title(),
            bpb=self._bpb(),
            pending=report.claims.val_bpb is None and report.claims.status == "pending",
            logs=len(report.records["logs"]) if report.records else 0,
            cls=code(report.cls),
            also=_rules(finding for finding in main if finding.rule != report.cls),
            checks=Safe(f"by these checks, {'at this commit' if report.target.head else 'for these files'}"),
            where=self._where(),
            reason=message(view.reason(report)),
            main=tuple(self._shown(finding) for finding in main[:full]),
            unshown=tuple(self._short(finding) for finding in main[full:][:_MAX_LISTED]),
            warnings=tuple(self._short(finding) for finding in beside)[:_MAX_LISTED],
            warning_rules=_rules(f for f in beside if f.level == "warning"),
            legal=tuple(self._short(finding) for finding in legal)[:_MAX_LISTED],
            dormant=tuple(self._short(finding) for finding in off)[:_MAX_LISTED],
            texts=tuple(self._text(self.rules[rule]) for rule in rule_ids if rule in self.rules),
            conditions=self._conditions(main),
            rulings=tuple(_ruling(ruling) for ruling in self._rulings(main)),
            ruled=report.verdict == "clean" or any(ruling.role != "community" for ruling in self._rulings(main)),
            patterns=tuple(Safe(f"`{p.cls}`: {p.says}") for p in patterns),
            precedents=self._precedents(patterns),
            silent=self._silent(),
            configuration=self._configuration(main),
            switches=self._switches(main),
            table=records_table(report, self.links),
            validation=_validation(validation) if validation else Safe(),
            significance=tuple(Safe(line) for line in significance),
            readme_rule=_met(measured["readme_rule"]),
            applied_rule=_met(measured["applied_rule"]),
            open_records=tuple(self._record(finding) for finding in open_records)[:_MAX_LISTED],
            record_rules=_rules(open_records),
            record_notes=tuple(self._record(f) for f in records if f not in open_records)[:_MAX_LISTED],
            smoke=message(smoke_line(report.smoke), 600) if report.smoke else Safe(),
            experiment=tuple(
                (Safe(f"{name} {view.CONDITIONS[name]}"), Safe(found["answer"].replace("-", " ")),
                 message(found["reason"] or "", 300))
                for name, found in probe["conditions"].items()
            ),
            experiment_repeat=code(probe["repeat"], 400),
            distance=message(probe["distance"], 600),
            repairable=bool(repair),
            repair=_diff(repair) if repair else Safe(),
            repair_command=code(f"pgolf fix --diff {view.repeat_command(report)[1]}", 400),
            repeat=code(self._repeat(), 400),
            tool=Safe(f"pgolf {version()}, rulings up to {RULESET}"),
        )  # fmt: skip

    def _kind(self, finding: Finding) -> str:
        rule = self.rules.get(finding.rule)
        return rule.kind if rule else "violation"

    def _is_legal_part(self, finding: Finding, main: list[Finding]) -> bool:
        """Whether it says of other code than what is flagged that it is legal."""
        if self.report.verdict != "flag" or self._kind(finding) != "positive" or finding.rule == "pure-neural":
            return False
        return finding.function not in {flagged.function for flagged in main}

    def _main(self) -> list[Finding]:
        """The findings that the verdict stands on."""
        if self.report.verdict == "clean":
            shown = view.positive(self.report)
            return [shown] if shown else []
        return [finding for finding in self.findings if finding.level == self.report.verdict]

    def _title(self) -> Safe:
        target = self.report.target
        if target.title:
            return message(target.title.replace("`", "'"), 200)
        return Safe(f"PR {target.pr}") if target.pr is not None else code(view.name_of(self.report))

    def _bpb(self) -> Safe:
        """The claim, where it stands, and what the logs print."""
        claims = self.report.claims
        parts = [Safe(f"claimed in {code(claims.source)}")] if claims.source else []
        logs = (self.report.records or {"logs": []})["logs"]
        printed = [f"{log['val_bpb']:.5f}" for log in logs if log["val_bpb"] is not None]
        if printed:
            shown = ", ".join(printed) if len(printed) <= 3 else f"{len(printed)} from {min(printed)} to {max(printed)}"
            parts.append(Safe(f"in the logs: {shown}"))
        where = f" ({'; '.join(parts)})" if parts else ""
        return Safe(f"{view.bpb(self.report)}{where}")

    def _where(self) -> Safe:
        submission = self.report.submission
        parts = [Safe(f"commit {self.links.commit}")] if self.report.target.head else []
        if submission.script:
            size = "" if submission.code_bytes is None else f" ({submission.code_bytes:,} bytes)"
            parts.append(Safe(f"file {self.links.file(submission.script)}{size}"))
        if submission.packing:
            packing = code(", ".join(submission.packing))
            parts.append(Safe(f"unpacked from {packing}: lines are those of the unpacked source"))
        model = submission.model
        sizes = [f"{name}={model[name]}" for name in ("dim", "layers", "vocab") if model.get(name)]
        if sizes:
            parts.append(Safe(" ".join(sizes)))
        if submission.chosen_because and submission.script:
            parts.append(Safe(f"chosen because: {message(submission.chosen_because)}"))
        return listed(parts)

    def _place(self, finding: Finding) -> Safe:
        line = self.links.line(finding.file, finding.line, finding.end_line)
        script = self.report.submission.script
        if finding.file.removesuffix(view.UNPACKED) == (script or finding.file):
            return line
        return Safe(f"{line} of {self.links.file(finding.file)}")

    def _shown(self, finding: Finding) -> Shown:
        inside = Safe()
        if finding.function and finding.function != "<module>":
            at = f" ({self.links.line(finding.file, finding.function_line)})" if finding.function_line else ""
            inside = Safe(f" in {code(finding.function)}{at}")
        run = "" if finding.activation == "unknown" else f", {view.ACTIVATION[finding.activation]}"
        quote = view.quote(self.report, finding)
        snippet = Safe()
        if quote is not None and not _is_a_beginning(finding, quote):
            numbered = enumerate(quote.lines, start=quote.first)
            lines = [
                f"> {n:>5} | {code_line(line, _MARKED)}" if n in quote.marked else f"  {n:>5} | {code_line(line, 180)}"
                for n, line in numbered
            ]
            snippet = fence(lines, "text", max_lines=40)
        return Shown(
            code(finding.rule),
            Safe(f"{self._place(finding)}{inside}{run}"),
            message(finding.message),
            snippet,
            tuple(self._path(finding, evidence) for evidence in finding.evidence),
        )

    def _path(self, finding: Finding, evidence: Evidence) -> Path:
        steps = tuple(self._step(finding, step) for step in evidence.path[:_MAX_STEPS])
        settings = [self._assumed(text) for text in evidence.assumptions[:5]]
        more = len(evidence.path) - len(steps)
        return Path(Safe(_EVIDENCE[evidence.kind]), steps, more, listed(settings))

    def _step(self, finding: Finding, step: Step) -> Safe:
        line = self.links.line(step.file or finding.file, step.line)
        file = Safe(f" of {code(step.file.rpartition('/')[2])}") if step.file else ""
        quoted = f", {code(step.text, 160)}" if step.text.strip() else ""
        note = f": {message(step.note, 300)}" if step.note else ""
        return Safe(f"{line}{file}{quoted}{note}")

    def _assumed(self, text: str) -> Safe:
        """A setting and its layer; other assumptions are sentences."""
        found = _SETTING.fullmatch(text)
        return self._setting(found["name"], ConfigValue(found["value"], found["source"])) if found else message(text)

    def _setting(self, name: str, setting: ConfigValue) -> Safe:
        layer, _, detail = setting.source.partition(":")
        shown = code(f"{name}={setting.value}", 90)
        if layer == "default" and re.fullmatch(r"L\d+", detail):
            script = self.report.submission.script or ""
            file = script + (view.UNPACKED if self.report.submission.packing else "")
            return Safe(f"{shown} (the script's default, {self.links.line(file, int(detail[1:]))})")
        where = {"command": "the run command", "log": f"log {code(detail)}"}.get(layer, str(code(setting.source)))
        return Safe(f"{shown} ({where})")

    def _configuration(self, main: list[Finding]) -> tuple[Safe, ...]:
        """Settings on the way to the findings, and others that bear on them and that the run has changed."""
        assumed = {found["name"] for found in self._assumptions(main)}
        telling = view.telling_config(self.report, limit=30)
        shown = [pair for pair in telling if pair[0] in assumed or not pair[1].source.startswith("default")]
        return tuple(self._setting(*pair) for pair in shown[:_MAX_SETTINGS])

    def _assumptions(self, main: list[Finding]) -> list[re.Match[str]]:
        """Settings under which the findings hold."""
        texts = [text for finding in main for evidence in finding.evidence for text in evidence.assumptions]
        return [found for text in texts if (found := _SETTING.fullmatch(text))]

    def _switches(self, main: list[Finding]) -> Safe:
        """Settings that turn something on, on the way to the findings, by name."""
        names = dict.fromkeys(found["name"] for found in self._assumptions(main) if found["value"] in _ON)
        return listed([code(name) for name in names][:5])

    def _short(self, finding: Finding) -> Safe:
        return Safe(f"{code(finding.rule)}, {self._place(finding)}: {message(finding.message, 400)}")

    def _record(self, finding: Finding) -> Safe:
        steps = [(step.file or finding.file, step.line) for evidence in finding.evidence for step in evidence.path]
        places = dict.fromkeys(self._in_file(file, line) for file, line in steps[:3])
        return Safe(
            f"{code(finding.rule)}: {message(finding.message, 400)}{f' ({listed([*places])})' if places else ''}"
        )

    def _in_file(self, file: str, line: int) -> Safe:
        """A line of a log, which stands beside other logs."""
        name = markdown_text(file.rpartition("/")[2], 60)
        return self.links.blob(file, Safe(f"{name} line {line}"), line)

    def _text(self, rule: Rule) -> Text:
        text = rule_text.read(rule)
        parts = (Safe(" ".join(text.section(name).split())) for name in ("Why it matters", "What helps", "Limits"))
        return Text(code(rule.id), Safe(text.summary.rstrip(".")), *parts)

    def _conditions(self, main: list[Finding]) -> Safe:
        names = dict.fromkeys(name for f in main for name in f.conditions if name in view.CONDITIONS)
        return listed([Safe(f"{name} ({view.CONDITIONS[name]})") for name in names], " and ")

    def _rulings(self, main: list[Finding]) -> list[Ruling]:
        """What the findings cite, each once, maintainers first."""
        named = "issue1017" if any(f.conditions for f in main) else None  # the conditions are linked to it
        cited = self.rulings.cited(tuple(dict.fromkeys(n for f in main for n in f.rulings if n != named)))
        return sorted(cited, key=lambda ruling: ruling.role == "community")

    def _precedents(self, patterns: list[Pattern]) -> Safe:
        rows = [row for pattern in patterns for row in self.rulings.precedents_for(pattern.cls)]
        return listed([Safe(f"[PR {row.pr}]({row.url}) ({row.note})") for row in rows])

    def _silent(self) -> Safe:
        found = {finding.rule for finding in self.findings}
        flagging = [rule for rule in self.rules.values() if rule.kind == "violation" and rule.level == "flag"]
        return listed([code(rule.id) for rule in flagging if rule.id not in found])

    def _repeat(self) -> str:
        _, argument = view.repeat_command(self.report)
        words = ["pgolf review", argument]
        for name, setting in sorted(self.report.submission.config.items()):
            if setting.source == "--env":
                words.append(f"--env {shlex.quote(f'{name}={setting.value}')}")
        words += [option for option, asked in (("--smoke", self.report.smoke), ("--probe", self.report.probe)) if asked]
        return " ".join(words)


def _is_a_beginning(finding: Finding, quote: view.Quote) -> bool:
    """Whether the place is the script as a whole, whose first lines tell nothing."""
    return (
        finding.line == 1
        and not any(evidence.path for evidence in finding.evidence)
        and bool(re.match(r"import |from |#|[ru]?[\"']{3}", quote.lines[0]))
    )


def _validation(validation: Mapping[str, Any]) -> Safe:
    """What `pgolf validate` writes for people, without its heading."""
    return Safe(as_markdown("", validation).partition("\n\n")[2])


def _diff(repair: str) -> Safe:
    lines = repair.splitlines()
    return fence(lines, "diff", max_lines=len(lines)) if len(repair) <= _MAX_DIFF else Safe()


def _met(rule: Mapping[str, Any]) -> Safe:
    """How a rule on significance came out; empty where nothing competes."""
    return Safe({True: "met", False: "not met", None: "open"}[rule["met"]]) if rule else Safe()


def _rules(findings: Iterable[Finding]) -> Safe:
    """The rules of some findings, each once."""
    return listed([code(rule) for rule in dict.fromkeys(finding.rule for finding in findings)])


def _ruling(ruling: Ruling) -> Safe:
    return Safe(f"[{ruling.short}]({ruling.url}), {ruling.who} ({_WHO[ruling.role]}), {ruling.when}: {ruling.says}")
