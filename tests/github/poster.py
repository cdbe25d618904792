"""A process that posts drafts in children of its own, which can be killed without importing everything anew.

Reads `URL TEXT` lines. For each it prints the id of the child, waits for a line, lets the child post, and prints how it
ended.
"""

from __future__ import annotations

import os
import sys

from auditor.github.account import Account
from auditor.github.post import post
from tests.github.conftest import Time, client_at, draft
from tests.github.fake import BOT


def main() -> None:
    client_at("http://127.0.0.1:9", Time())  # so that all is imported before the first fork
    for line in sys.stdin:
        url, text = line.split()
        wait, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(wait, 1)
            post(client_at(url, Time()), Account(BOT["id"], BOT["login"]), draft(text, lines=tuple(range(1, 61))))
            os._exit(0)
        print(child, flush=True)
        sys.stdin.readline()
        os.write(go, b".")
        os.close(wait)
        os.close(go)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
