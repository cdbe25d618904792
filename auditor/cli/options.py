"""The arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from auditor.console import Format

DEFAULT_REPO = "openai/parameter-golf"


class Color(StrEnum):
    """When to colour the text format."""

    auto = "auto"
    always = "always"
    never = "never"


class TextOrJson(StrEnum):
    """Output formats of what is not a report."""

    text = "text"
    json = "json"


Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET", help="Pull request number or URL, submission folder, or script.", show_default=False
    ),
]

OneTarget = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="Pull request number or URL, submission folder, or script.", show_default=False
    ),
]

Mirror = Annotated[
    Path | None,
    typer.Option(
        "--mirror", metavar="GITDIR", help="Read pull requests from a clone that holds refs/pull/N/head; no network."
    ),
]

Repo = Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="Repository that a number refers to.")]

Env = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="KEY=VALUE", help="Override one setting of the reported run; may be repeated."),
]

OutputFormat = Annotated[Format, typer.Option("--format", help="How to print.", case_sensitive=False)]

DataFormat = Annotated[TextOrJson, typer.Option("--format", help="How to print.", case_sensitive=False)]

Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write there instead of to standard output; all of it or nothing."),
]

ColorOption = Annotated[Color, typer.Option("--color", help="Colour the text format; NO_COLOR is respected.")]
