"""Calls of libraries: what is made, what is kept, and what is unknown.

A call is looked up in `registry` by dotted path, then by its last part. What is not listed is unknown: the result is
made from everything that the call was given.
"""

from __future__ import annotations

import ast
import math
from functools import lru_cache

from auditor.timeline import sequence
from auditor.timeline.axes import Effect
from auditor.timeline.network import CALLS, COMMANDS
from auditor.timeline.registry import FUNCTIONS, PATHS, Args, Handler, Kwargs
from auditor.timeline.unread import COMPILED, COMPUTED, KNOWN_LIBRARIES, Unread
from auditor.timeline.values import (
    BITS,
    DIFF,
    GRAD,
    HASH,
    NONE,
    NONE_VAL,
    OUTSIDE,
    PAIR,
    TOTALS,
    UNKNOWN,
    WEIGHTS,
    Obj,
    Val,
    constant,
    join,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
    with_flags,
)

PURE_MATH = {
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "cos": math.cos,
    "sin": math.sin,
    "pi": None,
    "ceil": math.ceil,
    "floor": math.floor,
    "pow": math.pow,
    "isqrt": math.isqrt,
    "log1p": math.log1p,
    "prod": None,
}

ALLOCATORS = frozenset(
    [
        "zeros",
        "empty",
        "ones",
        "full",
        "zeros_like",
        "empty_like",
        "ones_like",
        "full_like",
        "rand",
        "randn",
        "rand_like",
        "randn_like",
        "randint",
        "new_zeros",
        "new_empty",
        "new_full",
        "new_ones",
        "eye",
    ]
)

OPTIMIZERS = frozenset(
    [
        "SGD",
        "Adam",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "LBFGS",
        "NAdam",
        "RAdam",
        "Adamax",
        "Muon",
        "Lion",
        "Rprop",
        "ASGD",
        "SparseAdam",
        "Adadelta",
        "AdamW8bit",
        "Adafactor",
    ]
)

IDENTITY_CALLS = frozenset(
    [
        "torch.compile",
        "torch.jit.script",
        "torch.nn.parallel.DistributedDataParallel",
        "torch.nn.DataParallel",
        "torch.no_grad",
        "torch.inference_mode",
        "torch.enable_grad",
        "torch.compiler.disable",
        "torch._dynamo.disable",
        "numba.njit",
        "numba.jit",
        "functools.lru_cache",
        "functools.cache",
        "functools.wraps",
        "torch.jit.ignore",
        "torch.nn.utils.weight_norm",
        "torch.compiler.allow_in_graph",
        "torch.distributed.fsdp.FullyShardedDataParallel",
        "peft.get_peft_model",
    ]
)

SILENT = frozenset(
    [
        "builtins.noop",
        "torch.cuda.synchronize",
        "torch.manual_seed",
        "torch.distributed.barrier",
        "torch.distributed.destroy_process_group",
        "torch.distributed.init_process_group",
        "torch.cuda.set_device",
        "torch.cuda.empty_cache",
        "gc.collect",
    ]
)

FLOW_FREE = frozenset(["shuffle", "randperm", "permutation", "manual_seed", "seed", "time", "perf_counter"])


_LISTED_PATHS = CALLS | COMMANDS | COMPUTED | COMPILED | IDENTITY_CALLS | SILENT
_LISTED_NAMES = OPTIMIZERS | ALLOCATORS | FLOW_FREE | {"compile", "DistributedDataParallel", "log2"}


@lru_cache(maxsize=10_000)
def _known(path: str) -> tuple[str, Handler | None, bool]:
    """The last part of a path, the model of the call, and whether nothing else is said of it in this module."""
    library = path.partition(".")[0]
    last = path.rpartition(".")[2]
    listed = path in _LISTED_PATHS or last in _LISTED_NAMES or library not in KNOWN_LIBRARIES or library == "math"
    made = path.startswith(("torch.nn.", "torch.optim.")) and last[:1].isupper()
    return last, PATHS.get(path) or FUNCTIONS.get(last), not (listed or made)


