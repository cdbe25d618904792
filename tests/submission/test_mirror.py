"""Pull requests from a local clone: what they add, whatever became of them, whatever their files are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditor.submission import mirror as module
from auditor.submission.mirror import Mirror
from auditor.verdict import PgolfError

SCRIPT = b"records/track_a/2026-01-01_x/train_gpt.py"
README = b"README.md"


def paths(gitdir: Path, number: int) -> tuple[str, ...]:
    with Mirror(gitdir) as clone:
        return clone.open(number).tree.paths()


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}


def test_an_open_pull_request_is_compared_with_its_merge_base_not_with_the_branch_of_today(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    forge.ref("heads/main", forge.commit({README: b"two", b"later.py": b"2"}, base))
    forge.pull(7, forge.commit({README: b"one", SCRIPT: b"print()"}, base, message="Record: 1.1 BPB"))
    with Mirror(forge.gitdir) as clone:
        pull = clone.open(7, repo="owner/name")
        assert pull.tree.paths() == (SCRIPT.decode(),)
        assert pull.tree.added(SCRIPT.decode())
        assert pull.tree.read(SCRIPT.decode()) == b"print()"
        assert pull.tree.size(SCRIPT.decode()) == 7
        assert pull.headline == "Record: 1.1 BPB"
        assert (pull.target.repo, pull.target.pr) == ("owner/name", 7)


def test_a_changed_file_is_listed_as_changed_and_a_deleted_one_is_not_listed(forge: Any) -> None:
    base = forge.commit({README: b"one", b"gone.txt": b"x"})
    forge.ref("heads/main", base)
    forge.pull(1, forge.commit({README: b"two"}, base))
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        assert tree.paths() == ("README.md",)
        assert not tree.added("README.md")


def test_a_merged_pull_request_still_shows_what_it_added(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    first = forge.commit({README: b"one", SCRIPT: b"1"}, base)
    head = forge.commit({README: b"one", SCRIPT: b"2"}, first)
    other = forge.commit({README: b"one", b"other.py": b"3"}, base)
    merge = forge.commit({README: b"one", SCRIPT: b"2", b"other.py": b"3"}, other, head)
    forge.ref("heads/main", forge.commit({README: b"one", SCRIPT: b"2", b"other.py": b"4"}, merge))
    forge.pull(1, head)
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        assert tree.paths() == (SCRIPT.decode(),)
        assert not tree.upstream(SCRIPT.decode())


def test_a_pull_request_that_was_fast_forwarded_shows_its_last_commit(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    head = forge.commit({README: b"one", SCRIPT: b"1"}, base)
    forge.ref("heads/main", forge.commit({README: b"two", SCRIPT: b"1"}, head))
    forge.pull(1, head)
    assert paths(forge.gitdir, 1) == (SCRIPT.decode(),)


def test_a_branch_that_merged_the_main_branch_meanwhile_does_not_claim_its_files(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    main = forge.commit({README: b"one", b"main.py": b"m"}, base)
    forge.ref("heads/main", main)
    own = forge.commit({README: b"one", SCRIPT: b"1"}, base)
    forge.pull(1, forge.commit({README: b"one", SCRIPT: b"1", b"main.py": b"m"}, own, main))
    assert paths(forge.gitdir, 1) == (SCRIPT.decode(),)


def test_a_copy_of_what_the_main_branch_holds_is_known_as_such(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    forge.ref("heads/main", forge.commit({README: b"one", b"records/t/a/train_gpt.py": b"same"}, base))
    forge.pull(1, forge.commit({README: b"one", b"records/t/a/train_gpt.py": b"same", SCRIPT: b"own"}, base))
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        assert tree.upstream("records/t/a/train_gpt.py")
        assert not tree.upstream(SCRIPT.decode())


def test_a_head_without_common_history_is_all_new(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({SCRIPT: b"1"}))
    assert paths(forge.gitdir, 1) == (SCRIPT.decode(),)


def test_a_folder_lists_unchanged_files_too(forge: Any) -> None:
    base = forge.commit({b"a/old.py": b"1", b"b/else.py": b"2"})
    forge.ref("heads/main", base)
    forge.pull(1, forge.commit({b"a/old.py": b"1", b"a/new.py": b"3", b"b/else.py": b"2"}, base))
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        assert tree.folder("a") == ("a/new.py", "a/old.py")
        assert tree.read("a/old.py") == b"1"
        assert tree.folder("nowhere") == ()
        assert tree.folder("a/old.py") == ()


HOSTILE = [
    b"--upload-pack=touch pwned",
    b"new\nline.py",
    b'tab\tquote".py',
    b"\x1b]0;title\x07\x1b[31mred.py",
    b"[click](http://example.org) @everyone.py",
    b"\xff\xfe-not-utf8.py",
    b"\xe2\x80\xaereversed.py",
    b"$(reboot).py",
    b"-",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(forge: Any, name: bytes) -> None:
    base = forge.commit({README: b"one"})
    forge.ref("heads/main", base)
    forge.pull(1, forge.commit({README: b"one", b"records/t/x/" + name: b"content"}, base))
    before = snapshot(forge.gitdir.parent)
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        (path,) = tree.paths()
        path.encode("utf-8")  # what is shown can be printed and stored
        assert tree.read(path) == b"content"
    assert snapshot(forge.gitdir.parent) == before


def test_dot_dot_in_a_tree_leads_nowhere(forge: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    blob = bytes.fromhex(forge.store(b"blob", b"theirs"))
    inner = forge.store(b"tree", b"100644 secret\0" + blob)
    root = forge.store(b"tree", b"40000 ..\0" + bytes.fromhex(inner))
    commit = forge.store(b"commit", f"tree {root}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n".encode())
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, commit)
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        assert tree.paths() == ("../secret",)
        assert tree.read("../secret") == b"theirs"


def test_links_and_submodules_are_left_out(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    forge.ref("heads/main", base)
    files = {b"link.py": (b"120000", b"/etc/passwd"), b"sub": (b"160000", b""), b"run.sh": (b"100755", b"x")}
    forge.pull(1, forge.commit({README: b"one", **files}, base))
    assert paths(forge.gitdir, 1) == ("run.sh",)


def test_a_message_is_taken_for_a_headline_whatever_it_holds(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({SCRIPT: b"1"}, message="x" * 10_000))
    with Mirror(forge.gitdir) as clone:
        assert len(clone.open(1).headline) <= 500


def test_only_pull_request_heads_are_listed(forge: Any) -> None:
    head = forge.commit({README: b"one"})
    forge.ref("heads/main", head)
    for name in ("pull/12/head", "pull/3/head", "pull/3/merge", "pull/x/head", "pull/4/other"):
        forge.ref(name, head)
    with Mirror(forge.gitdir) as clone:
        assert clone.prs() == (3, 12)


def test_a_number_that_the_clone_lacks_is_one_line_with_the_remedy(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({README: b"two"}))
    with Mirror(forge.gitdir) as clone, pytest.raises(PgolfError, match=r"no pull request 99.*git fetch") as caught:
        clone.open(99)
    assert "\n" not in str(caught.value)


def test_a_clone_without_pull_requests_says_how_to_fetch_them(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    with Mirror(forge.gitdir) as clone, pytest.raises(PgolfError, match="git fetch origin"):
        clone.prs()


@pytest.mark.parametrize("place", ["empty", "missing", "file"])
def test_what_is_no_repository_is_refused_even_inside_one(forge: Any, place: str) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    target = forge.gitdir / place
    if place == "empty":
        target.mkdir()
    if place == "file":
        target.write_text("")
    with pytest.raises(PgolfError, match="no git repository"):
        Mirror(target)


def test_a_checkout_is_opened_through_its_git_folder(forge: Any, tmp_path: Path) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({README: b"two"}))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    forge.gitdir.rename(checkout / ".git")
    assert paths(checkout, 1) == ("README.md",)


def test_a_checkout_on_another_branch_is_measured_against_the_remote_default(forge: Any) -> None:
    base = forge.commit({README: b"one"})
    forge.ref("remotes/origin/main", base)
    (forge.gitdir / "refs/remotes/origin/HEAD").write_text("ref: refs/remotes/origin/main\n")
    head = forge.commit({README: b"one", SCRIPT: b"1"}, base)
    forge.ref("heads/main", head)
    forge.pull(1, head)
    assert paths(forge.gitdir, 1) == (SCRIPT.decode(),)


def test_git_variables_of_the_caller_do_not_redirect_the_reading(forge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({README: b"two"}))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
    assert paths(forge.gitdir, 1) == ("README.md",)


def test_an_oversized_file_is_refused_by_size(forge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOB", 10)
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({b"big.py": b"x" * 11, b"fits.py": b"x" * 10}))
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        with pytest.raises(PgolfError, match="too large"):
            tree.read("big.py")
        assert len(tree.read("fits.py")) == 10


def test_a_file_that_the_clone_was_made_without_is_an_error_when_read(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({b"weights.bin": b"lost", b"kept.py": b"kept"}))
    lost = forge.store(b"blob", b"lost")
    (forge.gitdir / "objects" / lost[:2] / lost[2:]).unlink()
    with Mirror(forge.gitdir) as clone:
        tree = clone.open(1).tree
        assert tree.size("weights.bin") == 0
        with pytest.raises(PgolfError, match="not in the clone"):
            tree.read("weights.bin")
        assert tree.read("kept.py") == b"kept"


def test_folders_nested_without_end_are_refused(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({b"d/" * 80 + b"x.py": b"1"}))
    with Mirror(forge.gitdir) as clone, pytest.raises(PgolfError, match="nested deeper"):
        clone.open(1)


def test_more_changes_than_the_limit_are_refused(forge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHANGES", 3)
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, forge.commit({b"f%d" % i: b"" for i in range(4)}))
    with Mirror(forge.gitdir) as clone, pytest.raises(PgolfError, match="more than 3 files"):
        clone.open(1)


def test_a_damaged_clone_is_one_clear_line(forge: Any) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    forge.pull(1, "0123456789" * 4)
    with Mirror(forge.gitdir) as clone, pytest.raises(PgolfError) as caught:
        clone.open(1)
    assert "\n" not in str(caught.value)


def test_a_machine_without_git_is_told_to_install_it(forge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forge.ref("heads/main", forge.commit({README: b"one"}))
    monkeypatch.setenv("PATH", "")
    with Mirror(forge.gitdir) as clone, pytest.raises(PgolfError, match="install it"):
        clone.prs()
