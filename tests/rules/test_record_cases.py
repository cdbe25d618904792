"""Small submissions, each with one thing in its records that is off, and what the rules on records say of it."""

from __future__ import annotations

import json
import math

import pytest

from auditor.engine import check_records
from auditor.submission.assemble import assemble
from auditor.submission.model import Pull
from auditor.verdict import Finding, Target
from rules import catalogue
from rules.base import Example
from rules.records.samples import CODE, DECLARED, README, SOUND, log
from tests.scripts import MemoryTree, of_example

LOGS = tuple(name for name in SOUND if name.endswith(".log"))


def found(rule: str, *, without: tuple[str, ...] = (), code: str = CODE, **changed: str) -> list[Finding]:
    """Findings of one rule on the sound submission without some files and with others changed or added."""
    files = {**{name: text for name, text in SOUND.items() if name not in without}, **changed}
    submission = of_example(Example("", code, False, files=tuple(files.items())))
    return [finding for finding in check_records(submission, catalogue())[1] if finding.rule == rule]


# a script that lies outside of the folder


def test_a_script_outside_of_the_folder_is_missing_in_it() -> None:
    folder = "records/track_10min_16mb/miniature"
    tree = MemoryTree({"train_gpt.py": CODE.encode(), **{f"{folder}/{n}": text.encode() for n, text in SOUND.items()}})
    submission = assemble(Pull(Target(pr=1), tree))
    assert (submission.folder, submission.script) == (folder, "train_gpt.py")
    [one] = [f for f in check_records(submission, catalogue())[1] if f.rule == "missing-evidence"]
    assert one.message == "The submission has no script in its folder (train_gpt.py was read)."


# a command that cannot be meant


def command(settings: str) -> dict[str, str]:
    text = f"{README}\n## Run\n\n```\n{settings} torchrun --nproc_per_node=8 train_gpt.py\n```\n"
    return {"README.md": text}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("DATA_PAHT=./data", "it sets DATA_PAHT, and the script reads DATA_PATH"),
        ("EPOCHS=03", "EPOCHS=03 is 3"),
    ],
)
def test_a_command_that_cannot_be_meant_is_a_note(settings: str, said: str) -> None:
    [one] = found("missing-evidence", **command(settings))
    assert one.level == "note"
    assert said in one.message


@pytest.mark.parametrize("settings", ["EPOCHS=3", "EPOCHS=0", "EPOCHS=0.5", "OMP_NUM_THREADS=08", "RUN_ID=007"])
def test_other_commands_pass(settings: str) -> None:
    assert found("missing-evidence", **command(settings)) == []


# windows at the end, and scores on the way

EXACT = "\nfinal_int6_sliding_window_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f} stride:64 eval_time:70000ms\n"


@pytest.mark.parametrize(
    ("times", "said"), [(1, None), (16, "960 tokens too many"), (32, "1,984 tokens too many"), (20, None)]
)
def test_windows_at_the_end_that_are_scored_again(times: int, said: str | None) -> None:
    tokens, size = 62_021_632 + 64 * (times - 1), 151_080_363 + 143 * (times - 1)
    bpb = 1.21947123
    text = log(1337) + EXACT.format(loss=bpb * math.log(2) * size / tokens, bpb=bpb)
    notes = found("partial-validation", without=(*LOGS, "submission.json"), **{"train_seed1337.log": text})
    assert [note.level for note in notes] == (["note"] if said else [])
    assert all(
        said is not None and said in note.message and f"64 tokens {times} times" in note.message for note in notes
    )


@pytest.mark.parametrize(
    ("line", "fires"),
    [
        ("| 75-76 % | 1.136399 |", True),
        ("[eval 40.8%] 395232/969088 windows bpb=1.136399", True),
        ("done 100 % 1.136399", False),
    ],
)
def test_a_claim_that_an_evaluation_gave_on_its_way(line: str, fires: bool) -> None:
    files = {"submission.json": json.dumps({"val_bpb": 1.136399}), "train_seed7.log": log(7) + line + "\n"}
    notes = [note for note in found("partial-validation", **files) if "of an evaluation" in note.message]
    assert bool(notes) == fires


