"""What a C text makes of losses: sums, blends of shares with counts, and what is not understood."""

from __future__ import annotations

import pytest

from auditor.program.native import LOSS, MAX_TEXT, TOKEN, reading

HEAD = "int f(const double *nll, const int *ids, const int *len, long n, double *out) {"
GIVEN = [LOSS, TOKEN, 0, 0, 0]


def body(text: str) -> str | None:
    return reading(f"static double q[9];\n{HEAD} {text} return 0; }}", "f", GIVEN)


@pytest.mark.parametrize(
    "text",
    [
        "double s = 0; for (long i = 0; i < n; i++) s += nll[i]; out[0] = s / n;",
        "double s = 0, b = 0; for (int i = 0; i < n; i++) { s += nll[i]; b += len[ids[i]]; } out[0] = s / b;",
        "double t = exp(q[ids[0]]); out[0] = nll[0]; /* exp(nll[0]) + q[ids[0]] */",
    ],
)
def test_losses_that_are_added_up(text: str) -> None:
    assert body(text) == "sum"


@pytest.mark.parametrize(
    "text",
    [
        "int b = len[ids[0]]; double p = exp(-nll[0] / b); out[0] = 0.9 * p + 0.1 * q[ids[0]];",
        "int b = len[ids[0]]; out[0] = log(0.9 * exp(-nll[0] / b)) + 1; double p = -nll[0] / (double)b; "
        "double c = q[ids[0]], m = p > c ? p : c; out[0] = m + log(exp(p - m) + exp(c - m));",
        "int b = len[ids[0]]; double a = -nll[0] / b, c = log(q[ids[0]]); out[0] = a + log1p(exp(c - a));",
    ],
)
def test_shares_that_are_blended_with_counts(text: str) -> None:
    assert body(text) == "blend"


@pytest.mark.parametrize(
    "text",
    [
        "out[0] = exp(-nll[0]) + q[ids[0]];",
        "out[0] = nll[0] < q[ids[0]] ? nll[0] : q[ids[0]];",
        "out[0] = exp(nll[0]);",
    ],
)
def test_what_is_neither_is_unknown(text: str) -> None:
    assert body(text) == "unknown"


def test_colours_pass_through_calls_and_pointers() -> None:
    text = "void share(double x, int b, double *p) { *p = exp(-x / b); }"
    call = f"{HEAD} int b = len[ids[0]]; double p = 0; share(nll[0], b, &p); out[0] = 0.5 * p + q[ids[0]]; }}"
    assert reading(f"{text} {call}", "f", GIVEN) == "blend"


@pytest.mark.parametrize(
    "text", ["", "int g(int f) { return 1; }", "f(1);", HEAD + " " * MAX_TEXT + "}", HEAD + "(" * 9000]
)
def test_a_text_that_does_not_define_the_function_says_nothing(text: str) -> None:
    assert reading(text, "f", GIVEN) is None
