"""The environment variables of the original scripts, as settings of this package: `MATRIX_LR` is `optim.matrix_lr`.

So a published run command can be replayed word for word (`pgolf train pr549 --env MUON_WD=0.05`), and a misspelt name
stops it. Their meaning drifted from script to script; here each has the one of the scripts from PR #290 on.
"""

from __future__ import annotations

from collections.abc import Mapping

from reference_impl.config import RunConfig, unknown
from reference_impl.errors import InputError

SETTINGS: Mapping[str, str] = {
    "SEED": "train.seed",
    "ITERATIONS": "train.iterations",
    "MAX_WALLCLOCK_SECONDS": "train.seconds",
    "GPTQ_RESERVE_SECONDS": "train.reserve_seconds",
    "TRAIN_BATCH_TOKENS": "train.batch_tokens",
    "TRAIN_SEQ_LEN": "train.sequence",
    "WARMUP_STEPS": "train.warmup_steps",
    "WARMDOWN_ITERS": "train.warmdown_steps",
    "WARMDOWN_FRAC": "train.warmdown_fraction",
    "MIN_LR": "train.min_lr",
    "ENABLE_LOOPING_AT": "train.recur_at",
    "LATE_QAT_THRESHOLD": "train.qat_below",
    "EMA_DECAY": "train.ema_decay",
    "SWA_EVERY": "train.swa_every",
    "VAL_LOSS_EVERY": "train.validate_every",
    "VAL_BATCH_SIZE": "train.validate_batch_tokens",
    "VAL_BATCH_TOKENS": "train.validate_batch_tokens",
    "TRAIN_LOG_EVERY": "train.log_every",
    "VOCAB_SIZE": "model.vocab",
    "NUM_LAYERS": "model.layers",
    "MODEL_DIM": "model.dim",
    "NUM_HEADS": "model.heads",
    "NUM_KV_HEADS": "model.kv_heads",
    "MLP_MULT": "model.mlp_ratio",
    "TIED_EMBED_INIT_STD": "model.embedding_std",
    "LOGIT_SOFTCAP": "model.logit_softcap",
    "ROPE_BASE": "model.rope_base",
    "ROPE_DIMS": "model.rope_dims",
    "ROPE_TRAIN_SEQ_LEN": "model.rope_train_length",
    "QK_GAIN_INIT": "model.qk_gain",
    "XSA_LAST_N": "model.xsa_last",
    "LN_SCALE": "model.ln_scale",
    "VALUE_RESIDUAL": "model.value_residual",
    "VE_LAYERS": "model.value_embedding_layers",
    "VE_DIM": "model.value_embedding_dim",
    "BIGRAM_VOCAB_SIZE": "model.bigram_buckets",
    "BIGRAM_DIM": "model.bigram_dim",
    "TRIGRAM_VOCAB_SIZE": "model.trigram_buckets",
    "TRIGRAM_DIM": "model.trigram_dim",
    "SKIP_GATES_ENABLED": "model.skip_gates",
    "NUM_LOOPS": "model.recur_times",
    "LOOP_START": "model.recur_first",
    "LOOP_END": "model.recur_last",
    "PARALLEL_RESIDUAL_START": "model.parallel_from",
    "MATRIX_LR": "optim.matrix_lr",
    "SCALAR_LR": "optim.scalar_lr",
    "TIED_EMBED_LR": "optim.embedding_lr",
    "MUON_MOMENTUM": "optim.momentum",
    "MUON_MOMENTUM_WARMUP_START": "optim.momentum_start",
    "MUON_MOMENTUM_WARMUP_STEPS": "optim.momentum_warmup_steps",
    "MUON_ROW_NORMALIZE": "optim.row_normalize",
    "MUON_WD": "optim.matrix_decay",
    "ADAM_WD": "optim.scalar_decay",
    "EMBED_WD": "optim.embedding_decay",
    "BETA1": "optim.beta1",
    "BETA2": "optim.beta2",
    "ADAM_EPS": "optim.eps",
    "GRAD_CLIP_NORM": "optim.clip_norm",
    "EVAL_SEQ_LEN": "evaluate.sequence",
    "EVAL_STRIDE": "evaluate.stride",
    "TTT_LR": "evaluate.adapt_lr",
    "TTT_EPOCHS": "evaluate.adapt_epochs",
    "TTT_CHUNK_TOKENS": "evaluate.adapt_chunk",
    "TTT_MOMENTUM": "evaluate.adapt_momentum",
}

ONLY: Mapping[str, str] = {
    "TIE_EMBEDDINGS": "1",
    "MUON_BACKEND_STEPS": "5",
    "MTP_NUM_HEADS": "0",
    "DTG_ENABLED": "0",
    "LAWA_ENABLED": "0",
    "QAT_ENABLED": "0",
    "CANON_LAST_N": "0",
    "NGRAM_CACHE": "0",
}
"""Switches of techniques that are not here, or always: the one value that means what this package does."""


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Upstream variables as `section.key` -> text.

    Raises `InputError` on an unknown name, with the nearest known one, and on a switch set to what is not implemented.
    """
    settings = {}
    for name, value in environment.items():
        if name in ONLY:
            if value != ONLY[name]:
                raise InputError(f"{name}={value}: only {name}={ONLY[name]} is implemented")
        elif name in SETTINGS:
            settings[SETTINGS[name]] = value
        else:
            raise unknown("environment name", name, (*SETTINGS, *ONLY))
    return settings


def environment_of(config: RunConfig) -> dict[str, object]:
    """The run in upstream's names, as its log header prints it."""
    return {
        name: getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) for name, key in SETTINGS.items()
    }