# how a script counts bytes, where no log prints a loss

BARE = "import math\nimport torch\n"
TABLE = """
def tables(sp, n):
    size, starts, edge = torch.zeros(n), torch.zeros(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    for t in range(n):
        word = sp.id_to_piece(t)
        if word.startswith("\u2581"):
            starts[t] = True
            {stripped}
        {counted}
        edge[t] = sp.is_control(t)
    return size, starts, edge

def total(size, starts, edge, before, after):
    return (size[after] {added}).sum()
"""
ADDED = "+ (starts[after] & ~edge[before]).float()"
SCORED = "\ndef score(loss):\n    return {expression}\n"


def table(stripped: str, counted: str, added: str = ADDED) -> str:
    return BARE + TABLE.format(stripped=stripped, counted=counted, added=added)


def unlogged(code: str) -> list[Finding]:
    return found("byte-accounting", without=(*LOGS, "submission.json"), code=code)


@pytest.mark.parametrize(
    ("stripped", "counted"),
    [
        ("size[t] = len(word[1:].encode()) + 1", "pass"),
        ("size[t] = 1.0 + len(word[1:].encode('utf-8'))", "pass"),
        ("size[t] = len(word[1:].encode()); size[t] += 1", "pass"),
    ],
)
def test_a_leading_space_that_is_counted_twice(stripped: str, counted: str) -> None:
    [one] = unlogged(table(stripped, counted))
    assert one.level == "warning"
    assert "added again in the sum" in one.message
    assert "size[t]" in one.evidence[0].path[0].text
    assert found("byte-accounting", code=table(stripped, counted)) == []  # the logs show that the bytes are right


@pytest.mark.parametrize(
    ("stripped", "counted", "added"),
    [
        ("word = word[1:]", "size[t] = len(word.encode())", ADDED),
        ("size[t] = len(word[1:].encode()) + 1", "pass", ""),
        ("size[t] = len(word[1:].encode())", "pass", ADDED),
    ],
)
def test_a_leading_space_that_is_counted_once(stripped: str, counted: str, added: str) -> None:
    assert unlogged(table(stripped, counted, added)) == []


@pytest.mark.parametrize(
    "expression",
    ["loss / math.log(2) / 3.5", "loss / (math.log(2) * 3.5)", "loss * 1.442695 / 3.5", "loss / 0.6931472 * (1 / 3.5)"],
)
def test_a_fixed_number_of_bytes_per_token(expression: str) -> None:
    [one] = unlogged(BARE + SCORED.format(expression=expression))
    assert "divides by 3.5 bytes per token" in one.message


@pytest.mark.parametrize(
    "expression",
    ["loss / math.log(2)", "loss / math.log(2) * tokens / size", "loss / 3.5", "loss / math.log(2) / 1000"],
)
def test_a_measured_number_of_bytes_per_token(expression: str) -> None:
    assert unlogged(BARE + SCORED.format(expression=expression)) == []


def test_a_fixed_number_beside_a_table_decides_nothing() -> None:
    code = table("word = word[1:]", "size[t] = len(word.encode())") + SCORED.format(
        expression="loss / math.log(2) / 3.5"
    )
    assert unlogged(code) == []


# sizes of single seeds

SIZES = DECLARED.replace('"42": {"val_bpb": 1.2197}', '"42": {"val_bpb": 1.2197, "artifact_bytes": SIZE}')


@pytest.mark.parametrize(
    ("size", "logged", "said"),
    [
        ("15810111", log(42), "seed 42 claims 15,810,111 bytes, its log prints 15,82"),
        ("15810000", log(42), None),
        (str(15_820_800 + len(CODE)), log(42), None),
        (str(15_820_800 + len(CODE)), log(42).partition("Code size")[0], "and no log of it prints a size"),
    ],
)
def test_a_size_that_is_claimed_for_a_seed(size: str, logged: str, said: str | None) -> None:
    files = {"submission.json": SIZES.replace("SIZE", size), "train_seed42.log": logged}
    notes = found("claim-log-mismatch", **files)
    messages = [note.message for note in notes if "bytes" in note.message]
    assert [note.level for note in notes if "bytes" in note.message] == (["note"] if said else [])
    assert all(said is not None and said in message for message in messages)


