"""Which parameter of a published script is which of the reference, and a run in the scripts' environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.equivalence.weights import Array
from reference_impl.config import RunConfig
from reference_impl.names import environment_of

RENAMED = (
    (r"^tok_emb\.weight$", "embedding"),
    (r"^(bigram|trigram)\.embed\.weight$", r"\1.table"),
    (r"^(bigram|trigram)\.proj\.weight$", r"\1.project.weight"),
    (r"^ve_shared\.embed\.weight$", "value_embedding.table"),
    (r"^ve_shared\.proj\.weight$", "value_embedding.project.weight"),
    (r"^ve_shared\.scale$", "value_embedding.scale"),
    (r"\.attn\.c_([qkv])\.", r".attention.\1."),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.attn\.attn_gate\.", ".attention.gate.linear."),
    (r"\.attn\.vr_lambda$", ".attention.value_residual.mix"),
    (r"\.attn\.q_gain$", ".attention.q_gain"),
    (r"\.mlp\.fc\.", ".mlp.up."),
    (r"\.mlp\.proj\.", ".mlp.down."),
    (r"\.attn_scale$", ".attention_scale"),
    (r"\.resid_mix$", ".residual_mix"),
)
BANKS = {
    "qo_bank": ("attention.q", "attention.out"),
    "kv_bank": ("attention.k", "attention.v"),
    "mlp_up_bank": ("mlp.up",),
    "mlp_down_bank": ("mlp.down",),
}
"""Matrices of all layers in one tensor (PR #399): first all of one kind, then all of the other."""


def renamed(published: Mapping[str, Array]) -> dict[str, Array]:
    """Parameters of a script under the names of the reference."""
    own: dict[str, Array] = {}
    for name, value in published.items():
        if name in BANKS:
            kinds = BANKS[name]
            layers = len(value) // len(kinds)
            for i, matrix in enumerate(value):
                own[f"blocks.{i % layers}.{kinds[i // layers]}.weight"] = matrix
        elif not name.startswith("ve_layer_scales."):
            for pattern, replacement in RENAMED:
                name = re.sub(pattern, replacement, name)
            own[name] = value
    scales = [published[name] for name in sorted(published) if name.startswith("ve_layer_scales.")]
    if scales:
        import numpy as np

        own["value_embedding.layer_scales"] = np.concatenate(scales)
    return own


def environment(config: RunConfig) -> dict[str, str]:
    """The variables that make a script run this configuration."""
    spelled = {name: spell(value) for name, value in environment_of(config).items()}
    leaky = "1" if config.model.leaky_slope else "0"
    gated = "1" if config.model.attention_gate == "gated" else "0"
    return {**spelled, "LEAKY_RELU": leaky, "GATED_ATTENTION": gated}


def spell(value: object) -> str:
    """A value as the scripts read it: whole numbers without a point, lists with commas, 0 and 1 for switches."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
