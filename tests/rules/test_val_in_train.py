"""What `val-in-train` reads in the README and in committed records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.engine import audit
from auditor.submission.model import Submission
from rules import catalogue
from rules.miniature import script
from tests.scripts import MemoryTree, submission

PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""").replace(
    'train_files = os.path.join(os.environ.get("DATA_PATH", "./data"), "fineweb_train_*.bin")',
    'train_files = os.environ.get("TRAIN_FILES", "./data/fineweb_train_*.bin")',
)
LOG = "train_shards: 80\nval_tokens: 47851520\nfinal val_loss:2.33 val_bpb:1.06\n"


def fires(target: Submission) -> bool:
    return any(f.rule == "val-in-train" for f in audit(target, catalogue()).findings)


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("```bash\nln -s data/fineweb_val_000000.bin data/only/fineweb_train_000000.bin\n```", True),
        ("```bash\nln -s data/fineweb_val_000000.bin data/only/fineweb_val_000000.bin\n```", False),
        ("```bash\ncp data/fineweb_train_000001.bin data/small/fineweb_train_000000.bin\n```", False),
        ("Settings:\n```\nTRAIN_SEQ_LEN=2048\nTRAIN_FILES=fineweb_val_*.bin\n```", True),
        ("Settings:\n```\nTRAIN_FILES=fineweb_train_*.bin\nVAL_FILES=fineweb_val_*.bin\n```", False),
        ("We never set TRAIN_FILES=fineweb_val_*.bin here.", False),
    ],
)
def test_commands_of_the_readme(readme: str, expected: bool) -> None:
    assert fires(replace(submission(PLAIN), readme=readme)) is expected


@pytest.mark.parametrize(
    ("readme", "record", "expected"),
    [
        ("The shards were made with `--val-docs=10000`.", '{"val_tokens": 9662502}', True),
        ("The shards were made with `--val-docs=50000`.", '{"val_tokens": 9662502}', False),
        ("The shards were made with `--val-docs=10000`.", '{"val_tokens": 47853344}', False),
    ],
)
def test_a_committed_record_of_the_preparation(readme: str, record: str, expected: bool) -> None:
    made = submission(PLAIN, log=LOG)
    tree = MemoryTree({**made.tree.files, "x/check.json": record.encode()})  # type: ignore[attr-defined]
    assert (
        fires(replace(made, tree=tree, folder="x", data_files={"check.json": len(record)}, readme=readme)) is expected
    )
