"""Scores and sizes in the spelling of the published logs."""

from __future__ import annotations

from reference_impl.config import EvaluateConfig, RunConfig
from reference_impl.log import Score


def label(config: RunConfig, *, packed: bool) -> str:
    """What the score is called: of the artifact (`packed`) or the weights before rounding, and by which predictor."""
    way = technique(config.evaluate)
    if config.train.dialect == "rates":
        return ("quantized" if packed else "pre-quantization post-ema") + (f"_{way}" if way else "")
    if not packed:
        return "DIAGNOSTIC post_ema" + (f"_{way}" if way else "")
    return "legal_ttt" if way == "ttt" else f"final_int{config.artifact.bits}_{way or 'roundtrip'}"


def technique(settings: EvaluateConfig) -> str:
    """The predictor in a word or two; empty for windows that do not overlap."""
    words = {"none": "sliding_window" if settings.stride else "", "sgd": "ttt", "adamw": "ttt", "lora": "ttt_lora"}
    parts = [words[settings.adapt], "ngram" if settings.ngram_weight else "", "tilt" if settings.tilt_boost else ""]
    return "_".join(part for part in parts if part)


def score_lines(config: RunConfig, score: Score, *, packed: bool) -> list[str]:
    """One line, and for the artifact in the earlier dialect a second one with all digits."""
    name, settings = label(config, packed=packed), config.evaluate
    clock = f"eval_time:{1000 * score.seconds:.0f}ms"
    exact = f"val_loss:{score.loss:.8f} val_bpb:{score.bpb:.8f}"
    if config.train.dialect == "rates" or not packed:
        return [f"{name} {exact} {clock}"]
    stride = f"stride:{settings.stride} " if settings.stride and settings.adapt == "none" else ""
    return [f"{name} val_loss:{score.loss:.4f} val_bpb:{score.bpb:.4f} {stride}{clock}", f"{name}_exact {exact}"]


def size_lines(config: RunConfig, artifact_bytes: int, code_bytes: int) -> list[str]:
    """Bytes of the artifact, of the code, and of both."""
    compressor = config.artifact.compressor
    kind = f"quantized+{compressor}" if config.train.dialect == "rates" else f"int{config.artifact.bits}+{compressor}"
    return [
        f"Serialized model {kind}: {artifact_bytes} bytes",
        f"Code size: {code_bytes} bytes",
        f"Total submission size {kind}: {artifact_bytes + code_bytes} bytes",
    ]
