"""`pgolf probe`: the experiment on a submission, each run in a sandbox of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auditor.experiment.data import BOS, SMALLEST, ToyData, piece_bytes, train_tokenizer
from auditor.experiment.grammar import runnable
from auditor.experiment.probe.bench import Bench, MassQuestion, Observed
from auditor.experiment.probe.claimed import claimed_result
from auditor.experiment.probe.journal import BadJournal, read_journal
from auditor.experiment.probe.judge import judge
from auditor.experiment.probe.model import Probe, everywhere
from auditor.experiment.probe.sizes import TOKENS, toy_literals, toy_sizes
from auditor.experiment.probe.streams import Recipe, stream
from auditor.experiment.shrink import reads
from auditor.experiment.stage import (
    HOME,
    LAUNCHED,
    PLACES,
    Job,
    Program,
    Ran,
    Result,
    read_program,
    run,
    stage,
    workspace_root,
)
from auditor.records.read import read_records
from auditor.sandbox import WORKSPACE, Limits
from auditor.submission.model import Submission

Floats = npt.NDArray[np.float64]

LIMITS = Limits(cpu_s=90.0, wall_s=240.0, memory_mb=2048, processes=64, disk_mb=256, result_bytes=32 << 20)
MASS_LIMITS = Limits(cpu_s=150.0, wall_s=240.0, memory_mb=2048, processes=64, disk_mb=256, result_bytes=1 << 20)
TRAIN_TOKENS = 1 << 14
DOCUMENTS = 12
LIVEN = 0.02
"""Noise in place of weights of zero: at toy size they would stay near zero, and all streams would look alike."""
CHILD_S, MASS_S = 10.0, 60.0


@dataclass(frozen=True)
class ObservedTap:
    """What the tap `observe` leaves; `read_journal` checks the entries."""

    full: bool
    losses: list[float | None]
    entries: list[dict[str, str | int | bool | list[str | int]]]


@dataclass(frozen=True)
class Taps:
    """Results of the taps of a probe run."""

    observe: ObservedTap


@dataclass(frozen=True)
class RunResult(Result):
    """The result of a probe run, as the sandbox leaves it."""

    taps: Taps


@dataclass(frozen=True)
class Tokenizer:
    """The toy tokenizer, and the text that its tokens stand for."""

    vocab: int
    model: bytes | None
    sizes: tuple[int, ...]
    """Bytes of each token."""
    leads: tuple[bool, ...]
    """Whether a token begins with a space, which is not counted at the start of a text."""
    odd: frozenset[int] = frozenset()
    """Tokens with inner spaces: scripts count three bytes for each of these."""

    @classmethod
    def of(cls, vocab: int) -> Tokenizer:
        """The toy tokenizer of a vocabulary; bytes where it is too small for one."""
        if vocab < SMALLEST:
            return cls(vocab, None, (1,) * vocab, (False,) * vocab)
        import sentencepiece

        model = train_tokenizer(vocab)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = [processor.id_to_piece(token) for token in range(vocab)]
        odd = frozenset(token for token, piece in enumerate(pieces) if "\u2581" in piece[1:])
        leads = tuple(piece.startswith("\u2581") for piece in pieces)
        return cls(vocab, model, tuple(map(piece_bytes, pieces)), leads, odd)

    @property
    def ordinary(self) -> tuple[int, ...]:
        """Tokens that stand for bytes, which all scripts count alike."""
        after = BOS + 3
        return tuple(token for token in range(after, self.vocab) if self.sizes[token] and token not in self.odd)

    def bytes_of(self, tokens: Sequence[int]) -> Floats:
        """Bytes that each token of a stream stands for (STACK.md 1.8): no space at the start of a document."""
        counted = [self.sizes[token] for token in tokens]
        for at in range(1, len(tokens)):
            if self.leads[tokens[at]] and not self.sizes[tokens[at - 1]]:
                counted[at] -= 1
        return np.array(counted, dtype=np.float64)


@dataclass
class SandboxRunner:
    """Runs a program over streams, two at a time."""

    program: Program
    tokenizer: Tokenizer
    sizes: Mapping[str, int]
    anywhere: Mapping[str, int]
    train: Sequence[int]
    jobs: int
    step: Callable[[str], None]
    runs: int = 0
    max_rss_mb: float = 0.0
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, streams: Sequence[Sequence[int]]) -> list[Observed]:
        """One run for each stream."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda tokens: self._observed(tokens, None), streams))

    def mass(self, tokens: Sequence[int], question: MassQuestion) -> Observed:
        """A run that forks."""
        return self._observed(tokens, question)

    def _observed(self, tokens: Sequence[int], question: MassQuestion | None) -> Observed:
        ran = self._run(tokens, question)
        self.runs += 1
        self.max_rss_mb = max(self.max_rss_mb, ran.outcome.max_rss_mb)
        self.step("asking for one distribution" if question else f"run {self.runs}")
        if ran.result is None:
            return Observed(failure=ran.problem)
        if ran.result.ended == "raised":
            fault = {"script": "", "environment": "not installed here: ", "runtime": "beyond the CPU runtime: "}
            return Observed(failure=f"{fault[ran.result.fault or 'script']}{ran.result.reason}")
        if question is not None:
            return Observed(losses=tuple(ran.result.taps.observe.losses))
        if ran.result.taps.observe.full:
            return Observed(failure="the run scores more tokens than the journal holds")
        try:
            return Observed(read_journal(ran.result.taps.observe.entries, len(tokens)))
        except BadJournal as error:
            return Observed(failure=f"its journal cannot be read: {error}")

    def _run(self, tokens: Sequence[int], question: MassQuestion | None) -> Ran[RunResult]:
        counted = [self.tokenizer.sizes[token] for token in tokens]
        data = ToyData(self.tokenizer.vocab, self.tokenizer.model, self.train, tokens, counted)
        mass = None
        if question is not None:
            mass = {
                "entry": question.entry, "place": question.place, "site": list(question.site),
                "vocabulary": self.tokenizer.vocab, "child_s": CHILD_S, "total_s": MASS_S,
                "shard": str(WORKSPACE / HOME / data.val_shard),
            }  # fmt: skip
        job = Job(taps={"observe": {"tokens": list(tokens), "mass": mass}}, liven=LIVEN)
        with tempfile.TemporaryDirectory(prefix="pgolf-", dir=workspace_root()) as folder:
            staged = stage(Path(folder), self.program, data, job, self.sizes, self.anywhere)
            self.env = staged.env
            return run(staged, RunResult, LIMITS if question is None else MASS_LIMITS)


