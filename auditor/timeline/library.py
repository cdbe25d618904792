"""Calls of libraries: what is made, what is kept, and what is unknown.

A call is looked up in `registry` by dotted path, then by its last part; a method by its name. What is not listed is
unknown: the result is made from everything that the call was given.
"""

from __future__ import annotations

import ast
import math

from auditor.timeline import sequence
from auditor.timeline.axes import POSITIONS, Axes, Effect, index_of
from auditor.timeline.network import COMMANDS
from auditor.timeline.registry import FUNCTIONS, METHODS, PATHS, Args, Kwargs
from auditor.timeline.unread import Unread
from auditor.timeline.values import (
    BITS,
    DIFF,
    GRAD,
    HASH,
    JUDGED_PART,
    LOOKED,
    NONE,
    NONE_VAL,
    OUTSIDE,
    PARAMS,
    PLACES,
    UNKNOWN,
    Obj,
    Taint,
    Val,
    constant,
    is_params,
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

_METADATA_METHODS = frozenset(
    [
        "size",
        "numel",
        "dim",
        "ndimension",
        "element_size",
        "is_floating_point",
        "is_contiguous",
        "get_device",
        "nelement",
        "data_ptr",
        "stride",
        "type",
    ]
)

_SHAPE_METHODS = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "reshape",
        "view",
        "astype",
        "type_as",
        "flatten",
        "expand",
        "unsqueeze",
        "squeeze",
        "transpose",
        "permute",
        "contiguous",
        "pin_memory",
        "double",
        "int",
        "long",
        "float",
        "repeat",
        "repeat_interleave",
        "chunk",
        "split",
        "narrow",
        "mean",
        "sum",
        "item",
        "tolist",
        "copy",
        "clone",
        "detach",
        "numpy",
        "bfloat16",
        "half",
        "unbind",
        "round",
    ]
)

_SAME_MEMORY = frozenset(["to", "cuda", "cpu", "contiguous", "detach", "requires_grad_", "view_as", "numpy"])

_TEXT_METHODS = frozenset(
    [
        "lower",
        "upper",
        "strip",
        "split",
        "replace",
        "startswith",
        "endswith",
        "format",
        "join",
        "rstrip",
        "lstrip",
        "encode",
        "decode",
        "partition",
        "rpartition",
        "rsplit",
        "isdigit",
        "title",
        "count",
        "removeprefix",
        "removesuffix",
        "splitlines",
    ]
)

_FOLDING = frozenset({"bitwise_xor_", "mul_", "bitwise_left_shift_"})


def _receiver(call: ast.AST) -> ast.expr | None:
    """What an in-place method is called on; `x` for `x.mul_(a).add_(b)`."""
    view: ast.expr | None = None
    while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.endswith("_"):
        view = call = call.func.value
    return view


def _row_by_row(args: Args) -> bool:
    """Whether `scatter_(dim, index, value)` marks one place in the row of each position: such rows are no table."""
    axes, dim = args[1].axes if len(args) > 1 else None, args[0].const
    if axes is None or axes.kind != "tensor" or not isinstance(dim, int):
        return False
    at = index_of(axes, dim)
    return at is not None and axes.tags[at] == "1" and (len(axes.tags) > 2 or any(c in POSITIONS for c in axes.tags))


