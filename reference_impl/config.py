"""Every setting of a run: six frozen dataclasses, read from a TOML preset and overridden by name.

A name that does not exist is an error that names the nearest one. (A misspelt environment variable of the original
scripts was silently ignored: the published command of PR #1092 sets `WARMDRON_ITERS`.)
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from importlib import resources
from typing import Any, get_type_hints

from reference_impl.errors import InputError


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the network; each technique is explained in the module of `reference_impl.model` that implements it."""

    vocab: int = 1024
    layers: int = 9
    dim: int = 512
    heads: int = 8
    kv_heads: int = 4
    mlp_ratio: float = 2.0
    leaky_slope: float = 0.0
    """Slope of the activation below zero, before it is squared; 0 is relu squared."""
    embedding_std: float = 0.005
    logit_softcap: float = 30.0
    orthogonal_init: bool = False
    """Orthogonal matrices (PR #162 on) instead of PyTorch's uniform ones."""
    hash_projection_gain: float = 1.0
    """Gain of the orthogonal projections of hashed and value embeddings. The scripts zero them and then overwrite the
    zeros: with 1 (banked scripts) or 1/sqrt(2 layers) (the others)."""

    rope_base: float = 10_000.0
    rope_dims: int = 0
    """Rotated dimensions of a head; 0 is all of them."""
    rope_train_length: int = 0
    """Context beyond which the base grows (NTK scaling); 0 is never."""
    qk_gain: float = 1.5
    xsa_last: int = 0
    """The last that many layers use exclusive self-attention."""
    ln_scale: bool = False
    attention_gate: str = "none"
    """`none`, `gated` (PR #413), `output` (PR #1667) or `sparse` (PR #1787)."""
    value_residual: bool = False
    value_residual_from: int = 1
    """First layer that owns a mixing pair. With 0 layer 0 has one that nothing reads, as PR #715 counts it."""
    value_embedding_layers: tuple[int, ...] = ()
    value_embedding_dim: int = 128

    smear: str = "none"
    """`none`, `v1` (PR #65) or `v2` (PR #1667, masked at document starts as in PR #1855)."""
    bigram_buckets: int = 0
    bigram_dim: int = 128
    trigram_buckets: int = 0
    trigram_dim: int = 128

    skip_gates: bool = False
    recur_times: int = 0
    """How many times more the layers `recur_first`..`recur_last` run."""
    recur_first: int = 0
    recur_last: int = 0
    parallel_from: int = -1
    """First layer whose attention and MLP read the same input; -1 is none."""

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        check(self.dim % self.heads == 0, "model.dim must be a multiple of model.heads")
        check(self.heads % self.kv_heads == 0, "model.heads must be a multiple of model.kv_heads")
        check(self.head_dim % 2 == 0 and self.rotated % 2 == 0, "rotary embedding needs an even number of dimensions")
        check(self.rotated <= self.head_dim, "model.rope_dims is larger than a head")
        check(self.attention_gate in ("none", "gated", "output", "sparse"), "unknown model.attention_gate")
        check(self.smear in ("none", "v1", "v2"), "unknown model.smear")
        check(
            all(0 <= i < self.layers for i in self.value_embedding_layers),
            "model.value_embedding_layers: no such",
        )
        check(
            not self.recur_times or 0 <= self.recur_first <= self.recur_last < self.layers,
            "model.recur_first..recur_last is no range of layers",
        )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.heads

    @property
    def kv_dim(self) -> int:
        """Width of all key (or value) heads together."""
        return self.kv_heads * self.head_dim

    @property
    def rotated(self) -> int:
        """Dimensions of a head that are rotated."""
        return self.rope_dims or self.head_dim


@dataclass(frozen=True)
class OptimConfig:
    """Learning rates and what else a step depends on."""

    matrix_lr: float = 0.04
    scalar_lr: float = 0.04
    embedding_lr: float = 0.05
    momentum: float = 0.95
    momentum_start: float = 0.85
    momentum_warmup_steps: int = 500
    newton_schulz: str = "quintic"
    """`quintic` (five equal steps) or `polar-express` (five tuned ones)."""
    row_normalize: bool = False
    """Divide each row of the update by its norm before it is orthogonalised (PR #1217)."""
    projections: str = "muon"
    """Who trains the projections of hashed and value embeddings: `muon` or `adam` (banked scripts)."""
    gates: str = "adam"
    """Who trains the matrices of gates: `muon` (PR #490, by accident of their names) or `adam`."""
    matrix_decay: float = 0.0
    scalar_decay: float = 0.0
    embedding_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    clip_norm: float = 0.0
    """Largest norm of the whole gradient, after it was reduced over all processes; 0 is no limit."""

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        check(self.newton_schulz in ("quintic", "polar-express"), "unknown optim.newton_schulz")
        check(self.projections in ("muon", "adam"), "unknown optim.projections")
        check(self.gates in ("muon", "adam"), "unknown optim.gates")


