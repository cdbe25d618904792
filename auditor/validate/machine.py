"""The machine that is here: its GPUs, and the devices through which a program reaches them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from auditor.validate.model import GPU, GPUS

PATTERNS = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-caps/*")
"""Device files of the NVIDIA driver, below /dev."""
WORLDS = (8, 4, 2, 1)
"""Numbers of processes that the scripts share a batch over: `grad_accum_steps = 8 // world_size`."""


def gpus() -> tuple[str, ...]:
    """Names of the GPUs here, as the driver gives them; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return ()
    said = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return tuple(line.strip() for line in said.stdout.splitlines() if line.strip()) if said.returncode == 0 else ()


def devices(root: Path = Path("/dev")) -> tuple[Path, ...]:
    """Device files that a program on GPUs needs."""
    return tuple(sorted(path for pattern in PATTERNS for path in root.glob(pattern) if path.is_char_device()))


def world(count: int) -> int:
    """The largest number of processes, of at most `count`, that divides 8."""
    return next(world for world in WORLDS if world <= count)


def is_contest(names: tuple[str, ...]) -> bool:
    """Whether these are the eight H100 of the contest."""
    return len(names) == GPUS and all(GPU in name for name in names)