def switched(program: Program, values: Mapping[str, str]) -> Program:
    """The program with every switch set as in the reported run: a default may depend on the number of processes."""
    switches = {
        name: value
        for name, value in values.items()
        if value in ("0", "1") and name not in (*LAUNCHED, *PLACES) and reads(program.text, name)
    }
    return replace(program, env={**switches, **program.env})


def training_tokens(recipe: Recipe, seeds: Sequence[int]) -> list[int]:
    """Training tokens that cannot be mistaken for those of the validation streams; the same for all runs."""
    length = min(TRAIN_TOKENS, len(recipe.tokens) ** 2 // 8)
    return stream(replace(recipe, length=length, documents=length // 128), 0, [stream(recipe, seed) for seed in seeds])


def probe(
    submission: Submission,
    values: Mapping[str, str],
    overrides: Mapping[str, str],
    *,
    seed: int,
    jobs: int,
    repeat: str,
    step: Callable[[str], None],
) -> Probe:
    """Probe a submission; `values` are all its settings in the reported run.

    Raises `PgolfError` where there is no script or nothing to run it with.
    """
    started = time.monotonic()
    program = switched(read_program(submission, overrides), values)
    try:
        text = runnable(program.text)
    except SyntaxError as error:
        return Probe(everywhere("could-not-run", f"SyntaxError: {error}"), program.env, (), repeat)
    sizes, anywhere = toy_sizes(values, text), toy_literals(text)
    tokenizer = Tokenizer.of(sizes.get("VOCAB_SIZE", 1024))
    recipe = Recipe(TOKENS, tokenizer.ordinary, BOS, DOCUMENTS)
    seeds = (seed, seed + 1000)
    runner = SandboxRunner(program, tokenizer, sizes, anywhere, training_tokens(recipe, seeds), jobs, step)
    outcome = judge(Bench(runner, recipe, tokenizer.bytes_of, claimed_result(read_records(submission))), seeds)
    return Probe(
        outcome.conditions, dict(runner.env), outcome.seeds, repeat, outcome.evaluation,
        runner.runs, time.monotonic() - started, runner.max_rss_mb,
    )  # fmt: skip
