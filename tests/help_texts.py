"""Writes docs/help/*.txt: what every `--help` prints. Run it after changing the command line:

python -m tests.help_texts
"""

from __future__ import annotations

from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from auditor.cli import app

FOLDER = Path(__file__).parent.parent / "docs" / "help"


def help_texts() -> dict[str, str]:
    """The help of the program and of each command, by file name."""
    named: dict[str, tuple[str, ...]] = {"pgolf": ()}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        named |= {name: (name,)} if inner is None else {f"{name} {each}": (name, each) for each in inner}
    return {f"{name}.txt": help_of(*words) for name, words in named.items()}


def help_of(*command: str) -> str:
    """What `pgolf COMMAND --help` prints."""
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="pgolf")
    assert result.exit_code == 0, result.output
    return result.stdout


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in FOLDER.glob("*.txt"):
        stale.unlink()
    for name, text in help_texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