# a score that is pending

PENDING = "# A miniature (val_bpb=pending)\n\n**val_bpb = pending rerun** on 8xH100\n"


def test_a_pending_score_beside_a_declared_one() -> None:
    other = log(1337).replace("Code size: ", "Code size: 1")
    files = {"README.md": PENDING, "train_seed1337.log": other}
    notes = [f.message for f in found("claim-log-mismatch", without=LOGS[1:], **files) if "pending" in f.message]
    assert notes == ["The README says that the score is pending; submission.json: val_bpb gives 1.2198."]


def test_a_pending_score_that_own_logs_back_is_none() -> None:
    assert [f for f in found("claim-log-mismatch", **{"README.md": PENDING}) if "pending" in f.message] == []


# three seeds declared


def test_three_seeds_that_are_shown_may_be_declared() -> None:
    declared = json.dumps({**json.loads(DECLARED), "three_seeds": True})
    assert found("claim-log-mismatch", **{"submission.json": declared}) == []


# evaluation logs without a seed

_EVALUATED = {1337: 1.2094, 42: 1.2097, 7: 1.2103}


def evaluation(score: float) -> str:
    return (
        f"val_tokens: 62021632\nfinal_ttt_exact val_loss:{score * 1.68846:.8f} val_bpb:{score:.8f} eval_time:345000ms\n"
    )


def test_the_log_of_the_evaluator_counts_where_training_and_evaluation_have_logs_of_their_own() -> None:
    claims = DECLARED.replace("1.2198", "1.2098")
    for trained, score in zip(("1.2194", "1.2197", "1.2203"), _EVALUATED.values(), strict=True):
        claims = claims.replace(trained, f"{score:.4f}")
    files = {"submission.json": claims, "README.md": README.replace("1.2198", "1.2098")}
    files |= {f"eval_seed{seed}.log": evaluation(score) for seed, score in _EVALUATED.items()}
    assert found("claim-log-mismatch", **files) == []
    assert found("missing-seeds", **files) == []
    files["eval_seed42.log"] = evaluation(1.2150)
    assert any("seed 42" in finding.message for finding in found("claim-log-mismatch", **files))


# budgets and bytes without logs

PHASES = """\
| Phase | Time |
|---|---|
| Training | 580s (under 10 min) |
| Sliding evaluation | ~354s |
| TTT | ~{ttt}s |
| **Total eval** | **~{ttt}s** |
"""


@pytest.mark.parametrize(("ttt", "messages"), [(464, 1), (200, 0)])
def test_phases_of_the_evaluation_in_the_readme(ttt: int, messages: int) -> None:
    notes = found("time-over-budget", without=LOGS, **{"README.md": README + "\n" + PHASES.format(ttt=ttt)})
    assert [finding.level for finding in notes] == ["note"] * messages
    assert all("354 s and 464 s of evaluation, 818 s if all of it counts" in finding.message for finding in notes)


@pytest.mark.parametrize(("per_token", "fires"), [(4.386, True), (3.727, False), (3.157, False)])
def test_bytes_that_the_claims_imply(per_token: float, fires: bool) -> None:
    declared = json.dumps({"val_bpb": 1.0338576, "val_loss": round(1.0338576 * 0.6931471806 * per_token, 8)})
    assert bool(found("byte-accounting", without=LOGS, code=BARE, **{"submission.json": declared})) == fires


# the four ways in which loss and score may not give the length of the validation set


def inflated(factor: float) -> dict[str, str]:
    return {f"train_seed{seed}.log": log(seed, inflation=factor) for seed in (1337, 42, 7)}


