"""The claimed result is found among those that logs print."""

from __future__ import annotations

import pytest

from auditor.experiment.probe.claimed import Claimed, claimed_result
from auditor.records.model import Records, Stage
from auditor.records.parse import numbered, parse_log
from auditor.submission.claims import Claim

LOG = """\
seed:1337
final_int6_roundtrip_exact val_loss:1.90000000 val_bpb:1.12000000
legal_ttt_exact val_loss:1.88000000 val_bpb:1.10900000
ngram_two_pass_exact val_loss:0.30000000 val_bpb:0.17340000
"""


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([1.1085], Claimed("legal_ttt_exact", Stage.ADAPTED, last=False)),
        ([1.12, 0.17], Claimed("final_int6_roundtrip_exact", Stage.ROUND_TRIP, last=False)),
        ([0.1734], Claimed("ngram_two_pass_exact", Stage.ADAPTED, last=True)),
        ([0.9], None),
        ([], None),
    ],
    ids=["an earlier one", "the first claim", "the last one", "none of them", "no claim"],
)
def test_claimed_result(claims: list[float], expected: Claimed | None) -> None:
    log = parse_log("a.txt", numbered(LOG))
    records = Records((log,), tuple(Claim("val_bpb", value, "README.md") for value in claims))
    assert claimed_result(records) == expected
