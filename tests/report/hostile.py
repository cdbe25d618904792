"""Hypothesis strategies: foreign text at its worst, and reports full of it."""

from __future__ import annotations

from hypothesis import strategies as st

from auditor.experiment.probe.model import CONDITIONS, Answer, Probe
from auditor.experiment.smoke import Smoke, Used
from auditor.verdict import (
    LEVELS,
    Claims,
    ConfigValue,
    Evidence,
    Finding,
    Report,
    ScriptInfo,
    Step,
    Target,
)

FRAGMENTS = [
    "@user", "@org/team", "a@b.co", "#123", "owner/repo#1", "GH-12", "http://evil.example/x", "www.evil.example",
    "![a](http://e/x.png)", "[a](javascript:x)", "[a]: http://e", "<img src=x onerror=y>", "<!-- ", "</details>",
    "`", "``", "```", "~~~", "```sh\n", "\n\n", "\r\n", "\r", "\n# APPROVED", "\n---", "\n===", "1. ", "- ", "> ",
    "::error::x", "\n::set-env name=A::b", "##[error]x", "%0A", "\x1b[31m", "\x1b]8;;http://e\x07", "\x9b1m", "\x00",
    "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\ud800", "\U000e0041", ":tada:", "deadbeefcafe", "&lt;",
    "&#64;u", "\\", "\\@u", "| a | b |", "\x7f",
    "*a*", "_b_", "~~c~~", "$x$", "{0}", "](", "a" * 500, "漢字", "é", "🏌", "..", "../", "/etc", "C:", "--upload-pack",
]  # fmt: skip
text = st.lists(
    st.one_of(
        st.sampled_from(FRAGMENTS), st.text(max_size=8), st.sampled_from(list(" `*_[]()<>#@&|~\\:/.-+=!$%,{}0aZ\n\t"))
    ),
    max_size=8,
).map("".join)
maybe = st.none() | text
count = st.none() | st.integers(0, 10**12)
line = st.integers(0, 40)

steps = st.builds(Step, line=line, text=text, note=text, function=text, file=maybe)
evidence = st.builds(
    Evidence,
    kind=st.sampled_from(["static", "records", "experiment"]),
    path=st.lists(steps, max_size=3).map(tuple),
    assumptions=st.lists(text, max_size=2).map(tuple),
)
findings = st.builds(
    Finding,
    rule=st.sampled_from(["ngram-target-in-key", "score-first-ttt", "opaque-code", "brand-new"]),
    level=st.sampled_from(LEVELS),
    message=text,
    file=st.one_of(st.just("s.py"), st.just("s.py!unpacked"), text),
    line=line,
    activation=st.sampled_from(["default", "run", "off", "unknown"]),
    end_line=st.none() | line,
    function=maybe,
    function_line=st.none() | line,
    conditions=st.lists(st.sampled_from(["C1", "C2", "C3", "C4"]), max_size=2, unique=True).map(tuple),
    rulings=st.lists(st.sampled_from(["issue677", "pr779-c4145781641", "nowhere"]), max_size=2).map(tuple),
    evidence=st.lists(evidence, max_size=2).map(tuple),
    anchor=st.sampled_from(["", "a|b"]),
)
infos = st.builds(
    ScriptInfo,
    track=maybe,
    folder=maybe,
    script=st.one_of(st.none(), st.just("s.py"), text),
    chosen_because=maybe,
    script_sha256=st.none() | st.just("0" * 64),
    code_bytes=count,
    packing=st.lists(text, max_size=2).map(tuple),
    other_folders=st.lists(text, max_size=2).map(tuple),
    model=st.dictionaries(st.sampled_from(["dim", "layers", "vocab"]), count),
    config=st.dictionaries(text, st.builds(ConfigValue, value=text, source=text), max_size=3),
)
claims = st.builds(
    Claims,
    val_bpb=st.none() | st.floats(),
    seeds=st.lists(st.integers(-(10**9), 10**9), max_size=3).map(tuple),
    artifact_bytes=st.lists(st.integers(0, 10**9), max_size=3).map(tuple),
    source=maybe,
    status=st.sampled_from([None, "pending"]),
)
targets = st.builds(
    Target,
    repo=st.sampled_from([None, "openai/parameter-golf"]),
    pr=st.none() | st.integers(1, 99999),
    head=st.none() | st.just("0123456789abcdef" * 2 + "01234567"),
    title=maybe,
    path=maybe,
)
smokes = st.builds(
    lambda status, fault, reason, env: Smoke(
        status, reason, fault, 0.1, 512, 11, 1024, 17, 94098, env, Used("OK", 1.0, 300.0)
    ).data(),
    st.sampled_from(["pass", "fail", "skipped"]),
    st.sampled_from(["script", "environment", "runtime"]),
    text,
    st.dictionaries(text, text, max_size=2),
)
answers = st.builds(
    Answer,
    st.sampled_from(["violated", "not-refuted", "could-not-run", "inconclusive"]),
    maybe,
    st.dictionaries(st.sampled_from(["changed", "null_nll"]), st.integers(0, 9) | st.floats(0, 9)),
)
judged = st.fixed_dictionaries({
    "line": line, "label": text, "val_loss": st.none() | st.floats(0, 9), "val_bpb": st.floats(0, 9),
    "recounted_bpb": st.floats(0, 9), "bpb_agrees": st.booleans(), "site": text, "scored": line, "tokens": line,
    "in_stream_order": st.booleans(),
})  # fmt: skip
probes = st.builds(
    Probe,
    conditions=st.fixed_dictionaries(dict.fromkeys(CONDITIONS, answers)),
    env=st.dictionaries(text, text, max_size=2),
    seeds=st.just((1, 1001)),
    repeat=text,
    evaluation=st.just({}) | judged,
).map(Probe.as_json)
amount = st.none() | st.floats(0, 1e6)
records = st.fixed_dictionaries({
    "logs": st.lists(st.fixed_dictionaries({
        "file": text, "seed": count, "val_bpb": amount, "val_loss": amount, "tokens": count, "implied_bytes": count,
        "artifact_bytes": count, "train_s": amount, "eval_s": amount, "steps": count, "label": maybe,
        "line": count, "world_size": count, "train_shards": count, "runs": line,
    }), max_size=3),
    "claims": st.dictionaries(
        st.sampled_from(["val_loss", "train_s", "eval_s", "seed"]),
        st.fixed_dictionaries({"value": st.floats(0, 1e6), "seed": count, "from": text}).map(lambda claim: [claim]),
        max_size=2,
    ),
    "significance": st.just({"readme_rule": {}, "applied_rule": {}}),
})  # fmt: skip
reports = st.builds(
    Report,
    target=targets,
    submission=infos,
    claims=claims,
    verdict=st.sampled_from(["clean", "flag", "hold", "error"]),
    cls=st.sampled_from(["ngram-target-in-key", "score-first-ttt", "not-a-submission", "undecided", "unreadable"]),
    findings=st.lists(findings, max_size=3).map(tuple),
    timings_ms=st.dictionaries(st.sampled_from(["parse", "rules"]), st.floats(0, 1e6)),
    source_lines=st.lists(text, max_size=12).map(tuple),
    records=st.none() | records,
    smoke=st.none() | smokes,
    probe=st.none() | probes,
)
