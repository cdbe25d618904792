"""A forge that writes git objects by hand: any name is possible, nothing is spawned, nothing checked out."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

Files = Mapping[bytes, bytes | tuple[bytes, bytes]]
"""Path -> content, or (mode, content)."""


class Forge:
    """A bare repository under construction."""

    def __init__(self, gitdir: Path) -> None:
        self.gitdir = gitdir
        for folder in ("objects", "refs/heads"):
            (gitdir / folder).mkdir(parents=True)
        (gitdir / "HEAD").write_text("ref: refs/heads/main\n")
        self._clock = 1_700_000_000

    def store(self, kind: bytes, data: bytes) -> str:
        raw = b"%s %d\0%s" % (kind, len(data), data)
        oid = hashlib.sha1(raw).hexdigest()
        file = self.gitdir / "objects" / oid[:2] / oid[2:]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(zlib.compress(raw, 1))
        return oid

    def tree(self, files: Files) -> str:
        entries: dict[bytes, tuple[bytes, str]] = {}
        below: dict[bytes, dict[bytes, bytes | tuple[bytes, bytes]]] = {}
        for path, content in files.items():
            head, slash, rest = path.partition(b"/")
            if slash:
                below.setdefault(head, {})[rest] = content
            else:
                mode, data = content if isinstance(content, tuple) else (b"100644", content)
                entries[head] = (mode, self.store(b"blob", data))
        for name, inner in below.items():
            entries[name] = (b"40000", self.tree(inner))
        ordered = sorted(entries.items(), key=lambda item: item[0] + (b"/" if item[1][0] == b"40000" else b""))
        return self.store(
            b"tree", b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(oid)) for name, (mode, oid) in ordered)
        )

    def commit(self, files: Files, *parents: str, message: str = "a commit") -> str:
        self._clock += 60
        lines = [f"tree {self.tree(files)}", *(f"parent {parent}" for parent in parents)]
        who = f"A <a@example.org> {self._clock} +0000"
        text = "\n".join([*lines, f"author {who}", f"committer {who}", "", message, ""])
        return self.store(b"commit", text.encode())

    def ref(self, name: str, oid: str) -> None:
        file = self.gitdir / "refs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(oid + "\n")

    def pull(self, number: int, oid: str) -> None:
        self.ref(f"pull/{number}/head", oid)
