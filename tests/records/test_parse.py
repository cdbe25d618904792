"""The log parser: every era, every trap, any bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.records import LogRecord, Read, Run, Stage, parse_log
from auditor.records.parse import numbered
from auditor.submission.logs import decode, read_log
from tests.records.record_logs import FIRST, PROSE, SPACED


def parsed(text: str) -> LogRecord:
    return parse_log("train.log", numbered(text))


def run_of(text: str) -> Run:
    return parsed(text).run


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), start=1) if part in line)


def test_the_first_dialect() -> None:
    run = run_of(FIRST)
    assert run.seed and run.world_size and run.train_shards and run.val_tokens and run.steps and run.train_s
    assert (run.seed.value, run.world_size.value, run.train_shards.value) == (1337, 8, 80)
    assert (run.val_tokens.value, run.val_tokens.line) == (62_021_632, 2)
    assert (run.steps.value, run.planned_steps, run.train_s.value) == (13_001, 20_000, 599.95)
    assert run.score and run.score.label == "final_int8_zlib_roundtrip_exact"
    assert (run.score.val_bpb, run.score.val_loss, run.score.decimals) == (1.21969868, 2.0594, 8)
    assert run.score.line == line_of(FIRST, "roundtrip_exact")
    assert run.eval_s and run.eval_s.value == 1.31
    assert run.artifact and (run.artifact.bytes, run.artifact.label) == (15_811_202, "int8+zlib")
    assert run.code and run.code.bytes == 46_138
    implied = run.score.implied_bytes(run.val_tokens.value)
    assert implied == pytest.approx(151_080_000, rel=1e-3)


def test_the_second_dialect() -> None:
    run = run_of(SPACED)
    assert run.seed and run.val_tokens and run.steps and run.train_s and run.score and run.artifact and run.eval_s
    assert (run.seed.value, run.val_tokens.value, run.steps.value) == (42, 40_540_160, 4452)
    assert run.train_s.value == 588.13
    assert (run.score.label, run.score.stage) == ("quantized_ttt", Stage.ADAPTED)
    assert run.code and run.code.bytes == 27_680
    assert run.artifact.bytes == 15_978_113
    assert run.eval_s.value == 463.1
    assert [(c.kind, c.seconds, c.after_training) for c in run.clocks[:1]] == [("calibration", 12.9, True)]


def test_words_and_separators() -> None:
    run = run_of(PROSE)
    assert run.seed and run.world_size and run.val_tokens and run.train_s and run.steps and run.artifact
    assert (run.seed.value, run.world_size.value, run.val_tokens.value) == (42, 2, 40_540_160)
    assert (run.train_s.value, run.steps.value) == (590.0, 7000)
    assert run.artifact.bytes == 15_170_538
    assert [(s.label, s.stage) for s in run.scores] == [
        ("EMA fp32", Stage.BEFORE),
        ("Quantized", Stage.ROUND_TRIP),
        ("TTT", Stage.ADAPTED),
    ]
    assert run.score and run.score.val_bpb == 1.004025


def test_a_total_without_a_format_counts_after_the_compressed_model() -> None:
    early = run_of("Serialized model: 9000000 bytes\nTotal submission size: 9046138 bytes\n")
    assert early.artifact is None
    late = run_of("Serialized model quant+zstd-16: 15904496 bytes\nTotal submission size: 15990221 bytes\n")
    assert late.artifact and late.artifact.bytes == 15_990_221


def test_field_order_does_not_matter() -> None:
    for line in (
        "final_sliding_window val_loss:1.9626 val_bpb:1.1624 stride:64 eval_time:98565ms",
        "final_sliding_window stride:64 val_loss:1.9626 val_bpb:1.1624 eval_time:98565ms",
        "[default0]:final_sliding_window window:1024 stride:256 val_loss=1.9626 val_bpb=1.1624 eval_time:98565ms",
    ):
        score = run_of(line).score
        assert score
        assert (score.label, score.val_loss, score.val_bpb, score.eval_s, score.stage) == (
            "final_sliding_window",
            1.9626,
            1.1624,
            98.565,
            Stage.SLIDING,
        )


def test_lines_of_two_ranks_that_run_into_each_other() -> None:
    line = (
        "ttt_sliding:done val_loss=1.8906 val_bpb=1.1190 elapsed=275.6sttt_sliding:done val_loss=1.8906 val_bpb=1.1190"
    )
    run = run_of(line)
    assert [s.label for s in run.scores] == ["ttt_sliding:done"] * 2
    assert run.score and run.score.val_bpb == 1.1190


def test_running_values_and_differences_are_no_scores() -> None:
    run = run_of(
        "ttt_chunk [1/1893] bpb=1.158340 time=0.5s\n"
        "ttt_progress: batch 7/782 batch_loss:2.6 batch_bpb:1.0834 running_loss:2.6598 running_bpb:1.0834\n"
        "sliding_eval [  0.0%] 64/242272 windows running_bpb=1.194067\n"
        "int6_vs_int8_delta val_bpb:+0.0046 (worse)\n"
        "mean_ttt_val_bpb: 1.05924613\n"
    )
    assert run.scores == ()


def test_epochs_of_an_adaptation_are_no_steps() -> None:
    run = run_of("step:6021/20000 train_loss:1.9 train_time:600000ms\nttt_epoch:1/10 loss:1.9762 time:17.3s\n")
    assert run.steps and (run.steps.value, run.planned_steps) == (6021, 20_000)
    assert run_of("ttt_epoch:10/10 loss:1.9762 time:17.3s\n").steps is None


def test_several_runs_in_one_file() -> None:
    smoke = FIRST.replace("13000/20000", "200/200").replace("1.21969868", "2.50000000").replace(":1337", ":7")
    record = parsed(smoke + FIRST)
    assert [run.seed and run.seed.value for run in record.runs] == [7, 1337]
    assert record.run.score and record.run.score.val_bpb == 1.21969868


def test_an_evaluation_of_its_own_belongs_to_the_training_before_it() -> None:
    later = "world_size:8 grad_accum_steps:1\nseed:1337\nlegal_ttt_exact val_loss:2.01 val_bpb:1.19040000\n"
    record = parsed(FIRST + later)
    assert len(record.runs) == 1
    assert record.run.score and record.run.score.val_bpb == 1.1904
    assert record.run.steps and record.run.steps.value == 13_001


def test_a_training_that_died() -> None:
    run = run_of(FIRST.split("peak memory", maxsplit=1)[0] + "torch.OutOfMemoryError: CUDA out of memory.\n")
    assert run.score is None
    assert run.errors and "OutOfMemory" in run.errors[0].value


def test_line_numbers_are_those_of_the_file_below_an_echoed_source() -> None:
    source = "import os\n" + "\n".join(f"def f{i}():\n    return {i}" for i in range(20)) + "\n" + "=" * 100 + "\n"
    log, _ = read_log("a.log", (source + FIRST).encode(), ())
    assert log is not None
    record = parse_log(log.path, numbered(log.text, log.numbers))
    assert record.run.score and record.run.score.line == line_of(source + FIRST, "roundtrip_exact")


@given(
    st.floats(0.2, 4.9), st.integers(1, 10**9 - 1), st.integers(1_000, 10**9), st.integers(2, 20_000),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_printed_is_what_is_read(bpb: float, seed: int, size: int, step: int) -> None:
    text = (
        f"seed:{seed}\nstep:{step}/20000 train_loss:2.0 train_time:{step * 40}ms step_avg:40.00ms\n"
        f"Total submission size int6+lzma: {size} bytes\nnoise bpb in the air\n"
        f"final_int6_roundtrip_exact val_loss:2.00000000 val_bpb:{bpb:.8f}\n"
    )
    run = run_of(text)
    assert run.seed and run.steps and run.artifact and run.score
    assert (run.seed.value, run.steps.value, run.artifact.bytes) == (seed, step, size)
    assert run.score.val_bpb == pytest.approx(bpb, abs=1e-8)


@given(st.integers(0, len(SPACED)))
@settings(max_examples=60, deadline=None)
def test_a_log_that_breaks_off_gives_what_stands_in_it(cut: int) -> None:
    whole, part = run_of(SPACED), run_of(SPACED[:cut])
    assert part.scores[:-1] == whole.scores[: max(0, len(part.scores) - 1)]
    assert part.sizes[:-1] == whole.sizes[: max(0, len(part.sizes) - 1)]


@given(st.binary(max_size=400), st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_nothing_breaks_the_parser(data: bytes, text: str) -> None:
    for given_text in (decode(data), text, FIRST[:700] + text + FIRST[700:]):
        for run in parsed(given_text).runs:
            for score in run.scores:
                assert 0 < score.val_bpb < 20


@pytest.mark.parametrize(
    "line",
    [
        "step:1/2 " * 200,
        "val_bpb:" * 200,
        "1" * 1_900 + " bytes",
        "a_" * 900 + "bpb",
        "1,111," * 300 + " bytes total bpb time in step seed",
        "code: 1 | total: " * 110,
        "val_loss:1.0 " * 140 + "bpb",
        "collected 1 hessians " * 90 + "time",
    ],
)
def test_hostile_lines_take_linear_time(line: str) -> None:
    text = "\n".join([line[:1_999]] * 260)
    start = time.perf_counter()
    parsed(text)
    assert time.perf_counter() - start < 6 * len(text) / 1e6 + 0.5


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("eval_seed42.log", 42),
        ("x/train_s1337.txt", 1337),
        ("seed_7_ttt.log", 7),
        ("train_seed2884431328.log", 2_884_431_328),
        ("run.log", None),
        ("seed1_seed2.log", None),
        ("steps100.log", None),
    ],
)
def test_a_log_without_a_seed_has_that_of_its_name(name: str, seed: int | None) -> None:
    record = parse_log(name, [(1, "final_ttt_exact val_loss:2.0 val_bpb:1.20000000")])
    assert (record.run.seed.value if record.run.seed else None) == seed


def test_a_printed_seed_goes_before_the_name() -> None:
    record = parse_log(
        "train_seed42.log", [(1, "seed:2884431328"), (2, "final_ttt_exact val_loss:2.0 val_bpb:1.20000000")]
    )
    assert record.run.seed == Read(2_884_431_328, 1)


STEP_MINUTES = (4, "4900/20000 train_loss: 2.1 train_time: 10.0m tok/s: 6474243")
STOPPED_MS = (6, "stopping_early: wallclock_cap train_time: 599446ms step: 4965/20000")


@pytest.mark.parametrize("lines", [(STEP_MINUTES, STOPPED_MS), (STOPPED_MS, STEP_MINUTES)])
def test_minutes_do_not_stand_for_a_time_in_milliseconds(lines: tuple[tuple[int, str], ...]) -> None:
    assert parse_log("a.log", lines).run.train_s == Read(599.446, 6)


def test_minutes_are_better_than_nothing() -> None:
    assert parse_log("a.log", [STEP_MINUTES]).run.train_s == Read(600.0, 4)


def test_a_score_may_have_its_exact_form_behind_it() -> None:
    line = "final_int6_sliding_window val_loss:0.3870 val_bpb:0.2292 exact:0.22923179 stride:64 eval_time:366175ms"
    score = parse_log("a.log", [(1, line)]).run.score
    assert score is not None
    assert (score.val_bpb, score.decimals, score.eval_s) == (0.22923179, 8, 366.175)


def test_runs_of_several_seeds_in_one_log_are_told_apart_by_their_seeds() -> None:
    texts = [
        text
        for seed, bpb in ((7, 1.13871882), (1337, 1.13912231))
        for text in (f"seed:{seed}", "step:5200/5200 train_loss:1.9", f"final_exact val_loss:1.9 val_bpb:{bpb}")
    ]
    record = parse_log("a.log", enumerate([*texts, "seed: 1337 mean 1.1389"], start=1))
    found = [(run.seed and run.seed.value, run.score and run.score.val_bpb) for run in record.runs]
    assert found == [(7, 1.13871882), (1337, 1.13912231)]


def test_a_header_before_steps_that_begin_anew_is_that_of_the_new_run() -> None:
    cut = FIRST.partition("stopping_early")[0]
    record = parsed(cut + FIRST.replace(":1337", ":42"))
    assert len(record.runs) == 2
    assert record.run.world_size and record.run.val_tokens
    assert record.run.seed is None  # it may be a default that a launcher passes over
