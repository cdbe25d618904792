"""One pass over the lines of a log, whichever era it is from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from auditor.records import dialects as d
from auditor.records.model import Clock, LogRecord, Read, Run, Score, Size, Stage

_LONGEST = 2_000
_MAX_KEPT = 20_000
"""Scores, sizes and clocks that are kept of one run; real logs have a few hundred."""
_MAX_ERRORS = 20
_WORST = 20.0
"""More bits per byte than any model of text needs; what is printed so is something else."""


def parse_log(path: str, lines: Iterable[tuple[int, str]], *, worst: float = _WORST) -> LogRecord:
    """The runs of a log, from its numbered lines without the echoed source; scores of `worst` BPB and more are none."""
    reader = _Reader(worst)
    for number, line in lines:
        if len(line) <= _LONGEST and line.strip():
            reader.take(number, line)
    return LogRecord(path, _named(path, reader.finish()))


def _named(path: str, runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """The only run of a log that prints no seed has the one in the file's name: what evaluates alone prints none."""
    seeds = {int(number) for number in d.SEED_IN_NAME.findall(path.rpartition("/")[2])}
    if len(runs) == 1 and runs[0].seed is None and len(seeds) == 1:
        return (replace(runs[0], seed=Read(seeds.pop(), 0)),)
    return runs


class _Reader:
    """The run being read, and those before it."""

    def __init__(self, worst: float) -> None:
        self.worst = worst
        self.done: list[Run] = []
        self._start()

    def _start(self) -> None:
        self.counts: dict[str, Read[int]] = {}
        self.latest: dict[str, Read[int]] = {}
        """What the header printed last: where steps begin anew, that was the header of the new run.

        The seed is left out: it may be a default that a launcher passes over.
        """
        self.steps: Read[int] | None = None
        self.planned: int | None = None
        self.train_s: Read[float] | None = None
        self.rough = False
        """Whether the training time is known in minutes only: `10.0m` may be 598 s."""
        self.scores: list[Score] = []
        self.sizes: list[Size] = []
        self.clocks: list[Clock] = []
        self.errors: list[Read[str]] = []
        self.trained = 0
        self.stopped = False

    def take(self, number: int, line: str) -> None:
        """Read one line; cheap tests decide which patterns are tried."""
        low = line.lower()
        if "step" in low or "/" in line:
            self._step(number, line)
        if "bpb" in low:
            self._scores(number, line)
        if "bytes" in low or "total" in low:
            self._sizes(number, line)
        if any(word in low for word in ("seed", "world", "shards", "token", "val:", "bytes=")):
            self._header(number, line)
        if "time" in low or "training" in low:
            self._train_time(number, line)
        if any(word in low for word in ("elapsed", "wallclock", "total_eval_", "generated", "calibrat", "hessians")):
            self._clocks(number, line)
        if any(word in line for word in ("rror", "xception", "nterrupt", "memory", "signal SIG", "Killed")):
            self._error(number, line)

    def finish(self) -> tuple[Run, ...]:
        """All runs; what follows a run without training again belongs to it."""
        self._close()
        runs: list[Run] = []
        for run in self.done:
            if (runs and run.steps is None) or (runs and runs[-1].steps is None):
                runs[-1] = _joined(runs[-1], run)
            else:
                runs.append(run)
        return tuple(runs)

    def _close(self) -> None:
        self.done.append(
            Run(
                seed=self.counts.get("seed"),
                world_size=self.counts.get("world_size"),
                train_shards=self.counts.get("train_shards"),
                val_tokens=self.counts.get("val_tokens"),
                scored_tokens=self.counts.get("scored_tokens"),
                scored_bytes=self.counts.get("scored_bytes"),
                steps=self.steps,
                planned_steps=self.planned,
                train_s=self.train_s,
                scores=tuple(self.scores),
                sizes=tuple(self.sizes),
                clocks=tuple(self.clocks),
                errors=tuple(self.errors),
            )
        )

    def _again(self) -> None:
        """A header or step 0 after training: another run begins."""
        self._close()
        self._start()

    def _step(self, number: int, line: str) -> None:
        if "gptq" in line or "chunk" in line or "doc" in line:
            return
        found = d.STEP.search(line)
        if found:
            step = int(found[1] or found[3])
            planned = found[2] or found[4]
            if step <= 1 and self.trained > max(step, 1):
                printed = self.latest
                self._again()
                self.counts = {name: read for name, read in printed.items() if name != "seed"}
            self.trained = max(self.trained, step)
            if self.steps is None or step >= self.steps.value:
                self.steps = Read(step, number)
            if planned:
                self.planned = int(planned)
        if d.STOPPED.search(line):
            self.stopped = True
            last = d.STOPPED_AT.search(line)
            if last and self.steps is not None and int(last[1]) > self.steps.value:
                self.steps = Read(int(last[1]), number)

    def _scores(self, number: int, line: str) -> None:
        end = 0
        in_training = d.STEP.search(line) is not None
        found = list(d.SCORE.finditer(line))
        for position, match in enumerate(found):
            before, end = line[end : match.start()], match.end()
            after = line[end : found[position + 1].start()] if position + 1 < len(found) else line[end:]
            exact = d.EXACT.match(after)
            digits = exact[1] if exact else match[4]
            value = float(digits)
            if not 0 < value < self.worst or len(self.scores) >= _MAX_KEPT:
                continue
            if not in_training and (d.PROGRESS.search(before) or d.PROGRESS.search(match[2]) or d.SIGN.search(before)):
                continue
            label = "step" if in_training else _label(f"{before} {match[3] or ''}", match[2])
            stage = Stage.TRAINING if in_training else d.stage_of(label)
            took = d.EVAL_TIME.search(after)
            self.scores.append(
                Score(
                    label=label,
                    stage=stage,
                    val_bpb=value,
                    line=number,
                    val_loss=float(match[1]) if match[1] else None,
                    eval_s=d.seconds(took[1], took[2]) if took and not in_training else None,
                    decimals=len(digits.partition(".")[2]),
                    loss_decimals=len(match[1].partition(".")[2]) if match[1] else 0,
                )
            )

    def _sizes(self, number: int, line: str) -> None:
        for kind, pattern in d.SIZES:
            for match in pattern.finditer(line):
                if len(self.sizes) < _MAX_KEPT and len(match[2]) < 16:
                    self.sizes.append(Size(kind, (match[1] or "").strip("()").lower(), d.count(match[2]), number))

    def _header(self, number: int, line: str) -> None:
        if self.trained > 1 and self.stopped and d.WORLD_SIZE.search(line):
            self._again()
        if self.trained > 1 and any(score.stage > Stage.TRAINING for score in self.scores):
            seed, now = self.counts.get("seed"), d.SEED.search(line)
            if seed and now and int(now[1]) != seed.value and not d.SCORE.search(line):
                self._again()
        for name, pattern in d.HEADERS:
            if match := pattern.search(line):
                self.latest[name] = Read(d.count(match[1]), number)
                self.counts.setdefault(name, self.latest[name])
        for name, pattern in d.PARTS:
            if match := pattern.search(line):
                self.counts[name] = Read(d.count(next(group for group in match.groups() if group)), number)

    def _train_time(self, number: int, line: str) -> None:
        trained = d.TRAIN_TIME.search(line) or d.TRAINING_DONE.search(line)
        if trained:
            unit = trained[2] if trained.re is d.TRAIN_TIME else "s"
            took, rough = d.seconds(trained[1], unit), unit == "m"
            if rough and self.train_s is not None and not self.rough:
                return
            if self.train_s is None or took >= self.train_s.value or self.rough > rough:
                self.train_s, self.rough = Read(took, number), rough

    def _clocks(self, number: int, line: str) -> None:
        for kind, pattern in d.CLOCKS:
            match = pattern.search(line)
            if match and len(self.clocks) < _MAX_KEPT:
                took, text = d.seconds(match[1], match[2]), line.strip()[:160]
                self.clocks.append(Clock(kind, took, number, text, after_training=self.stopped))
                return
        if len(self.clocks) < _MAX_KEPT and d.UNTIMED_CALIBRATION.search(line.strip()):
            self.clocks.append(Clock("calibration", 0.0, number, line.strip()[:160], self.stopped, timed=False))

    def _error(self, number: int, line: str) -> None:
        match = d.ERROR.search(line.strip())
        if match and len(self.errors) < _MAX_ERRORS:
            self.errors.append(Read(next(g for g in match.groups() if g), number))


