"""A server on loopback that speaks the part of GitHub's REST API that pgolf uses, and keeps what it is told.

It answers as GitHub does (`test_contract` compares both sides with GitHub's own description), and fails on demand: see
`Fault`. Nothing in it is shared between two servers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

WHEN = "2026-05-01T12:00:00Z"
BOT = {"login": "pgolf-review[bot]", "id": 4242, "type": "Bot"}
PERSON = {"login": "somebody", "id": 77, "type": "User"}


@dataclass
class Fault:
    """What goes wrong at a request, once, `after` so many that match."""

    verb: str = ""
    path: str = ""
    after: int = 0
    done: bool = False
    """Whether the request takes effect all the same."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=lambda: {"message": "an error"})
    cut: bool = False
    """End the connection in the middle of the answer."""
    hang_s: float = 0.0
    """Say nothing for so long, and then end the connection."""
    kill: int | None = None
    """Process that is killed when the request arrives."""


@dataclass
class Seen:
    """A request and what was answered."""

    verb: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int = 0
    answer: Any = None


class GitHub:
    """The state behind the API, for one repository."""

    def __init__(self, repo: str = "golf/course") -> None:
        self.repo = repo
        self.me: dict[str, Any] = BOT
        self.tokens: set[str] = set()
        """Accepted ones; any when empty."""
        self.pulls: dict[int, dict[str, Any]] = {}
        self.files: dict[int, list[dict[str, Any]]] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.runs: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.labels: dict[int, list[str]] = {}
        self.trees: dict[str, list[dict[str, Any]]] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.before: Callable[[Seen], None] = lambda seen: None
        self._ids = 1000

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    # what a test sets up

    def pull(self, number: int, head: str, files: dict[str, bytes] | None = None, **more: Any) -> None:
        """Open a pull request, or move it to another head."""
        files = files or {}
        entries = []
        for path, content in files.items():
            oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self.blobs[oid] = content
            entries.append({"path": path, "mode": "100644", "type": "blob", "sha": oid, "size": len(content)})
        self.trees[head] = entries
        self.trees.setdefault("main", [])
        self.files[number] = [new_file(path, content) for path, content in files.items()]
        self.pulls[number] = {
            "number": number,
            "title": "a title",
            "body": "",
            "state": "open",
            "draft": False,
            "merged": False,
            "updated_at": WHEN,
            "head": {"sha": head, "ref": "mine", "label": "me:mine"},
            "base": {"ref": "main", "sha": "0" * 40, "label": "golf:main"},
            **more,
        }

    def comment(self, number: int, user: dict[str, Any] | None, body: str) -> dict[str, Any]:
        made = {
            "id": self.next_id(),
            "body": body,
            "user": user,
            "created_at": WHEN,
            "updated_at": WHEN,
            "issue_url": f"https://api.github.com/repos/{self.repo}/issues/{number}",
        }
        self.comments[made["id"]] = made
        return made

    def comments_of(self, number: int, user: dict[str, Any]) -> list[str]:
        end = f"/issues/{number}"
        return [c["body"] for c in self.comments.values() if c["issue_url"].endswith(end) and c["user"] == user]

    def shown_runs(self, head: str) -> list[dict[str, Any]]:
        """The check runs that GitHub shows: the newest of each app and name."""
        newest: dict[tuple[str, str], dict[str, Any]] = {}
        for run in sorted(self.runs.values(), key=lambda run: run["id"]):
            if run["head_sha"] == head:
                newest[run["app"]["slug"], run["name"]] = run
        return list(newest.values())

    def writes(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.verb != "GET"]

    # what the API does

    def answer(self, seen: Seen) -> tuple[int, Any]:
        token = seen.headers.get("authorization", "").removeprefix("token ").removeprefix("Bearer ")
        if self.tokens and token not in self.tokens:
            return 401, {"message": "Bad credentials"}
        for verb, pattern, act in ROUTES:
            if verb == seen.verb and (found := re.fullmatch(pattern, seen.path)):
                return act(self, seen, *found.groups())
        return 404, {"message": "Not Found"}


def new_file(path: str, content: bytes) -> dict[str, Any]:
    lines = content.decode("utf-8", "replace").splitlines()
    patch = f"@@ -0,0 +1,{len(lines)} @@\n" + "\n".join("+" + line for line in lines)
    return {"filename": path, "status": "added", "additions": len(lines), "patch": patch}


