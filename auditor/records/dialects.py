"""The lines that logs of this field print, by what they tell; every era's dialect of one thing stands together.

Numbers may have thousands separators, `:` and `=` are used alike, field order varies and lines of several
ranks run into each other, so every pattern is searched for, not matched from the start of the line.
"""

from __future__ import annotations

import re

from auditor.records.model import ClockKind, SizeKind, Stage

_N = r"(\d{1,3}(?:,\d{3})+|\d+)(?![\d,]*\d)"
_S = r"(\d+(?:\.\d+)?)\s?(ms|s|m|min)?(?![\d.])"

STEP = re.compile(
    r"(?<!\w)(?:[Ss]tep[:\s=]\s*(?=\d+/\d+\s+\|?\s*(?:train_|val_)?(?:loss|bpb))|(?=\d+/\d+\s+(?:train_|val_)(?:loss|bpb)))"
    r"(\d{1,7})/(\d{1,7})\b"
    r"|^\s*[Ss]tep[:\s]\s*(\d{1,7})(?:/(\d{1,7}))?\s*(?:\([\d.%]+\)\s*)?\|",
)
"""Step done and, mostly, steps planned; two dialects."""
TRAIN_TIME = re.compile(r"train_time\s*[:=]\s*(\d+(?:\.\d+)?)\s*(ms|s|m)(?![a-z])")
STOPPED = re.compile(r"stopping_early|Training (?:done|complete)|wallclock limit", re.IGNORECASE)
STOPPED_AT = re.compile(r"\bstep\s*[:=]?\s*(\d{1,7})(?:/\d{1,7})?\b", re.IGNORECASE)
"""The step on a line that says that training has stopped: the last one may be printed nowhere else."""
TRAINING_DONE = re.compile(
    r"Training (?:done|complete)[^\n\d]{0,12}(?:\d+ steps,\s*)?(\d+(?:\.\d+)?)\s?s\b", re.IGNORECASE
)

SEED = re.compile(r"(?<![\w.])seed\s*[:=]\s*(\d{1,10})(?![\w.])", re.IGNORECASE)
SEED_IN_NAME = re.compile(r"(?:^|[_\-.])(?:seed|s)[_-]?(\d{1,10})(?=[_\-.]|$)", re.IGNORECASE)
"""In the name of a log: `eval_seed42.log`."""
WORLD_SIZE = re.compile(r"world[_ ]size\s*[:=]\s*(\d{1,4})\b", re.IGNORECASE)
TRAIN_SHARDS = re.compile(r"\b(?:train_shards|Train shards)\s*[:=]\s*(\d{1,6})\b")
VAL_TOKENS = re.compile(
    rf"(?:\bval[_ ]tokens|\bvalidation tokens|val_loader:shards[^\n]*?\btokens|\bscored_tokens|^\s*Val)\s*[:=]\s*{_N}"
    r"(?!\w*\.\w)",
    re.IGNORECASE,
)
SCORED_TOKENS = re.compile(rf"\(eval on {_N}\)|\bsubset\s*=\s*{_N}\s*tokens|\bppm_mix\w*[^\n]{{0,20}}?\btokens={_N}")
SCORED_BYTES = re.compile(rf"(?:mix|ppm)\w*[\s:][^\n]{{0,40}}?\bbytes\s*=\s*{_N}")

HEADERS = (
    ("seed", SEED),
    ("world_size", WORLD_SIZE),
    ("train_shards", TRAIN_SHARDS),
    ("val_tokens", VAL_TOKENS),
)
"""Printed before training; the first value of a run holds."""
PARTS = (("scored_tokens", SCORED_TOKENS), ("scored_bytes", SCORED_BYTES))
"""Printed by a score of a part of the set; the last value of a run holds."""

TOTAL_EVAL = re.compile(r"(?:^|\s)total_eval_(?:time|wallclock)\s*[:=]\s*(\d+(?:\.\d+)?)\s*(ms|s)\b")
EVAL_TIME = re.compile(r"(?:eval_time|elapsed|(?<![\w_])time)\s*[:=]\s*(\d+(?:\.\d+)?)\s*(ms|s)(?![a-rt-z])")

CLOCKS: tuple[tuple[ClockKind, re.Pattern[str]], ...] = (
    ("production", re.compile(rf"artifact_production_wallclock\s*[:=]\s*{_S}", re.IGNORECASE)),
    ("production", re.compile(rf"post_gptq total_elapsed\s*[:=]\s*{_S}", re.IGNORECASE)),
    ("generation", re.compile(rf"generated \d+ sequences in {_S}", re.IGNORECASE)),
    ("calibration", re.compile(rf"collected \d+ hessians[^\n]{{0,30}}? in {_S}", re.IGNORECASE)),
    ("calibration", re.compile(rf"calibrated \d+ layers in {_S}", re.IGNORECASE)),
    ("calibration", re.compile(rf"hessians (?:collected|for)[^\n]{{0,40}}?(?:elapsed=|post_time:){_S}", re.IGNORECASE)),
    ("adaptation", re.compile(rf"\bttt:(?:done )?elapsed={_S}", re.IGNORECASE)),
    ("evaluation", TOTAL_EVAL),
)

