"""Our own clock: phases by the lines that a run prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.validate.clock import Clock, Spans
from auditor.validate.model import Budgets, Phase
from tests.records.record_logs import FIRST, PROSE, SPACED

BUDGETS = Budgets(training_s=600, evaluation_s=600, setup_s=100, artifact_s=50)


def clock(pauses: bool = True) -> Clock:
    return Clock(BUDGETS, pauses=pauses, tell=lambda phase, seconds, line: None)


def heard(text: str, times: dict[str, float], *, pauses: bool = True) -> tuple[Clock, Spans]:
    """A clock that heard each line at the time of the last mark that it begins with, and its spans."""
    made, now = clock(pauses), 0.0
    for line in text.splitlines():
        now = next((at for mark, at in times.items() if line.strip().startswith(mark)), now)
        made.hear(1, line.encode() + b"\n", now)
    return made, made.spans(now + 1)


def test_the_first_dialect() -> None:
    times = {
        "step:0/": 30.0, "step:1/": 30.1, "step:13000": 640.0, "stopping": 640.5,
        "Total submission size int8": 650.0, "final_int8_zlib_roundtrip_exact": 655.0,
    }  # fmt: skip
    made, spans = heard(FIRST, times)
    assert made.phase is Phase.EVALUATION
    # From step 1 to step 13000 our clock counts 609.9 s and the script's 599.85 s: it stood still to validate.
    assert spans == Spans(30.0, pytest.approx(610.5 - 10.05), pytest.approx(9.5), 5.0, pytest.approx(10.05))


def test_the_second_dialect_and_its_test_time_training() -> None:
    times = {
        "0/20000": 50.0, "1/20000": 51.0, "stopping": 640.0, "Total submission": 700.0, "quantized_ttt": 1170.0
    }  # fmt: skip
    _, spans = heard(SPACED, times, pauses=False)
    assert (spans.setup_s, spans.training_s, spans.artifact_s, spans.evaluation_s) == (50.0, 590.0, 60.0, 470.0)


def test_words() -> None:
    times = {"step     1": 20.0, "Training complete": 610.0, "Artifact": 630.0, "TTT BPB": 700.0}
    _, spans = heard(PROSE, times)
    assert (spans.setup_s, spans.training_s, spans.artifact_s, spans.evaluation_s) == (20.0, 590.0, 20.0, 70.0)


def test_a_log_without_steps_has_no_phases() -> None:
    assert heard("nothing\nto see\n", {})[1] == Spans()


def test_what_comes_in_pieces_is_put_together() -> None:
    whole, pieces = clock(), clock()
    data = FIRST.encode()
    whole.hear(1, data, 5.0)
    for at in range(0, len(data), 7):
        pieces.hear(1, data[at : at + 7], 5.0)
    assert pieces.lines == whole.lines
    pieces.hear(2, b"step:1/2 train_loss:1.0\n", 6.0)
    pieces.hear(1, b"no end of line", 6.0)
    pieces.finish(7.0)
    assert pieces.lines[-1] == (7.0, "no end of line")


@pytest.mark.parametrize(
    ("last", "phase", "stops_at"),
    [
        ("seed:1337", Phase.SETUP, 100.0),
        ("step:0/", Phase.TRAINING, 30.0 + 660.0),
        ("peak memory", Phase.ARTIFACT, 640.0 + 50.0),
        ("Total submission size int8", Phase.EVALUATION, 650.0 + 660.0),
    ],
)
def test_a_phase_is_ended_a_tenth_after_its_budget(last: str, phase: Phase, stops_at: float) -> None:
    times = {
        "step:0/": 30.0,
        "step:1/": 30.1,
        "step:13000": 630.0,
        "stopping": 640.0,
        "Total submission size int8": 650.0,
    }
    lines = FIRST.splitlines()
    end = next(at for at, line in enumerate(lines) if line.startswith(last)) + 1
    made, _ = heard("\n".join(lines[:end]) + "\n", times)
    assert made.phase is phase
    assert made.stop(stops_at - 0.1) is None
    assert made.over is None
    said = made.stop(stops_at + 0.1)
    assert said is not None and said.startswith(f"{phase.value}: ended after ")
    assert made.over is phase


LINES = st.lists(
    st.one_of(st.sampled_from(FIRST.splitlines() + SPACED.splitlines() + PROSE.splitlines()), st.text(max_size=60)),
    max_size=40,
)


@given(LINES, st.lists(st.floats(0, 3600), min_size=40, max_size=40), st.booleans())
def test_phases_never_go_back_and_never_add_up_to_more_than_the_run(
    lines: list[str], times: list[float], pauses: bool
) -> None:
    made = clock(pauses)
    order = list(Phase)
    reached = 0
    clocked = sorted(times)
    for line, at in zip(lines, clocked, strict=False):
        made.hear(1, line.encode(errors="replace") + b"\n", at)
        assert order.index(made.phase) >= reached
        reached = order.index(made.phase)
    end = clocked[-1]
    made.finish(end)
    spans = made.spans(end)
    known = [
        span for span in (spans.setup_s, spans.training_s, spans.artifact_s, spans.evaluation_s) if span is not None
    ]
    assert all(span >= 0 for span in known)
    assert sum(known) <= end + 1e-6


@given(st.binary(max_size=400), st.integers(1, 2))
def test_any_bytes_are_taken(data: bytes, stream: int) -> None:
    made = clock()
    made.hear(stream, data, 1.0)
    made.finish(2.0)
    made.spans(3.0)
