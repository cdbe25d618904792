"""The engine: verdict, class and activation from findings, and a reason for whatever it could not read."""

from __future__ import annotations

import base64
import json
import lzma
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.engine import audit, decide, deep, timeline_rows
from auditor.report.as_json import to_dict
from auditor.submission.model import Submission
from auditor.timeline import machine
from auditor.verdict import Claims, Finding, Target
from rules import catalogue
from rules.miniature import script
from tests.scripts import MemoryTree, active, audited, outline, submission

LEARN_FIRST = script("""
    def learn(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            opt.zero_grad()
            model(x, y).backward()
            opt.step()

    def evaluate(s, model, val):
        if s.adapt:
            learn(s, model, val)
        return plain_eval(s, model, val)
""")
PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


def rule(name: str, kind: str = "violation", found: Iterable[Finding] = ()) -> Any:
    return SimpleNamespace(id=name, kind=kind, check=lambda facts: list(found))


def finding(name: str, level: Any = "flag", activation: Any = "default", line: int = 1) -> Finding:
    return Finding(name, level, f"{name} says so.", "train_gpt.py", line, activation)


RULES = [rule("first"), rule("second"), rule("odd", "readability"), rule("good", "positive"), rule("plain", "positive")]


class TestDecision:
    @pytest.mark.parametrize(
        ("findings", "expected"),
        [
            ([], ("hold", "undecided")),
            ([finding("good", "note")], ("clean", "good")),
            ([finding("good", "note", "off")], ("hold", "undecided")),
            ([finding("first", "note", "off"), finding("good", "note")], ("clean", "good")),
            ([finding("first", "warning"), finding("good", "note")], ("clean", "good")),
            ([finding("odd", "hold"), finding("good", "note")], ("hold", "odd")),
            ([finding("odd", "hold"), finding("second")], ("flag", "second")),
            ([finding("second", line=1), finding("first", line=9)], ("flag", "first")),
            ([finding("good", "note"), finding("second")], ("flag", "second")),
            ([finding("first", "note", "off")], ("hold", "undecided")),
            ([finding("first", "warning")], ("hold", "undecided")),
        ],
    )
    def test_most_serious_first(self, findings: list[Finding], expected: tuple[str, str]) -> None:
        assert decide(findings, RULES) == expected
        assert decide(findings[::-1], RULES) == expected

    def test_a_finding_of_a_rule_that_is_not_in_the_catalogue_still_counts(self) -> None:
        assert decide([finding("foreign"), finding("second")], RULES) == ("flag", "second")
        assert decide([finding("foreign")], RULES) == ("flag", "foreign")

    def test_findings_are_listed_by_level_and_place(self) -> None:
        found = [finding("second", "note", line=1), finding("first", line=9), finding("second", line=3)]
        report = audit(submission(PLAIN), [rule("first", found=found)])
        assert [(f.level, f.line) for f in report.findings] == [("flag", 3), ("flag", 9), ("note", 1)]


class TestActivation:
    def test_on_by_default(self) -> None:
        (hit,) = [f for f in audited(LEARN_FIRST).findings if f.rule == "val-token-ttt"]
        assert (hit.level, hit.activation) == ("flag", "default")

    def test_off_in_the_run_is_a_note_that_says_so(self) -> None:
        report = audited(LEARN_FIRST, {"ADAPT": "0"})
        assert (report.verdict, report.cls) == ("clean", "pure-neural")
        (hit,) = [f for f in report.findings if f.rule == "val-token-ttt"]
        assert (hit.level, hit.activation) == ("note", "off")
        assert "does not reach" in hit.message

    def test_on_in_the_run_only(self) -> None:
        off_by_default = LEARN_FIRST.replace('"ADAPT", "1"', '"ADAPT", "0"')
        assert off_by_default != LEARN_FIRST
        assert audited(off_by_default).verdict == "clean"
        report = audited(off_by_default, {"ADAPT": "1"})
        assert report.verdict == "flag"
        assert [f.activation for f in report.findings if f.rule == "val-token-ttt"] == ["run"]
        assert (report.submission.config["ADAPT"].value, report.submission.config["ADAPT"].source) == ("1", "--env")

    def test_the_verdict_does_not_depend_on_which_layer_set_the_switch(self) -> None:
        for subject in (
            submission(LEARN_FIRST, command={"ADAPT": "0"}),
            submission(LEARN_FIRST, printed={"adapt": "False"}),
            submission(LEARN_FIRST, command={"ADAPT": "1"}, printed={"ADAPT": "0"}),
        ):
            assert audit(subject, catalogue()).verdict == "clean"

    def test_a_setting_that_the_script_does_not_know_is_ignored(self) -> None:
        report = audit(submission(LEARN_FIRST, printed={"MADE_UP": "1"}), catalogue())
        assert "MADE_UP" not in report.submission.config


