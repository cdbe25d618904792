"""The run command of a README or run script: environment, processes and arguments.

READMEs give several commands: downloads, smoke runs, ablations. The one that reproduces the headline
is taken to be the one that starts the scored script on most processes, in a section (and under a comment) about
running rather than about ablations; among equals the first. Nothing is executed; a variable whose value is not
written out (`SEED=$SEED`, `SEED=<seed>`) is left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from auditor.submission.model import RunCommand

MAX_TEXT = 1 << 20
RUN_SCRIPTS = (".sh", ".bash", ".ps1", ".bat")
"""Files that hold commands and nothing else."""
_MAX_LINE = 20_000

_FENCE = re.compile(r"^\s*(?:```|~~~)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*)")
_SIDE = re.compile(
    r"ablat|smoke|quick ?test|local|debug|sanity|1[x\u00d7 ]*(?:gpu|h100|a100)|single[- ]gpu|baseline|optional|non-?ttt"
    r"|without|dry[- ]run|mlx|variant|prepare|dataset",
    re.IGNORECASE,
)
_SIDE_LEAD = re.compile(r"overrid|if needed|ablat|smoke|disabl|turn(?:ed)? off", re.IGNORECASE)
"""What the sentence right above a block says of it."""
_SIDE_COMMENT = re.compile(
    r"ablat|smoke|quick ?test|debug|sanity|\bbaseline\b|\bcontrol\b|without|disabl|turn(?:ed)? off|dry[- ]run",
    re.IGNORECASE,
)
"""What a comment right above a command says of it; on how many processes it runs, the command says itself."""
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_POWERSHELL = re.compile(r"\$env:([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.IGNORECASE)
_YAML_ENTRY = re.compile(r"-?\s*([A-Z][A-Z0-9_]{2,})\s*:\s+(\S.*)")
_LIST_ENTRY = re.compile(r"[-*]\s+`?([A-Z][A-Z0-9_]*)=([^`\s]*)`?\s*$")
_LEAD_IN = re.compile(r"^\s*[A-Z][A-Za-z ]{0,20}:\s+(?=[A-Z_][A-Z0-9_]*=\S|(?:torchrun|python3?) )")
"""What stands before a command on its line: `Run: SEED=1 torchrun ...`."""
_NAMED = re.compile(r"`([A-Z][A-Z0-9_]{2,60})=([\w.,/-]{1,40})`")
_UNSURE = re.compile(
    r"\b(?:not?|never|without|disabl\w*|off|if|when|unless|optional\w*|may|can|could|would|should|try|tried|default\w*|instead"
    r"|future|ablat\w*|vs|versus|compar\w*|earlier|previous\w*|or|sweep\w*)\b|n't\b",
    re.IGNORECASE,
)
"""A sentence that may speak of another run than the reported one."""
_LOOP = re.compile(r"^\s*for\s+(\w+)\s+in\s+(.*?)\s*;?\s*(?:do\b|$)")
_NPROC = re.compile(r"--nproc[-_]per[-_]node(?:=(.*))?$")
_LAUNCHERS = ("torchrun", "accelerate", "deepspeed")


@dataclass
class _Found:
    """One command while it is being compared with the others."""

    env: dict[str, str]
    script: str
    argv: tuple[str, ...]
    nproc: int | None
    launcher: bool
    side: bool
    bare: bool
    """Nothing but the script's name, as prose mentions it."""
    section: str = field(default="")
    source: str = ""


def read_command(text: str, scripts: Iterable[str], source: str = "README.md") -> RunCommand:
    """The run command of the headline in `text` that starts one of `scripts`; empty when there is none."""
    return read_commands([(source, text)], scripts)


def read_commands(texts: Iterable[tuple[str, str]], scripts: Iterable[str]) -> RunCommand:
    """The run command of the headline in several texts, each with its source; empty when there is none."""
    names = {name.rsplit("/", 1)[-1] for name in scripts}
    given = list(texts)
    found = [command for source, text in given for command in _commands(text[:MAX_TEXT], names, source)]
    return _headline_command(found, given[0][0] if given else "")


def read_renamed_command(text: str, present: Iterable[str], source: str = "README.md") -> RunCommand:
    """The command that starts a training script which none of the files `present` is.

    Scripts are often renamed when they are submitted, and the README keeps their working name.
    """
    present_names = {name.rsplit("/", 1)[-1] for name in present}
    names = set(re.findall(r"\btrain[\w.-]*?\.py\b", text[:MAX_TEXT])) - present_names
    command = _headline_command([*_commands(text[:MAX_TEXT], names, source)], source) if names else RunCommand()
    if not command.script:
        return RunCommand(source=source)
    note = f"{command.chosen_because}; it names {command.script}, which is taken for the script before it was renamed"
    return replace(command, chosen_because=note)


