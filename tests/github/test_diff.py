from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from auditor.github.client import Client
from auditor.github.diff import lines_of, new_lines, shown_lines
from tests.github.fake import GitHub


def test_lines_of_the_new_side() -> None:
    patch = "@@ -1,3 +1,4 @@ def f():\n one\n-two\n+deux\n+trois\n three\n"
    patch += "@@ -10 +11,2 @@\n ten\n+@@ -1 +99 @@\n\\ No newline"
    assert new_lines(patch) == [1, 2, 3, 4, 11, 12]


def test_a_large_new_file_is_shown_whole_and_a_large_changed_one_not_at_all() -> None:
    assert lines_of({"status": "added", "additions": 3}) == {1, 2, 3}
    assert lines_of({"status": "modified", "additions": 3}) == frozenset()
    assert lines_of({"status": "added", "additions": 0}) == frozenset()


def test_removed_files_are_left_out(hub: GitHub, client: Client) -> None:
    hub.files[7].append({"filename": "gone.py", "status": "removed", "additions": 0, "patch": "@@ -1 +0,0 @@\n-x"})
    assert shown_lines(client, hub.repo, 7) == {"records/track/run/train_gpt.py": {1, 2, 3}}


def test_all_pages_are_read(hub: GitHub, client: Client) -> None:
    hub.files[7] = [{"filename": f"{n}.py", "status": "added", "additions": 1} for n in range(250)]
    assert len(shown_lines(client, hub.repo, 7)) == 250


texts = st.lists(st.sampled_from(["a", "+b", "-c", " d", "@@ -1 +9 @@", ""]), max_size=12)


@given(texts, texts, st.integers(0, 3))
def test_it_agrees_with_a_diff_whatever_the_lines_say(old: list[str], new: list[str], context: int) -> None:
    patch = list(difflib.unified_diff(old, new, lineterm="", n=context))[2:]
    found = new_lines("\n".join(patch))
    assert [new[line - 1] for line in found] == [text[1:] for text in patch if text[:1] in (" ", "+")]
    changed = {
        j
        for op, _, _, j0, j1 in difflib.SequenceMatcher(None, old, new).get_opcodes()
        if op != "equal"
        for j in range(j0, j1)
    }
    assert {j + 1 for j in changed} <= set(found)
