"""Helper processes of a submission: what they would have said on its machine, or nothing done.

nvidia-smi, git, package installers and downloads are answered without being started, lrzip is done in this process, and
pyminify, by which some count their code, gives the source as it is.
Other commands run, inside the sandbox.
"""

from __future__ import annotations

import lzma
import os
import shlex
import subprocess
import sys
from typing import Any

from .job import RuntimeLimit

ANSWERED = ("nvidia-smi", "git", "pip", "pip3", "apt", "apt-get", "uv", "huggingface-cli", "hf", "wget", "curl",
            "hostname", "lscpu", "nvcc", "sudo")  # fmt: skip
SAYS = {"nvidia-smi": "NVIDIA H100 80GB HBM3\n", "git": "0" * 40 + "\n"}
LAUNCHERS = ("torchrun", "torch.distributed.run", "torch.distributed.launch")

real_run = subprocess.run
RealPopen = subprocess.Popen


def words(command: Any) -> list[str]:
    """A command line as words."""
    if isinstance(command, str):
        try:
            return shlex.split(command)
        except ValueError:
            return command.split()
    return [os.fspath(word) if not isinstance(word, bytes) else word.decode("utf-8", "replace") for word in command]


def answer(command: Any) -> str | None:
    """What a command is answered with; None when it is to be run."""
    said = words(command)
    if not said:
        return None
    name = os.path.basename(said[0])
    if said[0] == sys.executable or name.startswith("python"):
        if "-m" in said and said[said.index("-m") + 1 :][:1] in (["pip"], ["ensurepip"]):
            return ""
        if any(word in LAUNCHERS for word in said):
            raise RuntimeLimit(f"the script launches other processes of itself: {shlex.join(said)[:100]}")
    if name in LAUNCHERS:
        raise RuntimeLimit(f"the script launches other processes of itself: {shlex.join(said)[:100]}")
    if name == "lrzip":
        lrzip(said[1:])
        return ""
    return SAYS.get(name, "") if name in ANSWERED else None


def lrzip(arguments: list[str]) -> None:
    """The compressor that some artifacts are packed with, by LZMA: the same contract, other bytes."""
    at = arguments.index("-o")
    source, target = arguments[-1], arguments[at + 1]
    with open(source, "rb") as file:
        data = file.read()
    with open(target, "wb") as file:
        file.write(lzma.decompress(data) if "-d" in arguments else lzma.compress(data))


class Popen(RealPopen):  # type: ignore[type-arg]
    """A process; one that is answered prints its answer and ends."""

    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        said = answer(args)
        if words(args)[:1] == ["pyminify"]:
            args = ["cat", *(word for word in words(args)[1:] if not word.startswith("--"))]
        elif said is not None:
            options.pop("executable", None)
            options["shell"] = False
            args = ["printf", "%s", said]
        super().__init__(args, *rest, **options)


def system(command: str) -> int:
    """`os.system`."""
    return subprocess.call(command, shell=True)


def install() -> None:
    """Answer the commands."""
    subprocess.Popen = Popen  # type: ignore[misc]
    system_: Any = system
    os.system = system_
