"""The claimed result is found among those that logs print."""

from __future__ import annotations

import pytest

from auditor.experiment.probe.claimed import claimed_label
from auditor.records.model import Records
from auditor.records.parse import numbered, parse_log
from auditor.submission.claims import Claim

LOG = """\
seed:1337
final_int6_roundtrip_exact val_loss:1.90000000 val_bpb:1.12000000
legal_ttt_exact val_loss:1.88000000 val_bpb:1.10900000
ngram_two_pass_exact val_loss:0.30000000 val_bpb:0.17340000
"""


@pytest.mark.parametrize(
    ("claims", "label"),
    [
        ([1.1085], "legal_ttt_exact"),
        ([1.12, 0.17], "final_int6_roundtrip_exact"),
        ([0.1734], None),
        ([0.9], None),
        ([], None),
    ],
    ids=["an earlier one", "the first claim", "the last one", "none of them", "no claim"],
)
def test_label_of_the_claim(claims: list[float], label: str | None) -> None:
    log = parse_log("a.txt", numbered(LOG))
    records = Records((log,), tuple(Claim("val_bpb", value, "README.md") for value in claims))
    assert claimed_label(records) == label