UNTIMED_CALIBRATION = re.compile(
    r"gptq:\s*(?:calibrating with (?:training data|\d+ )|collected hessians for \d+ layers$)", re.IGNORECASE
)

SIZES: tuple[tuple[SizeKind, re.Pattern[str]], ...] = (
    ("total", re.compile(rf"Total(?: \w+)? submission size\s*([^\s:]*)\s*:\s*{_N}\s*bytes", re.IGNORECASE)),
    ("model", re.compile(rf"Serialized model\s*([^\s:]*)\s*:\s*{_N}\s*bytes", re.IGNORECASE)),
    ("code", re.compile(rf"Code size\s*(?:\(([\w ]+)\))?\s*:\s*{_N}\s*bytes", re.IGNORECASE)),
    ("total", re.compile(rf"\b(artifact)(?: size)?\s*:\s*{_N}\s*bytes", re.IGNORECASE)),
    ("total", re.compile(rf"\bcode:\s*[\d,]+\s*(?:bytes)?\s*\|?\s*(total)\s*:\s*{_N}", re.IGNORECASE)),
    ("code", re.compile(rf"\b(?:model:\s*\d+\s+|bytes \| )(code):\s*{_N}", re.IGNORECASE)),
)

ERROR = re.compile(
    r"^(?:\[rank\d+\]:\s*)?([\w.]*(?:Error|Exception|Interrupt)(?::.{0,200})?)$"
    r"|(out of memory)|(signal SIG[A-Z]+)|^(Killed)\b"
)

SCORE = re.compile(
    r"(?:(?<!\w)(?:\w*val_loss|Val Loss|loss)\s*(?:[:=]\s*|\s+)(\d{1,3}\.\d+)\s*\|?\s*)?"
    r"(?<![\w.])((?:[A-Za-z]\w*_)?bpb|[Vv]al(?:idation)?[ _]BPB|BPB)"
    r"(?:\s*\(([^()]{0,30})\))?\s*(?:[:=]\s*|\s+)(\d{1,2}\.\d{2,12})(?![\d.]*\d)",
)
"""(loss, name of the score, words in brackets, score)."""
EXACT = re.compile(r"\s*exact\s*[:=]\s*(\d{1,2}\.\d{5,12})(?!\S)")
"""The same score with all digits, right behind it."""
SIGN = re.compile(r"[-+\u2212\u00b1]\s*$")
"""Before a difference."""
RANK = re.compile(r"^\s*\[\w+\]:\s*")
PAIR = re.compile(r"[A-Za-z_]\w*\s*[:=]\s*-?\d[\d.,]*(?:ms|MB|s|x|%)?")
"""A field and its number, as it stands between a label and its score."""

PROGRESS = re.compile(
    r"running|batch|chunk|\b\d+/\d+\b|\bdocs?\b|\d\s*windows|progress|\[\s*\d|\brank\s*\d|\bgpu \d|epoch"
    r"|warmup|sweep|clip_search|delta|gain|improv|target"
    r"|nn_only|ppm_only|nn_byte|nn_token|llm_bpb|helped"
    r"|checkpoint|\.pt\b|\.zst\b|\bquant_gap|tokens_scored|pass ?1|\bmean|\bstd",
    re.IGNORECASE,
)
"""Lines of a score that is still running, of a part of a mixture, or of a difference."""
_STAGES: tuple[tuple[Stage, re.Pattern[str]], ...] = (
    (Stage.TRAINING, re.compile(r"\bsteps?\b|^\d+$")),
    (
        Stage.BEFORE,
        re.compile(
            r"pre[-_ ]?(?:quant|ttt)|diagnostic(?! quantized)|^post[-_ ](?:ema|swa|train|avg|average)"
            r"|^(?:raw|ema|swa)\b|averag|swa_eval"
            r"|baseline|control|before|best_averag|selected_|recover/pre|model_val|model_bpb|\bfp32\b|post-prequant|post_ema",
        ),
    ),
    (
        Stage.ADAPTED,
        re.compile(
            r"ttt|slot|n-?gram|ppm|blend|(?:\b|_)mix(?:er|_bpb|ture)?\b|cache|agree|tilt|integrated|ensemble|lora|adapt|knn|online|two_pass|hedge"
            r"|cond_ppm|logit_bias|peer_ens|chained"
        ),
    ),
    (Stage.SLIDING, re.compile(r"sliding|stride|window")),
)


def stage_of(label: str) -> Stage:
    """The stage that a label speaks of; what says nothing is a plain score of the artifact."""
    lowered = label.lower()
    return next((stage for stage, pattern in _STAGES if pattern.search(lowered)), Stage.ROUND_TRIP)


def seconds(number: str, unit: str | None) -> float:
    """A duration in seconds."""
    return round(float(number) * {"ms": 1e-3, "m": 60.0, "min": 60.0}.get(unit or "s", 1.0), 3)


def count(number: str) -> int:
    """A whole number, with or without separators."""
    return int(number.replace(",", ""))
