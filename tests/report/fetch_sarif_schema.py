"""Fetch the SARIF 2.1.0 JSON schema, which we do not redistribute, into `.cache/` for the tests.

It ships in the source distribution of `sarif-om` (Microsoft), not in its wheel. Run once, with network:
`python -m tests.report.fetch_sarif_schema`.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tests.archives import member_of

REQUIREMENT = "sarif-om==1.0.4"
MEMBER = "sarif_om-1.0.4/sarif-2.1.0-rtm.4.json"
SHA256 = "49729d5909e2b1b976621a29dcebef22e57c78c20d469dfe6c7f15f759904f61"
SCHEMA = Path(__file__).resolve().parents[2] / ".cache" / "sarif-2.1.0-rtm.4.json"


def fetch() -> Path:
    """Download, verify and store the schema, unless it is there; returns where it lies."""
    if SCHEMA.is_file() and hashlib.sha256(SCHEMA.read_bytes()).hexdigest() == SHA256:
        return SCHEMA
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", REQUIREMENT]
    content = member_of(command, MEMBER, SHA256)
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_bytes(content)
    return SCHEMA


if __name__ == "__main__":
    print(fetch())
