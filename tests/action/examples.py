"""The workflows of `examples/`, filled in as `docs/bot.md` says: with the repository and commit of the Action."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY, COMMIT = "golf/pgolf", "0123456789abcdef0123456789abcdef01234567"


def filled_in(text: str) -> str:
    """The text of an example, ready to run."""
    text = re.sub(r"OWNER/pgolf(\S*)@COMMIT", rf"{REPOSITORY}\1@{COMMIT} # v0.1.0", text)
    return text.replace("OWNER/pgolf", REPOSITORY).replace("COMMIT", COMMIT)


def write(folder: Path) -> list[Path]:
    """All of them, where a repository has its workflows."""
    folder = folder / ".github" / "workflows"
    folder.mkdir(parents=True)
    written = []
    for source in sorted((ROOT / "examples" / "workflows").glob("*.yml")):
        path = folder / source.name
        path.write_text(filled_in(source.read_text(encoding="utf-8")), encoding="utf-8")
        written.append(path)
    return written
