"""The review as a pull-request comment.

Every sentence here is ours; what comes from the submission is quoted through `escape`. The tone is that of
a colleague: what the code shows, which rule speaks of it, how to say that the reading is wrong. Nobody is
mentioned by handle, nobody is accused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditor.report import rule_text, view
from auditor.report.escape import code_line, markdown_code, markdown_fence, markdown_message, markdown_text
from auditor.report.records import significance_lines
from auditor.report.smoke import smoke_line
from auditor.report.tool import RULESET, version
from auditor.verdict import Evidence, Finding, Report

if TYPE_CHECKING:
    from rules.base import Rule
    from rules.rulings import Pattern, Ruling, Rulings

MAX_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""
_MAX_STEPS = 12
_MAX_LOGS = 8
_WHO = {"maintainer": "maintainer", "community": "community analysis", "readme": "contest README"}


def render(report: Report, rules: Sequence[Rule], rulings: Rulings) -> str:
    """One report as a review, short enough for a comment: findings are shown in full as long as they fit."""
    summary = next((rule_text.read(rule).summary for rule in rules if rule.id == report.cls), "")
    for full in (5, 2, 1, 0):
        text = _review(report, summary, rulings, full)
        if len(text) <= MAX_CHARACTERS:
            break
    return text


def _review(report: Report, summary: str, rulings: Rulings, full: int) -> str:
    blocks = [f"## Compliance review: {_title(report)}", _headline(report, summary)]
    if not view.is_submission(report):
        blocks += [_not_a_submission(report)]
    elif report.verdict == "error":
        blocks += [_unread(report)]
    else:
        blocks += _body(report, rulings, full)
    return "\n\n".join([*blocks, *_closing(report)]) + "\n"


def _title(report: Report) -> str:
    if report.target.title:
        return markdown_text(report.target.title, 200)
    return f"PR {report.target.pr}" if report.target.pr is not None else markdown_code(view.name_of(report))


def _headline(report: Report, summary: str) -> str:
    source = f" (read from {markdown_code(report.claims.source)})" if report.claims.source else ""
    return f"**BPB:** {view.bpb(report)}{source} | **Compliance:** {_compliance(report, summary)}"


def _compliance(report: Report, summary: str) -> str:
    if not view.is_submission(report):
        return "NOT A SUBMISSION"
    if report.verdict == "error":
        return "NOT READ"
    if report.verdict == "hold":
        return "HOLD: a person has to decide"
    what = f"{markdown_code(report.cls)}: {markdown_message(summary)}" if summary else markdown_code(report.cls)
    return f"{report.verdict.upper()}, {what}"


def _body(report: Report, rulings: Rulings, full: int) -> list[str]:
    """What was found, what the rule is, what is legal, what follows."""
    serious = [f for f in view.worst_first(report.findings) if f.level == report.verdict]
    if report.verdict == "clean":
        shown = view.positive(report)
        main = [shown] if shown else []
    else:
        main = serious
    blocks = [f"**What the code shows** ({_where(report)}):"]
    for finding in main[:full]:
        blocks += _finding(report, finding)
    if not main:
        blocks.append(markdown_message(view.reason(report)) if report.verdict == "hold" else _PLAIN_CLEAN)
    others = [f for f in view.worst_first(report.findings) if f not in main[:full]]
    if others:
        blocks.append("Also found, not deciding:" if main[:full] else "Found:")
        blocks.append("\n".join(_short(report, finding) for finding in others[:10]))
    if len(others) > 10:
        blocks.append(f"and {len(others) - 10} more, listed by `--format json`.")
    blocks += _configuration(report)
    blocks += _records(report)
    blocks += _runs(report)
    blocks += _rule(main, rulings)
    if report.verdict == "flag":
        blocks += _contrast(main, rulings)
        blocks += [_VERDICT_FLAG, _recommend_resubmission(rulings.pattern_for(report.cls))]
    elif report.verdict == "hold":
        blocks += [_VERDICT_HOLD, _RECOMMEND_HOLD]
    else:
        blocks += _precedents(report.cls, rulings)
        blocks += [_VERDICT_CLEAN, _RECOMMEND_CLEAN]
    return blocks


_PLAIN_CLEAN = "The evaluation path was read to its end. No rule fired."
_VERDICT_CLEAN = "**Verdict: CLEAN.** At this commit, none of the checks found a broken rule on the path that was run."
_RECOMMEND_CLEAN = (
    "**Recommendation:** nothing here stands in the way of a merge. Seeds, the 16,000,000-byte cap and the two 600 s "
    "budgets are read from the submission's own logs, not measured."
)
_VERDICT_FLAG = (
    "**Verdict: FLAG.** The path above is reached in the configuration that was reported, and it could not be shown "
    "that the rule is kept."
)
_VERDICT_HOLD = "**Verdict: HOLD.** The code alone does not decide this; it is neither clean nor flagged."
_RECOMMEND_HOLD = "**Recommendation:** a person should read the place above before anything else is decided."


def _runs(report: Report) -> list[str]:
    """What running the script showed: the smoke test, the experiment."""
    blocks = []
    if report.smoke is not None:
        blocks.append(f"**Smoke test** (sandboxed, CPU, toy data): {markdown_message(smoke_line(report.smoke), 600)}")
    if report.probe is not None:
        rows = [
            f"| {name} {view.CONDITIONS[name]} | {found['answer'].replace('-', ' ')} | "
            f"{markdown_text(found['reason'] or '', 300)} |"
            for name, found in report.probe["conditions"].items()
        ]
        table = "\n".join(["| condition | answer | why |", "| --- | --- | --- |", *rows])
        repeat = markdown_code(report.probe["repeat"], 400)
        blocks.append(f"**Experiment** (the script itself at toy size, repeat with {repeat}):\n\n{table}")
        blocks.append(markdown_message(report.probe["distance"], 600))
    return blocks


def _where(report: Report) -> str:
    submission = report.submission
    parts = []
    if report.target.head:
        parts.append(f"head {markdown_code(report.target.head[:12])}")
    if submission.script:
        parts.append(f"file {markdown_code(submission.script)}")
    if submission.packing:
        parts.append(f"unpacked from {markdown_code(', '.join(submission.packing))}")
    if submission.code_bytes is not None:
        parts.append(f"{submission.code_bytes:,} bytes")
    sizes = [f"{name}={submission.model[name]}" for name in ("dim", "layers", "vocab") if submission.model.get(name)]
    if sizes:
        parts.append(" ".join(sizes))
    if submission.chosen_because:
        parts.append(f"chosen because: {markdown_text(submission.chosen_because)}")
    return ", ".join(parts) or "no script"


def _finding(report: Report, finding: Finding) -> list[str]:
    inside = f" in {markdown_code(finding.function)}" if finding.function else ""
    if inside and finding.function_line:
        inside += f" (line {finding.function_line})"
    elsewhere = f" of {markdown_code(finding.file)}" if _other_file(report, finding) else ""
    blocks = [
        f"{markdown_code(finding.rule)} at line {finding.line}{elsewhere}{inside}, "
        f"{view.ACTIVATION[finding.activation]}: {markdown_message(finding.message)}"
    ]
    quote = view.quote(report, finding)
    if quote is not None:
        numbers = enumerate(quote.lines, start=quote.first)
        lines = [f"{'>' if n in quote.marked else ' '} {n:>5} | {code_line(line, 180)}" for n, line in numbers]
        blocks.append(markdown_fence(lines, "text"))
    for evidence in finding.evidence:
        blocks += _evidence(evidence)
    return blocks


def _evidence(evidence: Evidence) -> list[str]:
    blocks = []
    if evidence.path:
        kind = {"static": "In the order in which it happens", "records": "In the records", "experiment": "When run"}
        steps = [f"{kind[evidence.kind]}:", ""]
        for number, step in enumerate(evidence.path[:_MAX_STEPS], start=1):
            place = f"{markdown_code(step.file)} line {step.line}" if step.file else f"line {step.line}"
            note = f": {markdown_message(step.note, 300)}" if step.note else ""
            steps.append(f"{number}. {place}, {markdown_code(step.text, 160)}{note}")
        blocks.append("\n".join(steps))
        if len(evidence.path) > _MAX_STEPS:
            blocks.append(f"and {len(evidence.path) - _MAX_STEPS} more steps, listed by `--format json`.")
    if evidence.assumptions:
        listed = "; ".join(markdown_message(text, 300) for text in evidence.assumptions[:5])
        blocks.append(f"Taken for granted, because the code could not be followed there: {listed}.")
    return blocks


def _short(report: Report, finding: Finding) -> str:
    file = f"{markdown_code(finding.file)} " if _other_file(report, finding) else ""
    return (
        f"- {finding.level} {markdown_code(finding.rule)}, {file}line {finding.line}, "
        f"{view.ACTIVATION[finding.activation]}: {markdown_message(finding.message, 300)}"
    )


def _other_file(report: Report, finding: Finding) -> bool:
    return finding.file.removesuffix(view.UNPACKED) != report.submission.script


def _configuration(report: Report) -> list[str]:
    settings = [
        f"{markdown_code(f'{name}={setting.value}', 80)} ({markdown_code(setting.source, 80)})"
        for name, setting in view.telling_config(report)
    ]
    return [f"**Configuration of the reported run:** {', '.join(settings)}."] if settings else []


def _records(report: Report) -> list[str]:
    """What is claimed and what the logs show, with the bytes that loss and score imply."""
    logs = [log for log in (report.records or {}).get("logs", ()) if log["val_bpb"] is not None]
    if not logs:
        return []
    claims = report.claims
    seeds = " ".join(str(seed) for seed in claims.seeds[:_MAX_LOGS])
    sizes = f"{max(claims.artifact_bytes):,}" if claims.artifact_bytes else ""
    rows = [
        "| | seed | BPB | artifact, bytes | training, s | evaluation, s | validation set implied, bytes |",
        "|---|---|---|---|---|---|---|",
        f"| claimed | {seeds} | {view.bpb(report)} | {sizes} | | | |",
    ]
    for log in logs[:_MAX_LOGS]:
        numbers = (("seed", "d"), ("val_bpb", ".8g"), ("artifact_bytes", ",d"), ("train_s", ".1f"), ("eval_s", ".1f"))
        cells = [
            "" if log[name] is None else format(log[name], form) for name, form in (*numbers, ("implied_bytes", ",d"))
        ]
        rows.append(f"| {markdown_text(log['file'].rpartition('/')[2], 60)} | {' | '.join(cells)} |")
    more = [f"and {len(logs) - _MAX_LOGS} more logs, listed by `--format json`."] if len(logs) > _MAX_LOGS else []
    significance = significance_lines((report.records or {})["significance"])
    return [
        "**Records:**",
        "\n".join(rows),
        *more,
        *(["\n".join(f"- {line}" for line in significance)] if significance else []),
    ]


def _rule(findings: Sequence[Finding], rulings: Rulings) -> list[str]:
    """The conditions and the rulings that the findings cite, each once."""
    conditions = dict.fromkeys(name for f in findings for name in f.conditions if name in view.CONDITIONS)
    cited = rulings.cited(tuple(dict.fromkeys(name for f in findings for name in f.rulings)))
    if not cited and not conditions:
        return []
    named = " and ".join(f"{name} ({view.CONDITIONS[name]})" for name in conditions)
    condition = (
        f" This is about {named} of [issue 1017]({rulings.rulings['issue1017'].url})." if named else " What was ruled:"
    )
    listed = "\n".join(f"- {_ruling(ruling)}" for ruling in cited)
    return [f"**The rule.**{condition}", *([listed] if listed else [])]


def _ruling(ruling: Ruling) -> str:
    return f"[{ruling.short}]({ruling.url}), {ruling.who}, {_WHO[ruling.role]}, {ruling.when}: {ruling.says}"


def _contrast(findings: Sequence[Finding], rulings: Rulings) -> list[str]:
    patterns = dict.fromkeys(rulings.pattern_for(finding.rule) for finding in findings)
    return [
        " ".join([f"**The legal pattern** (`{p.cls}`): {p.says}.", *_precedents(p.cls, rulings)]) for p in patterns if p
    ]


def _precedents(cls: str, rulings: Rulings) -> list[str]:
    links = [f"[PR {p.pr}]({p.url}) ({p.note})" for p in rulings.precedents_for(cls)]
    return [f"Accepted rows that follow it: {', '.join(links)}."] if links else []


def _recommend_resubmission(pattern: Pattern | None) -> str:
    text = "**Recommendation:** not to be counted as it stands."
    return f"{text} A new version is welcome; the shortest repair: {pattern.remedy}." if pattern else text


def _not_a_submission(report: Report) -> str:
    return (
        f"There is nothing to judge here: {markdown_message(view.reason(report))}\n\n"
        "**Verdict: NOT A SUBMISSION.** This is neither clean nor flagged.\n\n"
        "**Recommendation:** none from this check."
    )


def _unread(report: Report) -> str:
    return (
        f"The submission could not be read: {markdown_message(view.reason(report))}\n\n"
        "**Verdict: NOT READ.** What was not read is not called clean.\n\n"
        "**Recommendation:** repair the input and ask again."
    )


def _closing(report: Report) -> list[str]:
    fixed, argument = view.repeat_command(report)
    command = markdown_code(f"{fixed} {argument} --format markdown")
    if not view.is_submission(report) or report.verdict == "error":
        return [f"**To dispute it:** reply here with the file to read; {command} gives the same text on your machine."]
    commit = " of the commit named above" if report.target.head else ""
    return [
        f"**Caveat:** this is a reading of the code{commit} by pgolf {version()} (rulings up to {RULESET}); nothing "
        "was run. It may have misread a helper, a default or the order of two lines.",
        f"**To dispute it:** reply here with the line that was misread, or push a commit and ask for a new reading; "
        f"{command} gives the same text on your machine.",
    ]