def with_tokens(tokens: int) -> dict[str, str]:
    return {name: SOUND[name].replace("tokens:62021632", f"tokens:{tokens}") for name in LOGS}


MIXED = {"train_seed7.log": log(7, inflation=1.15)}
PER_BYTE = {
    name: SOUND[name].replace(f"val_loss:{score * 1.68846:.8f}", f"val_loss:{score * 0.69314718056:.8f}")
    for name, score in zip(LOGS, (1.2194, 1.2197, 1.2203), strict=True)
}


@pytest.mark.parametrize(
    ("files", "level", "said"),
    [
        (inflated(1.2748), "warning", "Counted rightly, the score would be about"),
        (MIXED, "note", "Other lines of the logs do not"),
        (PER_BYTE, "note", "is in nats per byte"),
        (inflated(0.9874), "note", "not comparable"),
        (with_tokens(49_999_872), "note", "not comparable"),
    ],
    ids=["inflation", "two predictors", "unit", "slice", "another export"],
)
def test_each_outlier_has_its_class(files: dict[str, str], level: str, said: str) -> None:
    [one] = found("byte-accounting", **files)
    assert one.level == level
    assert said in one.message


def test_the_length_of_the_set_is_no_outlier() -> None:
    assert found("byte-accounting") == []


@pytest.mark.parametrize(("inflation", "fires"), [(1.0937, True), (1.0, False)])
def test_the_smaller_set_of_the_default_preparation_has_a_known_length_too(inflation: float, fires: bool) -> None:
    per_token = 29_950_800 / 9_662_464 * inflation
    files = {
        f"train_seed{seed}.log": log(seed, bpb=1.06)
        .replace("tokens:62021632", "tokens:9662464")
        .replace(f"val_loss:{1.06 * 1.68846:.8f}", f"val_loss:{1.06 * 0.69314718 * per_token:.8f}")
        for seed in (1337, 42, 7)
    }
    assert [finding.level for finding in found("byte-accounting", **files)] == ["warning"] * fires


# claimed times and runs that are not alike


@pytest.mark.parametrize(("without", "level"), [((), "note"), (LOGS, "warning")])
def test_a_claimed_time_over_the_budget(without: tuple[str, ...], level: str) -> None:
    declared = json.dumps({**json.loads(DECLARED), "training_time_seconds": 668.9})
    [one] = found("time-over-budget", without=without, **{"submission.json": declared})
    assert one.level == level
    assert "668.9 s of training" in one.message


def test_three_runs_of_two_configurations_are_not_three_of_one() -> None:
    [one] = found("missing-seeds", **{"train_seed42.log": log(42).replace("epochs:3", "epochs:5")})
    assert one.level == "note"
    assert one.message == "2 of the runs have the same settings; a record needs 3: epochs."
    assert found("missing-seeds") == []


@pytest.mark.parametrize(("claimed", "levels"), [(600.09, ["note"]), (600.9, ["warning"]), (599.9, [])])
def test_a_training_time_that_is_claimed_without_logs(claimed: float, levels: list[str]) -> None:
    declared = json.dumps({"val_bpb": 1.2198, "wallclock_seconds": claimed})
    found_ = found("time-over-budget", without=LOGS, **{"submission.json": declared})
    assert [finding.level for finding in found_] == levels


ONE_SCORE = json.dumps({"val_bpb": 1.2198})


@pytest.mark.parametrize(
    ("said", "messages"),
    [
        ("The artifact was 17.3MB (over the limit).", ["README.md gives an artifact of 17.3 MB"]),
        ("| Artifact size | 18.1 MB |", ["README.md gives an artifact of 18.1 MB"]),
        ("The artifact is 15.9 MB.", []),
        ("The baseline has an artifact of **16.75 MB**.", []),
        ("Artifact cap: all seeds <= 16,000,000 bytes.", []),
    ],
)
def test_megabytes_of_a_readme_without_logs(said: str, messages: list[str]) -> None:
    files = {"submission.json": ONE_SCORE, "README.md": f"{README}\n{said}\n"}
    shown = [finding.message for finding in found("artifact-over-cap", without=LOGS, **files)]
    assert [message.partition(";")[0] for message in shown] == messages


