"""What docs/bot.md tells people to type does what it says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from auditor.cli.action import FAILS
from tests.action.examples import ROOT

TEXT = (ROOT / "docs" / "bot.md").read_text(encoding="utf-8")


def test_the_workflows_are_installed_as_it_says(tmp_path: Path) -> None:
    found = re.search(r"<!-- tests/action runs these lines -->\n```bash\n(.*?)```", TEXT, re.DOTALL)
    assert found
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "examples").symlink_to(ROOT / "examples")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.invalid", "-C", str(clone)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "x"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    target = tmp_path / "target"
    target.mkdir()
    environment = {"PATH": os.environ["PATH"], "PGOLF": str(clone), "OWNER": "somebody"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", found[1]], cwd=target, env=environment, check=True)
    written = sorted((target / ".github" / "workflows").iterdir())
    assert [path.name for path in written] == ["pgolf-hint.yml", "pgolf-review.yml"]
    for path in written:
        text = path.read_text()
        assert f"uses: somebody/pgolf/.github/actions/setup@{commit}" in text
        assert "OWNER" not in text and "COMMIT" not in text
        yaml.safe_load(text)


def test_every_input_and_output_of_the_action_is_explained() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    section = TEXT[TEXT.index("## The Action") : TEXT.index("### Into a repository")]
    for name in [*action["inputs"], *action["outputs"], *FAILS]:
        assert f"`{name}`" in section, name


def test_every_workflow_is_explained() -> None:
    for path in (ROOT / "examples" / "workflows").iterdir():
        assert f"`{path.stem}`" in TEXT
