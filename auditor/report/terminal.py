"""Lays out lines for a terminal or a pipe, with rich. Callers pass text that `escape` has made safe."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

DEFAULT_WIDTH = 80
LEVEL_STYLE = {
    "flag": "bold red",
    "hold": "bold yellow",
    "warning": "yellow",
    "note": "cyan",
    "clean": "bold green",
    "error": "bold red",
}


class Page:
    """Collects output; `finish` returns it without trailing spaces and with nothing a CI runner would obey."""

    def __init__(self, *, color: bool, width: int | None) -> None:
        self.width = max(40, width or DEFAULT_WIDTH)
        self._file = io.StringIO()
        self._console = Console(
            file=self._file,
            width=self.width,
            force_terminal=color,
            no_color=not color,
            color_system="standard" if color else None,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def line(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """A paragraph, wrapped; each part is text or (text, style)."""
        self._print(Text.assemble(*parts, overflow="fold"), indent)

    def exact(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """One line that is cut, not wrapped: code."""
        text = Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
        text.truncate(self.width - indent, overflow="ellipsis")
        self._print(text, indent)

    def link(self, url: str, indent: int = 0) -> None:
        """A URL of ours on a line of its own, never wrapped: a broken link cannot be copied."""
        self._console.print(Text.assemble(" " * indent, (url, "blue")), soft_wrap=True)

    def command(self, label: str, command: str, column: int = 9) -> None:
        """A command to type, on a line of its own that is never wrapped: like a link, it is there to be copied."""
        self._console.print(Text.assemble((f"{label:<{column}} ", "dim"), (command, "bold")), soft_wrap=True)

    def field(self, label: str, *parts: str | tuple[str, str], indent: int = 0, column: int = 9) -> None:
        """A label and a value that wraps under itself."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=column)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, style="dim"), Text.assemble(*parts, overflow="fold"))
        self._print(grid, indent)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
        """Columns without borders; the last one wraps."""
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for position, name in enumerate(header):
            grid.add_column(name, no_wrap=position < len(header) - 1, overflow="fold")
        for row in rows:
            grid.add_row(*row)
        self._print(grid, 0)

    def gap(self) -> None:
        """An empty line."""
        self._console.print()

    def finish(self) -> str:
        """Everything printed so far."""
        lines = (_disarm(line.rstrip()) for line in self._file.getvalue().split("\n"))
        return "\n".join(lines).strip("\n") + "\n"

    def _print(self, what: RenderableType, indent: int) -> None:
        self._console.print(Padding(what, (0, 0, 0, indent)) if indent else what)


def _disarm(line: str) -> str:
    """Break what a GitHub runner would obey, at equal width: `##[x]`, and `::x` after spaces and colours only."""
    return re.sub(r"^((?:\s|\x1b\[[0-9;]*m)*)::", r"\1.:", line).replace("##[", "##(")
