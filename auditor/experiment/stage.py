"""The workspace of a run, the run itself, and its result read as data.

    program = read_program(submission, env)            the script and its settings, as the audit sees them
    staged = stage(folder, program, data, Job(...))    files in a folder on the host
    ran = run(staged, shape)                           in the sandbox; the result decoded into `shape`

A workspace holds `job.json` and, in `HOME`, the unpacked script under its own name, the other files of its folder and
`data/`; that folder is the working directory. The runtime lies elsewhere.

One job is one run. An experiment of several runs stages one workspace each: all have the same paths inside and a clock
of their own that starts at the same time, so that nothing that a script derives from paths, process numbers or time
differs between them; `PYTHONHASHSEED` and every random generator are seeded. What differs is what the job or the data
say. Whoever adds an experiment adds a tap in `auditor.runtime.taps`, the shape of its result here, and sizes
in `shrink`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Literal, TypeVar

from auditor.experiment.data import ToyData
from auditor.experiment.grammar import runnable
from auditor.experiment.shrink import reads, shrink
from auditor.program.config import settings
from auditor.sandbox import WORKSPACE, BadResult, Limits, Mount, Outcome, Status, Watcher, decode
from auditor.sandbox import run as run_in_sandbox
from auditor.submission.model import Submission
from auditor.submission.text import UnreadableSource, read_source
from auditor.submission.unpack import unpack
from auditor.verdict import PgolfError

T = TypeVar("T")

Fault = Literal["script", "environment", "runtime"]

RUNTIME = Path(__file__).parents[1] / "runtime"
PACKAGE = "pgolf_runtime"
MOUNTED = Path("/opt/pgolf") / PACKAGE
"""Where the runtime lies in the sandbox; its parent is on the module path."""
HOME = "records/track/folder"
"""Where the script lies in the workspace: as deep as in the repository, as some look for its root from there."""
RESULT = "pgolf-result.json"
JOB = "pgolf-job.json"
FILE_BYTES = 8 << 20
"""A larger file of the folder is left out: weights of other runs."""
FOLDER_BYTES = 48 << 20
LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE", "NPROC_PER_NODE")
"""What a launcher sets; here there is one process."""
PLACES = ("DATA_PATH", "TOKENIZER_PATH", "DATA_DIR", "TRAIN_FILES", "VAL_FILES", "RUN_ID")
"""Where the data lies and what the run is called: given by `stage`."""
NUMBER = re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Program:
    """A script as it is run: readable source, the files beside it, and the settings of the reported run."""

    name: str
    text: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Other files of the submission, by path relative to the script's folder."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings of the reported run that the script reads from its environment."""
    argv: tuple[str, ...] = ()
    code_bytes: int = 0


@dataclass(frozen=True)
class Job:
    """What a run does: the host's half of `auditor.runtime.job.Job`, which says what the fields mean."""

    entry: Literal["main", "import"] = "main"
    taps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    liven: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True)
class Staged:
    """A workspace that is ready to run."""

    folder: Path
    env: Mapping[str, str]
    """Settings that the script will read."""
    rewritten: tuple[str, ...]
    """Sizes that were literals in the source and are toy sizes now."""


@dataclass(frozen=True)
class Result:
    """What every run leaves; each experiment adds the results of its taps (`auditor.runtime.job`)."""

    ended: Literal["returned", "stopped", "raised", "exited"]
    fault: Fault | None
    """Whose fault a run is that `raised`."""
    reason: str | None
    import_s: float | None
    stubbed: list[str]
    """Packages that are not installed, and were imported."""


@dataclass(frozen=True)
class Ran(Generic[T]):
    """A run that is over: its result, or why there is none."""

    outcome: Outcome
    result: T | None
    problem: str | None = None
    """Set when there is no result: how the process ended instead, in one line."""


def read_program(submission: Submission, overrides: Mapping[str, str]) -> Program:
    """The script of a submission, unpacked, with its files and the settings of the reported run.

    Raises `PgolfError` when there is no script or it cannot be read.
    """
    if submission.script is None:
        raise PgolfError(submission.reason or "there is no submission")
    try:
        unpacked = unpack(submission.code, siblings=lambda path: None, name=submission.script)
        text = unpacked.text if unpacked.problem is None else read_source(submission.code)
    except UnreadableSource as error:
        raise PgolfError(f"{submission.script!r} cannot be read as a Python script: {error}") from error
    home, _, name = submission.script.rpartition("/")
    files = read_files(submission, home)
    for module, source in unpacked.modules.items():
        files.setdefault(module.replace(".", "/") + ".py", source.encode())
    files.pop(name, None)
    files |= modules_below(text, files)
    chosen = settings(submission, text, overrides)
    env = {key: value for key, (value, source) in chosen.items() if is_setting(text, key, value, source)}
    return Program(name, text, files, env, submission.command.argv, len(submission.code))


def is_setting(text: str, name: str, value: str, source: str) -> bool:
    """Whether a setting goes into the environment: the script reads it, and nothing of this machine depends on it.

    What a log prints is how the script printed it: only a number, of a setting that is a number by default, is sure to
    be read back the same.
    """
    if name in LAUNCHED or name in PLACES or not reads(text, name):
        return False
    if not source.startswith("log:"):
        return True
    by_default = re.search(rf"""["']{re.escape(name)}["']\s*,\s*["']?([^"'),\s]+)""", text)
    return by_default is not None and all(NUMBER.fullmatch(number) for number in (value, by_default[1]))


