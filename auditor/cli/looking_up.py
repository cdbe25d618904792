"""Commands that say what pgolf knows and has: explain, rules, schema, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli.failing import failing
from auditor.cli.options import Color, ColorOption, DataFormat, Output, TextOrJson
from auditor.console import emit, use_color, writable
from auditor.verdict import ExitCode, PgolfError


def explain(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="Rule id, as `pgolf rules` lists them.", show_default=False)
    ],
    format: DataFormat = TextOrJson.text,
    color: ColorOption = Color.auto,
) -> None:
    """Show one rule in full: what it finds, why it matters, examples, rulings, limits.

    \b
    Examples:
      pgolf explain val-token-ttt
    """
    with failing(None):
        from auditor.report import explain as pages
        from rules import catalogue
        from rules.rulings import rulings

        found = {known.id: known for known in catalogue()}.get(rule)
        if found is None:
            raise PgolfError(unknown_rule(rule, [known.id for known in catalogue()]))
        if format is TextOrJson.json:
            emit(pages.explain_json(found, rulings()), None)
        else:
            emit(pages.explain(found, rulings(), color=use_color(color.value, None), width=None), None)


def rules(format: DataFormat = TextOrJson.text, color: ColorOption = Color.auto) -> None:
    """List the rules: id, level, conditions of issue #1017, and one line each.

    \b
    Examples:
      pgolf rules
      pgolf rules --format json
    """
    with failing(None):
        from auditor.report import explain as pages
        from rules import catalogue

        if format is TextOrJson.json:
            emit(pages.rules_json(catalogue()), None)
        else:
            emit(pages.rules_table(catalogue(), color=use_color(color.value, None), width=None), None)


def schema(output: Output = None) -> None:
    """Print the JSON schema of `--format json`.

    \b
    Examples:
      pgolf schema > pgolf.report.schema.json
    """
    with failing("schema"):
        from auditor.report.schema import schema_text

        writable(output)
        emit(schema_text(), output)


def doctor() -> None:
    """Say what is installed, what is missing, and the command that gets it.

    Exits with 0 when `pgolf audit` has all it needs, with 2 otherwise.

    \b
    Examples:
      pgolf doctor
    """
    with failing("doctor"):
        from auditor.doctor import diagnosis

        text, healthy = diagnosis()
        emit(text, None)
        raise typer.Exit(ExitCode.CLEAN if healthy else ExitCode.USAGE)


def unknown_rule(asked: str, known: list[str]) -> str:
    """Say that a rule is unknown, with the nearest known one."""
    from difflib import get_close_matches

    near = get_close_matches(asked, known, n=1)
    hint = f"did you mean {near[0]!r}? Type: pgolf explain {near[0]}" if near else "type: pgolf rules"
    return f"there is no rule {asked!r}; {hint}"
