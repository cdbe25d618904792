"""Pull requests through GitHub's API, with a stand-in for it."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Sequence
from typing import Any

import pytest

from auditor.submission import github as module
from auditor.submission.assemble import assemble
from auditor.submission.github import ApiPull, Entry, PyGithubApi, explain, open_pull, parse_url
from auditor.verdict import PgolfError

FOLDER = "records/track_10min_16mb/2026-01-01_x"
SCRIPT = f"{FOLDER}/train_gpt.py"
FILES = {
    SCRIPT: b"loss.backward()\nval_bpb\n",
    f"{FOLDER}/README.md": b"val_bpb: 1.1000",
    f"{FOLDER}/old_module.py": b"OLD = 1\n",
    "README.md": b"root",
}


class FakeApi:
    def __init__(self, changed: dict[str, bool], merged: bool = False) -> None:
        self.changed = changed
        self.merged = merged
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []

    def pull(self, number: int) -> ApiPull:
        return ApiPull(number, "Record: val_bpb 1.1", "a" * 40, "main", self.merged, self.changed)

    def tree(self, ref: str) -> Sequence[Entry]:
        entries = []
        for path, data in FILES.items():
            oid = hashlib.sha1(data).hexdigest()
            self.blobs[oid] = data
            entries.append(Entry(path, "100644", oid, len(data)))
        entries.append(Entry(f"{FOLDER}/link.py", "120000", "b" * 40, 3))
        return entries if ref == "a" * 40 else entries[1:2]

    def blob(self, oid: str) -> bytes:
        self.asked.append(oid)
        return self.blobs[oid]


def test_a_pull_request_is_read_blob_by_blob() -> None:
    api = FakeApi({SCRIPT: True, f"{FOLDER}/README.md": True, f"{FOLDER}/link.py": True, "gone.py": False})
    submission = assemble(open_pull("owner/name", 7, api))
    assert submission.script == SCRIPT
    assert submission.code == FILES[SCRIPT]
    assert submission.modules == {"old_module": b"OLD = 1\n"}
    assert submission.claims.val_bpb == 1.1
    assert (submission.target.repo, submission.target.pr, submission.target.head) == ("owner/name", 7, "a" * 40)
    assert submission.target.title == "Record: val_bpb 1.1"
    assert hashlib.sha1(FILES["README.md"]).hexdigest() not in api.asked


def test_links_and_removed_files_are_left_out() -> None:
    tree = open_pull("o/n", 7, FakeApi({SCRIPT: True, f"{FOLDER}/link.py": True, "gone.py": False})).tree
    assert tree.paths() == (SCRIPT,)
    assert tree.added(SCRIPT)
    with pytest.raises(PgolfError, match="no such file"):
        tree.read("gone.py")


def test_what_the_base_branch_holds_by_now_is_upstream_unless_it_was_merged() -> None:
    readme = f"{FOLDER}/README.md"
    tree = open_pull("o/n", 7, FakeApi({SCRIPT: True, readme: True})).tree
    assert tree.upstream(readme)
    assert not tree.upstream(SCRIPT)
    assert not open_pull("o/n", 7, FakeApi({readme: True}, merged=True)).tree.upstream(readme)


def test_a_list_that_github_cut_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHANGES", 1)
    assert "--mirror" in open_pull("o/n", 7, FakeApi({SCRIPT: True})).notes[0]


def test_an_oversized_file_is_refused_before_it_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOB", 5)
    api = FakeApi({SCRIPT: True})
    with pytest.raises(PgolfError, match="too large"):
        open_pull("o/n", 7, api).tree.read(SCRIPT)
    assert api.asked == []


@pytest.mark.parametrize("repo", ["", "name", "a/b/c", "../x/y", "a b/c", "-a/b", "o/n?x"])
def test_what_is_no_repository_is_refused(repo: str) -> None:
    with pytest.raises(PgolfError, match="OWNER/NAME"):
        open_pull(repo, 1, FakeApi({}))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/openai/parameter-golf/pull/715", ("openai/parameter-golf", 715)),
        ("http://www.github.com/o/n.x/pull/1/files?diff=split#r1", ("o/n.x", 1)),
        ("github.com/o/n/pull/12/commits/abc", ("o/n", 12)),
        ("https://github.com/o/n/issues/1", None),
        ("https://github.com.evil.example/o/n/pull/1", None),
        ("https://example.org/github.com/o/n/pull/1", None),
        ("file:///o/n/pull/1", None),
        ("715", None),
    ],
)
def test_urls_of_pull_requests(url: str, expected: tuple[str, int] | None) -> None:
    assert parse_url(url) == expected


class Failure(Exception):
    def __init__(self, status: int | None, data: str = "") -> None:
        super().__init__(data)
        self.status = status
        self.data = data


@pytest.mark.parametrize(
    ("status", "data", "with_token", "words"),
    [
        (403, "API rate limit exceeded", False, ("rate limit", "set GITHUB_TOKEN", "--mirror")),
        (429, "", True, ("rate limit", "wait", "--mirror")),
        (401, "Bad credentials", True, ("GITHUB_TOKEN", "--mirror")),
        (404, "Not Found", False, ("no pull request 9", "--repo")),
        (403, "Resource not accessible", True, ("refused", "GITHUB_TOKEN")),
        (502, "", False, ("502", "try again", "--mirror")),
        (None, "name resolution\nfailed", False, ("could not be reached", "--mirror")),
    ],
)
def test_every_failure_is_one_line_that_says_what_to_do(
    status: int | None, data: str, with_token: bool, words: tuple[str, ...]
) -> None:
    line = explain(Failure(status, data), "o/n", "pull request 9", with_token)
    assert "\n" not in line
    for word in words:
        assert word in line


class FakeRepository:
    """The part of PyGithub's repository that is used."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails

    def get_pull(self, number: int) -> Any:
        if self.fails:
            raise self.fails
        new = types.SimpleNamespace
        files = [
            new(filename="a", status="added"),
            new(filename="b", status="modified"),
            new(filename="c", status="removed"),
        ]
        head, base = new(sha="a" * 40), new(ref="main")
        return new(title="T", body=None, head=head, base=base, merged=False, get_files=lambda: files)

    def get_git_tree(self, ref: str, recursive: bool) -> Any:
        new = types.SimpleNamespace
        blob = new(path="a", mode="100644", sha="c" * 40, size=2, type="blob")
        return new(tree=[blob, new(path="d", mode="040000", sha="d" * 40, size=None, type="tree")])

    def get_git_blob(self, oid: str) -> Any:
        return types.SimpleNamespace(content="aGk=\n", encoding="base64")


def client(fails: Exception | None = None) -> PyGithubApi:
    pytest.importorskip("github")
    api = PyGithubApi("o/n")
    api._remote = FakeRepository(fails)
    return api


def test_pygithub_answers_are_translated() -> None:
    api = client()
    pull = api.pull(3)
    assert dict(pull.changed) == {"a": True, "b": False}
    assert (pull.title, pull.head, pull.base_ref) == ("T", "a" * 40, "main")
    assert api.tree("main") == [Entry("a", "100644", "c" * 40, 2)]
    assert api.blob("c" * 40) == b"hi"
    with pytest.raises(PgolfError, match="not an object id"):
        api.blob("../x")


def test_pygithub_errors_become_one_line() -> None:
    github = pytest.importorskip("github")
    with pytest.raises(PgolfError, match="no pull request 3"):
        client(github.UnknownObjectException(404, {"message": "Not Found"}, {})).pull(3)
    with pytest.raises(PgolfError, match="rate limit"):
        client(github.RateLimitExceededException(403, {"message": "x"}, {})).pull(3)
    with pytest.raises(PgolfError, match="could not be reached"):
        client(ConnectionError("no route")).pull(3)
