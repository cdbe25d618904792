"""Reports and rules made by hand, one of each kind, for the tests of every format."""

from __future__ import annotations

from auditor.verdict import Claims, ConfigValue, Evidence, Finding, Report, ScriptInfo, Step, Target

SCRIPT = "records/track_10min_16mb/2026-04-01_Sample/train_gpt.py"
HEAD = "0123456789abcdef0123456789abcdef01234567"
SOURCE = (
    "def score_cached(model, tokens, table, primes, mask):",
    "    total = 0.0",
    "    for t in range(1, len(tokens)):",
    "        key = fold(tokens[t - 7 : t], primes)",
    "        full = (key ^ (tokens[t] * primes[7])) & mask",
    "        p = mix(model(tokens[:t])[tokens[t]], table[full] / table[key])",
    "        total -= log(p)",
    "        table[full] += 1",
    "    return total",
)
CONFIG = {
    "NGRAM_CACHE": ConfigValue("1", "default:L97"),
    "NGRAM_ORDER": ConfigValue("7", "command"),
    "HIDDEN": ConfigValue("3", "default:L40"),
}
INFO = ScriptInfo(
    track="track_10min_16mb",
    folder="records/track_10min_16mb/2026-04-01_Sample",
    script=SCRIPT,
    chosen_because="the only train_gpt.py that the pull request adds",
    script_sha256="ab" * 32,
    code_bytes=85725,
    model={"dim": 512, "layers": 11, "vocab": 1024},
    config=CONFIG,
)
CLAIMS = Claims(1.0337, (1337, 42, 7), (15_990_221, 15_982_903), "submission.json")
TARGET = Target(repo="openai/parameter-golf", pr=9001, head=HEAD, title="Record: cached 7-gram (val_bpb=1.0337)")

NGRAM = Finding(
    rule="ngram-target-in-key",
    level="flag",
    message="the cache lookup `table[full]` is keyed by the token that is being scored (NGRAM_CACHE=1)",
    file=SCRIPT,
    line=5,
    end_line=6,
    activation="default",
    function="score_cached",
    function_line=1,
    conditions=("C1", "C2"),
    rulings=("pr779-c4145781641", "pr779-c4146407380"),
    evidence=(
        Evidence(
            "static",
            (
                Step(5, "full = (key ^ (tokens[t] * primes[7])) & mask", "the scored token enters the key"),
                Step(6, "p = mix(model(tokens[:t])[tokens[t]], table[full] / table[key])", "the key is looked up"),
                Step(7, "total -= log(p)", "the result is reported"),
            ),
            ("`fold` passes its arguments to its result",),
        ),
    ),
    anchor="score_cached|tokens[t]|table[]",
)
DORMANT = Finding(
    rule="val-token-ttt",
    level="note",
    message="`ttt_adapt` trains on validation tokens before they are scored; it is off in the reported run",
    file=SCRIPT,
    line=2,
    activation="off",
    function="ttt_adapt",
    conditions=("C3",),
    rulings=("issue677",),
    anchor="ttt_adapt|step",
)
SCORE_FIRST = Finding(
    rule="score-first-ttt",
    level="note",
    message="each chunk is scored and counted before the update that uses it; 3 epochs, SGD, last chunk untrained",
    file=SCRIPT,
    line=1,
    activation="run",
    function="eval_ttt",
    function_line=1,
    rulings=("issue677", "pr549"),
    evidence=(
        Evidence("static", (Step(7, "total -= log(p)", "SCORE"), Step(8, "table[full] += 1", "UPDATE, afterwards"))),
    ),
    anchor="eval_ttt|score|step",
)
OPAQUE = Finding(
    rule="opaque-code",
    level="hold",
    message="the payload could not be unpacked: unknown filter",
    file=SCRIPT,
    line=1,
    anchor="exec",
)

FLAG = Report(TARGET, INFO, CLAIMS, "flag", NGRAM.rule, (NGRAM, DORMANT), {"parse": 14.0, "rules": 2.5}, SOURCE)
CLEAN = Report(
    Target(repo="openai/parameter-golf", pr=9002, head=HEAD, title="Legal score-first TTT"),
    INFO,
    Claims(status="pending"),
    "clean",
    "score-first-ttt",
    (SCORE_FIRST,),
    {},
    SOURCE,
)
HOLD = Report(TARGET, INFO, CLAIMS, "hold", "undecided", (OPAQUE,), {}, ("exec(payload)",))
ERROR = Report(
    Target(path="gone/train_gpt.py"), ScriptInfo(chosen_because="no such file"), Claims(), "error", "unreadable"
)
NO_SUBMISSION = Report(
    Target(repo="openai/parameter-golf", pr=9003, head=HEAD, title="Fix a typo in the README"),
    ScriptInfo(chosen_because="the pull request adds nothing under records/"),
    Claims(),
    "hold",
    "not-a-submission",
)
PURE = Report(Target(path="my run/train_gpt.py"), INFO, CLAIMS, "clean", "pure-neural", (), {}, SOURCE)
ALL = {"flag": FLAG, "clean": CLEAN, "hold": HOLD, "error": ERROR, "not-a-submission": NO_SUBMISSION, "pure": PURE}