def _joined(first: Run, second: Run) -> Run:
    """Two parts of one run."""
    return Run(
        seed=first.seed or second.seed,
        world_size=first.world_size or second.world_size,
        train_shards=first.train_shards or second.train_shards,
        val_tokens=second.val_tokens or first.val_tokens,
        scored_tokens=second.scored_tokens or first.scored_tokens,
        scored_bytes=second.scored_bytes or first.scored_bytes,
        steps=first.steps or second.steps,
        planned_steps=first.planned_steps or second.planned_steps,
        train_s=first.train_s or second.train_s,
        scores=first.scores + second.scores,
        sizes=first.sizes + second.sizes,
        clocks=first.clocks + second.clocks,
        errors=first.errors + second.errors,
    )


def _label(before: str, name: str) -> str:
    """The words in front of a score, without the fields that stand between."""
    words = d.PAIR.sub(" ", d.RANK.sub("", before)).replace("|", " ").split()
    label = " ".join(filter(None, (word.strip(":,=[]()*#-") for word in words)))[-80:]
    return f"{label} {name}".strip() if name.lower() not in ("val_bpb", "bpb") or not label else label


def numbered(text: str, numbers: tuple[int, ...] = ()) -> Iterator[tuple[int, str]]:
    """Lines with their numbers in the file; `numbers` where lines were left out."""
    lines = text.split("\n")
    return zip(numbers, lines, strict=False) if numbers else enumerate(lines, start=1)
