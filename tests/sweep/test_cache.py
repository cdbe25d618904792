"""The cache by itself: whole entries or none, and no more of them than its bound."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from auditor.sweep.cache import Cache, Entry, default_folder

KEY = "ab" + 62 * "0"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "deep" / "cache")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_put_is_got(cache: Cache) -> None:
    entry = Entry("a line\n", ("c" * 40,))
    cache.put(KEY, entry)
    assert cache.get(KEY) == entry
    assert cache.get("cd" + KEY[2:]) is None


def test_every_damage_is_a_miss(cache: Cache, tmp_path: Path) -> None:
    cache.put(KEY, Entry("a line\n"))
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at])
        assert cache.get(KEY) is None
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert cache.get(KEY) in (None, Entry("a line\n"))
    file.unlink()
    file.mkdir()
    assert cache.get(KEY) is None


def test_an_entry_under_another_key_is_a_miss(cache: Cache, tmp_path: Path) -> None:
    cache.put(KEY, Entry("a line\n"))
    (file,) = files(tmp_path)
    file.rename(file.with_name("1" * 62))
    assert cache.get("ab" + "1" * 62) is None


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_bytes=3 * 4096)
    keys = [f"{number:02}" + "0" * 62 for number in range(5)]
    for age, key in enumerate(keys):
        cache.put(key, Entry("a line\n"))
        then = time.time() - 1000 + age
        os.utime(tmp_path / key[:2] / key[2:], (then, then))
    assert cache.get(keys[0])  # used now
    cache.prune()
    assert [key for key in keys if cache.get(key)] == [keys[0], keys[3], keys[4]]


def test_parts_of_killed_writers_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, Entry("a line\n"))
    old, new = (tmp_path / "ab" / f"{name}.part" for name in ("old", "new"))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.prune()
    assert (old.exists(), new.exists()) == (False, True)


def test_the_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/pgolf")
    monkeypatch.setenv("HOME", "/home/someone")
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert default_folder() == Path("/home/someone/.cache/pgolf")