def test_tokens_in_a_table_of_seeds_are_no_size() -> None:
    rows = "| Seed | Tokens scored | Expected |\n|---|---|---|\n| 42 | 47,851,520 | 47,851,520 |\n"
    files = {"submission.json": ONE_SCORE, "README.md": f"{README}\n{rows}"}
    assert found("artifact-over-cap", without=LOGS, **files) == []


# a slice of the set, a sample of it, another text


@pytest.mark.parametrize(
    ("declared", "readme", "size"),
    [
        ({"val_bpb_slice": "5000 val sequences"}, "", "5,000 sequences"),
        ({"validation": {"type": "1M-token eval slice"}}, "", "1,000,000 tokens"),
        ({}, "The headline run: eval slice 500,000 bytes from offset 0.", "500,000 bytes"),
        ({}, "Scored on the whole set, 62,021,632-token validation slice.", None),
        ({}, "Adapts on the first 2000 val docs.", None),
    ],
)
def test_a_slice_of_the_set_that_is_stated(declared: dict[str, object], readme: str, size: str | None) -> None:
    files = {"submission.json": json.dumps({**json.loads(DECLARED), **declared}), "README.md": f"{README}\n{readme}\n"}
    notes = [note for note in found("partial-validation", **files) if "slice" in note.message]
    assert [note.level for note in notes] == (["note"] if size else [])
    assert all(size is not None and f"of {size}." in note.message for note in notes)


SAMPLED = """
import glob
import torch

def piece(split, n):
    files = sorted(glob.glob(f"text_{split}_*.bin"))
    data = load(files[0])
    at = torch.randint(len(data) - 8, (n,))
    return torch.stack([data[i:i + 8] for i in at])

def evaluate(model):
    losses = []
    for _ in range(20):
        losses.append(model(piece("val", 4)).item())
    return sum(losses) / len(losses)
"""


@pytest.mark.parametrize(
    ("code", "fires"),
    [
        (SAMPLED, True),
        (SAMPLED + '\nWHOLE = load("text_val_000.bin")\n', False),
        (SAMPLED.replace("torch.randint(len(data) - 8, (n,))", "range(0, len(data), 8)"), False),
        (SAMPLED.replace('"val"', '"train"'), False),
    ],
)
def test_batches_that_are_drawn_at_random(code: str, fires: bool) -> None:
    warnings = found("partial-validation", without=LOGS, code=code)
    assert [finding.level for finding in warnings] == (["warning"] if fires else [])
    assert found("partial-validation", code=code) == []  # the logs tell how many tokens are loaded


@pytest.mark.parametrize(
    ("tokens", "vocabulary", "fires"),
    [(36_286_464, 8192, True), (40_540_160, 8192, False), (36_286_464, 12_288, False), (47_851_520, 8192, False)],
)
def test_a_text_that_is_another_one_by_its_number_of_tokens(tokens: int, vocabulary: int, fires: bool) -> None:
    text = log(7).replace("tokens:62021632", f"tokens:{tokens}").replace("iterations:", f"vocab_size:{vocabulary} its:")
    loss = 1.2203 * math.log(2) * 151_080_363 / tokens
    text = text.replace(f"val_loss:{1.2203 * 1.68846:.8f}", f"val_loss:{loss:.8f}")
    notes = found("byte-accounting", without=(*LOGS, "submission.json"), **{"train_seed7.log": text})
    assert [note.level for note in notes] == (["note"] if fires else [])
    assert all("come from another text" in note.message for note in notes)


# logs that stop before the others, texts that quote them, data of others