class TestWhatIsNoSubmission:
    def test_no_script_is_not_clean(self) -> None:
        subject = Submission(Target(pr=7), MemoryTree(), reason="only a README changed")
        report = audit(subject, catalogue())
        assert (report.verdict, report.cls, report.findings) == ("hold", "not-a-submission", ())
        assert report.submission.chosen_because == "only a README changed"

    def test_rules_are_not_asked(self) -> None:
        def fail(facts: object) -> Iterable[Finding]:
            raise AssertionError

        subject = Submission(Target(pr=7), MemoryTree())
        assert audit(subject, [SimpleNamespace(id="x", kind="violation", check=fail)]).verdict == "hold"  # type: ignore[list-item]


def packed(code: str) -> str:
    payload = base64.b85encode(lzma.compress(code.encode())).decode()
    return f"import base64, lzma\nexec(lzma.decompress(base64.b85decode({payload!r})))\n"


class TestPackedScripts:
    def test_a_packed_script_is_judged_like_the_plain_one(self) -> None:
        plain, report = audited(LEARN_FIRST), audited(packed(LEARN_FIRST))
        assert outline(report) == outline(plain)
        assert [f.line for f in report.findings] == [f.line for f in plain.findings]

    def test_its_findings_point_into_the_unpacked_text(self) -> None:
        report = audited(packed(LEARN_FIRST))
        assert {f.file for f in report.findings} == {"train_gpt.py!unpacked"}
        assert report.submission.packing
        assert report.submission.code_bytes == len(packed(LEARN_FIRST).encode())
        assert "\n".join(report.source_lines) == LEARN_FIRST

    def test_packing_does_not_change_the_fingerprint(self) -> None:
        plain, report = audited(LEARN_FIRST), audited(packed(LEARN_FIRST))
        assert [f.fingerprint for f in report.findings] == [f.fingerprint for f in plain.findings]

    def test_a_payload_that_does_not_unpack_is_held(self) -> None:
        broken = packed(LEARN_FIRST).replace("lzma.decompress", "mystery")
        report = audited(broken)
        assert report.verdict == "hold"
        assert report.cls == "opaque-code"


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "code",
        [
            b"",
            b"\n\n",
            b"# nothing\n",
            b"x = 1\0\n",
            b"\xff\xfe" + "x = 1".encode("utf-16-le"),
            b"# -*- coding: utf-7 -*-\n",
            b"def f(:\n",
            b"\x89PNG\r\n\x1a\n",
            b"raise SystemExit\n" + PLAIN.encode(),
            b"print('val_bpb:1.0')\n",
            b"exec(open('other.py').read())\n",
            b"import other\nother.main()\n",
        ],
    )
    def test_is_never_clean_and_says_why(self, code: bytes) -> None:
        report = audit(submission(code), catalogue())
        assert report.verdict in ("hold", "error")
        assert report.cls in ("opaque-code", "no-evaluation", "broken-script", "unreadable")
        (reason,) = [finding for finding in active(report) if finding.level == "hold"]
        assert reason.message
        assert "\n" not in reason.message

    @pytest.mark.parametrize(
        "text",
        [
            "x = " + "(" * 3000 + "1" + ")" * 3000 + "\n",
            "x = " + "[" * 150 + "]" * 150 + "\n",
            "x = " + " + ".join(["1"] * 20_000) + "\n",
            "x = " + "-" * 5000 + "1\n",
            "x = " + "a." * 5000 + "b\n",
            "".join("    " * n + "if x:\n" for n in range(90)) + "    " * 90 + "pass\n",
            "def f():\n    return f()\nf()\n",
            "class A(A):\n    pass\n",
            "f = lambda: f()\nf()\n",
        ],
        ids=["brackets", "lists", "sum", "signs", "attributes", "ifs", "recursion", "own base", "lambda"],
    )
    def test_deep_nesting_does_not_crash(self, text: str) -> None:
        assert audited(text).verdict in ("hold", "error")
        assert audited(text + LEARN_FIRST).verdict in ("flag", "hold", "error")

    def test_when_the_budget_is_spent_the_verdict_is_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "MAX_STEPS", 200)
        report = audited(PLAIN)
        assert (report.verdict, report.cls) == ("hold", "opaque-code")
        assert any("budget" in f.message for f in report.findings)

    def test_exponential_calls_end(self) -> None:
        first = "import torch\ndef f0(x, o):\n    x.add_(o)\n    return x\n"
        calls = [f"f{n}(x, o) + f{n}(o, x) + f{n}(x + o, x)" for n in range(29)]
        layers = "".join(f"def f{n}(x, o):\n    return {call}\n" for n, call in enumerate(calls, 1))
        report = audited(f"{first}{layers}f29(torch.zeros(1), torch.ones(1))\n{PLAIN}")
        assert report.verdict in ("clean", "hold")

    def test_an_imported_sibling_that_does_not_parse_is_not_passed_over(self) -> None:
        code = "from adaptation import learn\n" + PLAIN.replace(
            "return plain_eval", "learn(model, val); return plain_eval"
        )
        report = audit(submission(code, modules={"adaptation": "def learn(:\n"}), catalogue())
        assert report.verdict == "hold"

    def test_a_sibling_that_is_not_imported_may_be_broken(self) -> None:
        report = audit(submission(PLAIN, modules={"notes": "def (:\n", "data": b"\xff\0"}), catalogue())
        assert (report.verdict, report.cls) == ("clean", "pure-neural")


