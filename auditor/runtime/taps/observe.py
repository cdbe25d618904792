"""What the whole run scores, trains on and prints, in order (`..observe`); or the mass of one score.

Options: `tokens`, the validation stream; `mass`, where to fork and what to ask (`..observe.forks.Fork`), or null.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import numpy as np
import torch

from ..observe.forks import Fork, Forks, Losses
from ..observe.journal import Journal
from ..observe.scores import Taps
from ..observe.stream import Stream

if TYPE_CHECKING:
    from ..__main__ import Run


class Tap:
    """Observes a run to its end."""

    def __init__(self, run: Run, options: Mapping[str, Any]) -> None:
        libraries = tuple(str(Path(module.__file__ or "").parent) for module in (torch, np))
        own = str(Path(__file__).parents[1])
        self.run = run
        self.journal = Journal((own, *libraries, "<frozen"))
        self.losses: Losses | None = None
        stream = np.array(options["tokens"], dtype=np.int64)
        self.taps = Taps(Stream(stream), self.journal)
        if options.get("mass"):
            asked = options["mass"]
            plan = Fork(**{**asked, "site": tuple(asked["site"]), "shard": Path(asked["shard"])})
            self.journal.forks = Forks(plan, stream, self.observe, self.tell)

    def install(self) -> None:
        """Observe tensors and what is printed."""
        sys.stdout = Lines(sys.stdout, self.journal)
        self.taps.install()

    def observe(self, stream: Any) -> None:
        """In a child: the stream has changed."""
        self.taps.stream = Stream(stream)

    def tell(self, losses: Losses) -> NoReturn:
        """The children are done."""
        self.losses = losses
        self.run.stop()

    def result(self) -> dict[str, Any]:
        """The journal, or the losses that were asked for."""
        if self.losses is not None:
            return {"entries": [], "full": False, "losses": self.losses}
        return {"entries": self.journal.entries, "full": self.journal.full, "losses": []}


class Lines:
    """A text stream that also writes each complete line to the journal."""

    def __init__(self, stream: TextIO, journal: Journal) -> None:
        self._stream = stream
        self._journal = journal
        self._rest = ""

    def write(self, text: str) -> int:
        """Pass the text on."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._journal.line(line)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
