"""The committed help texts are what the commands print, and every command shows examples."""

from __future__ import annotations

import pytest

from tests.help_texts import FOLDER, help_texts


def test_committed_help_is_what_the_commands_print() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.txt")}
    assert committed == help_texts(), "run: python -m tests.help_texts"


@pytest.mark.parametrize("name", sorted(set(help_texts()) - {"pgolf.txt"}))
def test_every_command_shows_examples_that_name_it(name: str) -> None:
    lines = help_texts()[name].split("Examples:\n")[1].split("\n\n")[0].splitlines()
    assert lines
    assert all(line.startswith(f"    pgolf {name.removesuffix('.txt')}") for line in lines)


def test_no_help_line_is_wider_than_the_committed_width() -> None:
    assert [line for text in help_texts().values() for line in text.splitlines() if len(line) > 100] == []
