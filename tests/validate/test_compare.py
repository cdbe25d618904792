"""What follows from claims and measurements, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.records import Records, read_records
from auditor.report.validation import as_markdown, as_text
from auditor.submission import open_target
from auditor.submission.model import Submission
from auditor.validate.artifact import code_bytes, weights
from auditor.validate.compare import Claimed, compare, judged, same_split, verdict
from auditor.validate.guard import Data
from auditor.validate.model import Budgets, Row, SeedRun
from auditor.validate.outcome import as_data
from auditor.validate.plan import Plan, make_plan
from auditor.verdict import PgolfError
from tests.records.record_logs import FIRST
from tests.validate.submissions import SCRIPT, claim, submission

CONTEST = ("NVIDIA H100 80GB HBM3",) * 8
RUN = SeedRun(
    1337, "k", "finished", wall_s=1300.0, setup_s=60.0, training_s=600.2, artifact_s=30.0, evaluation_s=20.0,
    said_training_s=600.1, said_evaluation_s=1.3, val_bpb=1.2198, val_loss=2.06, label="sliding",
    val_tokens=62_021_632, steps=13_010, code_bytes=46_138, weights_bytes=15_765_064,
    weights_file="a/b/final_model.ptz", said_bytes=15_811_202, gpus=list(CONTEST), max_rss_mb=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Submission:
    """A submission with claims for three seeds, and a log for one of them."""
    folder = submission(tmp_path_factory.mktemp("claims") / "mini")
    claim(folder, {1337: 1.2197, 42: 1.2199, 7: 1.2194}, 15_811_202)
    (folder / "train_seed1337.log").write_text(FIRST)
    return open_target(str(folder), mirror=None, repo="x/y")


def plan_of(opened: Submission, *, gpus: tuple[str, ...] = CONTEST, steps: int | None = None) -> Plan:
    return make_plan(
        opened, "mini", (1337,), toy=False, overrides={}, gpus=gpus, processes=len(gpus), steps=steps, budgets=Budgets()
    )


def rows_of(
    opened: Submission, run: SeedRun = RUN, data: Data | None = None, tolerance: float | None = None, **plan: Any
) -> tuple[str, dict[str, Row]]:
    made = plan_of(opened, **plan)
    # The miniature's claimed steps are not those of the log.
    records = read_records(opened)
    records = Records(records.logs, tuple(each for each in records.claims if each.name != "steps"))
    rows = compare(made, data, [run], records, tolerance)
    return verdict(rows, [run], made), {row.quantity: row for row in rows}


def test_a_run_on_the_contests_machine_reproduces_every_claim(opened: Submission) -> None:
    answer, rows = rows_of(opened)
    assert answer == "reproduced"
    assert {row.status for row in rows.values()} == {"reproduced"}
    assert rows["val_bpb"].where == "submission.json: seed 1337: val_bpb"
    assert rows["steps"].where == "its log"


@pytest.mark.parametrize(
    ("measured", "quantity"),
    [
        ({"val_bpb": 1.2218}, "val_bpb"),
        ({"training_s": 601.0}, "training budget"),
        ({"evaluation_s": 601.0, "said_evaluation_s": 600.9}, "evaluation budget"),
        ({"evaluation_s": 661.0}, "evaluation budget"),
        ({"weights_bytes": 15_953_863, "said_bytes": 16_000_001}, "byte cap"),
        ({"said_bytes": 15_700_000}, "printed bytes"),
        ({"weights_bytes": 15_900_000, "said_bytes": 15_946_138}, "artifact bytes"),
        ({"steps": 12_000}, "steps"),
        ({"said_evaluation_s": 30.0}, "evaluation time"),
        ({"ended": "failed", "reason": "AssertionError", "fault": "script"}, "run"),
        ({"ended": "over-time", "reason": "training: ended"}, "run"),
    ],
)
def test_each_thing_that_is_off_contradicts(opened: Submission, measured: Mapping[str, Any], quantity: str) -> None:
    answer, rows = rows_of(opened, replace(RUN, **measured))
    assert answer == "contradicted"
    assert rows[quantity].status == "contradicted"


@pytest.mark.parametrize(
    ("measured", "quantity", "status"),
    [
        ({"weights_bytes": None, "weights_file": None}, "byte cap", "not-measured"),
        ({"ended": "failed", "reason": "CUDA out of memory", "fault": "environment"}, "run", "not-measured"),
        ({"ended": "sandbox", "reason": "no memory left"}, "run", "not-measured"),
        ({"training_s": None}, "training budget", "not-measured"),
        ({"val_tokens": 40_540_160}, "val_bpb", "not-comparable"),
        ({"evaluation_s": 640.0}, "evaluation budget", "not-comparable"),
    ],
)
def test_what_could_not_be_measured_is_no_success(
    opened: Submission, measured: Mapping[str, Any], quantity: str, status: str
) -> None:
    answer, rows = rows_of(opened, replace(RUN, **measured))
    assert (answer, rows[quantity].status) == ("undecided", status)


def test_better_than_claimed_is_reproduced(opened: Submission) -> None:
    run = replace(RUN, val_bpb=1.19, evaluation_s=2.0, said_evaluation_s=1.0, weights_bytes=10_000_000)
    assert rows_of(opened, run)[0] == "reproduced"


def test_other_gpus_compare_the_score_where_the_steps_agree(opened: Submission) -> None:
    one = replace(RUN, gpus=["NVIDIA H200"], training_s=4700.0, evaluation_s=3000.0)
    answer, rows = rows_of(opened, one, gpus=("NVIDIA H200",), steps=13_001)
    assert answer == "undecided"  # budgets of the contest say nothing here
    assert rows["val_bpb"].status == "reproduced"
    assert {rows[name].status for name in ("training budget", "evaluation budget")} == {"not-comparable"}
    slow = replace(one, ended="over-time", reason="training: ended after 661.0 s by our clock")
    assert rows_of(opened, slow, gpus=("NVIDIA H200",))[0] == "undecided"
    _, rows = rows_of(opened, replace(one, steps=2_000), gpus=("NVIDIA H200",))
    assert rows["val_bpb"].note == "2,000 steps, 13,001 in the reported run"


def test_scores_on_another_split_are_not_compared(opened: Submission) -> None:
    data = Data("another one", True, 1000, None, 10, {}, 0, 0)
    answer, rows = rows_of(opened, data=data)
    assert (answer, rows["val_bpb"].note) == ("undecided", "another validation split")


def test_a_score_that_another_script_gave_is_not_compared(opened: Submission) -> None:
    plan = replace(plan_of(opened), scored_by="eval.py")
    rows = {row.quantity: row for row in compare(plan, None, [RUN], read_records(opened), None)}
    assert (rows["val_bpb"].status, rows["val_bpb"].note) == ("not-comparable", "scored by eval.py")
    assert plan.incomparable(CONTEST)[0].startswith("What is claimed was scored by eval.py")


def test_a_tolerance_may_be_given(opened: Submission) -> None:
    assert rows_of(opened, tolerance=0.00001)[0] == "contradicted"


def test_fewer_gpus_take_as_many_times_longer(opened: Submission) -> None:
    free, fixed = plan_of(opened, gpus=CONTEST[:2]), plan_of(opened, gpus=CONTEST[:2], steps=9)
    assert (free.budgets.training_s, free.budgets.evaluation_s) == (600.0, 2400.0)
    assert fixed.budgets.training_s == 2400.0
    assert fixed.settings["ITERATIONS"] == "9" and fixed.settings["MAX_WALLCLOCK_SECONDS"] == "0"
    assert any("4 micro-steps of gradient accumulation" in line for line in free.incomparable(CONTEST[:2]))
    assert plan_of(opened).incomparable(CONTEST) == []


def test_the_key_is_that_of_script_settings_machine_and_data(opened: Submission) -> None:
    plan = plan_of(opened)
    others = [
        replace(plan, code=b"x"),
        replace(plan, processes=4),
        replace(plan, gpus=("NVIDIA H200",) * 8),
        replace(plan, program=replace(plan.program, env={"A": "1"})),
        replace(plan, program=replace(plan.program, files={"a.py": b""})),
        replace(plan, budgets=Budgets(evaluation_s=1)),
    ]
    keys = [plan.key(1, "d"), plan.key(2, "d"), plan.key(1, "e"), *(other.key(1, "d") for other in others)]
    assert len(set(keys)) == len(keys)
    assert replace(plan, target="elsewhere", seeds=(1, 2)).key(1, "d") == keys[0]
    assert "submission.json" not in plan.program.files


def test_toy_sizes_are_named(opened: Submission, tmp_path: Path) -> None:
    folder = submission(tmp_path / "real", SCRIPT.replace('"ITERATIONS", 3', '"ITERATIONS", 20000'))
    real = open_target(str(folder), mirror=None, repo="x/y")
    plan = make_plan(real, "real", (1,), toy=True, overrides={})
    assert plan.changed == ("ITERATIONS=3",)
    assert make_plan(opened, "mini", (1,), toy=True, overrides={}).changed == ()
    run = replace(RUN, seed=1, gpus=[])
    rows = compare(plan, None, [run], Records(), None)
    assert {row.status for row in rows if row.quantity != "run" and row.claimed is not None} == {"not-comparable"}


def test_a_seed_that_cannot_be_chosen_is_refused(tmp_path: Path) -> None:
    folder = submission(tmp_path / "seedless", SCRIPT.replace('os.environ.get("SEED", 1337)', "1337"))
    opened = open_target(str(folder), mirror=None, repo="x/y")
    make_plan(opened, "seedless", (1,), toy=False, overrides={})
    with pytest.raises(PgolfError, match="reads no setting SEED"):
        make_plan(opened, "seedless", (1, 2), toy=False, overrides={})


def test_pages_escape_what_a_run_printed(opened: Submission) -> None:
    plan = plan_of(opened)
    run = replace(RUN, ended="failed", fault="script", reason="<img src=x> @someone |\x1b[2J [a](b)", training_s=None)
    rows = compare(plan, None, [run], read_records(opened), None)
    result = as_data(opened, plan, None, [run], rows, verdict(rows, [run], plan))
    for page in (as_text("mini", result), as_markdown("mini", result)):
        assert "\x1b" not in page
    assert "<img" not in as_markdown("mini", result) and "[a](b)" not in as_markdown("mini", result)
    assert max(map(len, as_text("mini", result).splitlines())) <= 80


@given(st.floats(0.5, 4), st.floats(0.5, 4), st.floats(0, 0.01))
def test_only_worse_than_allowed_contradicts(said: float, measured: float, allowed: float) -> None:
    row = judged(1, "val_bpb", Claimed(said, "x"), measured, allowed, None)
    assert (row.status == "contradicted") == (measured - said > allowed)
    assert judged(1, "val_bpb", Claimed(said, "x"), measured, allowed, "why").status == "not-comparable"
    assert judged(1, "val_bpb", None, measured, allowed, None).status == "not-claimed"
    assert judged(1, "val_bpb", Claimed(said, "x"), None, allowed, None).status == "not-measured"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(62_021_632, 62_021_845, True), (62_021_845, 62_021_632, True), (40_540_160, 62_021_632, False), (999, 999, True)],
)
def test_a_cut_split_is_the_same_split(one: int, other: int, same: bool) -> None:
    assert same_split(one, other) is same


@pytest.mark.parametrize(
    ("left", "said", "found"),
    [
        ({"final_model.pt": 900, "final_model.int8.ptz": 300}, None, ("final_model.int8.ptz", 300)),
        ({"final_model.pt": 900, "model.bin": 300}, 300, ("model.bin", 300)),
        ({"a.ptz": 300, "b.ptz": 200}, 300, ("a.ptz", 300)),
        ({"a.ptz": 300, "b.ptz": 200}, 10, ("b.ptz", 200)),
        ({"model.pt": 900}, None, ("model.pt", 900)),
        ({"logs/a.txt": 5, "data.bin": 70}, None, None),
        ({"data.bin": 71}, None, ("data.bin", 71)),
        ({}, 300, None),
    ],
)
def test_the_weights_among_what_is_left(left: dict[str, int], said: int | None, found: tuple[str, int] | None) -> None:
    assert weights({"train.py": 10, **left}, {"train.py": 10, "data.bin": 70}, said) == found


def test_code_is_the_script_and_the_modules_that_it_imports(tmp_path: Path) -> None:
    folder = submission(tmp_path / "parts", "import helper\n" + SCRIPT)
    (folder / "helper.py").write_text("from deeper import x\n")
    (folder / "deeper.py").write_text("x = 1\n")
    (folder / "unused.py").write_text("y = 2\n" * 100)
    opened = open_target(str(folder), mirror=None, repo="x/y")
    text = opened.code.decode()
    assert code_bytes(opened, text) == len(opened.code) + len("from deeper import x\n") + len("x = 1\n")
