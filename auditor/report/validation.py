"""A validation for people: `pgolf validate`, and the table for a review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from auditor.report.escape import markdown_text, one_line
from auditor.report.terminal import Page

_COLUMNS = ("seed", "what", "claimed", "measured", "result")
_STYLE = {"reproduced": "green", "contradicted": "bold red"}
_VERDICT = {"reproduced": "bold green", "contradicted": "bold red", "undecided": "bold yellow"}
_TITLE = {
    "reproduced": "Every claim was reproduced.",
    "contradicted": "Something contradicts the claims.",
    "undecided": "Not everything could be compared.",
}


def as_text(name: str, validation: Mapping[str, Any], *, color: bool = False, width: int | None = None) -> str:
    """One row a quantity, then the clocks of each run, the data, and what was not comparable."""
    page = Page(color=color, width=width)
    verdict = validation["verdict"]
    page.line((one_line(name), "bold"), "  ", (verdict, _VERDICT[verdict]))
    page.gap()
    page.table(_COLUMNS, [_row(row) for row in shown(validation)])
    page.gap()
    for run in validation["runs"]:
        page.field(f"seed {run['seed']}", clocks(run), column=11)
    data = validation["data"]
    if data:
        page.field("data", data_line(data), column=11)
        for line in data["unchecked"]:
            page.field("unchecked", one_line(line), column=11)
    for line in validation["not_comparable"]:
        page.field("note", one_line(line, 400), column=11)
    return page.finish()


def as_markdown(name: str, validation: Mapping[str, Any]) -> str:
    """The table for a review: what was claimed, what was measured, what follows."""
    lines = [
        f"### Validation of {markdown_text(name)}: {validation['verdict']}",
        "",
        _TITLE[validation["verdict"]],
        "",
        "| seed | what | claimed | measured | result |",
        "|---|---|---:|---:|---|",
    ]
    for row in shown(validation):
        result = markdown_text(row["status"].replace("-", " ")) + (
            f": {markdown_text(row['note'])}" if row["note"] else ""
        )
        lines.append(f"| {_seed(row)} | {row['quantity']} | {_claimed(row)} | {_number(row, 'measured')} | {result} |")
    lines += ["", *(f"- seed {run['seed']}: {markdown_text(clocks(run))}" for run in validation["runs"])]
    data = validation["data"]
    if data:
        lines.append(f"- data: {markdown_text(data_line(data))}")
        lines += [f"- unchecked: {markdown_text(line)}" for line in data["unchecked"]]
    lines += [f"- {markdown_text(line, 600)}" for line in validation["not_comparable"]]
    return "\n".join(lines) + "\n"


def shown(validation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows that say something: nobody waits for a time that was not claimed."""
    return [row for row in validation["rows"] if row["decides"] or row["status"] != "not-claimed"]


def plan_text(plan: Mapping[str, Any], notes: Sequence[str], hours: float, price: float) -> str:
    """What would be run, and what it costs at most; `plan` as in validation.json."""
    page = Page(color=False, width=None)
    budgets = plan["budgets"]
    gpus = f"{plan['processes']} x {one_line(plan['gpus'][0])}" if plan["gpus"] else f"{plan['processes']} GPUs"
    page.field("run", f"seeds {', '.join(map(str, plan['seeds']))}, one after the other", column=9)
    page.field("on", "one CPU process, toy data" if plan["mode"] == "toy" else f"{gpus}, torchrun", column=9)
    page.field(
        "budgets",
        f"{budgets['training_s']:g} s training, {budgets['evaluation_s']:g} s evaluation;"
        f" set-up {budgets['setup_s']:g} s and artifact {budgets['artifact_s']:g} s at most",
        column=9,
    )
    page.field(
        "settings", " ".join(f"{one_line(k)}={one_line(v, 60)}" for k, v in sorted(plan["settings"].items())) or "-"
    )
    if plan["changed"]:
        page.field("changed", one_line(" ".join(plan["changed"]), 400))
    if plan["mode"] != "toy":
        page.field("cost", f"at most {hours:.1f} GPU hours, {hours * price:,.0f} USD at {price:g} USD each")
    for note in notes:
        page.field("note", one_line(note, 400))
    return page.finish()


def clocks(run: Mapping[str, Any]) -> str:
    """The phases of one run by our clock, beside what the script says of them."""
    if run["training_s"] is None:
        return one_line(run["reason"] or "it printed no training step", 200)
    parts = [f"{run['setup_s']:.1f} s set-up", f"{run['training_s']:.1f} s training{_said(run['said_training_s'])}"]
    if run["paused_s"] >= 1:
        parts.append(f"{run['paused_s']:.1f} s validating meanwhile")
    if run["artifact_s"] is not None:
        parts.append(f"{run['artifact_s']:.1f} s to the artifact")
    if run["evaluation_s"] is not None:
        parts.append(f"{run['evaluation_s']:.1f} s evaluation{_said(run['said_evaluation_s'])}")
    return ", ".join(parts)


def data_line(data: Mapping[str, Any]) -> str:
    """Which data it was."""
    counted = f", {data['bytes']:,} bytes" if data["bytes"] is not None else ""
    shared = f"; {data['shared']:,} of {data['documents']:,} documents begin like a training document"
    return f"{data['name']}: {data['tokens']:,} validation tokens{counted}" + (shared if data["documents"] else "")


def _said(seconds: float | None) -> str:
    return "" if seconds is None else f" (it says {seconds:.1f})"


def _row(row: Mapping[str, Any]) -> list[Text]:
    status = row["status"]
    result = Text(status.replace("-", " "), style=_STYLE.get(status, "yellow" if row["decides"] else "dim"))
    if row["note"] and status != "reproduced":
        result.append(f": {one_line(row['note'], 200)}", style="")
    return [Text(_seed(row)), Text(row["quantity"]), Text(_claimed(row)), Text(_number(row, "measured")), result]


def _seed(row: Mapping[str, Any]) -> str:
    return "all" if row["seed"] is None else str(row["seed"])


def _claimed(row: Mapping[str, Any]) -> str:
    limit = "at most " if row["where"] == "the rules" else ""
    return limit + _number(row, "claimed")


def _number(row: Mapping[str, Any], which: str) -> str:
    """A number as its quantity is written: scores with five decimals, seconds with one, the rest whole."""
    value, quantity = row[which], row["quantity"]
    if value is None:
        return "-"
    if "bpb" in quantity:
        return f"{value:.5f}"
    return f"{value:,.1f} s" if "time" in quantity or "budget" in quantity else f"{value:,.0f}"