@dataclass(frozen=True)
class TrainConfig:
    """Length of the run, schedules, averaging."""

    seed: int = 1337
    batch_tokens: int = 524_288
    sequence: int = 1024
    micro_batches: int = 8
    """A step is the mean over that many micro-batches, however many processes share them."""
    iterations: int = 20_000
    seconds: float = 600.0
    """Wall-clock limit of training, validation not counted; 0 is none."""
    reserve_seconds: float = 0.0
    """Part of `seconds` kept for what follows training, such as calibration (PR #1394)."""
    warmup_steps: int = 20
    """Untimed steps that compile the kernels; all they change is put back."""
    warmdown_steps: int = 1200
    """The learning rate falls linearly to 0 over that many steps, judged by their mean duration."""
    warmdown_fraction: float = 0.0
    """The same as a share of the run (PR #1394); it wins over `warmdown_steps`."""
    min_lr: float = 0.0
    recur_at: float = 0.0
    """Share of the run after which the recurrent layers are repeated."""
    qat_below: float = 0.0
    """Train through the quantiser once the learning rate's factor is below this; 0 is never."""
    qat_bits: int = 6
    average: str = "none"
    """What is exported: `none` (last weights), `ema`, `swa`, or `swa-of-ema` (PR #715)."""
    ema_decay: float = 0.997
    swa_every: int = 50
    swa_below: float = 0.2
    loader: str = "contiguous"
    """`contiguous`, or `coprime`: sequences in a fixed order that jumps over the whole set."""
    documents: bool = False
    """Attention stays within a document (PR #1354)."""
    validate_every: int = 1000
    validate_batch_tokens: int = 524_288
    checkpoint_every: int = 500
    """Steps between checkpoints; 0 is none. Writing them is not counted as training."""
    log_every: int = 200
    dialect: str = "steps"
    """Spelling of the log: `steps` (`step:1/20000 train_loss:...`) or `rates` (`1/20000 train_loss: ...`)."""

    def __post_init__(self) -> None:
        """Refuse batches that do not divide, and unknown choices."""
        per_step = self.sequence * self.micro_batches
        check(
            self.batch_tokens % per_step == 0 and self.batch_tokens >= per_step,
            f"train.batch_tokens must be a multiple of sequence x micro_batches = {per_step}",
        )
        check(self.average in ("none", "ema", "swa", "swa-of-ema"), "unknown train.average")
        check(self.loader in ("contiguous", "coprime"), "unknown train.loader")
        check(self.dialect in ("steps", "rates"), "unknown train.dialect")
        check(self.iterations > 0, "train.iterations must be positive")
        check(self.qat_bits in range(2, 9), "train.qat_bits must be between 2 and 8")


@dataclass(frozen=True)
class EvaluateConfig:
    """How the trained model is scored."""

    sequence: int = 1024
    stride: int = 0
    """Tokens scored in each sliding window; 0 is non-overlapping windows."""
    adapt: str = "none"
    """`none`; `sgd` or `adamw`: score-first training, a chunk is trained on after all of it was scored; `lora`: the
    same with low-rank corrections that are dropped at each document (PR #1530)."""
    adapt_lr: float = 0.0
    adapt_epochs: int = 3
    adapt_chunk: int = 32_768
    adapt_momentum: float = 0.9
    adapt_last_blocks: int = 0
    """Only the last that many blocks adapt (and all scales, and the embedding); 0 is all."""
    lora_rank: int = 8
    temperature: float = 1.0
    """Constant that divides the logits, fixed before evaluation."""
    ngram_weight: float = 0.0
    """Share of an n-gram model of the tokens scored so far in the mixture; 0 is none."""
    ngram_order: int = 4
    tilt_boost: float = 0.0
    """Log-odds added to the token that followed the same context before (PR #1145); 0 is none."""
    tilt_order: int = 16
    tilt_threshold: float = 0.8
    """Share of its context's followers that a hint needs."""
    as_published: str = ""
    """Why the published evaluation cannot be reproduced here; empty where it can."""

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        check(self.adapt in ("none", "sgd", "adamw", "lora"), "unknown evaluate.adapt")
        check(0 <= self.stride <= self.sequence, "evaluate.stride is longer than evaluate.sequence")
        check(self.temperature > 0, "evaluate.temperature must be positive")
        check(0 <= self.ngram_weight < 1, "evaluate.ngram_weight must be at least 0 and below 1")
        check(self.ngram_order > 0 and self.tilt_order > 0, "evaluate.ngram_order and tilt_order must be positive")


