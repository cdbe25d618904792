"""Training logs: which files they are, their text without the echoed source, and the settings they print.

Most logs of this field begin with the script's own source (RULES, trap 20): every pattern would match
f-strings and comments there, so the echo is cut out before anything is read. It is found from both
sides: lines of the committed script, and the shape of a Python file between separator lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

from auditor.submission.model import Log

MAX_LOG = 8 << 20
"""Bytes that are kept of one log: the head with the settings and the tail with the results."""
_KEPT_HEAD, _KEPT_TAIL = 6 << 20, 2 << 20
_LONGEST_LINE = 8_000
_LAST_HEADER = 5_000
"""Settings stand in the first lines; a log that never shows a training step is not searched further."""
_MIN_ECHO = 12
"""Fewer lines than this that look like the script are not taken for an echo."""

_SUFFIX = re.compile(r"\.(?:log|txt|out|stdout|stderr)$", re.IGNORECASE)
_NOT_A_LOG = re.compile(
    r"(?:^|/)(?:requirements|constraints|license|notice|readme|todo|notes?|packages|pip)[^/]*$", re.IGNORECASE
)
_METRICS = re.compile(r"val_bpb|val_loss|train_loss|step[:\s]\s*\d+/\d+|\bbpb[:=]", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_STAMP = re.compile(
    r"^(?:[ \t]*\[?(?:\d{9,11}\.\d+|(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?Z?)\]?[ \t]+"
    r"|\[\w{1,12}\d+\]:)(?=\S)",
    re.MULTILINE,
)
"""The time that a logger puts before what the program prints, or the process as `torchrun --tee` writes it."""
_SEPARATOR = re.compile(r"^\s*={50,}\s*$")
_IMPORT = re.compile(r"(?:import|from) [A-Za-z_][\w.]*(?: import | as |\s*$|,)")
_DEFINITION = re.compile(r"(?:def|class|async def) \w+|@\w|import |from [\w.]+ import |if __name__ ==")
_RUN_LINE = re.compile(
    r"step:\d+/\d+|\d+/\d+ (?:train|val)_loss|warmup_step|model_params|val_bpb:enabled|Running Python|train_loader:"
    r"|world_size:\d"
)

_FIRST_STEP = re.compile(r"(?:^|\s)(?:step[:\s]\s*(\d+)(?:/\d+)?\s.*loss|(\d+)/\d+ (?:train|val)_loss)")
_PAIR = re.compile(r"(?<![\w./%-])([A-Za-z_]\w*)[:=](\[[^\]\n]{0,300}\]|'[^'\n]*'|\"[^\"\n]*\"|[^\s:=,;][^\s,;]*)")
_WHOLE = re.compile(r"\s*([A-Za-z_]\w*)\s*[:=]\s+(\S.{0,400}?)\s*$")
_LATE = re.compile(r"\s*\w+(?::\w+)*:(?:start|enabled|disabled|on|off|config|settings?|begin)\b")
_HEAD = re.compile(r"\s*([A-Za-z]\w*):\s+\w+=")
"""What the settings on a line belong to: `cache: mode=on order=5`."""
_SCORE = re.compile(r"(?<![\w.])[0-4]\.\d{4,}")
_LAST_SCORES = 8
_TIMED = re.compile(r"^.*train_loss:.*\btrain_time:\d.*$", re.MULTILINE)
_SAME_TIMES = 3
"""Steps at the very same times are of one run."""
_DECLARED = re.compile(r'"([\w ]*bpb[\w ]*|[\w ]*\d)"\s*:\s*"?([0-4]\.\d{5,})(?!\d)')
"""A score in `submission.json`, by its name or by its seed."""
_OTHER_STAGE = re.compile(r"pre|quant|round|std|base", re.IGNORECASE)
_RESULT_KEY = re.compile(r"loss|bpb|bpp|time|elapsed|step$|steps_|progress|memory|tok_?s|lr_now", re.IGNORECASE)


def is_log_name(path: str) -> bool:
    """Whether a file of this name may be a log; text files still have to look like one inside."""
    return bool(_SUFFIX.search(path)) and not _NOT_A_LOG.search(path)


def read_log(path: str, data: bytes, script_lines: Collection[str]) -> tuple[Log | None, str | None]:
    """(the log, a note on what was cut); no log when a text file holds no training output.

    `script_lines` are the stripped lines of the audited script, as `echo_lines` gives them.
    """
    note = None
    if len(data) > MAX_LOG:
        note = f"{path!r}: {len(data):,} bytes, of which the first {_KEPT_HEAD:,} and the last {_KEPT_TAIL:,} were read"
        cut = data[:_KEPT_HEAD].count(b"\n") + 1, data[_KEPT_HEAD:-_KEPT_TAIL].count(b"\n")
        data = data[:_KEPT_HEAD] + b"\n" + data[-_KEPT_TAIL:]
    else:
        cut = 0, 0
    numbers, lines = _own_lines(decode(data), script_lines)
    text = _STAMP.sub("", "\n".join(lines))
    if not path.lower().endswith(".log") and not _METRICS.search(text):
        return None, None
    placed = tuple(number + (cut[1] if cut[0] and number > cut[0] else 0) for number in numbers)
    return Log(path, text, printed_settings(text), placed), note


def decode(data: bytes) -> str:
    """Text of hostile bytes: UTF-16 with a mark, else UTF-8; escape sequences and controls removed."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)


