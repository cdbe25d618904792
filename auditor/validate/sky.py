"""A SkyPilot task file that rents the contest's machine and validates on it (https://docs.skypilot.co)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from auditor.validate.model import GPU, GPUS
from auditor.validate.plan import Plan

DATA = "data"
SUBMISSION = "submission"
DISK_GB = 256
REPOSITORIES = {4096: "kevclark/parameter-golf", 8192: "kevclark/parameter-golf"}
"""Where exports of other vocabularies than 1024 lie."""


def task(plan: Plan, options: Sequence[str]) -> str:
    """The task as YAML, to be launched from a clone of pgolf; `options` are those of this command.

    Strings are written as JSON, which YAML contains.
    """
    local = Path(plan.target)
    words = ["pgolf", "validate", f"./{SUBMISSION}" if local.exists() else plan.target]
    words += ["--data", DATA, "--out", "validation", *options]
    repository = f" --repository {REPOSITORIES[plan.vocab]}" if plan.vocab in REPOSITORIES else ""
    setup = f"""\
sudo apt-get update -qq && sudo apt-get install -y -qq bubblewrap
sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 || true
python3 -m pip install -q torch '.[train]'
pgolf doctor || true
pgolf data fetch --variant sp{plan.vocab} --out {DATA} --shards 80{repository}"""
    lines = [
        "# From a clone of pgolf: sky launch -c pgolf FILE; rsync -r pgolf:sky_workdir/validation .; sky down pgolf",
        f"# At most {plan.gpu_hours():.1f} GPU hours.",
        "name: pgolf-validate",
        "resources:",
        f"  accelerators: {GPU}:{GPUS}",
        f"  disk_size: {DISK_GB}",
        "workdir: .",
    ]
    if local.exists():
        lines += ["file_mounts:", f"  ./{SUBMISSION}: {json.dumps(str(local.resolve()))}"]
    lines += ["setup: |", *(f"  {line}" for line in setup.splitlines())]
    lines += ["run: |", f"  {shlex.join(words)}"]
    return "\n".join(lines) + "\n"
