"""The report for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from auditor.report import view
from auditor.report.escape import code_line, one_line
from auditor.report.probe import probe_line
from auditor.report.smoke import smoke_line
from auditor.report.terminal import LEVEL_STYLE, Page
from auditor.verdict import Evidence, Finding, Report

if TYPE_CHECKING:
    from rules.rulings import Ruling, Rulings

_OUTCOME = {
    "clean": "the evaluation path was read and no rule fired",
    "flag": "a rule is broken on the path that was run",
    "hold": "undecided, a person has to look",
    "error": "could not be read",
}
_MAX_STEPS = 30


def render(report: Report, rulings: Rulings, *, color: bool, width: int | None) -> str:
    """One report as text, 80 columns wide unless `width` says otherwise."""
    page = Page(color=color, width=width)
    _head(page, report)
    if not view.is_submission(report):
        page.gap()
        page.line(one_line(view.reason(report)))
        return page.finish()
    _submission(page, report)
    findings = view.worst_first(report.findings)
    full = [finding for finding in findings if _deserves_room(report, finding)]
    # Several findings rest on the same rulings: they are numbered here and spelled out once, at the end.
    cited = rulings.cited(tuple(dict.fromkeys(name for finding in full for name in finding.rulings)))
    numbers = {ruling.id: number for number, ruling in enumerate(cited, start=1)}
    for finding in findings:
        page.gap()
        _finding(page, report, finding)
        if finding in full:
            _proof(page, report, finding, numbers)
    if report.verdict in ("hold", "error") and not report.findings:
        page.gap()
        page.line(one_line(view.reason(report)))
    _rulings(page, cited)
    _next(page, report)
    return page.finish()


def _deserves_room(report: Report, finding: Finding) -> bool:
    """Whether a finding bears on the verdict; the rest (code that is off, remarks) gets one line and its place."""
    return finding.level != "note" or finding.rule == report.cls


def _head(page: Page, report: Report) -> None:
    if not view.is_submission(report):
        page.line((report.cls.upper(), LEVEL_STYLE["note"]), "  ", ("nothing to judge", "bold"))
    else:
        what = _OUTCOME[report.verdict]
        if report.verdict in ("clean", "flag"):
            what = f"{one_line(report.cls)}: {what}"
        page.line((report.verdict.upper(), LEVEL_STYLE[report.verdict]), "  ", (what, "bold"))
    target = report.target
    where = [one_line(target.repo) if target.repo else "", view.name_of(report)]
    at = f" at {one_line(target.head)[:12]}" if target.head else ""
    page.line(one_line(" ".join(part for part in where if part)) + at)
    if target.title:
        page.line((one_line(target.title), "italic"))


def _submission(page: Page, report: Report) -> None:
    submission, claims = report.submission, report.claims
    page.gap()
    if submission.script:
        page.field("script", one_line(submission.script))
        if submission.code_bytes is not None:
            packed = f", packed: {one_line(', '.join(submission.packing))}" if submission.packing else ""
            page.field("size", f"{submission.code_bytes:,} bytes{packed}")
    if submission.chosen_because:
        page.field("chosen", one_line(submission.chosen_because))
    stated = [f"val_bpb {view.bpb(report)}"]
    if claims.seeds:
        stated.append("seeds " + " ".join(str(seed) for seed in claims.seeds[:10]))
    if claims.artifact_bytes:
        stated.append(f"artifact {max(claims.artifact_bytes):,} bytes")
    page.field("claims", ", ".join(stated), (f"  ({one_line(claims.source)})" if claims.source else "", "dim"))
    sizes = [f"{name} {submission.model[name]}" for name in ("dim", "layers", "vocab") if submission.model.get(name)]
    if sizes:
        page.field("model", ", ".join(sizes))
    if report.smoke is not None:
        page.field("smoke", one_line(smoke_line(report.smoke), 1000))
    if report.probe is not None:
        page.field("probe", probe_line(report.probe))
    config = view.telling_config(report)
    for position, (name, setting) in enumerate(config):
        page.field(
            "" if position else "config",
            f"{one_line(name, 60)}={one_line(setting.value, 80)}",
            (f"  ({one_line(setting.source, 80)})", "dim"),
        )
    left = len(submission.config) - len(config)
    if config and left > 0:
        page.field("", (f"and {left} more (--format json)", "dim"))


def _finding(page: Page, report: Report, finding: Finding) -> None:
    """What, where, and one message."""
    conditions = one_line(" ".join(finding.conditions), 60)
    verb = "breaks" if finding.level == "flag" else "about"
    page.line(
        (finding.level, LEVEL_STYLE[finding.level]),
        " ",
        (one_line(finding.rule), "bold"),
        f"  {verb} {conditions}" if conditions else "",
        (f"  {view.ACTIVATION[finding.activation]}" if finding.activation != "unknown" else "", "dim"),
    )
    page.line((_place(report, finding), "underline"), indent=2)
    page.line(one_line(finding.message, 1000), indent=2)


def _proof(page: Page, report: Report, finding: Finding, numbers: Mapping[str, int]) -> None:
    """The lines, the path, and the numbers of the rulings."""
    _quote(page, report, finding)
    for evidence in finding.evidence:
        _evidence(page, evidence)
    ruled = " ".join(f"[{numbers[name]}]" for name in finding.rulings if name in numbers)
    if ruled:
        page.line(("rulings: ", "dim"), ruled, indent=2)


def _place(report: Report, finding: Finding) -> str:
    """File, line and function; the folder only when it is not that of the script, which is named above."""
    file = finding.file
    if file.removesuffix(view.UNPACKED) == report.submission.script:
        file = file.rpartition("/")[2]
    inside = f" in {one_line(finding.function)}" if finding.function else ""
    if inside and finding.function_line:
        inside += f" (line {finding.function_line})"
    return f"{one_line(file)}:{finding.line}{inside}"


def _rulings(page: Page, cited: Sequence[Ruling]) -> None:
    """The reference list: every ruling that a finding rests on, once."""
    if cited:
        page.gap()
        page.line(("rulings", "bold"))
    for number, ruling in enumerate(cited, start=1):
        page.field(f"[{number}]", f"{ruling.who}, {ruling.when}: {ruling.says}", indent=2, column=4)
        page.link(ruling.url, indent=7)


def _quote(page: Page, report: Report, finding: Finding) -> None:
    quote = view.quote(report, finding)
    if quote is None:
        return
    page.gap()
    lines = [code_line(line) for line in quote.lines]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    for number, line in enumerate(lines, start=quote.first):
        marked = number in quote.marked
        page.exact(
            (f"{'>' if marked else ' '} {number:>5} | ", "red" if marked else "dim"),
            (line[margin:], "bold" if marked else ""),
            indent=2,
        )


def _evidence(page: Page, evidence: Evidence) -> None:
    if evidence.path:
        page.gap()
        page.line((f"{evidence.kind} evidence, in the order in which it happens:", "dim"), indent=2)
    for number, step in enumerate(evidence.path[:_MAX_STEPS], start=1):
        place = f"{one_line(step.file)}:{step.line}" if step.file else f"line {step.line}"
        page.exact(f"{number:>2}. ", (f"{place}  ", "dim"), code_line(step.text.strip()), indent=2)
        if step.note:
            page.line(one_line(step.note), indent=6)
    if len(evidence.path) > _MAX_STEPS:
        page.line(f"... {len(evidence.path) - _MAX_STEPS} more steps (--format json)", indent=2)
    for assumption in evidence.assumptions:
        page.line(("assumes: ", "dim"), one_line(assumption), indent=2)


def _next(page: Page, report: Report) -> None:
    """What to type now."""
    told = [f for f in view.worst_first(report.findings) if _deserves_room(report, f)]
    hints: Mapping[str, None] = dict.fromkeys(f"pgolf explain {one_line(f.rule)}" for f in told)
    page.gap()
    fixed, argument = view.repeat_command(report)
    commands = [*list(hints)[:3], f"{fixed} {one_line(argument)} --format markdown"]
    for position, command in enumerate(commands):
        page.command("" if position else "next", command)