def read_settings(text: str) -> RunCommand:
    """Settings that prose names as code (`` `ROUNDS=2` ``), for a README that gives no command.

    A setting is left out where the sentence negates it or makes it one choice of several, and where it is given twice
    with different values.
    """
    found: dict[str, set[str]] = {}
    in_fence, side = False, False
    for line in text[:MAX_TEXT].splitlines():
        if _FENCE.match(line):
            in_fence = not in_fence
        elif heading := _HEADING.match(line):
            side = bool(_SIDE.search(heading[1]))
        elif not in_fence and not side and "=" in line:
            for sentence in re.split(r"(?<=[.;])\s", line[:_MAX_LINE]):
                if not _UNSURE.search(sentence):
                    for name, value in _NAMED.findall(sentence):
                        found.setdefault(name, set()).add(value)
    env = {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
    return RunCommand(env=env, chosen_because="no command: the settings that the README names" if env else "")


def _headline_command(found: list[_Found], source: str) -> RunCommand:
    if not found:
        return RunCommand(source=source)
    started = {command.script for command in found if not command.bare}
    found = [command for command in found if not command.bare or command.script not in started]
    best = max(found, key=lambda c: (not c.side, c.nproc or 0, c.launcher, not c.bare, len(c.env) > 0))
    choice = f"{best.nproc or 1} process{'es' if (best.nproc or 1) > 1 else ''}"
    if len(found) > 1:
        choice = f"one of {len(found)} commands: the first on {choice}" + (
            f", under {best.section!r}" if best.section else ""
        )
    return RunCommand(
        env=best.env, argv=best.argv, nproc=best.nproc, source=best.source, script=best.script, chosen_because=choice
    )


def _commands(text: str, names: set[str], source: str) -> Iterator[_Found]:
    """Every line that starts one of the scripts, with the assignments in force there."""
    block_env: dict[str, str] = {}
    lead = comment = ""
    loop: dict[str, str] = {}
    in_fence = source.endswith(RUN_SCRIPTS)
    section = source.rpartition("/")[2] if in_fence else ""
    listed: dict[str, str] = {}
    for line in _logical_lines(text):
        if not in_fence and line.strip() and not _FENCE.match(line):
            lead = line.strip() if line.rstrip().endswith(":") else ""
        if _FENCE.match(line):
            in_fence, block_env, loop, comment = not in_fence, {}, {}, ""
            continue
        if in_fence and (not line.strip() or line.lstrip().startswith("#")):
            comment = line.strip()
        heading = None if in_fence else _HEADING.match(line)
        if heading:
            section, block_env, listed = heading[1].strip()[:120], {}, {}
            continue
        if entry := _LIST_ENTRY.match(line.strip()):
            listed[entry[1]] = entry[2]
            continue
        if over := _LOOP.match(line):
            # A loop over seeds runs the same configuration; its first value stands for all.
            loop = {over[1]: over[2].split()[0]} if over[2].split() else {}
        if ".py" not in line and "=" not in line and ":" not in line:
            continue
        for words in _simple_commands(line, in_fence):
            env, rest = _leading_assignments(words)
            if not rest:
                block_env |= env
                continue
            started = _started_script(rest, names)
            if started is None:
                continue
            script, argv, nproc, inner = started
            merged = {**listed, **block_env, **env, **inner}
            merged = {name: _expanded(value, loop) for name, value in merged.items()}
            yield _Found(
                env={name: value for name, value in merged.items() if "$" not in value},
                script=script,
                argv=argv,
                nproc=nproc,
                launcher=any(word.rsplit("/", 1)[-1] in _LAUNCHERS or "distributed.run" in word for word in rest),
                side=bool(
                    _SIDE.search(section) or _SIDE_COMMENT.search(comment) or (in_fence and _SIDE_LEAD.search(lead))
                ),
                bare=not in_fence and len(rest) == 1 and not env,
                section=section,
                source=source,
            )
        if not in_fence and not line.strip():
            loop = {}


def _logical_lines(text: str) -> Iterator[str]:
    """Lines with their continuations (a backslash, PowerShell's backtick, cmd's `^`) joined."""
    pending = ""
    for raw in text.splitlines():
        line = raw.strip("\r") if pending or _is_plain(raw) else re.sub(r"^\s*(?:>\s?)+", "", raw)
        stripped = line.rstrip()
        if not _FENCE.match(stripped) and stripped.endswith(("\\", " `", " ^")) and len(pending) < _MAX_LINE:
            pending += stripped[:-1] + " "
            continue
        yield (pending + line)[:_MAX_LINE]
        pending = ""
    if pending:
        yield pending[:_MAX_LINE]


def _is_plain(line: str) -> bool:
    return not line.lstrip().startswith(">")


def _simple_commands(line: str, fenced: bool) -> Iterator[list[str]]:
    """Words of each command of a line: split at `;`, `&&`, `||`, `|`; prompts and inline code marks removed.

    Outside a fence the line may be prose, where nothing but a command is of interest.
    """
    if not fenced and ".py" not in line and not line.lstrip().startswith(("export ", "set ", "$", "ENV ")):
        return
    for span in _code_spans(line):
        span = re.sub(r"=<([\w -]+)>", r"=$\1", span).replace("\\_", "_")
        span = _LEAD_IN.sub("", span)
        text = re.sub(r"^\s*(?:\$|%|PS [^>]*>|[\w.@~:/-]*[#$]) (?=\S)", "", span)
        if _POWERSHELL.match(text.strip()):
            for piece in text.split(";"):
                if entry := _POWERSHELL.match(piece.strip()):
                    yield [f"{entry[1]}={entry[2].strip().strip(chr(34) + chr(39))}"]
                elif piece.strip():
                    yield _words(piece)[0] if _words(piece) else []
            continue
        if fenced and (entry := _YAML_ENTRY.fullmatch(text.strip())):
            yield [f"{entry[1]}={entry[2].strip().strip(chr(34) + chr(39))}"]
            continue
        yield from _words(text)


def _code_spans(line: str) -> list[str]:
    """In prose, only what stands in backticks is code; otherwise the whole line."""
    if "`" in line and not line.lstrip().startswith(("`", "$")):
        return [span for span in re.findall(r"`([^`]+)`", line) if ".py" in span]
    return [line.strip().strip("`")]


def _words(text: str) -> list[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if set(word) <= set(";&|()"):
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:  # an unbalanced quote: read the line without quoting rules
        commands = [text.split()]
    return [command for command in commands if command]


def _leading_assignments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Assignments in front of a command, and the rest; `export`, `set`, `env`, `nohup`, `time` are passed over."""
    env: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        if match := _ASSIGNMENT.fullmatch(word):
            env[match[1]] = match[2]
        elif word not in (
            "export",
            "set",
            "env",
            "nohup",
            "time",
            "sudo",
            "do",
            "then",
            "{",
            "-",
            "setx",
            "exec",
            "ENV",
        ):
            break
        at += 1
    return env, words[at:]


def _started_script(
    words: list[str], names: set[str]
) -> tuple[str, tuple[str, ...], int | None, dict[str, str]] | None:
    """(script, its arguments, processes, assignments on the way) when the words start one of `names`."""
    head = words[0].rsplit("/", 1)[-1].lower()
    launches = (*_LAUNCHERS, "docker", "srun", "uv", "poetry", "modal", "bash", "stdbuf", "timeout", "numactl", "conda")
    if not (head.startswith(("python", "py")) or head in launches or head in names):
        return None
    nproc: int | None = None
    inner: dict[str, str] = {}
    for at, word in enumerate(words):
        if match := _NPROC.match(word):
            nproc = _count(match[1] if match[1] is not None else (words[at + 1] if at + 1 < len(words) else ""))
        elif word in ("--num_processes", "--num_gpus") and at + 1 < len(words):
            nproc = _count(words[at + 1])
        elif assignment := _ASSIGNMENT.fullmatch(word):
            inner[assignment[1]] = assignment[2]
        base = word.replace("\\", "/").rsplit("/", 1)[-1]
        if base in names:
            stop = next((i for i, w in enumerate(words) if i > at and set(w) & set("<>")), len(words))
            argv = words[at + 1 : stop]
            if argv and stop < len(words) and argv[-1] in ("1", "2"):
                argv = argv[:-1]
            return base, tuple(argv), nproc, inner
    return None


def _count(text: str) -> int | None:
    """A process count; a shell default such as `${NPROC:-8}` gives its default."""
    match = re.fullmatch(r"(?:\$\{\w+:-)?(\d{1,4})\}?", text)
    return int(match[1]) if match else (8 if text.startswith("$") else None)


def _expanded(value: str, loop: dict[str, str]) -> str:
    """The value with `${NAME:-default}` and loop variables filled in; any other `$` stays and tells nothing."""
    value = re.sub(r"\$\{\w+:?-([^{}$]*)\}", r"\1", value)
    for name, first in loop.items():
        value = value.replace("${" + name + "}", first)
        value = re.sub(rf"\${name}\b", first.replace("\\", r"\\"), value)
    return value
