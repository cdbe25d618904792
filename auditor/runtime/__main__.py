"""`python -m pgolf_runtime job.json`: become a CPU that answers like an H100, run the script, write the result."""

from __future__ import annotations

import ast
import faulthandler
import importlib
import linecache
import os
import random
import sys
import traceback
from types import CodeType, ModuleType
from typing import Any, NoReturn

import numpy as np
import torch

from . import (
    absent,
    attention,
    clock,
    commands,
    compiling,
    compressing,
    deadline,
    device,
    distributed,
    files,
    kernels,
    liven,
    packed,
    threads,
)
from .job import Absent, Ended, Fault, Job, RuntimeLimit, read_job, write_result

OWN = os.path.dirname(os.path.abspath(__file__))
REASON = 400
PASSING = ("run", "__torch_function__", "within")
"""Functions of this package that hand a call of the script on."""
ABROAD = ("CUDA", "cuda", "Triton", "triton", "NCCL", "torch._dynamo", "torch._inductor")
MACHINE = ("can't allocate memory", "does not exist")
DATA = ("tokenizer", "VOCAB_SIZE", "vocab_size", "No files", "no files", "shard")
"""Words in the messages of errors that come of the CPU, of what is not here (operators too), and of the toy data."""


class Run:
    """One run of a job: the taps, and how it ended."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.import_s: float | None = None
        self.finder: absent.StubFinder | None = None
        self.taps: dict[str, Any] = {}

    def install(self, source: str) -> None:
        """Put the runtime in place, then the taps."""
        torch.set_num_threads(1)
        home = os.path.dirname(self.job.script)
        deadline.watch(self.job.cpu_s, self.job.wall_s, home, lambda where: self.end("raised", "runtime", where))
        compiling.install(source)  # the compiler, when it is imported, wants to find torch as it is, and no Triton
        for concept in (device, compressing, distributed, kernels, packed, clock, commands, threads):
            concept.install()
        attention.install(home)
        self.finder = absent.install(source)
        files.install(self.job.data)
        liven.install(self.job.liven, self.job.seed)
        for name, options in self.job.taps.items():
            self.taps[name] = importlib.import_module(f".taps.{name}", __package__).Tap(self, options)
            self.taps[name].install()

    def stop(self) -> NoReturn:
        """End the run now, as measured."""
        self.end("stopped")

    def end(self, ended: Ended, fault: Fault | None = None, reason: str | None = None) -> NoReturn:
        """Write the result and leave, without the script's exit handlers."""
        stubbed = self.finder.stubbed if self.finder else []
        result: dict[str, Any] = {
            "ended": ended,
            "fault": fault,
            "reason": reason,
            "import_s": self.import_s,
            "stubbed": stubbed,
        }
        result["taps"] = {name: tap.result() for name, tap in self.taps.items()}
        sys.stdout.flush()
        sys.stderr.flush()
        write_result(self.job.result, result)
        os._exit(0)

    def run(self, source: str) -> NoReturn:
        """Run the script as `__main__`; the part below `if __name__ == "__main__"` only if the job says so."""
        try:
            body, main = parts(source, self.job.script)
            module = ModuleType("__main__")
            module.__dict__.update(__file__=self.job.script, __builtins__=__builtins__)
            sys.modules["__main__"] = module
            sys.argv = [self.job.script, *self.job.argv]
            sys.path.insert(0, os.path.dirname(self.job.script))
            os.chdir(sys.path[0])
            start = clock.real()
            packed.real_exec(body, module.__dict__)
            self.import_s = round(clock.real() - start, 3)
            if self.job.entry == "main":
                packed.real_exec(main, module.__dict__)
        except SystemExit as leaving:
            if leaving.code in (None, 0):
                self.end("exited")
            self.end("raised", "script", f"it left with {str(leaving.code)[:REASON]!r}")
        except BaseException as error:  # whatever the script raises is a result
            traceback.print_exc()
            self.end("raised", fault_of(error), described(error, self.job.script))
        self.end("returned")


def parts(source: str, name: str) -> tuple[CodeType, CodeType]:
    """A script as two code objects: what an import runs, and what follows from `if __name__ == "__main__"` on."""
    tree = ast.parse(source, name)
    guard = next((at for at, node in enumerate(tree.body) if is_guard(node)), len(tree.body))
    body = packed.real_compile(ast.Module(tree.body[:guard], []), name, "exec", 0, True)
    flags = body.co_flags & packed.FUTURE
    return body, packed.real_compile(ast.Module(tree.body[guard:], []), name, "exec", flags, True)


def is_guard(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The traceback of an error, outermost first."""
    return list(traceback.extract_tb(error.__traceback__))


def fault_of(error: BaseException) -> Fault:
    """Whose fault an error is: of what is missing here, of this runtime, else the script's."""
    text = str(error)
    if isinstance(error, Absent | ModuleNotFoundError | MemoryError | FileNotFoundError):
        return "environment"
    if any(word in text for word in MACHINE):
        return "environment"
    if isinstance(error, RuntimeLimit) or any(word in text for word in ABROAD + DATA):
        return "runtime"
    inner = [frame for frame in frames(error) if not (is_own(frame) and frame.name in PASSING)]
    return "runtime" if inner and is_own(inner[-1]) else "script"


def is_own(frame: traceback.FrameSummary) -> bool:
    """Whether a frame is of this package."""
    return os.path.abspath(frame.filename).startswith(OWN)


def described(error: BaseException, script: str) -> str:
    """An error in one line, with the innermost place in the script's own files."""
    text = " ".join(str(error).split())
    home = os.path.dirname(script)
    own = [frame for frame in frames(error) if frame.filename.startswith((home, "<packed"))]
    where = f" ({os.path.basename(own[-1].filename)}:{own[-1].lineno} in {own[-1].name})" if own else ""
    return f"{type(error).__name__}: {text}"[:REASON] + where


def main() -> NoReturn:
    """Run the job that the command line names."""
    faulthandler.enable()
    job = read_job(sys.argv[1])
    random.seed(job.seed)
    torch.manual_seed(job.seed)
    np.random.seed(job.seed)
    with open(job.script, encoding="utf-8-sig") as file:
        source = file.read()
    linecache.cache[job.script] = (len(source), None, source.splitlines(keepends=True), job.script)
    run = Run(job)
    try:
        run.install(source)
    except SyntaxError as error:
        run.end("raised", "script", f"SyntaxError: {error}")
    with device.OnCpu():
        run.run(source)


if __name__ == "__main__":
    main()
