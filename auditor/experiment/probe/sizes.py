"""Toy sizes for a whole run: what makes it short, and leaves its order of events as it is.

A size is chosen by what its setting's name says it counts: sequences, steps, chunks, buckets. Zero stays zero, for it
means off; nothing is made larger. What matters to the experiment is kept in proportion: an evaluation is many windows,
test-time training has several chunks, hash tables are as full as at full size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from auditor.experiment.shrink import assigned

SEQUENCE = 64
STRIDE = 16
CHUNK = 256
BATCH = 4
ROWS = 24
"""Sequences of a training batch: scripts divide it over 1, 2, 3, 4, 6 or 8 micro-steps."""
STEPS = 3
TOKENS = 2049
"""Validation tokens, the first of which is never predicted."""
REAL_TOKENS = 62_021_632
"""Validation tokens of the challenge with its first tokenizer (STACK.md)."""
VOCABULARY = 512
SHORTEST_CHUNK = 32
_TABLE = 1 << 15
"""Buckets of the smallest table that counts tokens; embeddings of bigrams have fewer."""


def _at_most(limit: int) -> Callable[[int], int]:
    return lambda value: min(value, limit)


def _buckets(value: int) -> int:
    """As many tokens to a bucket as at full size; a power of two where it was one."""
    wanted = max(64, value * TOKENS // REAL_TOKENS)
    return 1 << (wanted - 1).bit_length() if value & (value - 1) == 0 else wanted


_CHUNK = r"\w*CHUNK_(TOKENS|SIZE|LEN)"
_LENGTH = r"\w*(SEQ_LEN|SEQUENCE_LENGTH|CONTEXT_LEN|CONTEXT_LENGTH|BLOCK_SIZE_EVAL|SHORT_SEQ)"

_SIZES: tuple[tuple[str, Callable[[int], int]], ...] = (
    (r"VOCAB_SIZE", _at_most(VOCABULARY)),
    (r"ITERATIONS|NUM_ITERATIONS|MAX_STEPS|TRAIN_STEPS|NUM_STEPS", _at_most(STEPS)),
    (r"WARMUP_STEPS", _at_most(1)),
    (r"\w*(WARMDOWN|COOLDOWN)_(ITERS|STEPS|ITERATIONS)", _at_most(2)),
    (r"MUON_MOMENTUM_WARMUP_STEPS|\w*LR_WARMUP_STEPS", _at_most(2)),
    (r"VAL_LOSS_EVERY|VAL_EVERY|EVAL_EVERY", lambda value: 0),
    (r"(SWA|EMA|LAWA)_(EVERY|INTERVAL|START_STEP)", _at_most(1)),
    (_CHUNK, _at_most(CHUNK)),
    (_LENGTH, _at_most(SEQUENCE)),
    (r"\w*STRIDE", _at_most(STRIDE)),
    (r"VAL_BATCH_(SIZE|TOKENS)", lambda value: min(value, SEQUENCE * 64) if value >= 2048 else value),
    (r"(TRAIN|VAL|EVAL|GPTQ|CALIB|\w*)_?(BATCH_TOKENS|TOKENS_PER_BATCH|TOKENS_PER_STEP)", _at_most(SEQUENCE * ROWS)),
    (r"TRAIN_BATCH_SIZE", lambda value: min(value, SEQUENCE * ROWS) if value >= 2048 else value),
    (r"\w*BATCH_(SEQS|SEQUENCES|WINDOWS|DOCS)|TTT_BATCH_SIZE|EVAL_BATCH_SIZE|SLOT_BATCH_SIZE", _at_most(BATCH)),
    (r"\w*(CALIB|CALIBRATION|HESSIAN|AR)\w*(BATCHES|SAMPLES|SEQS|NUM)", _at_most(2)),
    (r"\w*(NGRAM|CACHE|PHRASE|HASH_EVAL|MATCH|ORACLE)\w*BUCKETS", _buckets),
    (r"\w*EPOCHS", _at_most(2)),
    (r"(?!MUON)\w*(SLOT|TTT|ETLB|LORA|ADAPT|GRAD|DISTILL|PREQUANT)\w*STEPS", _at_most(3)),
    (r"\w*PREFIX_DOCS", _at_most(3)),
    (r"\w*MIN_DOC_LEN", _at_most(8)),
)
_PATTERNS = tuple((re.compile(pattern), size) for pattern, size in _SIZES)


def toy_sizes(values: Mapping[str, str], text: str = "") -> dict[str, int]:
    """Toy values for what counts something: `values` are the settings of the reported run.

    `text` is that of the script, whose literals outside of functions are sizes too.
    """
    numbers = assigned(text, everywhere=False)
    numbers |= {name: value for name, text in values.items() if (value := _whole(text)) is not None}
    numbers = {name: value for name, value in numbers.items() if value > 0}
    longest = max((value for name, value in numbers.items() if re.fullmatch(_LENGTH, name)), default=0)
    found = {}
    for name, value in numbers.items():
        size = next((size for pattern, size in _PATTERNS if pattern.fullmatch(name)), None)
        if size is not None:
            found[name] = size(value)
        if value < longest and re.fullmatch(_CHUNK, name):  # several chunks see one another within a sequence
            found[name] = min(value, max(SHORTEST_CHUNK, value * SEQUENCE // longest))
    return {**found, **_width(values)}


def toy_literals(text: str) -> dict[str, int]:
    """Toy sizes for literals of a script's text wherever they stand: hash tables, and the length of sequences."""
    found = {}
    for name, value in assigned(text, everywhere=True).items():
        if value >= _TABLE and re.fullmatch(r"\w*BUCKETS", name):
            found[name] = _buckets(value)
        elif value > SEQUENCE and re.fullmatch(r"(TRAIN_|EVAL_|VAL_|TTT_)?SEQ_LEN", name):
            found[name] = SEQUENCE
    return found


def _whole(text: str) -> int | None:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        return None


def _width(values: Mapping[str, str]) -> dict[str, int]:
    """A narrow model, whose heads still have the dimensions that partial rotary embedding needs.

    It is halved as often as that allows, so that what divides the real width still does: scripts divide it by other
    numbers than that of heads.
    """

    def number(name: str, default: int) -> int:
        text = values.get(name, "")
        return int(text) if text.isdigit() else default

    dim, heads = number("MODEL_DIM", 512), number("NUM_HEADS", 8)
    if not heads:
        return {}
    least = heads * max(16, number("ROPE_DIMS", 16))
    narrow = dim
    while narrow % (4 * heads) == 0 and narrow // 2 >= least:
        narrow //= 2
    return {"MODEL_DIM": narrow if narrow < dim else min(dim, least)}
