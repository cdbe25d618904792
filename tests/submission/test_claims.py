"""What a submission says of itself, in the many ways that it is said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.claims import claims_score, is_pending, read_claims
from auditor.submission.model import Log
from auditor.verdict import Claims

TABLE = """
| Seed | steps | Pre-TTT bpb | **Post-TTT bpb** | Artifact |
|------|-------|-------------|------------------|----------|
| 1337 | 6,173 | 1.1252 | **1.1219** | 15,916,230 |
| **42** | 6,173 | 1.1252 | **1.1222** | 15,916,999 |
| **Mean** | | | **1.1220** | |
"""


def test_a_plain_submission_json() -> None:
    claims = read_claims({"val_bpb": 1.1354, "bytes_total": 15851371}, None, "")
    assert claims == Claims(val_bpb=1.1354, artifact_bytes=(15851371,), source="submission.json")


def test_results_by_seed_give_seeds_sizes_and_a_mean() -> None:
    results = {
        "42": {"val_bpb": 1.08, "artifact_bytes": 15991930},
        "314": {"val_bpb": 1.09, "artifact_bytes": 15992919},
    }
    claims = read_claims({"seed_results": results}, None, "")
    assert claims == Claims(1.085, (42, 314), (15991930, 15992919), "submission.json")


def test_a_list_of_scores_under_seeds_is_not_taken_for_seeds() -> None:
    claims = read_claims({"val_bpb": 1.0337, "seeds": [1.0329, 1.0334]}, TABLE, "")
    assert claims.seeds == (1337, 42)
    assert claims.artifact_bytes == (15916230, 15916999)


@pytest.mark.parametrize(
    "data",
    [
        {"mean_val_bpb": 1.1},
        {"val_bpb_mean": 1.1},
        {"val_bpb": {"mean": 1.1, "std": 0.001}},
        {"val_bpb": "1.1000 (3-seed mean)"},
        {"val_bpb": None, "val_bpb_exact": 1.1},
        {"results": {"val_bpb": 1.1}},
        {"seeds": {"1337": 1.1}},
        {"runs": [{"seed": 1, "val_bpb": 1.0}, {"seed": 2, "val_bpb": 1.2}]},
    ],
)
def test_synonyms_of_the_score(data: dict[str, object]) -> None:
    assert read_claims(data, None, "").val_bpb == pytest.approx(1.1)


@pytest.mark.parametrize("value", [None, True, 0.0, -1, 7.5, "TBD", "n/a", [], {}, float("nan"), float("inf"), 10**400])
def test_what_cannot_be_a_score_is_none(value: object) -> None:
    assert read_claims({"val_bpb": value}, None, "").val_bpb is None


def test_a_score_of_next_to_nothing_is_a_claim() -> None:
    assert read_claims({"val_bpb": 3.5e-7}, "val_bpb: 1.1586", "").val_bpb == 3.5e-7


@pytest.mark.parametrize(
    ("readme", "score"),
    [
        ("**val_bpb: 1.1219** (seed 1337)", 1.1219),
        ("val_bpb = 1.0810 (3-seed mean)", 1.0810),
        ("# Record: 3-seed mean val_bpb 1.0628", 1.0628),
        ("Achieves 1.0337 BPB", 1.0337),
        ("| **Sliding window val_bpb (stride=64)** | **1.1354** |", 1.1354),
        ("delta vs baseline val_bpb: 1.2244\nval_bpb: 1.1000", 1.1),
        ("pre-quant val_bpb: 1.0900\nval_bpb: 1.1000", 1.1),
        ("TTT gain: -0.0033 BPB\nval_bpb: 1.1000", 1.1),
        ("improves val_bpb: 0.0123", None),
        ("no numbers here", None),
        ("lr: 0.0300, dropout 1.5", None),
    ],
)
def test_the_score_in_a_readme(readme: str, score: float | None) -> None:
    claims = read_claims(None, readme, "")
    assert claims.val_bpb == score
    assert claims.source == ("README" if score else None)


def test_a_title_speaks_when_nothing_else_does() -> None:
    assert read_claims({}, "", "Record: Stack (val_bpb=1.0337)") == Claims(val_bpb=1.0337, source="title")


def test_logs_speak_last() -> None:
    log = Log(path="a.log", text="val_bpb:1.3000\nfinal val_bpb:1.2000\n", config={"seed": "7"})
    assert read_claims(None, None, "", [log]) == Claims(val_bpb=1.2, seeds=(7,), source="log")


def test_a_pending_readme_overrides_a_stale_submission_json() -> None:
    readme = "# Record: Stack (val_bpb=pending)\n\n**val_bpb = pending rerun** | 8xH100\n"
    claims = read_claims({"val_bpb": 1.0891, "seeds": {"1337": 1.0891}, "artifact_bytes": 14195825}, readme, "")
    assert claims == Claims(None, (1337,), (14195825,), "README", "pending")


def test_a_readme_that_was_left_pending_is_overruled_by_logs_that_hold_the_claim() -> None:
    readme = "# Record: Stack (val_bpb=pending)\n"
    logs = [Log(path="a.log", text="val_bpb:0.9920\n"), Log(path="b.log", text="val_bpb:0.9880\n")]
    assert read_claims({"val_bpb": 0.9901}, readme, "", logs).val_bpb == 0.9901
    assert read_claims({"val_bpb": 1.0901}, readme, "", logs).status == "pending"


def test_logs_of_another_program_leave_a_claim_pending() -> None:
    logs = [Log(path="a.log", text="Code size: 5000 bytes\nval_bpb:0.9901\n")]
    assert read_claims({"val_bpb": 0.9901}, "# Record (val_bpb=pending)\n", "", logs, 6000).status == "pending"
    assert read_claims({"val_bpb": 0.9901}, "# Record (val_bpb=pending)\n", "", logs, 5000).val_bpb == 0.9901


@pytest.mark.parametrize(
    ("headline", "readme", "pending"),
    [
        ("Stack (val_bpb=pending)", "", True),
        ("", "**Score:** TBD | **Author:** A", True),
        ("", "val_bpb: 1.117 (1 seed, pending confirmation)", False),
        ("Record: 1.1 BPB", "| 42 | pending |\nval_bpb: TBD", True),
        ("Record: 1.1043 BPB", "val_bpb: TBD", False),
        ("", "\n" * 40 + "val_bpb: TBD", False),
    ],
)
def test_pending_is_what_the_opening_says_before_any_number(headline: str, readme: str, pending: bool) -> None:
    assert is_pending(headline, readme) is pending


def test_a_submission_json_that_says_pending_claims_nothing() -> None:
    assert read_claims({"val_bpb": None, "status": "work in progress"}, None, "").status == "pending"
    assert read_claims({"val_bpb": "TBD"}, None, "").status == "pending"
    assert read_claims({"val_bpb": None}, None, "").status is None


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (TABLE, (1337, 42)),
        ("Mean over seeds 1337, 42 and 2025.", (1337, 42, 2025)),
        ("(seed 1337)", (1337,)),
        ("the seed is fixed", ()),
    ],
)
def test_seeds_in_a_readme(text: str, seeds: tuple[int, ...]) -> None:
    assert read_claims(None, text, "").seeds == seeds


def test_a_title_that_names_a_loss_claims_no_score() -> None:
    assert claims_score("Record: 1.0451 BPB")
    assert not claims_score("final model (2.738 loss)")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["val_bpb", "seeds", "seed", "results", "1337", "artifact_bytes", "mean"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.text(alphabet="|seed 1.0bp:\n=-,*15TBD", max_size=200))
def test_whatever_is_claimed_is_a_number_of_the_right_size(data: object, readme: str) -> None:
    claims = read_claims(data if isinstance(data, dict) else None, readme, readme[:50])
    assert claims.val_bpb is None or 0.01 < claims.val_bpb < 5
    assert all(seed >= 0 for seed in claims.seeds)
    assert all(0 < size < 1 << 40 for size in claims.artifact_bytes)
    json.dumps(claims.seeds)


@pytest.mark.parametrize(
    "text",
    [
        "|" * 100_000,
        "val_bpb " * 50_000,
        "| seed |\n" * 20_000,
        "seed 1 " * 50_000,
        "1," * 100_000,
        "bpb" + "*" * 100_000,
    ],
)
def test_long_hostile_text_ends(text: str) -> None:
    read_claims({}, text, text[:1000])