def test_a_log_that_stops_before_the_evaluation_that_the_others_end_with() -> None:
    stopped = log(42).replace("final_int6_sliding_window_exact", "final_int6_roundtrip_exact")
    [note] = found("missing-seeds", **{"train_seed42.log": stopped})
    assert note.level == "note"
    assert "train_seed42.log stops before final_int6_sliding_window_exact" in note.message
    assert "2 runs come to it" in note.message


def test_a_text_that_quotes_the_score_of_a_run_is_no_run() -> None:
    quoted = {"body.txt": "step:1 of the plan\nval_bpb: 1.2203\nThis is what is claimed.\n"}
    exact = log(7, bpb=1.22031234)
    files = {**quoted, "train_seed7.log": exact, "submission.json": ONE_SCORE}
    [warning] = found("missing-seeds", without=("train_seed42.log",), **files)
    assert "Logs show 2 of the 3 runs" in warning.message


@pytest.mark.parametrize(
    ("shards", "said", "fires"),
    [
        (1499, "Same tokenizer and shards as the row before.", True),
        (1499, "The shards were made with the script beside this.", False),
        (80, "Same tokenizer and shards as the row before.", False),
    ],
)
def test_data_of_others_that_the_log_does_not_have(shards: int, said: str, fires: bool) -> None:
    text = log(42).replace("seed:42", f"train_shards: {shards}\nseed:42")
    notes = found("claim-log-mismatch", **{"README.md": f"{README}\n{said}\n", "train_seed42.log": text})
    assert [note.level for note in notes] == (["note"] if fires else [])


def test_seeds_that_the_claim_passes_over() -> None:
    """The claim is the best run's: the logs of the other seeds are there nevertheless."""
    files = {"submission.json": json.dumps({"val_bpb": 1.2194}), "README.md": "# A miniature\n\nval_bpb: 1.2194\n"}
    [note] = found("missing-seeds", **files)
    assert note.level == "note"
    assert "of train_seed1337.log; the logs show 3 seeds, with a mean of 1.21980" in note.message
    [note] = found("not-significant", **files)
    assert "The mean of 3 runs is 1.21980" in note.message
    finer = log(1337) + "final_int6_sliding_window_s64_exact val_loss:2.05821270 val_bpb:1.21900000\n"
    [note] = found("missing-seeds", **files, **{"train_seed1337.log": finer})
    assert "the logs show 3 seeds" in note.message
    far = {**files, "train_seed42.log": log(42, bpb=1.2497)}
    assert "Logs show 2 of the 3 runs" in found("missing-seeds", **far)[0].message


def test_a_run_that_stands_in_two_logs_is_one() -> None:
    files = {"submission.json": ONE_SCORE, "again.log": log(7, bpb=1.22031234).replace("seed:7\n", "")}
    files["train_seed7.log"] = log(7, bpb=1.22031234)
    [warning] = found("missing-seeds", without=("train_seed42.log",), **files)
    assert "Logs show 2 of the 3 runs" in warning.message


def test_the_settings_of_a_trial_run_are_not_those_of_the_reported_one() -> None:
    trial = log(42).replace("epochs:3", "epochs:5").partition("Code size")[0]
    assert found("mixed-config-seeds", **{"train_seed42.log": trial + log(42)}) == []


def test_the_claimed_score_of_a_single_run_is_the_one_that_is_compared() -> None:
    adapted = "legal_ttt_exact val_loss:2.07000000 val_bpb:1.22600000 eval_time:300000ms\n"
    files = {"submission.json": json.dumps({"val_bpb": 1.2203}), "README.md": "# A miniature\n"}
    [note] = found("not-significant", without=LOGS[:2], **files, **{"train_seed7.log": log(7) + adapted})
    assert "The only run is 1.22030" in note.message


def test_of_several_runs_in_one_log_the_last_is_compared() -> None:
    """The trial run before it ends with a score of its own."""
    trial = log(42, bpb=1.9)
    files = {"train_seed42.log": trial + log(42), "submission.json": "{}", "README.md": "# A miniature\n"}
    [note] = found("not-significant", **files)
    assert "The mean of 3 runs is 1.21980" in note.message
