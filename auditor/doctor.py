"""What is installed, what is missing, and the command that gets it (`pgolf doctor`).

The list of packages is the distribution's own metadata, so it cannot disagree with `pyproject.toml`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

from auditor.sandbox import Unavailable, availability
from auditor.validate.machine import gpus
from auditor.verdict import PgolfError

PURPOSES = {
    "": "pgolf audit",
    "probe": "pgolf smoke",
    "train": "the reference implementation (pgolf train, data, export, evaluate, reproduce, codec)",
    "slurm": "pgolf validate (on GPUs; --device cpu --toy does without)",
    "gpu": "faster attention on GPUs",
}
"""What each extra is for, in the order in which they are shown; the empty one is what every install has.
Extras that are not here, such as `dev`, are not shown."""

REQUIREMENT = re.compile(r"""^([A-Za-z0-9._-]+)\s*([^;]*?)\s*(?:;.*extra\s*==\s*['"]([a-z]+)['"])?$""")


@dataclass(frozen=True)
class Part:
    """One thing that may be there or not."""

    name: str
    found: str | None
    get: str


def diagnosis() -> tuple[str, bool]:
    """The text to print, and whether `pgolf audit` has all it needs; raises `PgolfError` when not installed."""
    try:
        requirements = metadata.requires("pgolf") or []
        version = metadata.version("pgolf")
    except metadata.PackageNotFoundError:
        raise PgolfError(
            "pgolf runs from a folder in which it is not installed; type: python3 -m pip install ."
        ) from None
    groups: dict[str, list[Part]] = {purpose: [] for purpose in PURPOSES.values()}
    groups[PURPOSES[""]].append(Part("python", ".".join(map(str, sys.version_info[:3])), ""))
    groups[PURPOSES[""]].append(git())
    groups[PURPOSES["probe"]].append(sandbox())
    groups[PURPOSES["slurm"]] += [graphics(), torchrun()]
    for requirement in requirements:
        name, constraint, extra = REQUIREMENT.match(requirement).groups()  # type: ignore[union-attr]
        if (extra or "") in PURPOSES:
            groups[PURPOSES[extra or ""]].append(package(name, constraint))
    lines = [f"pgolf {version}"]
    for purpose, parts in groups.items():
        lines += ["", f"For {purpose}:"]
        lines += [
            f"  {part.name:<22} {part.found or 'missing':<12} {'' if part.found else part.get}".rstrip()
            for part in parts
        ]
    return "\n".join(lines) + "\n", all(part.found for part in groups[PURPOSES[""]])


def git() -> Part:
    """Git, which reads pull requests from a mirror."""
    path = shutil.which("git")
    if path is None:
        return Part("git (for --mirror)", None, "apt-get install git")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return Part("git (for --mirror)", said.removeprefix("git version").strip() or "unknown", "")


def sandbox() -> Part:
    """The sandbox, found by using it once: an installed bubblewrap may not be allowed to work."""
    found = availability()
    if isinstance(found, Unavailable):
        return Part("sandbox (bubblewrap)", None, f"{found.remedy} ({found.reason})")
    return Part("sandbox (bubblewrap)", found.version, "")


def graphics() -> Part:
    """The GPUs that the driver shows."""
    names = gpus()
    found = f"{len(names)} x {names[0]}" if names else None
    return Part("GPUs", found, "none here; type: pgolf validate TARGET --emit sky")


def torchrun() -> Part:
    """What starts one process a GPU; it is a part of torch."""
    part = package("torch", "")
    return Part("torchrun (torch)", part.found, part.get)


def package(name: str, constraint: str) -> Part:
    """An installed distribution, by metadata: importing it could take seconds."""
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    return Part(name, found, shlex.join([sys.executable, "-m", "pip", "install", name + constraint]))