class Library(Unread):
    """Library calls and modules."""

    __slots__ = ()

    def call_lib(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A call of a library function or class."""
        value = self.called(path, args, kwargs, node)
        parts = self.literal_elements(args[0]) if args and path in sequence.JOINING else None
        if sequence.laid_out(args) or sequence.laid_out(kwargs.values()) or (parts and sequence.laid_out(parts)):
            effect = sequence.of_function(path, args, kwargs, parts)
            value = self.stateful(value, effect, args, kwargs, node) or self.laid(value, effect, node)
            if _known(path)[0] == "where" and len(args) == 3 and sequence.at_boundaries(args[0]):
                value = self.chosen_at_boundaries(value, args[1], args[2])
        return value

    def stateful(self, value: Val, effect: Effect, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
        """A recurrent operation gives its output and the state after the last position."""
        if not any(kwargs[k].const is True for k in sequence.FINAL_STATE if k in kwargs):
            return None
        if not any(v.axes is not None and "T" in v.axes.tags for v in (*args, *kwargs.values())):
            return None  # a part of the sequence: its last state is earlier than the next part
        output = self.laid(value, effect, node)
        state = self.laid(value, Effect(None, sequence.CARRIED), node)
        return Val(items=(output, state), loops=value.loops, old=value.old)

    def called(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """What a call of a library returns."""
        last, handler, plain = _known(path)
        if plain:
            result = handler(self, args, kwargs, node, path) if handler is not None else None
            result = result if result is not None else self.apply_unknown(args, kwargs, node)
            return retaint(result, with_flags(result.taint, drop=PAIR)) if last in TOTALS else result
        self.note_outside(path, args, node)
        native = self.native_module(path, args, kwargs, node)
        if native is not None:
            return native
        if handler is not None:
            result = handler(self, args, kwargs, node, path)
            if result is not None:
                return result
        if path in IDENTITY_CALLS or (path.startswith("torch.") and last in ("compile", "DistributedDataParallel")):
            if args:
                return args[0]
            return of_obj(self.lib_object("builtins.identity"))
        if last in OPTIMIZERS or (path.startswith("torch.optim.") and last[:1].isupper()):
            if "lr_scheduler" in path:
                return of_obj(self.lib_object(path))  # its `step()` changes no weight
            return self.new_optimizer(last, args, kwargs, node)
        if last in ALLOCATORS and (path.startswith(("torch.", "numpy.", "cupy."))):
            return self.new_tensor(last, args, node)
        if path.startswith("torch.nn.") and last[:1].isupper():
            return self.new_libmod(last, args, kwargs, node)
        if path.startswith("math.") and args and all(isinstance(a.const, (int, float)) for a in args):
            fn = PURE_MATH.get(last)
            if fn is not None:
                try:
                    return constant(fn(*(a.const for a in args)))
                except (ValueError, OverflowError, TypeError):
                    return UNKNOWN
        if path in SILENT:
            return NONE_VAL
        if last in FLOW_FREE:
            t = self.content(args[0]) if args else NONE
            return of_taint(t)
        self.note_unread(path, args, kwargs, node)
        result = self.apply_unknown(args, kwargs, node)
        if path in COMMANDS and self.workers:
            result = retaint(result, with_flags(result.taint, OUTSIDE))
        if last in ("log2",) and result.taint.nll:
            result = retaint(result, with_flags(result.taint, BITS))
        return result

    def apply_unknown(self, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A call of which nothing is known; predictions met with validation targets give losses."""
        values = [*args, *kwargs.values()]
        contents = [self.content(v) for v in values]
        predictions = [t for t in contents if t.flags & DIFF and t.toks and not t.nll and not t.flags & GRAD]
        if predictions:
            targets = [
                t for t in contents if not t.flags & DIFF and not t.nll and any(r.split == "val" for r in t.toks)
            ]
            if targets:
                scored = NONE
                for p in predictions:
                    for target in targets:
                        scored = join_taint(scored, self.score_event(node, p, target))
                return of_taint(scored)
        return self.mixed(values, contents)

    def new_tensor(self, name: str, args: Args, node: ast.AST) -> Val:
        """A fresh tensor or array."""
        obj = self.alloc("tensor", name, node)
        if name.startswith("full") and len(args) > 1:
            self.add_content(obj, self.content(args[1]))
        return of_obj(obj)

    def new_libmod(self, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A module of a library."""
        obj = self.alloc("libmod", name, node)
        if name in sequence.SHAPED_MODULES:
            obj.extra = (args, kwargs)
        self.note_model(name, args)
        if name in ("ModuleList", "Sequential", "ModuleDict", "ParameterList", "ParameterDict"):
            for index, arg in enumerate(args):
                if name == "Sequential" and not (len(args) == 1 and arg.objs and arg.objs[0].kind == "list"):
                    obj.fields[index] = arg
                    value: Val | None = arg
                else:
                    value = (arg.items and arg) or self.iterate(arg, node, 0)
                    if value.items:
                        obj.fields.update(enumerate(value.items))
                    elif arg.objs and arg.objs[0].kind == "dict":
                        obj.fields.update(arg.objs[0].fields)
                    else:
                        obj.elem = value if obj.elem is None else join(obj.elem, value)
                for child in value.objs if value is not None else ():
                    if obj not in child.owners and child is not obj:
                        child.owners += (obj,)
        if name == "Parameter" or name == "Buffer":
            tensor = args[0] if args else UNKNOWN
            obj.name = name
            if tensor.taint.upd:
                self.states[obj] = tensor.taint.upd
            return Val(objs=(obj,), taint=WEIGHTS)
        return of_obj(obj)

    def note_model(self, name: str, args: Args) -> None:
        """Vocabulary and width from the first embedding, depth from the longest list of the script's own modules."""
        model = self.timeline.model
        if name == "Embedding" and len(args) >= 2 and "vocab" not in model:
            vocab, dim = args[0].const, args[1].const
            if isinstance(vocab, int) and isinstance(dim, int):
                model["vocab"], model["dim"] = vocab, dim
        elif name == "ModuleList" and args and args[0].objs and args[0].objs[0].kind == "list":
            made = args[0].objs[0]
            blocks = made.elem is not None and any(o.kind == "inst" for o in made.elem.objs)
            if blocks and isinstance(made.extra, int):
                model["layers"] = max(made.extra, model.get("layers") or 0)

    def call_libmod(self, obj: Obj, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """`module(x)` of a library module."""
        if obj.name == "CrossEntropyLoss" or obj.name == "NLLLoss":
            return FUNCTIONS["cross_entropy"](self, args, kwargs, node, "") or UNKNOWN
        if obj.name == "Sequential":
            value = args[0] if args else UNKNOWN
            for item in [obj.fields[k] for k in sorted(obj.fields, key=str)] or (
                [obj.elem] if obj.elem is not None else []
            ):
                value = self.call_value(item, [value], {}, node)
            return value
        result = self.unknown(*args, *kwargs.values())
        t = join_taint(result.taint, taint(upd=self.states_of(obj)))
        out = of_taint(with_flags(t, DIFF, HASH), result.loops, result.old)
        if args and args[0].axes is not None:
            out = self.laid(out, sequence.of_module(obj, args, kwargs), node)
        if obj in self.hooks:
            self.run_hooks(obj, args, out, node)
        return out
