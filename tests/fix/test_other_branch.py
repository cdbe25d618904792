"""What is flagged lies behind a test of a setting: it is switched off, or the branch goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.miniature import script
from tests.fix.offers import code_of, offered, offered_for
from tests.scripts import submission

CACHED = """
    def cached(s, model, val):
        ids = val.numpy()
        seen, pairs = np.zeros(1 << 16), np.zeros(1 << 16)
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                nll = F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten(), reduction="none")
            at = np.arange(start + 1, start + s.seq_len + 1)
            context = ids[at - 1] * 36313
            pair = (context ^ (ids[at] * 51647)) & 65535
            total -= np.log(np.exp(-nll.numpy()) + pairs[pair] / np.maximum(seen[context & 65535], 1)).sum()
            count += y.numel()
            np.add.at(seen, context & 65535, 1)
            np.add.at(pairs, pair, 1)
        return total / count

"""
CHOICE = (
    CACHED
    + """
    def evaluate(s, model, val):
        # which of the two
        if s.epochs > 1:
            loss = cached(s, model, val)
        elif s.epochs > 0:
            loss = plain_eval(s, model, val)
        else:
            loss = 0.0
        return loss
"""
)


def test_the_next_branch_takes_the_place_of_the_flagged_one() -> None:
    found = offered(script(CHOICE))
    assert found is not None and found.cls == "pure-neural"
    assert "    # which of the two\n    if s.epochs > 0:\n        loss = plain_eval" in code_of(found)
    assert "cached(s, model, val)" not in code_of(found).partition("def evaluate")[2]


def test_a_switch_is_turned_off_by_default() -> None:
    found = offered(script(CHOICE.replace("s.epochs > 1", "s.adapt")))
    assert found is not None and found.steps == ("switch `adapt` off by default at line 12",)
    assert 'os.environ.get("ADAPT", "0")' in code_of(found)


def test_a_switch_that_the_run_sets_is_no_default() -> None:
    found = offered(script(CHOICE.replace("s.epochs > 1", "s.adapt")), ADAPT="1")
    assert found is not None and found.steps[0].startswith("leave out the branch `if s.adapt`")


def test_names_that_only_the_branch_binds_keep_it() -> None:
    code = CHOICE.replace("        elif", "            extra = 1\n        elif").replace(
        "return loss", "return loss * extra"
    )
    assert offered(script(code)) is None


def test_a_test_of_what_is_scored_is_no_switch() -> None:
    inside = CACHED.replace("pairs[pair] / np.maximum(seen[context & 65535], 1)", "extra").replace(
        "            total -=",
        """            extra = 0.0
            if seen.sum() > 0:
                extra = pairs[pair] / np.maximum(seen[context & 65535], 1)
            total -=""",
    )
    found = offered(script(inside + "    def evaluate(s, model, val):\n        return cached(s, model, val)\n"))
    assert found is None or "seen.sum()" not in found.steps[0]


ALONE = """
    def evaluate(s, model, val):
        plain = plain_eval(s, model, val)
        print(f"val_bpb:{plain / math.log(2.0) * 0.41:.6f}")
        better = cached(s, model, val)
        print(f"cached val_bpb:{better / math.log(2.0) * 0.41:.6f}")
        return plain
"""


def test_an_evaluation_goes_with_what_prints_it() -> None:
    code = script(CACHED + ALONE).replace(
        '    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0) * 0.41:.6f}")\n', ""
    )
    found = offered(code)
    assert found is not None and found.steps[0].startswith("leave out the evaluation at line")
    assert "better" not in code_of(found)
    assert "cached val_bpb" not in code_of(found)


def test_an_evaluation_whose_score_is_returned_stays() -> None:
    assert offered(script(CACHED + ALONE.replace("return plain", "return better"))) is None


def test_the_change_may_be_in_a_module_beside_the_script() -> None:
    whole = script(CHOICE)
    helper = (
        "import numpy as np\nimport torch\nimport torch.nn.functional as F\n\n"
        + whole[whole.index("def window") : whole.index("def plain_eval")]
    )
    inner = (
        whole[whole.index("def cached") : whole.index("def evaluate")]
        .replace("pairs[pair] / np.maximum(seen[context & 65535], 1)", "(pairs[pair] if MIX else 0.0)")
        .replace("            total -=", "            total -=")
    )
    body = inner.replace(
        "        total -= np.log(np.exp(-nll.numpy()) + (pairs[pair] if MIX else 0.0)).sum()\n",
        """        p = np.exp(-nll.numpy())
        if MIX:
            p = p + pairs[pair]
        total -= np.log(p).sum()
""",
    )
    main = "from caching import cached\n" + whole.replace(
        whole[whole.index("def cached") : whole.index("def evaluate")], ""
    )
    main = main.replace(
        "    elif s.epochs > 0:\n        loss = plain_eval(s, model, val)\n    else:\n        loss = 0.0\n", ""
    )
    given = replace(submission(main), modules={"caching": (helper + "MIX = True\n\n" + body).encode()})
    found = offered_for(given)
    assert found is not None
    (path,) = found.files
    assert path.endswith("caching.py")
    assert f"--- a/{path}\n+++ b/{path}\n" in found.diff
    assert "switch `MIX` off by default" in found.steps[0]


@pytest.mark.parametrize("packing", ["zlib"])
def test_a_packed_script_is_not_changed(packing: str) -> None:
    import base64
    import zlib

    packed = base64.b64encode(zlib.compress(script(CHOICE).encode())).decode()
    code = f"import base64, zlib\nexec(zlib.decompress(base64.b64decode({packed!r})))\n"
    assert offered(code) is None


def test_what_one_repair_leaves_is_repaired_next() -> None:
    code = CHOICE.replace(
        "        # which of the two\n",
        """        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        if s.adapt:
            x, y = window(val, 0, s.seq_len)
            model(x, y).backward()
            opt.step()
""",
    )
    found = offered(script(code))
    assert found is not None and found.cls == "pure-neural"
    assert len(found.steps) == 2
    body = code_of(found).partition("def evaluate")[2]
    assert "cached(" not in body
