from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.demo import MINIATURES
from tests.github.conftest import SECRET
from tests.github.fake import PERSON, GitHub, serving


def files_of(name: str) -> dict[str, bytes]:
    """The files of a miniature submission, where a pull request would put them."""
    (folder,) = [each.folder for each in MINIATURES if Path(each.folder).name == name]
    root = f"records/track_10min_16mb/{name}"
    return {f"{root}/{path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """A repository with two submissions and a pull request that is none, and an environment that leads there."""
    hub = GitHub()
    hub.tokens = {SECRET}
    hub.me = PERSON
    hub.pull(1, "1" * 40, files_of("ngram_cache"), updated_at="2026-05-01T10:00:00Z")
    hub.pull(2, "2" * 40, {"README.md": b"a typo\n"}, updated_at="2026-05-01T11:00:00Z")
    hub.pull(3, "3" * 40, files_of("chunked_sgd"), updated_at="2026-05-01T12:00:00Z")
    with serving(hub) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        monkeypatch.setenv("GITHUB_TOKEN", SECRET)
        yield hub
