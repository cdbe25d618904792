"""The check run of ours on a commit, with annotations at lines of the diff.

Annotations can be added to a check run but not taken away. So a check run whose annotations are among the wanted ones
is completed; otherwise a new one of the same name takes its place, and GitHub shows the newest. Check runs are written
by apps only, and by the token of a workflow, which is one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from auditor.github.client import Client
from auditor.review import Annotation
from auditor.verdict import Outcome, PgolfError

NAME = "pgolf"
BATCH = 50
"""Annotations that one request may bring."""
MAX_TEXT = 65_535
"""Characters of a summary."""
MAX_TITLE = 255
_OURS = "pgolf.review/1:"

Done = Literal["created", "updated", "unchanged"]
Conclusion = Literal["success", "failure", "neutral"]
CONCLUSION: dict[Outcome, Conclusion] = {"clean": "success", "flag": "failure", "hold": "neutral", "error": "neutral"}


@dataclass(frozen=True)
class Content:
    """What a check run is to say."""

    conclusion: Conclusion
    title: str
    summary: str
    """Markdown."""
    annotations: tuple[Annotation, ...]
    """Only such as GitHub shows: at lines of the diff."""

    @property
    def external_id(self) -> str:
        """Our mark on the check run: a hash of all that it says."""
        text = json.dumps([self.conclusion, self.title, self.summary, [_sent(each) for each in self.annotations]])
        return _OURS + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def settle(client: Client, repo: str, head: str, app: str, content: Content) -> Done:
    """Make the newest check run of ours on commit `head` say `content`; nothing is written when it does already.

    `app` is the slug of the app that the token belongs to.
    """
    if len(content.summary) > MAX_TEXT or len(content.title) > MAX_TITLE:
        raise PgolfError(f"the check run is too long: GitHub takes a summary of {MAX_TEXT:,} characters")
    done: Done = "unchanged"

    def step() -> None:
        nonlocal done
        run = newest(client, repo, head, app)
        if run is not None and _says(run, content):
            return
        missing = list(content.annotations)
        if run is not None:
            shown = _annotations(client, repo, run)
            if shown - Counter(map(_key, map(_sent, missing))):
                run = None
            else:
                missing = _without(missing, shown)
        if run is None:
            done = "created"
            first, missing = missing[:BATCH], missing[BATCH:]
            body = {"name": NAME, "head_sha": head, **_body(content, first)}
            run = client.create(f"/repos/{repo}/check-runs", body)
        elif not missing:
            done = "updated"
            client.change(f"/repos/{repo}/check-runs/{run['id']}", _body(content, []))
        for start in range(0, len(missing), BATCH):
            done = "updated" if done == "unchanged" else done
            body = _body(content, missing[start : start + BATCH])
            client.change(f"/repos/{repo}/check-runs/{run['id']}", body, repeat=False)

    client.settle(step)
    return done


def newest(client: Client, repo: str, head: str, app: str) -> dict[str, Any] | None:
    """The check run of ours that GitHub shows; None when there is none."""
    path = f"/repos/{repo}/commits/{head}/check-runs"
    listed = client.pages(path, {"check_name": NAME, "filter": "all"}, key="check_runs")
    found = [
        run
        for run in listed
        if (run["external_id"] or "").startswith(_OURS) and run["app"] and run["app"]["slug"] == app
    ]
    return max(found, key=lambda run: run["id"], default=None)


def _says(run: dict[str, Any], content: Content) -> bool:
    """Whether all of `content` arrived, which may have taken several requests."""
    arrived = run["external_id"], run["output"]["annotations_count"]
    return arrived == (content.external_id, len(content.annotations))


def _body(content: Content, annotations: Sequence[Annotation]) -> dict[str, Any]:
    return {
        "external_id": content.external_id,
        "status": "completed",
        "conclusion": content.conclusion,
        "output": {
            "title": content.title,
            "summary": content.summary,
            "annotations": [_sent(each) for each in annotations],
        },
    }


def _sent(annotation: Annotation) -> dict[str, Any]:
    return {
        "path": annotation.path,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": annotation.level,
        "title": annotation.title,
        "message": annotation.message,
    }


def _key(annotation: dict[str, Any]) -> str:
    """What makes two annotations the same, of what we send."""
    return json.dumps([annotation[name] for name in ("path", "start_line", "annotation_level", "title", "message")])


def _annotations(client: Client, repo: str, run: dict[str, Any]) -> Counter[str]:
    if run["output"]["annotations_count"] == 0:
        return Counter()
    return Counter(_key(each) for each in client.pages(f"/repos/{repo}/check-runs/{run['id']}/annotations"))


def _without(wanted: Sequence[Annotation], shown: Counter[str]) -> list[Annotation]:
    """The wanted ones but for those that are shown, each as often as it is."""
    left = Counter(shown)
    missing = []
    for each in wanted:
        key = _key(_sent(each))
        if left[key]:
            left[key] -= 1
        else:
            missing.append(each)
    return missing
