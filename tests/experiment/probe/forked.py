"""Runs scripts of ours over a stream, each in a forked child with the taps installed: the probe without a sandbox."""

from __future__ import annotations

import json
import os
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # once, not in every child: the first optimiser would import it

import auditor.runtime
from auditor.experiment.probe.bench import MassQuestion, Observed
from auditor.experiment.probe.journal import read_journal
from auditor.runtime.observe.forks import Fork, Forks
from auditor.runtime.observe.journal import Journal
from auditor.runtime.observe.scores import Taps
from auditor.runtime.observe.stream import Stream

OWN = tuple(str(Path(module.__file__ or "").parent) for module in (torch, np, auditor.runtime))


class ForkedRunner:
    """A script as a function of the stream; it prints through `say`."""

    def __init__(self, script: Callable[[torch.Tensor, Callable[[str], None]], None], vocabulary: int = 128) -> None:
        self.script = script
        self.vocabulary = vocabulary

    def run(self, streams: Sequence[Sequence[int]]) -> list[Observed]:
        """One run for each stream."""
        return [Observed(read_journal(self._child(tokens, None)["entries"], len(tokens))) for tokens in streams]

    def mass(self, tokens: Sequence[int], question: MassQuestion) -> Observed:
        """A run that forks."""
        return Observed(losses=tuple(self._child(tokens, question)["losses"]))

    def _child(self, tokens: Sequence[int], question: MassQuestion | None) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            child = os.fork()
            if child == 0:
                try:
                    self._observe(tokens, question, result)
                except BaseException:
                    traceback.print_exc()
                os._exit(1)
            os.waitpid(child, 0)
            return dict(json.loads(result.read_text()))

    def _observe(self, tokens: Sequence[int], question: MassQuestion | None, result: Path) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        stream = np.array(tokens)
        journal = Journal(OWN)
        taps = Taps(Stream(stream), journal)
        if question is not None:
            shard = result.with_name("shard.bin")
            shard.write_bytes(bytes(1024) + stream.astype("<u2").tobytes())
            plan = Fork(question.entry, question.place, question.site, self.vocabulary, shard, 20.0, 60.0)

            def tell(losses: list[float | None]) -> Any:
                result.write_text(json.dumps({"losses": losses}))
                os._exit(0)

            journal.forks = Forks(plan, stream, lambda changed: setattr(taps, "stream", Stream(changed)), tell)
        taps.install()
        self.script(torch.tensor(tokens), lambda text: journal.event("line", text=text))
        result.write_text(json.dumps({"entries": journal.entries}))
