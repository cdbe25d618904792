"""What cannot be read: computed code, missing modules, native code, other programs; and what comes over the network."""

from __future__ import annotations

import ast
import sys

from auditor.timeline.network import CALLS, COMMANDS, harmless, of_command
from auditor.timeline.recorder import COMPUTED_ATTRIBUTE
from auditor.timeline.registry import Args, Kwargs
from auditor.timeline.training import Training
from auditor.timeline.values import DIFF, Taint, Val, of_obj

COMPUTED = frozenset({"builtins.exec", "builtins.eval", "builtins.__import__", "importlib.import_module"})
KNOWN_LIBRARIES = sys.stdlib_module_names | {
    "accelerate",
    "apex",
    "bitsandbytes",
    "brotli",
    "causal_conv1d",
    "causal_conv1d_cuda",
    "cupy",
    "datasets",
    "deepspeed",
    "einops",
    "evaluate",
    "fla",
    "flash_attn",
    "flash_attn_2_cuda",
    "flash_attn_3",
    "flash_attn_interface",
    "flax",
    "huggingface_hub",
    "jax",
    "jaxlib",
    "kernels",
    "liger_kernel",
    "lz4",
    "mamba_ssm",
    "matplotlib",
    "mlx",
    "modal",
    "msgpack",
    "numba",
    "numpy",
    "optax",
    "pandas",
    "peft",
    "psutil",
    "pyarrow",
    "requests",
    "rich",
    "safetensors",
    "scipy",
    "selective_scan_cuda",
    "sentencepiece",
    "sklearn",
    "tiktoken",
    "tokenizers",
    "torch",
    "torchao",
    "torchvision",
    "tqdm",
    "transformer_engine",
    "transformers",
    "triton",
    "wandb",
    "xformers",
    "xxhash",
    "yaml",
    "zstandard",
    "zstd",
}
"""Installed packages: what they do with a model and its tokens, their documentation says."""


COMPILED = frozenset({"torch.utils.cpp_extension.load_inline", "torch.utils.cpp_extension.load"})
NATIVE_CODE = "native_code"


class Unread(Training):
    """Notes of code that the analysis does not follow."""

    __slots__ = ()

    def note_outside(self, path: str, args: Args, node: ast.AST) -> None:
        """A call that may bring something over the network, or start another program."""
        if path not in CALLS and path not in COMMANDS:
            return
        words = [v.const for a in args[:1] for v in self.literal_elements(a) or [a] if isinstance(v.const, str)]
        kind = of_command(words) if path in COMMANDS else "download"
        if kind is not None:
            self.fetch(node, kind, f"{path} {' '.join(words)}".strip())
        elif path in COMMANDS and not harmless(words):
            self.effect()
            self.workers[getattr(node, "lineno", 0)] = " ".join(words)[:80]

    def native_module(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
        """An extension that is compiled when the script runs, or what one of the submission gives; they are unread."""
        if path.partition(".")[0] in self.natives:
            self.note_unread(f"{NATIVE_CODE}.{path}", args, kwargs, node)
        elif path not in COMPILED:
            return None
        return of_obj(self.lib_object(NATIVE_CODE))

    def computed_attribute(self, base: Val) -> Val | None:
        """`getattr(x, name)` with a name that is not known, of something that can learn or score."""
        if any(o.kind in ("opt", "module") or self.is_module(o) for o in base.objs):
            return of_obj(self.lib_object(COMPUTED_ATTRIBUTE))
        return None

    def note_unread(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> None:
        """Code that could not be read and could do anything with what it is given."""
        library = path.partition(".")[0]
        reason = ""
        if path in COMPUTED:
            reason = f"`{path.rpartition('.')[2]}` runs code that is computed when the script runs"
        elif library not in KNOWN_LIBRARIES:
            values = [*args, *kwargs.values()]
            given_model = any(self.is_module(o) for v in values for o in v.objs)
            contents = [self.content(v) for v in values]
            given_tokens = any(r.split == "val" for t in contents for r in t.toks)
            given_losses = any(t.nll for t in contents)
            if library == COMPUTED_ATTRIBUTE and given_tokens:
                reason = "an attribute whose name is computed when the script runs is given validation tokens"
            elif library == NATIVE_CODE and any(_is_ids(t) for t in contents):
                reason = "native code, compiled for the script, is given validation tokens"
            elif given_tokens and given_model:
                reason = f"`{path}` is given the model and validation tokens, and is not in the submission"
            elif given_losses and any(t.toks and not t.nll and not t.flags & DIFF for t in contents):
                reason = f"`{path}` is given losses and validation tokens, and is not in the submission"
        if reason:
            self.note_opaque(node, reason)

    def note_wrapped(self, name: str, wrapper: Val, node: ast.AST) -> None:
        """A function is handed to a decorator that is not in the submission: what runs under its name is not known."""
        for obj in wrapper.objs:
            if obj.kind == "lib" and obj.name.partition(".")[0] not in KNOWN_LIBRARIES:
                self.wrapped[name] = (getattr(node, "lineno", 0), obj.name)

    def close_wrapped(self) -> None:
        """Hold what was scored inside of a wrapped function."""
        if not self.wrapped:
            return
        inside = {n for s in self.score_list for n in (s.place.function, *(name for name, _ in s.place.calls))}
        for name, (line, path) in self.wrapped.items():
            if name in inside:
                reason = (
                    f"`{name}` scores validation tokens under the decorator `{path}`, which is not in the submission"
                )
                self.timeline.opaque.append((line, reason))


def _is_ids(t: Taint) -> bool:
    """Validation tokens themselves, not what the model makes of them."""
    return not t.flags & DIFF and any(r.split == "val" for r in t.toks)
