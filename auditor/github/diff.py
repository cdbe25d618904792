"""Which lines of which files are shown in the diff of a pull request: GitHub shows annotations on no others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from auditor.github.client import Client

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def shown_lines(client: Client, repo: str, number: int) -> dict[str, frozenset[int]]:
    """Line numbers at the head of the pull request, by path; files that are gone are left out."""
    files = client.pages(f"/repos/{repo}/pulls/{number}/files")
    return {file["filename"]: lines_of(file) for file in files if file["status"] != "removed"}


def lines_of(file: Mapping[str, Any]) -> frozenset[int]:
    """Of one file as the API lists it; a large one comes without its patch, and then only a new file is known."""
    patch = file.get("patch")
    if patch is not None:
        return frozenset(new_lines(patch))
    return frozenset(range(1, file["additions"] + 1)) if file["status"] == "added" else frozenset()


def new_lines(patch: str) -> list[int]:
    """Lines of the new side, added or context, of a unified diff without file headers."""
    found = []
    line = 0
    for text in patch.split("\n"):
        if hunk := _HUNK.match(text):
            line = int(hunk[1])
        elif text.startswith(("+", " ")):
            found.append(line)
            line += 1
    return found