class Library(Unread):
    """Library calls and methods of library types."""

    def call_lib(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A call of a library function or class."""
        value = self.called(path, args, kwargs, node)
        parts = self.literal_elements(args[0]) if args and path in sequence.JOINING else None
        if sequence.laid_out(args) or sequence.laid_out(kwargs.values()) or (parts and sequence.laid_out(parts)):
            effect = sequence.of_function(path, args, kwargs, parts)
            value = self.stateful(value, effect, args, kwargs, node) or self.laid(value, effect, node)
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
        last = path.rpartition(".")[2]
        self.note_outside(path, args, node)
        native = self.native_module(path)
        if native is not None:
            return native
        handler = PATHS.get(path) or FUNCTIONS.get(last)
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
        return self.unknown(*values)

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
            return Val(objs=(obj,), taint=taint(flags=PARAMS | DIFF))
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

    def value_method(self, base: Val, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A method of a tensor, array, text, or a value that is not known."""
        value = self.method_value(base, name, args, kwargs, node)
        if base.axes is not None or sequence.laid_out(args):
            if name == "size" and base.axes is not None:
                return self.size_of(base.axes, args)
            value = self.laid(value, sequence.of_method(name, base, args, kwargs), node)
        return value

    def size_of(self, axes: Axes, args: Args) -> Val:
        """`t.size()`, `t.size(dim)`."""
        sizes = tuple(Val(axes=Axes(tag, "size")) for tag in axes.tags)
        at = args[0].const if args else None
        if not args:
            return Val(items=sizes)
        return sizes[at] if isinstance(at, int) and -len(sizes) <= at < len(sizes) else UNKNOWN

    def method_value(self, base: Val, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """What a method returns."""
        handler = METHODS.get(name)
        if handler is not None:
            result = handler(self, base, args, kwargs, node)
            if result is not None:
                return result
        if isinstance(base.const, (str, bytes)):
            return self.text_method(base, name, args)
        if name in _METADATA_METHODS:
            return UNKNOWN
        tensors = [o for o in base.objs if o.kind == "tensor"]
        if name.endswith("_") and not name.endswith("__"):
            return self.in_place(base, tensors, name, args, kwargs, node)
        receiver = base.taint if not base.objs else self.content(base)
        if not args and not kwargs:
            if tensors and name in _SAME_MEMORY:
                return base
            return (
                Val(lin=base.lin, loops=base.loops, old=base.old, taint=receiver)
                if base.lin is not None
                else of_taint(receiver, base.loops, base.old)
            )
        if name in _SHAPE_METHODS:
            if tensors and len(tensors) == len(base.objs) and name in ("to", "cuda", "cpu"):
                return base
            return Val(lin=base.lin, loops=base.loops, old=base.old, taint=receiver)
        result = self.apply_unknown([of_taint(receiver, base.loops, base.old), *args], kwargs, node)
        return result

    def in_place(self, base: Val, tensors: list[Obj], name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """`t.add_(x)` and its like."""
        if name == "requires_grad_":
            return base
        if is_params(base):
            if name not in ("zero_", "normal_", "uniform_", "fill_", "clamp_", "requires_grad_"):
                for arg in [*args, *kwargs.values()]:
                    self.write_parameters(base, arg, node)
            return base
        t = NONE
        for arg in [*args, *kwargs.values()]:
            t = join_taint(t, self.content(arg))
        if self.choosing and t.nll:
            t = self.choice(node, t, bool(self.choosing & JUDGED_PART))
        view = _receiver(node)
        containers: list[Obj] = []
        if not tensors and isinstance(view, ast.Subscript):  # a slice is a view of its tensor
            whole = self.ev(view.value).objs
            tensors = [o for o in whole if o.kind == "tensor"]
            containers = [o for o in whole if o.kind in ("dict", "list")]
        for obj in tensors:
            if name in ("zero_",):
                if not self.weak:
                    obj.content = NONE
                    self.touch(obj)
            elif t is not NONE:
                if name in ("scatter_add_", "index_add_", "index_put_", "scatter_", "scatter_reduce_") and args:
                    index = self.key_of(args[1] if len(args) > 1 and name not in ("index_put_",) else args[0])
                    counts = any(r.split == "val" for r in index.toks) and not index.flags & (DIFF | PLACES)
                    one_hot = name in ("scatter_", "scatter_add_") and _row_by_row(args)
                    one_hot |= name == "scatter_" and self.answers(obj, index)
                    self.write_tensor(obj, t, index, counts and not one_hot, node)
                else:
                    self.add_content(
                        obj, with_flags(t, HASH if name in _FOLDING and t.toks and not t.flags & DIFF else 0)
                    )
                    if t.upd:
                        self.add_state(obj, t.upd)
        if tensors:
            return base
        value = of_taint(join_taint(self.content(base), t), base.loops, base.old)
        if not base.objs and t is not NONE:
            if isinstance(view, ast.Name):
                self.assign_name(view.id, value)
            for obj in containers if t.upd else ():
                self.store_elem(obj, value)
        return value

    def answers(self, obj: Obj, index: Taint) -> bool:
        """Whether an array made in this iteration is marked where a look-up said: no table of tokens."""
        return bool(index.flags & LOOKED and self.loops and obj.born > self.loops[-1].births)

    def text_method(self, base: Val, name: str, args: Args) -> Val:
        """Methods of known text, folded when they are harmless."""
        if (
            name in _TEXT_METHODS
            and not (name == "replace" and len(args) > 1 and len(str(args[1].const)) > 100)
            and not (name == "format" and ":" in str(base.const))
            and all(isinstance(a.const, (str, int, bytes, type(None))) for a in args)
            and len(base.const) < 200_000
        ):
            try:
                result = getattr(base.const, name)(*(a.const for a in args))
            except Exception:
                return of_taint(base.taint)
            if isinstance(result, (list, tuple)):
                return Val(items=tuple(Val(const=r, taint=self.path_taint(r)) for r in result[:256]))
            return Val(const=result, taint=join_taint(base.taint, self.path_taint(result)))
        return self.unknown(base, *args)
