"""What the result of an audit depends on, as one digest: the same key, the same line.

Of the submission that is everything the audit can read (`Mirror.state`: script, modules, logs, README, claims, title);
of the tool its own sources, the Python that parses, and the libraries that unpack. A changed rule is a new key.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from auditor.report.tool import RULESET, version

_LIBRARIES = ("libcst", "brotli")
_SOURCES = (".py", ".toml", ".json")


def engine(packages: Iterable[Path]) -> str:
    """Digest of the tool: the sources in `packages`, its version and rule set, Python, and the libraries."""
    digest = hashlib.sha256()
    for part in (version(), RULESET, sys.version, *(_installed(name) for name in _LIBRARIES)):
        digest.update(part.encode() + b"\0")
    for package in packages:
        for path in sorted(path for path in package.rglob("*") if path.suffix in _SOURCES):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def key(engine: str, repo: str, number: int, state: str, env: Mapping[str, str]) -> str:
    """Digest of one audit: tool, pull request, its `state`, and the settings from outside."""
    parts = [engine, repo, str(number), state, *(f"{name}={value}" for name, value in sorted(env.items()))]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