def read_files(submission: Submission, home: str) -> dict[str, bytes]:
    """The files below the script's folder, by relative path; large ones, logs and unreadable ones are left out."""
    prefix = home + "/" if home else ""
    logs = {log.path for log in submission.logs}
    paths = submission.tree.folder(submission.folder or home) if home else submission.tree.paths()
    found: dict[str, bytes] = {}
    budget = FOLDER_BYTES
    for path in paths:
        relative = path.removeprefix(prefix)
        if not path.startswith(prefix) or path in logs or not is_plain(relative):
            continue
        try:
            if submission.tree.size(path) > min(FILE_BYTES, budget):
                continue
            found[relative] = submission.tree.read(path)
        except PgolfError:  # listed in the tree, and not there
            continue
        budget -= len(found[relative])
    return found


def modules_below(text: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Modules that a script imports and that lie in one folder below its own: run from there, or copied beside it."""
    below: dict[str, list[str]] = {}
    for path in files:
        folder, _, base = path.rpartition("/")
        if folder and base.endswith(".py") and base not in files:
            below.setdefault(base, []).append(path)
    return {
        base: files[paths[0]]
        for base, paths in below.items()
        if len(paths) == 1 and re.search(rf"^\s*(import|from)\s+{re.escape(base[:-3])}\b", text, re.MULTILINE)
    }


def is_plain(path: str) -> bool:
    """Whether a hostile path names a file below a folder, and only that."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def stage(
    folder: Path,
    program: Program,
    data: ToyData,
    job: Job,
    sizes: Mapping[str, int],
    anywhere: Mapping[str, int] | None = None,
) -> Staged:
    """Write the workspace of one run into an empty folder; raises `SyntaxError` when the script has another grammar.

    `sizes` and `anywhere` are those of `shrink`.
    """
    home = folder / HOME
    home.mkdir(parents=True)
    for relative, content in program.files.items():
        path = home / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(for_this_python(content) if relative.endswith(".py") else content)
    small = shrink(runnable(program.text), sizes, anywhere)
    (home / program.name).write_text(small.text, encoding="utf-8")
    data.write(home, with_bytes="val_bytes" in program.text)
    env = {**program.env, **small.env, **places(program.text, data)}
    inside = {
        "script": str(WORKSPACE / HOME / program.name),
        "result": str(WORKSPACE / RESULT),
        "data": str(WORKSPACE / HOME / "data"),
        "argv": list(program.argv),
        **dataclasses.asdict(job),
    }
    (folder / JOB).write_text(json.dumps(inside), encoding="utf-8")
    return Staged(folder, env, small.rewritten)


def for_this_python(content: bytes) -> bytes:
    """A sibling module as this Python reads it; as it is where that does not help."""
    try:
        return runnable(read_source(content)).encode()
    except (SyntaxError, UnreadableSource):
        return content


def places(text: str, data: ToyData) -> dict[str, str]:
    """Where the toy data lies and what the run is called, in the settings that the script reads."""
    found = {
        "DATA_PATH": f"./{data.dataset}",
        "TOKENIZER_PATH": f"./{data.tokenizer_path}",
        "DATA_DIR": "./data",
        "RUN_ID": "toy",  # random where it is not set, and part of file names
    }
    return {name: path for name, path in found.items() if reads(text, name)}


def run(staged: Staged, shape: type[T], limits: Limits, watcher: Watcher | None = None) -> Ran[T]:
    """Run a staged workspace in the sandbox and read its result as `shape`; raises `NoSandbox`.

    `watcher` follows the run while it runs.
    """
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    outcome = run_in_sandbox(
        [sys.executable, "-B", "-s", "-m", PACKAGE, JOB],
        workspace=staged.folder,
        readonly=[Mount(RUNTIME, MOUNTED)],
        env={
            **staged.env,
            **one,
            "PYTHONPATH": str(MOUNTED.parent),
            "PYTHONHASHSEED": "0",
            "PYTHONUTF8": "1",
            "PYTHONUNBUFFERED": "1",
        },
        limits=limits,
        collect=[RESULT],
        watcher=watcher,
    )
    found = outcome.files.get(RESULT)
    if found is None:
        return Ran(outcome, None, ended(outcome))
    try:
        return Ran(outcome, decode(found, shape))
    except BadResult as error:
        return Ran(outcome, None, f"its result cannot be read: {error}")


def ended(outcome: Outcome) -> str:
    """How a process without a result came to its end, in one line."""
    if outcome.status is not Status.OK and outcome.status is not Status.RE and outcome.reason:
        return outcome.reason
    if outcome.status is Status.OK and RESULT in outcome.refused:
        return f"its result was refused: {outcome.refused[RESULT]}"
    last = outcome.stderr.strip().rpartition("\n")[2].strip()
    return f"it ended with exit code {outcome.exit_code} and left no result" + (f": {last[:200]}" if last else "")


def workspace_root() -> Path | None:
    """Where workspaces are made: in memory where the system offers it."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else None