def echo_lines(code: str) -> frozenset[str]:
    """Lines of a script that are telling enough to be recognised in a log."""
    return frozenset(line for raw in code.splitlines() if len(line := raw.strip()) > 8)


def without_echo(text: str, script_lines: Collection[str]) -> str:
    """The text without the blocks in which the program printed its own source, and without blob-long lines."""
    return "\n".join(_own_lines(text, script_lines)[1])


def _own_lines(text: str, script_lines: Collection[str]) -> tuple[list[int], list[str]]:
    """Numbers and texts of the lines that `without_echo` keeps."""
    lines = text.split("\n")
    definitions = [0, *accumulate(bool(_DEFINITION.match(line)) for line in lines)]
    kept: list[int] = []
    at = 0
    while (start := _echo_start(lines, at, definitions, script_lines)) is not None:
        kept += range(at, start)
        at = _echo_end(lines, start, script_lines)
    kept += range(at, len(lines))
    kept = [i for i in kept if len(lines[i]) <= _LONGEST_LINE]
    return [i + 1 for i in kept], [lines[i] for i in kept]


def _echo_start(lines: list[str], at: int, definitions: list[int], script_lines: Collection[str]) -> int | None:
    """First line of the next echoed source; `definitions` counts the definition lines above each line."""
    for i in range(at, len(lines)):
        line = lines[i]
        if not line.startswith(("import ", "from ")) or not _IMPORT.match(line):
            continue
        near = definitions[min(i + 400, len(lines))] - definitions[i]
        if near >= _MIN_ECHO or _packed(lines[i : i + 6]):
            return _before_imports(lines, at, i, script_lines)
    return None


def _packed(window: list[str]) -> bool:
    return any("exec(" in line or len(line) > _LONGEST_LINE for line in window)


def _before_imports(lines: list[str], low: int, start: int, script_lines: Collection[str]) -> int:
    """Step back over the comment or docstring above the first import."""
    for i in range(start - 1, max(low, start - 200) - 1, -1):
        line = lines[i].strip()
        if _SEPARATOR.match(line) or _RUN_LINE.match(line):
            break
        if line.startswith(('"""', "'''", "#")) or line in script_lines:
            start = i
    return start


def _echo_end(lines: list[str], start: int, script_lines: Collection[str]) -> int:
    """First line after an echo: a separator, else where the source's last line or its shape ends."""
    last = start
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if _SEPARATOR.match(line):
            return i
        if line.strip() in script_lines or _DEFINITION.match(line) or (line.startswith("    ") and i == last + 1):
            last = i
        elif not line.strip():
            last = i if last == i - 1 else last
        elif _RUN_LINE.match(line) and i - last <= 3:
            return last + 1
    return last + 1


