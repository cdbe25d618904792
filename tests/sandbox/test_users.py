"""The same walls whoever runs pgolf: root, for whom this also tries an ordinary user, and an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.sandbox.command import OWN_UIDS

from .conftest import Script

USER = 61_234
"""Of nobody in particular."""
ROOT = Path(__file__).parents[2]

HOST = """
import json, os, sys, tempfile
from pathlib import Path
from auditor.sandbox import Limits, run

secret = Path(tempfile.mkdtemp()) / "secret"
secret.write_text("x")
workspace = secret.parent / "workspace"
workspace.mkdir()
limits = Limits(wall_s=8, memory_mb=128, processes=16)
scripts = {
    "user": "import os; print(os.getuid(), os.getgid())",
    "secret": f"open({str(secret)!r})",
    "privileges": "print([line for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapPrm'))])",
    "namespace": "import os; os.setresuid(0, 0, 0)",
    "forks": "import os\\nwhile True: os.fork()",
    "memory": "import os, time\\nfor _ in range(3): os.fork()\\nx = bytearray(b'x') * (60 << 20)\\ntime.sleep(100)",
    "sleep": "import os, time\\nif os.fork() == 0: os.setsid(); time.sleep(100)",
}
for name, script in scripts.items():
    outcome = run([sys.executable, "-c", script], workspace=workspace, limits=limits)
    print(json.dumps([name, outcome.status, outcome.reason, outcome.stdout + outcome.stderr]))
"""


@pytest.fixture
def ordinary(script: Script) -> list[str]:
    """A Python that an ordinary user may run, as that user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who may become another user; as an ordinary user all other tests are this one")
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-i", f"PYTHONPATH={ROOT}"]
    check = "import sys, auditor.sandbox; sys.exit(sys.version_info < (3, 11))"
    for python in dict.fromkeys([sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin") or "python3"]):
        command = [*become, "PATH=/usr/bin:/bin", python, "-B"]
        if subprocess.run([*command, "-c", check], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("an ordinary user can run no Python 3.11 here, or cannot read this folder")


def test_an_ordinary_user_has_the_same_walls(ordinary: list[str]) -> None:
    said = subprocess.run([*ordinary, "-c", HOST], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = {name: (status, reason, text) for name, status, reason, text in map(json.loads, said.stdout.splitlines())}
    assert found["user"] == ("OK", None, "65534 65534\n")
    assert found["secret"][0] == "RE" and "No such file" in found["secret"][2]
    assert found["privileges"][2].count("0" * 16) == 2
    assert "Operation not permitted" in found["namespace"][2] or "Invalid argument" in found["namespace"][2]
    # the watch ends it, or the kernel refuses the next process first
    status, reason, text = found["forks"]
    assert (status == "SG" and (reason or "").startswith("processes: ")) or (
        status == "RE" and "BlockingIOError" in text
    )
    assert found["memory"][0] == "SG" and found["memory"][1].startswith("memory: ")
    assert found["sleep"][:2] == ("OK", None)
    owned = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if os.stat(f"/proc/{pid}").st_uid == USER]
    assert not owned


def test_root_lends_each_run_a_user_of_its_own(script: Script) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    users = {int(script("import os; print(os.getuid())").stdout) for _ in range(3)}
    assert len(users) == 3
    assert all(user in OWN_UIDS for user in users)
