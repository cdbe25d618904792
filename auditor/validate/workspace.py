"""The files of one run, the command, and what the sandbox lets it see: on GPUs as committed, else as a toy."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from auditor.experiment import stage as toy
from auditor.experiment.data import ToyData, toy_data
from auditor.experiment.probe.sizes import TOKENS
from auditor.experiment.shrink import reads
from auditor.sandbox import Access, Limits, Mount, Outcome, Watcher
from auditor.sandbox import run as run_in_sandbox
from auditor.validate.guard import Layout
from auditor.validate.machine import devices
from auditor.validate.plan import Plan

DATA = Path("/data")
"""Where the data lies in the sandbox, read-only."""
TRAIN_TOKENS = 1 << 14
TOY_LIMITS = Limits(cpu_s=900.0, memory_mb=4096, processes=64, disk_mb=512, output_bytes=8 << 20)
RANKS = 256
"""Processes and threads of one rank: compilation, data loading, NCCL."""
HOME = toy.HOME


@dataclass(frozen=True)
class ToyResult:
    """How the CPU runtime says that a run ended."""

    ended: Literal["returned", "stopped", "raised", "exited"]
    fault: Literal["script", "environment", "runtime"] | None
    reason: str | None
    import_s: float | None
    stubbed: list[str]
    taps: dict[str, str]


@dataclass(frozen=True)
class Ran:
    """A run that is over."""

    outcome: Outcome
    before: Mapping[str, int]
    """The files that it started with, and their bytes."""
    result: ToyResult | None = None
    """What the CPU runtime says; None on GPUs and where it could not say it."""


def toy_dataset(plan: Plan) -> ToyData:
    """The toy data for the vocabulary that the script expects."""
    return toy_data(dict(plan.sizes or {}).get("VOCAB_SIZE") or plan.vocab, TRAIN_TOKENS, TOKENS)


def run_toy(plan: Plan, seed: int, folder: Path, watcher: Watcher) -> Ran:
    """Run a seed on the CPU in an empty folder; raises `NoSandbox`, and `SyntaxError` for a newer Python's script."""
    program = replace(plan.program, env={**plan.program.env, **seeded(plan, seed)}, argv=arguments(plan, seed))
    staged = toy.stage(folder, program, toy_dataset(plan), toy.Job(seed=seed), plan.sizes or {})
    before = present(folder)
    ran = toy.run(staged, ToyResult, replace(TOY_LIMITS, wall_s=plan.budgets.total_s), watcher)
    return Ran(ran.outcome, before, ran.result)


def run_gpus(plan: Plan, seed: int, folder: Path, layout: Layout, watcher: Watcher) -> Ran:
    """Run a seed under torchrun in an empty folder; raises `NoSandbox`."""
    home = folder / HOME
    home.mkdir(parents=True)
    for relative, content in plan.program.files.items():
        path = home / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (home / plan.program.name).write_bytes(plan.code)
    for place in (home, folder):  # scripts look below their own folder, or below the repository's root
        if not (place / "data").exists():
            (place / "data").symlink_to(DATA)
    before = present(folder)
    outcome = run_in_sandbox(
        command(plan, seed),
        workspace=folder,
        readonly=mounts(layout),
        env={**plan.settings, **seeded(plan, seed), **places(plan, layout), "PYTHONUNBUFFERED": "1"},
        limits=gpu_limits(plan),
        access=Access(peers=True, devices=devices()),
        watcher=watcher,
    )
    return Ran(outcome, before)


def command(plan: Plan, seed: int) -> list[str]:
    """`torchrun` of the script in its folder."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={plan.processes}"]
    return ["/bin/sh", "-c", 'cd "$0" && exec "$@"', HOME, *launcher, plan.program.name, *arguments(plan, seed)]


def arguments(plan: Plan, seed: int) -> tuple[str, ...]:
    """The script's arguments, with the seed in place of the one in the reported command."""
    words = list(plan.program.argv)
    if "--seed" in words[:-1]:
        words[words.index("--seed") + 1] = str(seed)
    return tuple(words)


def seeded(plan: Plan, seed: int) -> dict[str, str]:
    """The seed and the run's name, as settings, where the script reads them."""
    found = {"SEED": str(seed), "RUN_ID": f"seed{seed}"}
    return {name: value for name, value in found.items() if reads(plan.program.text, name)}


def mounts(layout: Layout) -> list[Mount]:
    """The data in the layout of the challenge, whichever way its folder has it."""
    if layout.dataset != layout.root:
        return [Mount(layout.root.resolve(), DATA)]
    found = [Mount(layout.dataset.resolve(), DATA / "datasets" / layout.dataset.resolve().name)]
    if layout.tokenizer is not None:
        found.append(Mount(layout.tokenizer.resolve(), DATA / "tokenizers" / layout.tokenizer.name))
    return found


def places(plan: Plan, layout: Layout) -> dict[str, str]:
    """Where the data is, in the settings that the script reads."""
    found = {"DATA_PATH": str(DATA / "datasets" / layout.dataset.resolve().name), "DATA_DIR": str(DATA)}
    if layout.tokenizer is not None:
        found["TOKENIZER_PATH"] = str(DATA / "tokenizers" / layout.tokenizer.name)
    return {name: value for name, value in found.items() if reads(plan.program.text, name)}


def gpu_limits(plan: Plan) -> Limits:
    """What a run on GPUs may use: the machine, less a tenth of its memory, a quarter of it for files."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    wall_s = plan.budgets.total_s
    return Limits(
        cpu_s=wall_s * (os.cpu_count() or 1), wall_s=wall_s, memory_mb=memory_mb * 9 // 10, disk_mb=memory_mb // 4,
        processes=RANKS * (plan.processes + 1), file_mb=16 << 10, files=200_000, open_files=65_536,
        output_bytes=64 << 20,
    )  # fmt: skip


def present(folder: Path) -> dict[str, int]:
    """Bytes of each plain file below a folder of ours, by path in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