def claimed_first(
    logs: Sequence[Log], claim: float | None, declared: str = "", size: int | None = None
) -> tuple[Log, ...]:
    """The logs in their order, but those that end with the claimed number come first (RULES, trap 23).

    The number may be a mean: those that end with the score of a seed, as `submission.json` declares it, come next; it
    may also declare the scores of other variants. Of equals the log of another program, by its code size against the
    script's `size` in bytes, comes last.
    """
    if claim is None or len(logs) < 2:
        return tuple(logs)
    seeds = [float(m[2]) for m in _DECLARED.finditer(declared) if not _OTHER_STAGE.search(m[1])]

    def rank(log: Log) -> tuple[bool, bool, bool]:
        own = _ends_with(log.text, claim)
        named = own or any(_ends_with(log.text, number) for number in seeds)
        return not own, not named, log.code_size not in (None, size)

    return tuple(sorted(logs, key=rank))


def _ends_with(text: str, claim: float) -> bool:
    """Whether one of the last scores of a log is the claimed one, to four decimals at least."""
    decimals = max(4, len(repr(claim).partition(".")[2]))
    return any(abs(number - claim) < 0.6 * 10.0**-decimals for number in last_scores(text))


def of_one_run(logs: Sequence[Log]) -> tuple[Log, ...]:
    """The first log, and others of the same run: a console and a log file show the same steps at the same times."""
    if len(logs) < 2:
        return tuple(logs)
    times = set(_TIMED.findall(logs[0].text))
    return (logs[0], *(log for log in logs[1:] if len(times & set(_TIMED.findall(log.text))) >= _SAME_TIMES))


def last_scores(text: str) -> list[float]:
    """Numbers of the last lines that give a score."""
    lines = [line for line in text.split("\n") if "bpb" in line.lower()][-_LAST_SCORES:]
    return [float(number) for line in lines for number in _SCORE.findall(line)]


def shows_training(text: str) -> bool:
    """Whether a log shows a training step."""
    return any("loss" in line and _FIRST_STEP.search(line) for line in text.split("\n"))


def _longest_run(lines: Sequence[str]) -> tuple[int, int]:
    """Where the run of most steps begins and ends, of several in one log (RULES, trap 17): a smoke run comes first.

    The beginning is the line after the last step of the run before, so that what that one printed at its end is in it.
    """
    runs = [[0, len(lines), 0]]
    last = 0
    for number, line in enumerate(lines):
        if "loss" not in line or len(line) > 2_000 or not (found := _FIRST_STEP.search(line)):
            continue
        step = int(found[1] or found[2])
        if step < runs[-1][2]:
            runs[-1][1] = number
            runs.append([last + 1, len(lines), 0])
        runs[-1][2] = step
        last = number
    start, end, _ = max(runs, key=lambda run: run[2])
    return start, end


def printed_settings(text: str) -> Mapping[str, str]:
    """Settings in the order they are printed; the first value of a name wins.

    All lines before the first training step count, afterwards only lines that announce a phase
    (`ttt_sliding:start chunks=1893 ...`), and there no measurements.
    """
    config: dict[str, str] = {}
    training = False
    lines = text.split("\n")
    start, end = _longest_run(lines)
    for number, line in enumerate(lines[start:end]):
        if len(line) > 2_000 or (":" not in line and "=" not in line):
            continue
        if not training and (number > _LAST_HEADER or ("loss" in line and _FIRST_STEP.search(line))):
            training = True
        if training and not _LATE.match(line):
            continue
        pairs = _PAIR.findall(line)
        if not pairs and (whole := _WHOLE.match(line)):
            pairs = [(whole[1], whole[2])]
        head = _HEAD.match(line)
        for name, value in pairs:
            if training and _RESULT_KEY.search(name):
                continue
            for key in (name, f"{head[1]}_{name}") if head else (name,):
                if start and not training:  # the end of the run before may have named it too
                    config.pop(key, None)
                config.setdefault(key, value.strip("'\""))
    return config
