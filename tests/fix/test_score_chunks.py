"""An adaptation and an evaluation of the same tokens are called chunk by chunk."""

from __future__ import annotations

import math
import types

import pytest

from auditor.fix.repairs.score_chunks import CHUNK
from rules.miniature import script
from tests.fix.offers import code_of, offered

ADAPT = """
    def adapt(s, model, tokens):
        opt = torch.optim.SGD(model.parameters(), lr=RATE)
        for start in range(0, tokens.numel() - s.seq_len, s.seq_len):
            x, y = window(tokens, start, s.seq_len)
            opt.zero_grad()
            model(x, y).backward()
            opt.step()

    def score(s, model, tokens):
        nats, count, size = 0.0, 0, 0
        with torch.inference_mode():
            for start in range(0, tokens.numel() - 1, s.seq_len):
                part = tokens[start:start + s.seq_len + 1]
                nats += model(part[None, :-1], part[None, 1:]).item() * (part.numel() - 1)
                count += part.numel() - 1
                size += (1 + part[1:] % 3).sum().item()
        return nats / count, nats / math.log(2.0) / size

    RATE = 0.01

"""
PAIR = script(
    ADAPT
    + """
    def evaluate(s, model, val):
        if s.adapt:
            adapt(s, model, val)
        loss, bpb = score(s, model, val)
        print(f"val_loss:{loss:.4f} val_bpb:{bpb:.4f}")
        return loss
"""
)


def test_the_adaptation_stays_and_comes_after_the_score() -> None:
    found = offered(PAIR)
    assert found is not None and found.cls == "score-first-ttt"
    body = code_of(found).partition("def evaluate")[2]
    assert "loss, bpb = score(s, model, chunk)" in body
    assert "if chunk_number + 1 < chunks and s.adapt:\n            adapt(s, model, chunk)" in body
    assert body.index("score(s, model, chunk)") < body.index("adapt(s, model, chunk)")


def test_what_evaluations_cache_in_the_model_can_be_trained_through() -> None:
    found = offered(PAIR)
    assert found is not None
    assert "inference_mode" not in code_of(found)


def ran(code: str, chunk: int) -> tuple[float, list[int]]:
    """The loss over 1,000 tokens, and the lengths of what is adapted to, in order."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[probe]'")
    module = types.ModuleType("miniature")
    exec(compile(code.replace(CHUNK, str(chunk)), "miniature", "exec"), module.__dict__)
    seen: list[int] = []
    adapt = module.__dict__["adapt"]
    module.__dict__["adapt"] = lambda s, model, tokens: (seen.append(tokens.numel()), adapt(s, model, tokens))
    torch.manual_seed(0)
    settings = module.__dict__["Settings"]
    settings.vocab, settings.dim, settings.layers, settings.seq_len, settings.adapt = 50, 16, 1, 32, True
    loss = module.__dict__["evaluate"](settings, module.__dict__["Model"](settings), torch.arange(1001) * 7 % 50)
    return loss, seen


def test_with_a_rate_of_zero_the_score_is_that_of_the_plain_evaluation() -> None:
    still = PAIR.replace("RATE = 0.01", "RATE = 0.0")
    found = offered(still)
    assert found is not None
    plain, before = ran(still, 128)
    chunked, after = ran(code_of(found), 128)
    assert before == [1001]
    assert after == [129] * 6  # seven chunks, the last one, of 232 tokens, is not trained on
    assert math.isclose(plain, chunked, rel_tol=1e-6)


def test_later_chunks_gain_from_earlier_ones() -> None:
    found = offered(PAIR)
    assert found is not None
    learnt, _ = ran(code_of(found), 128)
    still, _ = ran(code_of(found).replace("RATE = 0.01", "RATE = 0.0"), 128)
    assert learnt < still


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    loss, bpb = score", "    save(model)\n    loss, bpb = score"),  # stores the adapted weights
        ("val_bpb:{bpb:.4f}", "{bpb:.4f}"),  # which of the two is which is not said
        ("adapt(s, model, val)\n", "best = adapt(s, model, val)\n"),
        (
            "    loss, bpb = score(s, model, val)",
            "    for again in range(2):\n        loss, bpb = score(s, model, val)",
        ),
        ("    if s.adapt", "    chunk = 3\n    if s.adapt"),
    ],
)
def test_where_order_or_meaning_is_not_plain_it_is_left_alone(old: str, new: str) -> None:
    assert old in PAIR
    code = PAIR.replace(old, new)
    found = offered(
        code.replace("def adapt", "def save(model):\n    torch.save(model.state_dict(), 'model.pt')\n\ndef adapt")
    )
    assert found is None or not found.steps[0].startswith("score chunk by chunk")