def page(seen: Seen, items: list[Any]) -> list[Any]:
    size, number = int(seen.query.get("per_page", 30)), int(seen.query.get("page", 1))
    return items[(number - 1) * size : number * size]


def get_user(hub: GitHub, seen: Seen) -> tuple[int, Any]:
    if hub.me["type"] == "Bot":
        return 403, {"message": "Resource not accessible by integration"}
    return 200, hub.me


def get_account(hub: GitHub, seen: Seen, login: str) -> tuple[int, Any]:
    found = {each["login"]: each for each in (BOT, PERSON, hub.me)}.get(unquote(login))
    return (200, found) if found else (404, {"message": "Not Found"})


def get_pull(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    found = hub.pulls.get(int(number))
    return (200, found) if found else (404, {"message": "Not Found"})


def list_pulls(hub: GitHub, seen: Seen) -> tuple[int, Any]:
    state = seen.query.get("state", "open")
    found = [pull for pull in hub.pulls.values() if state in ("all", pull["state"])]
    found.sort(
        key=lambda pull: (pull[{"updated": "updated_at"}.get(seen.query.get("sort", ""), "number")], pull["number"])
    )
    if seen.query.get("direction") == "desc":
        found.reverse()
    names = ("number", "title", "state", "draft", "updated_at", "head", "base", "body")
    return 200, page(seen, [{name: pull[name] for name in names} for pull in found])


def list_files(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    return 200, page(seen, hub.files[int(number)])


def list_comments(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    return 200, page(seen, [c for c in hub.comments.values() if c["issue_url"].endswith(f"/issues/{number}")])


def post_comment(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    if len(seen.body["body"]) > 65_536:
        return 422, {"message": "Validation Failed"}
    return 201, hub.comment(int(number), hub.me, seen.body["body"])


def patch_comment(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    comment = hub.comments.get(int(number))
    if comment is None:
        return 404, {"message": "Not Found"}
    comment["body"] = seen.body["body"]
    return 200, comment


def delete_comment(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    return (204, None) if hub.comments.pop(int(number), None) else (404, {"message": "Not Found"})


def list_runs(hub: GitHub, seen: Seen, head: str) -> tuple[int, Any]:
    found = [run for run in hub.runs.values() if run["head_sha"] == head]
    if seen.query.get("filter", "latest") == "latest":
        found = hub.shown_runs(head)
    if "check_name" in seen.query:
        found = [run for run in found if run["name"] == seen.query["check_name"]]
    return 200, {"total_count": len(found), "check_runs": page(seen, found)}


def post_run(hub: GitHub, seen: Seen) -> tuple[int, Any]:
    if hub.me["type"] != "Bot":
        return 403, {"message": "You must authenticate via a GitHub App."}
    run = {
        "id": hub.next_id(),
        "name": seen.body["name"],
        "head_sha": seen.body["head_sha"],
        "app": {"slug": hub.me["login"].removesuffix("[bot]")},
        "output": {},
    }
    hub.runs[run["id"]] = run
    hub.notes[run["id"]] = []
    return 201, update(hub, run, seen.body)


def patch_run(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    return 200, update(hub, hub.runs[int(number)], seen.body)


def update(hub: GitHub, run: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    output = body["output"]
    assert len(output.get("annotations", [])) <= 50, "GitHub takes 50 annotations a request"
    assert len(output["summary"]) <= 65_535
    hub.notes[run["id"]] += output.get("annotations", [])
    run.update({name: body[name] for name in ("status", "conclusion", "external_id") if name in body})
    run["output"] = {
        "title": output["title"],
        "summary": output["summary"],
        "text": None,
        "annotations_count": len(hub.notes[run["id"]]),
        "annotations_url": f"https://api.github.com/repos/{hub.repo}/check-runs/{run['id']}/annotations",
    }
    return run


def list_notes(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    return 200, page(seen, hub.notes[int(number)])


def list_labels(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    return 200, page(seen, [{"name": name} for name in hub.labels.get(int(number), [])])


def post_labels(hub: GitHub, seen: Seen, number: str) -> tuple[int, Any]:
    there = hub.labels.setdefault(int(number), [])
    there += [name for name in seen.body["labels"] if name not in there]
    return list_labels(hub, seen, number)


def delete_label(hub: GitHub, seen: Seen, number: str, name: str) -> tuple[int, Any]:
    there = hub.labels.get(int(number), [])
    if unquote(name) not in there:
        return 404, {"message": "Label does not exist"}
    there.remove(unquote(name))
    return list_labels(hub, seen, number)


def get_repo(hub: GitHub, seen: Seen) -> tuple[int, Any]:
    return 200, {"id": 1, "full_name": hub.repo, "name": hub.repo.split("/")[1]}


def get_tree(hub: GitHub, seen: Seen, ref: str) -> tuple[int, Any]:
    found = hub.trees.get(ref)
    return (
        (200, {"sha": ref, "truncated": False, "tree": found}) if found is not None else (404, {"message": "Not Found"})
    )


def get_blob(hub: GitHub, seen: Seen, oid: str) -> tuple[int, Any]:
    content = hub.blobs[oid]
    encoded = base64.b64encode(content).decode()
    return 200, {"sha": oid, "size": len(content), "encoding": "base64", "content": encoded}


_R = r"/repos/[^/]+/[^/]+"
ROUTES: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
    ("GET", "/user", get_user),
    ("GET", "/users/([^/]+)", get_account),
    ("GET", _R, get_repo),
    ("GET", _R + "/pulls", list_pulls),
    ("GET", _R + r"/pulls/(\d+)", get_pull),
    ("GET", _R + r"/pulls/(\d+)/files", list_files),
    ("GET", _R + r"/issues/(\d+)/comments", list_comments),
    ("POST", _R + r"/issues/(\d+)/comments", post_comment),
    ("PATCH", _R + r"/issues/comments/(\d+)", patch_comment),
    ("DELETE", _R + r"/issues/comments/(\d+)", delete_comment),
    ("GET", _R + r"/commits/([0-9a-f]{40})/check-runs", list_runs),
    ("POST", _R + "/check-runs", post_run),
    ("PATCH", _R + r"/check-runs/(\d+)", patch_run),
    ("GET", _R + r"/check-runs/(\d+)/annotations", list_notes),
    ("GET", _R + r"/issues/(\d+)/labels", list_labels),
    ("POST", _R + r"/issues/(\d+)/labels", post_labels),
    ("DELETE", _R + r"/issues/(\d+)/labels/([^/]+)", delete_label),
    ("GET", _R + r"/git/trees/([^/]+)", get_tree),
    ("GET", _R + r"/git/blobs/([0-9a-f]{40})", get_blob),
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: otherwise each answer waits for an acknowledgement
    disable_nagle_algorithm = True
    hub: GitHub
    lock: threading.Lock

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client was killed, or has waited long enough
            self.close_connection = True

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(size)
        url = urlsplit(self.path)
        seen = Seen(
            self.command,
            url.path,
            {name: values[-1] for name, values in parse_qs(url.query).items()},
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(content) if content else None,
        )
        with self.lock:
            self.hub.seen.append(seen)
            self.hub.before(seen)
            fault = self._fault(seen)
            headers: dict[str, str] = {}
            if fault is None or fault.done:
                seen.status, seen.answer = self.hub.answer(seen)
        text = b"" if seen.answer is None else json.dumps(seen.answer).encode()
        if fault is None and seen.verb == "GET" and seen.status == 200:
            headers["ETag"] = f'"{hashlib.sha256(text).hexdigest()[:16]}"'
            if seen.headers.get("if-none-match") == headers["ETag"]:
                seen.status, text = 304, b""
        if fault is not None:
            if fault.kill is not None:
                os.kill(fault.kill, signal.SIGKILL)
                self.close_connection = True
                return
            if fault.hang_s:
                time.sleep(fault.hang_s)
                self.close_connection = True
                return
            if fault.cut:
                self._send(seen.status or 200, text or b"{}", headers, cut=True)
                return
            seen.status, headers, text = fault.status, fault.headers, json.dumps(fault.body).encode()
        self._send(seen.status, text, headers)

    def _fault(self, seen: Seen) -> Fault | None:
        for fault in self.hub.faults:
            if fault.verb in ("", seen.verb) and re.search(fault.path, seen.path):
                if fault.after:
                    fault.after -= 1
                    continue
                self.hub.faults.remove(fault)
                return fault
        return None

    def _send(self, status: int, text: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text) + (100 if cut else 0)))
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if cut else text)
        self.wfile.flush()
        if cut:
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = _serve


@contextmanager
def serving(hub: GitHub):  # type: ignore[no-untyped-def]
    """Serve a hub on a free port of loopback; yields its URL."""
    handler = type("BoundHandler", (Handler,), {"hub": hub, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