@dataclass(frozen=True)
class ArtifactConfig:
    """How the trained model becomes a file of at most 16,000,000 bytes."""

    bits: int = 6
    """For matrices of attention and MLP."""
    embedding_bits: int = 8
    """For tables and other matrices that are large enough."""
    rounding: str = "gptq"
    """`nearest`, or `gptq`: each column's error is made up for in the columns after it (arXiv 2210.17323)."""
    clip: str = "search"
    """Largest magnitude that a row keeps: its `max`, a `quantile`, the best of five quantiles by squared error
    (`search`; GPTQ-lite, PR #414), or some standard deviations (`sigmas`; PR #1394)."""
    clip_quantile: float = 0.9999984
    clip_sigmas: float = 12.85
    calibration: str = "self"
    """What GPTQ sees: text that the model makes up (`self`; PR #1019), or training data (`train`), whose time belongs
    to training: it must fit `train.reserve_seconds`."""
    calibration_sequences: int = 64
    low_rank: int = 0
    """Rank of the correction of rounding errors (LQER; PR #1797); 0 is none."""
    low_rank_matrices: int = 3
    """How many matrices get one: those with the largest errors."""
    compressor: str = "lzma"
    """`zlib`, `zstd`, `lzma` or `brotli`."""

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        check(self.bits in range(2, 9) and self.embedding_bits in range(2, 9), "artifact.bits must be from 2 to 8")
        check(self.rounding in ("nearest", "gptq"), "unknown artifact.rounding")
        check(self.clip in ("max", "quantile", "search", "sigmas"), "unknown artifact.clip")
        check(self.calibration in ("self", "train"), "unknown artifact.calibration")
        check(self.compressor in ("zlib", "zstd", "lzma", "brotli"), "unknown artifact.compressor")


@dataclass(frozen=True)
class RunConfig:
    """A whole run: what a preset describes."""

    about: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    artifact: ArtifactConfig = field(default_factory=ArtifactConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)


SECTIONS: Mapping[str, type] = {
    "model": ModelConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
    "artifact": ArtifactConfig,
    "evaluate": EvaluateConfig,
}
KEYS = tuple(f"{section}.{each.name}" for section, kind in SECTIONS.items() for each in fields(kind))


def check(holds: bool, message: str) -> None:
    """Raise `InputError` unless the condition holds."""
    if not holds:
        raise InputError(message)


def unknown(what: str, name: str, known: tuple[str, ...]) -> InputError:
    """The error for a name that does not exist, with the nearest one that does."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return InputError(f"there is no {what} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def preset_names() -> tuple[str, ...]:
    """Presets that ship with the package, sorted."""
    folder = resources.files("reference_impl") / "presets"
    return tuple(sorted(each.name[:-5] for each in folder.iterdir() if each.name.endswith(".toml")))


def load_preset(name: str, settings: Mapping[str, str] | None = None) -> RunConfig:
    """Read a preset by name and apply overrides (`section.key` -> text).

    Raises `InputError` on an unknown preset, key or value.
    """
    return from_table(_merged(name), settings, f"preset {name}")


def from_table(table: Mapping[str, Any], settings: Mapping[str, str] | None = None, source: str = "run") -> RunConfig:
    """What `as_dict` gave, or a preset's table, with overrides; raises `InputError` on an unknown key or value."""
    table = dict(table)
    about = str(table.pop("about", ""))
    parts: dict[str, dict[str, Any]] = {section: dict(table.pop(section, {})) for section in SECTIONS}
    if table:
        raise unknown(f"section in {source},", next(iter(table)), tuple(SECTIONS))
    for key, text in (settings or {}).items():
        section, _, short = key.partition(".")
        if key not in KEYS:
            raise unknown("setting", key, KEYS)
        parts[section][short] = text
    built = {section: _build(section, kind, parts[section]) for section, kind in SECTIONS.items()}
    return RunConfig(about=about, **built)


def as_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as nested dictionaries of plain values."""
    return asdict(config)


def _merged(name: str) -> dict[str, Any]:
    """The table of a preset, laid over the one that it `extends`."""
    if name not in preset_names():
        raise unknown("preset", name, preset_names())
    text = (resources.files("reference_impl") / "presets" / f"{name}.toml").read_text("utf-8")
    own: dict[str, Any] = tomllib.loads(text)
    if "extends" not in own:
        return own
    table = _merged(own.pop("extends"))
    for key, value in own.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
    return table


def _build(section: str, kind: type, values: Mapping[str, Any]) -> Any:
    """One dataclass from loose values; raises `InputError` on a name or value that does not fit."""
    hints = get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise unknown("setting", f"{section}.{name}", KEYS)
    return kind(**{name: _convert(f"{section}.{name}", hints[name], value) for name, value in values.items()})


def _convert(key: str, hint: Any, value: Any) -> Any:
    """A TOML value or a text as the type of its setting."""
    words = {"true": True, "1": True, "false": False, "0": False}
    try:
        if hint is bool:
            return value if isinstance(value, bool) else words[str(value).lower()]
        if hint is int:
            return int(str(value).replace("_", ""))
        if hint is float:
            return float(value)
        if hint is str:
            return str(value)
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(int(part) for part in parts if str(part).strip())
    except (KeyError, TypeError, ValueError):
        name = getattr(hint, "__name__", "whole numbers")
        raise InputError(f"{key}: {value!r} is no {'list of whole numbers' if name == 'tuple' else name}") from None