class TestSameBytesSameReport:
    @pytest.mark.parametrize("code", [LEARN_FIRST, PLAIN, packed(LEARN_FIRST)], ids=["flag", "clean", "packed"])
    def test_twice(self, code: str) -> None:
        def written() -> str:
            data = to_dict(audited(code))
            assert data.pop("timings_ms")
            return json.dumps(data)

        assert written() == written()

    def test_another_audit_in_between_changes_nothing(self) -> None:
        before = outline(audited(LEARN_FIRST))
        audited(PLAIN)
        assert outline(audited(LEARN_FIRST)) == before

    def test_comments_and_blank_lines_move_findings_and_keep_fingerprints(self) -> None:
        moved = "# a remark\n\n\n" + LEARN_FIRST.replace(
            "            opt.step()\n", "\n            # on\n            opt.step()\n"
        )
        plain, report = audited(LEARN_FIRST), audited(moved)
        assert outline(report) == outline(plain)
        assert [f.fingerprint for f in report.findings] == [f.fingerprint for f in plain.findings]
        assert [f.line for f in report.findings] != [f.line for f in plain.findings]


class TestDescription:
    def test_model_and_configuration_are_read_off_the_code(self) -> None:
        report = audited(LEARN_FIRST)
        assert report.submission.model == {"dim": 512, "layers": 4, "vocab": 1024}
        assert report.submission.config["EPOCHS"].value == "3"
        line = next(n for n, text in enumerate(LEARN_FIRST.split("\n"), 1) if "EPOCHS" in text)
        assert report.submission.config["EPOCHS"].source == f"default:L{line}"

    def test_claims_are_handed_through(self) -> None:
        claims = Claims(val_bpb=1.2, seeds=(1, 2, 3), source="submission.json")
        assert audit(submission(PLAIN, claims=claims), catalogue()).claims == claims

    def test_timings_name_the_stages(self) -> None:
        assert {"unpack", "parse", "timeline", "rules"} <= set(audited(PLAIN).timings_ms)


