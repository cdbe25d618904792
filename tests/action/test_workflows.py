"""What every workflow and action of ours has to be. The linters see to the rest: `python -m tests.action.lint`."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.action.examples import ROOT, filled_in

WORKFLOWS = sorted([*(ROOT / ".github" / "workflows").glob("*.yml"), *(ROOT / "examples" / "workflows").glob("*.yml")])
ACTIONS = [ROOT / "action.yml", ROOT / ".github" / "actions" / "setup" / "action.yml"]
TEXTS = {path.relative_to(ROOT).as_posix(): filled_in(path.read_text()) for path in [*WORKFLOWS, *ACTIONS]}
WORKFLOW_NAMES = [path.relative_to(ROOT).as_posix() for path in WORKFLOWS]
WRITES = {
    "examples/workflows/pgolf-review.yml": {
        "post": {"pull-requests": "write", "checks": "write"},
        "code-scanning": {"security-events": "write"},
    },
    ".github/workflows/release.yml": {"publish": {"contents": "read", "id-token": "write"}},
}
"""The only jobs that may write anything."""


def steps(name: str) -> list[dict[str, Any]]:
    data = yaml.safe_load(TEXTS[name])
    if "runs" in data:
        return list(data["runs"]["steps"])
    return [step for job in data["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", TEXTS)
def test_every_action_is_pinned_by_commit_with_its_version(name: str) -> None:
    used = re.findall(r"uses: (\S+)(.*)", TEXTS[name])
    assert used or name.endswith("ci.yml") or "uses" not in TEXTS[name]
    for action, comment in used:
        if action == "./":
            continue
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action}{comment}"


def test_the_same_action_has_the_same_pin_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for text in TEXTS.values():
        for action, pin in re.findall(r"uses: ([\w./-]+)@(\S+ # \S+)", text):
            pins.setdefault(action, set()).add(pin)
    assert {action: len(found) for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", TEXTS)
def test_no_expression_reaches_a_shell(name: str) -> None:
    for step in steps(name):
        assert "${{" not in step.get("run", ""), step["name"]
        assert "GITHUB_ENV" not in step.get("run", "") and "GITHUB_PATH" not in step.get("run", "")


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_cached_and_no_credentials_are_kept(name: str) -> None:
    for step in steps(name):
        assert "actions/cache" not in step.get("uses", "") and "cache" not in step.get("with", {})
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", WORKFLOW_NAMES)
def test_permissions_are_none_but_what_a_job_says(name: str) -> None:
    data = yaml.safe_load(TEXTS[name])
    assert data["permissions"] == {}
    for job_name, job in data["jobs"].items():
        allowed = WRITES.get(name, {}).get(job_name)
        if allowed is not None:
            assert job["permissions"] == allowed
        else:
            assert set(job["permissions"].values()) == {"read"}
        assert job["timeout-minutes"] <= 300
        assert job["runs-on"] == "ubuntu-24.04"


def test_the_trusted_workflow_checks_nothing_out_and_takes_no_number_from_the_untrusted_one() -> None:
    text = TEXTS["examples/workflows/pgolf-review.yml"]
    assert "actions/checkout" not in text and "workflow_run.pull_requests" not in text
    assert "secrets." not in text


def test_secrets_are_only_where_a_person_has_to_approve() -> None:
    for name in WORKFLOW_NAMES:
        for job in yaml.safe_load(TEXTS[name])["jobs"].values():
            assert "environment" in job or "secrets." not in str(job), name


def test_the_job_that_writes_sees_nothing_of_the_untrusted_run() -> None:
    data = yaml.safe_load(TEXTS["examples/workflows/pgolf-review.yml"])
    for name in ("post", "code-scanning"):
        assert not any("run-id" in step.get("with", {}) for step in data["jobs"][name]["steps"])


def test_the_lock_has_what_pgolf_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = (ROOT / ".github" / "actions" / "setup" / "requirements.txt").read_text()
    locked = {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}
    for text in [*project["project"]["dependencies"], *project["build-system"]["requires"]]:
        wanted = Requirement(text)
        assert wanted.name.lower() in locked, f"{text}: lock it anew, requirements.in says how"
        assert locked[wanted.name.lower()] in wanted.specifier, text
    assert lock.count("--hash=sha256:") > len(locked)


def test_the_pre_commit_hook_meets_scripts_and_nothing_else() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "pgolf audit"
    meets = re.compile(hook["files"]).search
    for path in ("train_gpt.py", "records/t/n/train_gpt.py", "records/t/n/train_gpt_mlx.py"):
        assert meets(path)
    for path in ("records/t/n/README.md", "records/t/n/my_train_gpt.py", "data/fetch.py"):
        assert not meets(path)
