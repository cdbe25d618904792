"""What a submission says of its score decides a switch where no log does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.engine import audit
from auditor.submission.stated import scored_with
from auditor.verdict import Claims
from rules import catalogue
from rules.miniature import script
from tests.scripts import submission

CODE = script("""
    def learn(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            model(*window(val, start, s.seq_len)).backward()
            opt.step()

    def evaluate(s, model, val):
        if int(os.environ.get("TTT_ENABLED", "0")):
            learn(s, model, val)
        return plain_eval(s, model, val)
""")


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("Ten epochs of TTT after training: 1.1510 falls to **1.1100**.", True),
        ("| post-TTT | 1.1100 |", True),
        ("Score 1.1100, no TTT.", False),
        ("Score 1.1100 without TTT.", False),
        ("Score 1.1100 (TTT=0).", False),
        ("Before TTT 1.1100.", False),
        ("val_bpb = 1.1100 with `TTT_ENABLED=0` as shipped", False),
        ("1.1100; TTT would give 1.0800.", False),
        ("TTT is described below.\nScore 1.1100.", False),
        ("Attention: 1.1100 with ATTTENTION.", False),
    ],
)
def test_the_sentence_of_the_claimed_score(readme: str, expected: bool) -> None:
    target = replace(submission(CODE), readme=readme, claims=Claims(val_bpb=1.11))
    assert scored_with("TTT_ENABLED", target) is expected
    assert audit(target, catalogue()).verdict == ("flag" if expected else "clean")


def test_a_log_is_stronger() -> None:
    target = replace(submission(CODE, log="final val_loss:2.0 val_bpb:1.1100\n"), claims=Claims(val_bpb=1.11))
    assert audit(replace(target, readme="With TTT 1.1100."), catalogue()).verdict == "clean"


def test_the_texts_of_submission_json_count() -> None:
    target = replace(submission(CODE), submission_json={"blurb": "10 epochs TTT, val_bpb=1.1100"})
    assert scored_with("USE_TTT", replace(target, claims=Claims(val_bpb=1.11)))
    assert not scored_with("TTT_LORA_RANK", replace(target, claims=Claims(val_bpb=1.11)))


def test_another_switch_that_is_off_is_not_turned_on_with_it() -> None:
    code = CODE.replace(
        'int(os.environ.get("TTT_ENABLED", "0"))',
        'int(os.environ.get("TTT_ENABLED", "1")) and int(os.environ.get("TTT_AHEAD", "0"))',
    )
    target = replace(submission(code), readme="With TTT 1.1100.", claims=Claims(val_bpb=1.11))
    assert audit(target, catalogue()).verdict == "clean"
