"""Fetch the parts of GitHub's own description of its REST API that pgolf uses, into `.cache/`, for the tests.

GitHub publishes it in the npm package `@octokit/openapi` (MIT), 13 MB of it; we do not redistribute it. Run once, with
network and npm: `python -m tests.github.fetch_openapi`.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tests.archives import member_of

PACKAGE = "@octokit/openapi@23.0.2"
MEMBER = "package/generated/api.github.com.json"
SHA256 = "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a"
DESCRIPTION = Path(__file__).resolve().parents[2] / ".cache" / "github-openapi-23.0.2.json"
_R = "/repos/{owner}/{repo}"
PATHS = (
    "/user",
    "/users/{username}",
    _R,
    f"{_R}/pulls",
    f"{_R}/pulls/{{pull_number}}",
    f"{_R}/pulls/{{pull_number}}/files",
    f"{_R}/issues/{{issue_number}}/comments",
    f"{_R}/issues/comments/{{comment_id}}",
    f"{_R}/issues/{{issue_number}}/labels",
    f"{_R}/issues/{{issue_number}}/labels/{{name}}",
    f"{_R}/commits/{{ref}}/check-runs",
    f"{_R}/check-runs",
    f"{_R}/check-runs/{{check_run_id}}",
    f"{_R}/check-runs/{{check_run_id}}/annotations",
    f"{_R}/git/trees/{{tree_sha}}",
    f"{_R}/git/blobs/{{file_sha}}",
)


def fetch() -> Path:
    """Download, verify, cut and store the description, unless it is there; returns where it lies."""
    if DESCRIPTION.is_file():
        return DESCRIPTION
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed")
    content = member_of([npm, "pack", "--silent", "--ignore-scripts", PACKAGE], MEMBER, SHA256)
    DESCRIPTION.parent.mkdir(exist_ok=True)
    DESCRIPTION.write_text(json.dumps(cut(json.loads(content))), encoding="utf-8")
    return DESCRIPTION


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """Our paths, and the components that they refer to, directly or not; no examples."""
    paths = {path: whole["paths"][path] for path in PATHS}
    kept: dict[str, dict[str, Any]] = {}
    todo = references(paths)
    while todo:
        kind, name = todo.pop()
        if kind == "examples" or name in kept.setdefault(kind, {}):
            continue
        kept[kind][name] = whole["components"][kind][name]
        todo |= references(kept[kind][name])
    return {"info": whole["info"], "paths": paths, "components": kept}


def references(part: Any) -> set[tuple[str, str]]:
    """Kind and name of every component that `part` mentions."""
    return set(re.findall(r'"\$ref": "#/components/(\w+)/([^"/]+)"', json.dumps(part)))


if __name__ == "__main__":
    print(fetch())