class TestTimeline:
    def test_rows_are_in_order_of_execution(self) -> None:
        rows = timeline_rows(submission(LEARN_FIRST))
        kinds = [row.kind for row in rows]
        assert kinds.index("UPDATE") < kinds.index("HEADLINE") == len(kinds) - 1
        update = rows[kinds.index("UPDATE")]
        lines = LEARN_FIRST.split("\n")
        assert update.function == "learn"
        assert update.text == lines[update.line - 1].strip() == "model(x, y).backward()"
        assert update.depth == 1
        assert any(row.kind == "SCORE" and "TAINTED" in row.detail for row in rows)

    def test_rows_follow_the_configuration(self) -> None:
        assert not any(row.kind == "UPDATE" for row in timeline_rows(submission(LEARN_FIRST), {"ADAPT": "0"}))

    def test_no_row_is_repeated(self) -> None:
        rows = timeline_rows(submission(LEARN_FIRST))
        assert all(a != b for a, b in pairwise(rows))

    def test_the_claimed_number_is_found_behind_a_label(self) -> None:
        code = PLAIN.replace(
            "    loss = evaluate(s, model, val)\n",
            "    loss = evaluate(s, model, val)\n"
            '    label = "first"\n'
            '    print(f"{label} tokens={val.numel()} best_bpb={loss / math.log(2.0):.4f}")\n',
        )
        log = "first tokens=9 best_bpb=0.9000\nfinal val_loss:1.1000 val_bpb:1.1000"
        for claim, head in ((0.9001, "best_bpb"), (1.1, "val_bpb")):
            rows = timeline_rows(submission(code, log=log, claims=Claims(val_bpb=claim)))
            assert [head in row.text for row in rows if row.kind == "HEADLINE"] == [True]

    def test_a_message_that_begins_with_a_label_prints_no_line_of_another(self) -> None:
        code = PLAIN.replace(
            "    loss = evaluate(s, model, val)\n",
            "    loss = evaluate(s, model, val)\n"
            '    print(f"quant_exact loss={loss} bpb={loss / math.log(2.0):.4f}")\n'
            '    print(f"{s.label}_exact loss={loss} bpb={loss / math.log(2.0):.4f}")\n',
        )
        rows = timeline_rows(submission(code, log="quant_exact loss=1.2 bpb=1.1512", claims=Claims(val_bpb=1.1512)))
        assert ["quant" in row.text for row in rows if row.kind == "HEADLINE"] == [True]

    def test_the_claimed_number_is_the_last_of_those_printed_in_training(self) -> None:
        code = PLAIN.replace(
            "    loss = evaluate(s, model, val)\n",
            "    before = evaluate(s, model, val)\n"
            '    print(f"step:{val.numel()} train_time:1ms before_bpb:{before / math.log(2.0):.4f}")\n'
            "    loss = evaluate(s, model, val)\n",
        )
        log = "step:1 train_time:1ms before_bpb:1.2345\nstep:2 train_time:1ms before_bpb:1.1512\nfinal val_bpb:1.1834"
        for claim, head in ((1.1512, "before_bpb"), (1.1534, "val_bpb"), (1.2345, "val_bpb"), (1.1834, "val_bpb")):
            rows = timeline_rows(submission(code, log=log, claims=Claims(val_bpb=claim)))
            assert [head in row.text for row in rows if row.kind == "HEADLINE"] == [True], claim

    def test_a_script_that_cannot_be_read_has_no_rows(self) -> None:
        assert timeline_rows(submission("def f(:\n")) == []


class TestDeepStack:
    def test_an_error_reaches_the_caller(self) -> None:
        with pytest.raises(ZeroDivisionError):
            deep(lambda: 1 // 0)

    def test_limits_are_put_back(self) -> None:
        before = sys.getrecursionlimit(), threading.stack_size()
        assert deep(lambda: deep(lambda: 7)) == 7
        assert (sys.getrecursionlimit(), threading.stack_size()) == before

    def test_it_goes_deep(self) -> None:
        def down(n: int) -> int:
            return 0 if n == 0 else 1 + down(n - 1)

        assert deep(lambda: down(20_000)) == 20_000


def test_a_submission_is_not_changed_by_its_audit() -> None:
    subject = submission(LEARN_FIRST, command={"ADAPT": "1"}, modules={"a": "import os\nos.environ['ADAPT'] = '0'\n"})
    copy = replace(subject)
    audit(subject, catalogue())
    assert subject == copy


def test_a_line_that_two_calls_reach_is_one_finding() -> None:
    twice = LEARN_FIRST.replace("        learn(s, model, val)\n", "        learn(s, model, val)\n" * 2)
    assert twice != LEARN_FIRST
    assert [f.rule for f in audited(twice).findings if f.level == "flag"] == ["val-token-ttt"]


def test_a_path_shows_the_lines_of_sibling_modules() -> None:
    code = script("""
        from adaptation import learn

        def evaluate(s, model, val):
            for epoch in range(s.epochs):
                learn(model, val, s.seq_len)
            return plain_eval(s, model, val)
    """)
    adaptation = script("""
        import torch

        def learn(net, tokens, length):
            opt = torch.optim.SGD(net.parameters(), lr=0.01)
            for start in range(0, tokens.numel() - length, length):
                net(tokens[start:start + length][None], tokens[start + 1:start + length + 1][None]).backward()
                opt.step()
    """)
    (finding,) = [
        f for f in active(audit(submission(code, modules={"adaptation": adaptation}), catalogue())) if f.level == "flag"
    ]
    path = finding.evidence[0].path
    shown = [step.text for step in path if step.file]
    assert "opt.step()" in shown and all(shown)
    assert "for epoch in range(s.epochs):" in [step.text for step in path if not step.file]


def test_a_finding_names_the_switches_that_lead_to_it_and_who_set_them() -> None:
    code = script("""
        def evaluate(s, model, val):
            if s.adapt:
                opt = torch.optim.SGD(model.parameters(), lr=0.01)
                x, y = window(val, 0, s.seq_len)
                model(x, y).backward()
                opt.step()
            return plain_eval(s, model, val)
    """)
    (finding,) = [f for f in active(audit(submission(code), catalogue(), env={"ADAPT": "2"})) if f.level == "flag"]
    assert "ADAPT=2 (--env)" in finding.evidence[0].assumptions
