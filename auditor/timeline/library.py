"""Models of the libraries that submissions use: what a call does to values, tokens and state.

`call_lib` is keyed by dotted path, then by its last part; `value_method` by method name. What is not listed is
unknown: the result is made from everything that the call was given.
"""

from __future__ import annotations

import ast
import math
import os.path
from collections.abc import Callable
from typing import Any

from auditor.timeline.objects import Objects
from auditor.timeline.values import (
    BITS,
    DIFF,
    GRAD,
    HANDLE,
    HASH,
    NOCONST,
    NONE,
    NONE_VAL,
    NORMED,
    PARAMS,
    PATH_TRAIN,
    PATH_VAL,
    PROB,
    STATE,
    UNKNOWN,
    VOCAB,
    Carried,
    Obj,
    Region,
    Taint,
    Val,
    constant,
    join,
    is_params,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
    vary,
    with_flags,
)

from auditor.program.linear import ZERO, Linear, atom

VAL_STREAM = taint(toks=frozenset((Region("val", start=ZERO),)))
TRAIN_STREAM = NONE  # training tokens are of no interest
NO_TOKENS = -1

Args = list[Val]
Kwargs = dict[str, Val]

SCALAR_TYPES = {"int": int, "float": float, "str": str, "bool": bool}
PURE_MATH = {
    "log": math.log, "log2": math.log2, "log10": math.log10, "sqrt": math.sqrt, "exp": math.exp, "cos": math.cos, "sin": math.sin,
    "pi": None, "ceil": math.ceil, "floor": math.floor, "pow": math.pow, "isqrt": math.isqrt, "log1p": math.log1p, "prod": None,
}
ALLOCATORS = frozenset(
    "zeros empty ones full zeros_like empty_like ones_like full_like rand randn rand_like randn_like randint new_zeros new_empty new_full"
    " new_ones eye".split()
)
OPTIMIZERS = frozenset("SGD Adam AdamW RMSprop Adagrad LBFGS NAdam RAdam Adamax Muon Lion Rprop ASGD SparseAdam Adadelta AdamW8bit Adafactor".split())
IDENTITY_CALLS = frozenset(
    "torch.compile torch.jit.script torch.nn.parallel.DistributedDataParallel torch.nn.DataParallel torch.no_grad torch.inference_mode"
    " torch.enable_grad torch.compiler.disable torch._dynamo.disable numba.njit numba.jit functools.lru_cache functools.cache functools.wraps"
    " torch.jit.ignore torch.nn.utils.weight_norm torch.compiler.allow_in_graph torch.distributed.fsdp.FullyShardedDataParallel".split()
)
SILENT = frozenset(
    "builtins.noop torch.cuda.synchronize torch.manual_seed torch.distributed.barrier torch.distributed.destroy_process_group"
    " torch.distributed.init_process_group torch.cuda.set_device torch.cuda.empty_cache gc.collect".split()
)
FLOW_FREE = frozenset("shuffle randperm permutation manual_seed seed time perf_counter".split())


class Library(Objects):
    """Library calls and methods of library types."""

    # provided by Calls
    def call_function(self, fn: Obj, args: Args, kwargs: Kwargs, node: ast.AST, self_val: Val | None = None) -> Val:
        raise NotImplementedError

    # ---- environment and files -----------------------------------------------------------------------

    def read_env(self, key: Val, default: Val | None, node: ast.AST) -> Val:
        """`os.environ.get(key, default)` under the effective configuration."""
        name = key.const
        line = getattr(node, "lineno", 0)
        if not isinstance(name, str):
            return UNKNOWN
        if name in self.env:
            value, source = self.env[name]
            given = default.const if default is not None and default.const is not NOCONST else "<unset>"
            self.config_read(name, value, source, line, _LAUNCH.get(name, given))
            return Val(const=value, taint=self.path_taint(value))
        if name in _LAUNCH:
            return constant(_LAUNCH[name])
        if default is None:
            return NONE_VAL
        if default.const is not NOCONST:
            self.config_read(name, "" if default.const is None else default.const, f"default:L{line}", line)
        return default

    def write_env(self, key: Val, value: Val, node: ast.AST, override: bool) -> None:
        name = key.const
        if isinstance(name, str) and value.const is not NOCONST and (override or name not in self.env):
            line = getattr(node, "lineno", 0)
            changed = dict(self.env)
            changed[name] = (str(value.const), f"default:L{line}")
            self.env = changed

    def path_taint(self, text: Any) -> Taint:
        """Files are recognised by their path: the data contract of the challenge names the split in it."""
        if not isinstance(text, str):
            return NONE
        return _path_taint(text)

    def open_file(self, path: Val, mode: Val | None) -> Val:
        """`open(path, mode)`: a handle that remembers the path."""
        obj = Obj("file", "file", -2, extra=path)
        return Val(objs=(obj,), taint=self.content(path))

    def file_key(self, path: Val) -> Any:
        if isinstance(path.const, str):
            return os.path.basename(path.const)
        for obj in path.objs:
            if obj.kind == "path" and isinstance(obj.extra, str):
                return os.path.basename(obj.extra)
            if obj.kind == "file":
                return self.file_key(obj.extra)
        return "*"

    def write_file(self, path: Val, t: Taint) -> None:
        """Content goes to disk, or into a buffer."""
        t = taint(t.toks, t.upd, t.deps, frozenset(), t.counts, t.flags & (STATE | GRAD))
        for obj in path.objs:
            if obj.kind == "tensor":
                self.add_content(obj, t)
                return
        self.effects += 1
        key = self.file_key(path)
        self.files[key] = t if not self.weak else join_taint(self.files.get(key, NONE), t)

    def read_file(self, path: Val, node: ast.AST) -> Val:
        """Content comes from disk: tokens of a split, or what the script wrote before."""
        flags = self.content(path).flags
        for obj in path.objs:
            if obj.kind == "file":
                flags |= self.content(obj.extra).flags
            if obj.kind == "tensor" and obj.content is not NONE:
                return of_taint(with_flags(obj.content, drop=HANDLE))
        loops = path.loops
        if flags & PATH_VAL:
            t = VAL_STREAM
            return of_taint(t if not loops else taint(frozenset((Region("val", loops, 0, ZERO),))), loops)
        if flags & PATH_TRAIN:
            return of_taint(TRAIN_STREAM)
        key = self.file_key(path)
        t = self.files.get(key, NONE)
        if key == "*":
            for written in self.files.values():
                t = join_taint(t, written)
        else:
            t = join_taint(t, self.files.get("*", NONE))
        return of_taint(t, self.innermost())

    # ---- library functions ---------------------------------------------------------------------------

    def call_lib(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A call of a library function or class."""
        last = path.rpartition(".")[2]
        handler = _PATHS.get(path) or _FUNCTIONS.get(last)
        if handler is not None:
            result = handler(self, args, kwargs, node, path)
            if result is not None:
                return result
        if path in IDENTITY_CALLS or (path.startswith("torch.") and last in ("compile", "DistributedDataParallel")):
            if args:
                return args[0]
            return of_obj(self.lib_object("builtins.identity"))
        if last in OPTIMIZERS or path.startswith("torch.optim.") and last[:1].isupper():
            if "lr_scheduler" in path:
                return UNKNOWN
            return self.new_optimizer(last, args, kwargs, node)
        if last in ALLOCATORS and (path.startswith(("torch.", "numpy.", "cupy."))):
            return self.new_tensor(last, args, node)
        if path.startswith("torch.nn.") and last[:1].isupper():
            return self.new_libmod(last, args, node)
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
        result = self.apply_unknown(args, kwargs, node)
        if last in ("log2",) and result.taint.nll:
            result = retaint(result, with_flags(result.taint, BITS))
        return result

    def apply_unknown(self, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A call of which nothing is known; predictions met with validation targets give losses."""
        values = [*args, *kwargs.values()]
        contents = [self.content(v) for v in values]
        predictions = [t for t in contents if t.flags & DIFF and t.toks and not t.nll and not t.flags & GRAD]
        if predictions:
            targets = [t for t in contents if not t.flags & DIFF and not t.nll and any(r.split == "val" for r in t.toks)]
            if targets:
                scored = NONE
                for p in predictions:
                    for target in targets:
                        scored = join_taint(scored, self.score_event(node, p, target))
                return of_taint(scored)
        return self.unknown(*values)

    def new_tensor(self, name: str, args: Args, node: ast.AST) -> Val:
        """A fresh tensor or array."""
        obj = self.alloc("tensor", self.target_name(node, name), node)
        if name.startswith("full") and len(args) > 1:
            self.add_content(obj, self.content(args[1]))
        return of_obj(obj)

    def target_name(self, node: ast.AST, default: str) -> str:
        """Name of the variable that a new object is assigned to, for the reader."""
        return getattr(node, "pgolf_name", default)

    def new_optimizer(self, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        obj = self.alloc("opt", name, node)
        holders: dict[Obj, None] = {}
        for v in [*args[:1], *([kwargs["params"]] if "params" in kwargs else [])]:
            self.collect_holders(v, holders, 0)
        obj.extra = tuple(holders) if obj.extra is None else tuple(dict.fromkeys((*obj.extra, *holders)))
        return of_obj(obj)

    def collect_holders(self, v: Val, out: dict[Obj, None], depth: int) -> None:
        """Objects whose parameters a value stands for."""
        for item in v.items or ():
            self.collect_holders(item, out, depth + 1)
        for obj in v.objs:
            if obj.kind in ("inst", "libmod", "tensor"):
                out[obj] = None
            elif obj.kind in ("list", "dict") and depth < 6:
                if obj.elem is not None:
                    self.collect_holders(obj.elem, out, depth + 1)
                for item in obj.fields.values():
                    self.collect_holders(item, out, depth + 1)
            elif obj.kind == "opt" and obj.extra:
                out.update(dict.fromkeys(obj.extra))

    def new_libmod(self, name: str, args: Args, node: ast.AST) -> Val:
        obj = self.alloc("libmod", name, node)
        self.note_model(name, args)
        if name in ("ModuleList", "Sequential", "ModuleDict", "ParameterList", "ParameterDict"):
            for index, arg in enumerate(args):
                if name == "Sequential" and not (len(args) == 1 and arg.objs and arg.objs[0].kind == "list"):
                    obj.fields[index] = arg
                    value: Val | None = arg
                else:
                    value = arg.items and arg or self.iterate(arg, node, 0)
                    if value.items:
                        obj.fields.update(enumerate(value.items))
                    elif arg.objs and arg.objs[0].kind == "dict":
                        obj.fields.update(arg.objs[0].fields)
                    else:
                        obj.elem = value if obj.elem is None else join(obj.elem, value)
                for child in (value.objs if value is not None else ()):
                    if obj not in child.owners and child is not obj:
                        child.owners += (obj,)
        if name == "Parameter" or name == "Buffer":
            tensor = args[0] if args else UNKNOWN
            obj.name = self.target_name(node, name)
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
            return _cross_entropy(self, args, kwargs, node, "")  # type: ignore[return-value]
        if obj.name == "Sequential":
            value = args[0] if args else UNKNOWN
            for item in [obj.fields[k] for k in sorted(obj.fields, key=str)] or ([obj.elem] if obj.elem is not None else []):
                value = self.call_value(item, [value], {}, node)
            return value
        result = self.unknown(*args, *kwargs.values())
        t = join_taint(result.taint, taint(upd=self.states_of(obj)))
        out = of_taint(with_flags(t, DIFF, HASH), result.loops, result.old)
        if obj in self.hooks:
            self.run_hooks(obj, args, out, node)
        return out

    def run_hooks(self, obj: Obj, args: Args, result: Val, node: ast.AST) -> None:
        raise NotImplementedError

    # ---- training ------------------------------------------------------------------------------------

    def backward(self, v: Val, node: ast.AST) -> None:
        """`loss.backward()`: a gradient of validation tokens becomes pending."""
        t = self.content(v)
        self.effects += 1
        regions = set(t.toks)
        for number in t.nll:
            regions |= self.score_list[number].regions
        event = self.update_event("gradient", node, regions, t.nll)
        self.pending = frozenset((event.number,)) if event is not None else frozenset()

    def optimizer_step(self, obj: Obj, node: ast.AST) -> None:
        """`optimizer.step()`: the pending gradient reaches the parameters."""
        if not self.pending:
            return
        holders = obj.extra or tuple(self.val_models)
        self.apply_pending(holders, obj.name, node)

    def apply_pending(self, holders: tuple[Obj, ...], optimizer: str, node: ast.AST) -> None:
        upd = frozenset(Carried(u, 0) for u in self.pending)
        for number in self.pending:
            event = self.update_list[number]
            event.optimizer = event.optimizer or optimizer
        for holder in holders:
            self.add_state(holder, upd)
        for number in self.pending:
            self.note_applied(number, node, Val(objs=holders))

    # ---- methods of values ---------------------------------------------------------------------------

    def value_method(self, base: Val, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A method of a tensor, array, text, or a value that is not known."""
        handler = _METHODS.get(name)
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
            if tensors and name in ("to", "cuda", "cpu", "contiguous", "detach", "requires_grad_", "view_as"):
                return base
            return Val(lin=base.lin, loops=base.loops, old=base.old, taint=receiver) if base.lin is not None else of_taint(receiver, base.loops, base.old)
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
        view = getattr(getattr(node, "func", None), "value", None)
        if not tensors and isinstance(view, ast.Subscript):  # a slice is a view of its tensor
            tensors = [o for o in self.ev(view.value).objs if o.kind == "tensor"]
        for obj in tensors:
            if name in ("zero_",):
                if not self.weak:
                    obj.content = NONE
                    self.touch(obj)
            elif t is not NONE:
                if name in ("scatter_add_", "index_add_", "index_put_", "scatter_", "scatter_reduce_") and args:
                    index = self.content(args[1] if len(args) > 1 and name not in ("index_put_",) else args[0])
                    self.write_tensor(obj, t, index, any(r.split == "val" for r in index.toks) and not index.flags & DIFF, node)
                else:
                    self.add_content(obj, with_flags(t, HASH if name in _FOLDING and t.toks and not t.flags & DIFF else 0))
                    if t.upd:
                        self.add_state(obj, t.upd)
        if tensors:
            return base
        target = getattr(node, "func", None)
        value = of_taint(join_taint(self.content(base), t), base.loops, base.old)
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and not base.objs and t is not NONE:
            self.assign_name(target.value.id, value)
        return value

    def text_method(self, base: Val, name: str, args: Args) -> Val:
        """Methods of known text, folded when they are harmless."""
        if name in _TEXT_METHODS and all(isinstance(a.const, (str, int, bytes, type(None))) for a in args) and len(base.const) < 200_000:
            try:
                result = getattr(base.const, name)(*(a.const for a in args))
            except Exception:
                return of_taint(base.taint)
            if isinstance(result, (list, tuple)):
                return Val(items=tuple(Val(const=r, taint=self.path_taint(r)) for r in result[:256]))
            return Val(const=result, taint=join_taint(base.taint, self.path_taint(result)))
        return self.unknown(base, *args)


_LAUNCH = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8", "NODE_RANK": "0"}
_FOLDING = frozenset({"bitwise_xor_", "mul_", "bitwise_left_shift_"})
_METADATA_METHODS = frozenset(
    "size numel dim ndimension element_size is_floating_point is_contiguous get_device nelement data_ptr stride type".split()
)
_SHAPE_METHODS = frozenset(
    "to cuda cpu reshape view astype type_as flatten expand unsqueeze squeeze transpose permute contiguous pin_memory double int long float"
    " repeat repeat_interleave chunk split narrow mean sum item tolist copy clone detach numpy bfloat16 half unbind round".split()
)
_TEXT_METHODS = frozenset(
    "lower upper strip split replace startswith endswith format join rstrip lstrip encode decode partition rpartition rsplit isdigit title count"
    " removeprefix removesuffix splitlines".split()
)


def _path_taint(text: str) -> Taint:
    name = os.path.basename(text.rstrip("/"))
    lowered = name.lower()
    flags = 0
    if _is_split(lowered, _VAL_WORDS):
        flags |= PATH_VAL
    if _is_split(lowered, ("train",)):
        flags |= PATH_TRAIN
    if not flags or lowered.endswith((".py", ".txt", ".log", ".json", ".model", ".pt", ".ptz", ".md", ".vocab")):
        return NONE
    if not (lowered.endswith((".bin", ".npy", ".parquet", ".zst", ".raw", "*")) or "fineweb" in text or "*" in name):
        return NONE
    return taint(flags=flags)


_VAL_WORDS = ("val", "valid", "validation")


def _is_split(name: str, words: tuple[str, ...]) -> bool:
    parts = name.replace("-", "_").replace(".", "_").replace("*", "_").replace("[", "_").split("_")
    return any(p in words or p.rstrip("0123456789") in words for p in parts)


def _cross_entropy(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    logits = args[0] if args else kwargs.get("input", UNKNOWN)
    target = args[1] if len(args) > 1 else kwargs.get("target", kwargs.get("labels", UNKNOWN))
    for v in args[2:]:
        if self.content(v).toks and not self.content(target).toks:
            target = v
    p = self.content(logits)
    out = self.score_event(node, p, self.content(target))
    return of_taint(with_flags(out, drop=VOCAB), logits.loops | target.loops, logits.old | target.old)


def _softmax(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    return retaint(v, with_flags(v.taint, VOCAB | NORMED)) if v.taint is not NONE else v


def _gather(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return None
    return _m_gather(self, args[0], args[1:], kwargs, node)


def _m_gather(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    index = kwargs.get("index") or (args[1] if len(args) > 1 else args[0] if args else UNKNOWN)
    t, key = self.content(base), self.content(index)
    if not any(r.split == "val" for r in key.toks) or key.nll or key.flags & DIFF:
        return self.unknown(base, index)
    if t.flags & DIFF and t.toks and not t.nll:
        scored = self.score_event(node, t, key)
        return of_taint(with_flags(scored, PROB, VOCAB), base.loops | index.loops, base.old | index.old)
    table = next((o for o in base.objs if o.kind == "tensor"), None)
    return self.table_read(table, Val(taint=t), index, key, node, exact=False)


def _glob(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("list", "list", node)
    t = self.content(args[0]) if args else NONE
    self.store_elem(obj, of_taint(t))
    return Val(objs=(obj,), taint=t)


def _reader(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.read_file(args[0] if args else kwargs.get("file", kwargs.get("f", UNKNOWN)), node)


def _open(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.open_file(args[0] if args else UNKNOWN, args[1] if len(args) > 1 else kwargs.get("mode"))


def _save(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1:
        data, target = (args[1], args[0]) if path.startswith("numpy") else (args[0], args[1])
        self.write_file(target, self.content(data))
    return NONE_VAL


def _buffer(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("tensor", "buffer", node)
    if args:
        self.add_content(obj, self.content(args[0]))
    return of_obj(obj)


def _path(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return self.new_path(None, NONE)
    if args[0].objs and args[0].objs[0].kind == "path":
        return args[0]
    parts = [a.const for a in args]
    text = "/".join(parts) if all(isinstance(p, str) for p in parts) else None
    return self.new_path(text, self.content(args[0]))


def _path_join(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if args and all(isinstance(a.const, str) for a in args):
        text = os.path.join(*(a.const for a in args))
        return Val(const=text, taint=self.path_taint(text))
    t = NONE
    for a in args:
        t = join_taint(t, self.content(a))
        t = join_taint(t, self.path_taint(a.const))
    return of_taint(t)


def _environ_get(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    default = args[1] if len(args) > 1 else kwargs.get("default")
    return self.read_env(args[0] if args else UNKNOWN, default if default is not None else NONE_VAL, node)


def _environ_setdefault(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1:
        self.write_env(args[0], args[1], node, override=False)
        return self.read_env(args[0], args[1], node)
    return UNKNOWN


def _environ_update(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    for arg in args:
        for obj in arg.objs:
            if obj.kind == "dict":
                for key, value in obj.fields.items():
                    self.write_env(constant(key), value, node, override=True)
    return NONE_VAL


def _scalar(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return constant(SCALAR_TYPES[path.rpartition(".")[2]]())
    v = args[0]
    if v.const is not NOCONST and len(args) == 1:
        try:
            return Val(const=(made := SCALAR_TYPES[path.rpartition(".")[2]](v.const)), lin=constant(made).lin, loops=v.loops, taint=v.taint)
        except (ValueError, TypeError, OverflowError):
            return UNKNOWN
    t = self.content(v)
    if path.endswith("str"):
        return of_taint(t, v.loops, v.old)
    return Val(lin=v.lin, loops=v.loops, old=v.old, taint=t)


def _len(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if args and isinstance(args[0].const, (str, bytes)):
        return constant(len(args[0].const))
    if args and args[0].items is not None:
        return constant(len(args[0].items))
    if args and len(args[0].objs) == 1 and args[0].objs[0].kind == "list":
        elements = self.literal_elements(args[0])
        if elements and not self.weak:
            return constant(len(elements))
    return Val(lin=atom(self.fresh_atom(node)), loops=args[0].loops if args else 0)


def _minmax(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1 and all(isinstance(a.const, (int, float)) for a in args):
        return constant((min if path.endswith("min") else max)(a.const for a in args))
    v = self.unknown(*args)
    if len(args) == 1:
        v = self.unknown(self.iterate(args[0], node, 0))
    return Val(lin=atom(self.fresh_atom(node)), loops=v.loops, old=v.old, taint=v.taint)


def _range(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    obj = self.alloc("range", "range", node)
    obj.extra = None
    if args and all(isinstance(a.const, int) for a in args) and len(args) <= 3:
        try:
            obj.extra = len(range(*(int(a.const) for a in args)))
        except ValueError:
            obj.extra = None
    return Val(objs=(obj,), loops=v.loops, old=v.old, taint=v.taint)


def _enumerate(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return UNKNOWN
    obj = self.alloc("list", "list", node)
    elements = self.literal_elements(args[0])
    if elements is not None and len(elements) <= 4:
        for index, element in enumerate(elements):
            obj.fields[index] = Val(items=(constant(index), element))
    else:
        counter = Val(lin=atom(self.fresh_atom(node)))
        self.store_elem(obj, Val(items=(counter, self.iterate(args[0], node, 0))))
    return Val(objs=(obj,), loops=args[0].loops, old=args[0].old)


def _zip(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("list", "list", node)
    self.store_elem(obj, Val(items=tuple(self.iterate(a, a_node, 0) for a, a_node in zip(args, _arg_nodes(node, args), strict=True))))
    return of_obj(obj)


def _arg_nodes(node: ast.AST, args: Args) -> list[ast.AST]:
    nodes = list(getattr(node, "args", []))
    return nodes if len(nodes) == len(args) else [node] * len(args)


def _sequence(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    last = path.rpartition(".")[2]
    if not args:
        return Val(items=()) if last == "tuple" else of_obj(self.alloc("list", "list", node))
    v = args[0]
    if v.items is not None:
        if last == "tuple":
            return v
        obj = self.alloc("list", "list", node)
        obj.fields.update(enumerate(v.items))
        return of_obj(obj)
    if v.objs and v.objs[0].kind in ("list", "opt"):
        return v
    obj = self.alloc("list", "list", node)
    self.store_elem(obj, self.iterate(v, node, 0))
    return Val(objs=(obj,), loops=v.loops, old=v.old, taint=with_flags(v.taint))


def _dict(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("dict", "dict", node)
    for v in args:
        for other in v.objs:
            if other.kind == "dict":
                obj.fields.update(other.fields)
                if other.elem is not None:
                    self.store_elem(obj, other.elem)
            elif other.kind == "list" and other.elem is not None and other.elem.items and len(other.elem.items) == 2:
                self.store_elem(obj, other.elem.items[1])
    for name, value in kwargs.items():
        self.store_field(obj, name, value)
    return of_obj(obj)


def _print(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    t = NONE
    for v in [*args, *kwargs.values()]:
        t = join_taint(t, self.content(v))
    if t.nll:
        frame = self.frame
        line, text = getattr(node, "lineno", 0), ""
        inner = getattr(node, "args", [])
        params = {a.arg for a in frame.node.args.args} if isinstance(frame.node, ast.FunctionDef | ast.Lambda) else set()
        if frame.caller is not None and any(isinstance(n, ast.Name) and n.id in params for a in inner for n in ast.walk(a)):
            saved, self.frame = self.frame, frame.caller
            self.report(node, t, bool(t.flags & BITS), frame.call_line, text)
            self.frame = saved
        else:
            self.report(node, t, bool(t.flags & BITS), line, text)
    return NONE_VAL


def _isinstance(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return UNKNOWN


def _hasattr(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1 and isinstance(args[1].const, str) and len(args[0].objs) == 1 and args[0].objs[0].kind == "inst":
        obj = args[0].objs[0]
        if args[1].const in obj.fields or self.class_attribute(obj.extra, args[1].const) is not None:
            return constant(True)
        if not self.is_module(obj):
            return UNKNOWN
    return UNKNOWN


def _getattr(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1 and isinstance(args[1].const, str):
        obj = args[0].objs[0] if len(args[0].objs) == 1 else None
        if len(args) > 2 and obj is not None and obj.kind == "inst" and args[1].const not in obj.fields and self.class_attribute(obj.extra, args[1].const) is None:
            return args[2]
        return self.attribute(args[0], args[1].const, node)
    return self.unknown(*args)


def _setattr(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 2 and isinstance(args[1].const, str):
        self.set_attribute(args[0], args[1].const, args[2], node)
    return NONE_VAL


def _deepcopy(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args or len(args[0].objs) != 1:
        return args[0] if args else None
    source = args[0].objs[0]
    if source.kind not in ("inst", "libmod", "tensor", "list", "dict"):
        return args[0]
    obj = self.alloc(source.kind, source.name, node, node=source.node, extra=source.extra)
    obj.fields = dict(source.fields)
    obj.elem = source.elem
    obj.content = source.content
    if source in self.states:
        self.states[obj] = self.states_of(source)
    return Val(objs=(obj,), taint=args[0].taint)


def _grad(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return None
    loss = self.content(args[0] if not args[0].items else args[0])
    regions = set(loss.toks)
    for number in loss.nll:
        regions |= self.score_list[number].regions
    event = self.update_event("gradient", node, regions, loss.nll)
    pending = frozenset((event.number,)) if event is not None else frozenset()
    return self.gradient(pending, GRAD)


def _bincount(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("tensor", "bincount", node)
    key = self.content(args[0]) if args else NONE
    if any(r.split == "val" for r in key.toks) and not key.flags & DIFF:
        self.count_write(obj, key, node)
    return of_obj(obj)


def _add_at(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if path.endswith((".add.at", ".maximum.at", ".subtract.at")) and len(args) > 1:
        key = self.content(args[1])
        is_val = any(r.split == "val" for r in key.toks) and not key.flags & DIFF
        for obj in args[0].objs:
            if obj.kind in ("tensor", "dict"):
                self.write_tensor(obj, self.content(args[2]) if len(args) > 2 else NONE, key, is_val, node)
        return NONE_VAL
    return None


def _partial(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("partial", "partial", node)
    obj.extra = (args, kwargs)
    return of_obj(obj)


def _where(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) == 3:
        self.note_mix(self.content(args[1]), self.content(args[2]), node)
        picked = join(of_taint(self.content(args[1]), args[1].loops, args[1].old), of_taint(self.content(args[2]), args[2].loops, args[2].old))
        condition = self.content(args[0])
        return retaint(picked, join_taint(picked.taint, taint(deps=condition.deps, upd=condition.upd)))
    return None


def _binary_fn(op: type) -> Callable[[Library, Args, Kwargs, ast.AST, str], Val | None]:
    def model(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
        return self.binary(op, args[0], args[1], node) if len(args) == 2 else None

    return model


def _arange(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    start = args[0].lin if len(args) > 1 else ZERO
    return Val(lin=start, loops=v.loops, old=v.old, taint=v.taint)


def _stack(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return of_taint(self.content(args[0]), args[0].loops, args[0].old) if args else UNKNOWN


def _kept(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`np.asarray(x)`, `torch.from_numpy(x)`: the same content, the same positions."""
    if not args:
        return None
    v = args[0]
    if v.const is not NOCONST and not v.objs:
        return of_obj(self.alloc("tensor", self.target_name(node, "tensor"), node))
    if v.objs and any(o.kind in ("tensor", "inst") for o in v.objs):
        return v
    return Val(lin=v.lin, loops=v.loops, old=v.old, taint=self.content(v))


def _world(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return constant(8 if path.endswith("world_size") else 0)


def _true(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return constant(True)


def _identity(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return args[0] if args else UNKNOWN


def _map(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) < 2:
        return UNKNOWN
    obj = self.alloc("list", "list", node)
    self.store_elem(obj, self.call_value(args[0], [self.iterate(a, node, 0) for a in args[1:]], {}, node))
    return of_obj(obj)


def _defaultdict(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("dict", self.target_name(node, "dict"), node)
    if args and path.endswith("defaultdict"):
        made = self.call_value(args[0], [], {}, node)
        if made.objs:
            self.store_elem(obj, made)
    return of_obj(obj)


def _deque(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return _sequence(self, args, kwargs, node, "builtins.list")


def _namespace(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    cls = Obj("class", "SimpleNamespace", -3, extra={"bases": (), "module": False})
    obj = self.alloc("inst", "SimpleNamespace", node, extra=cls)
    obj.fields.update(kwargs)
    return of_obj(obj)


def _sum(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if args and path == "builtins.sum":
        return self.unknown(self.iterate(args[0], node, 0))
    return None


def _kl(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    return retaint(v, with_flags(v.taint, drop=VOCAB))


def _next(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.iterate(args[0], node, self.innermost()) if args else None


def _all_gather(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """Every rank holds what this one holds."""
    if len(args) > 1:
        target, value = (args[1], args[0]) if path.endswith("gather_object") and "all_" not in path else (args[0], args[1])
        for obj in target.objs:
            if obj.kind == "list":
                self.store_elem(obj, value)
            elif obj.kind == "tensor":
                self.add_content(obj, self.content(value))
    return NONE_VAL


def _field(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`dataclasses.field`: the default, made anew for each instance."""
    obj = self.alloc("field", "field", node)
    obj.extra = kwargs.get("default_factory")
    return kwargs.get("default", of_obj(obj))


def _functional_call(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) < 3:
        return None
    inner = list(args[2].items) if args[2].items is not None else [args[2]]
    out = self.call_value(args[0], inner, args[3].objs[0].fields if len(args) > 3 and args[3].objs else {}, node)
    state = self.content(args[1])
    return retaint(out, join_taint(out.taint, taint(upd=state.upd)))


Handler = Callable[[Library, Args, Kwargs, ast.AST, str], Val | None]
_PATHS: dict[str, Handler] = {
    "os.environ.get": _environ_get,
    "os.getenv": _environ_get,
    "os.environ.setdefault": _environ_setdefault,
    "os.environ.update": _environ_update,
    "os.path.join": _path_join,
    "glob.glob": _glob,
    "glob.iglob": _glob,
    "builtins.open": _open,
    "io.BytesIO": _buffer,
    "io.StringIO": _buffer,
    "torch.autograd.grad": _grad,
    "builtins.int": _scalar,
    "builtins.float": _scalar,
    "builtins.str": _scalar,
    "builtins.bool": _scalar,
    "builtins.len": _len,
    "builtins.min": _minmax,
    "builtins.max": _minmax,
    "builtins.range": _range,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.map": _map,
    "builtins.sum": _sum,
    "builtins.sorted": _sequence,
    "builtins.list": _sequence,
    "builtins.tuple": _sequence,
    "builtins.set": _sequence,
    "builtins.frozenset": _sequence,
    "builtins.iter": _identity,
    "torch.distributed.all_gather_object": _all_gather,
    "torch.distributed.all_gather": _all_gather,
    "torch.distributed.gather_object": _all_gather,
    "torch.distributed.all_gather_into_tensor": _all_gather,
    "builtins.next": _next,
    "builtins.reversed": _sequence,
    "builtins.dict": _dict,
    "builtins.print": _print,
    "builtins.isinstance": _isinstance,
    "builtins.hasattr": _hasattr,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.identity": _identity,
    "copy.deepcopy": _deepcopy,
    "copy.copy": _deepcopy,
    "collections.defaultdict": _defaultdict,
    "collections.Counter": _defaultdict,
    "collections.OrderedDict": _dict,
    "collections.deque": _deque,
    "types.SimpleNamespace": _namespace,
    "functools.partial": _partial,
    "dataclasses.field": _field,
    "pathlib.Path": _path,
    "tqdm.tqdm": _identity,
    "tqdm.auto.tqdm": _identity,
    "torch.where": _where,
    "numpy.where": _where,
    "torch.arange": _arange,
    "numpy.arange": _arange,
    "torch.stack": _stack,
    "torch.cat": _stack,
    "numpy.concatenate": _stack,
    "numpy.stack": _stack,
    "torch.tensor": _kept,
    "torch.as_tensor": _kept,
    "torch.from_numpy": _kept,
    "numpy.array": _kept,
    "numpy.asarray": _kept,
    "numpy.ascontiguousarray": _kept,
    "numpy.int64": _kept,
    "numpy.uint64": _kept,
    "numpy.bitwise_xor": _binary_fn(ast.BitXor),
    "torch.bitwise_xor": _binary_fn(ast.BitXor),
    "torch.remainder": _binary_fn(ast.Mod),
    "torch.add": _binary_fn(ast.Add),
    "torch.mul": _binary_fn(ast.Mult),
    "torch.div": _binary_fn(ast.Div),
    "torch.distributed.get_world_size": _world,
    "torch.distributed.get_rank": _world,
    "torch.distributed.is_initialized": _true,
    "torch.distributed.is_available": _true,
    "torch.cuda.is_available": _true,
    "torch.bincount": _bincount,
    "numpy.bincount": _bincount,
    "sys.stdout.write": _print,
    "json.dump": _print,
    "json.dumps": _stack,
    "numpy.save": _save,
    "torch.save": _save,
    "pickle.dump": _save,
    "shutil.copy": lambda self, args, kwargs, node, path: self.write_file(args[1], self.read_file(args[0], node).taint) or NONE_VAL if len(args) > 1 else NONE_VAL,
    "torch.func.functional_call": _functional_call,
    "torch.nn.utils.stateless.functional_call": _functional_call,
}
_FUNCTIONS: dict[str, Handler] = {
    "cross_entropy": _cross_entropy,
    "nll_loss": _cross_entropy,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "gather": _gather,
    "take_along_dim": _gather,
    "take_along_axis": _gather,
    "fromfile": _reader,
    "memmap": _reader,
    "frombuffer": _kept,
    "load": _reader,
    "open_memmap": _reader,
    "from_file": _reader,
    "at": _add_at,
    "kl_div": _kl,
}
_FUNCTIONS["info"] = _FUNCTIONS["warning"] = _print


# ---- methods of values ---------------------------------------------------------------------------------

Method = Callable[[Library, Val, Args, Kwargs, ast.AST], Val | None]


def _m_backward(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    self.backward(base, node)
    return NONE_VAL


def _m_step(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for arg in args:
        t = self.content(arg)
        if arg.objs and any(o.kind in ("opt", "inst") for o in arg.objs):
            for obj in arg.objs:
                if obj.kind == "opt":
                    self.optimizer_step(obj, node)
            return NONE_VAL
        if t.nll:
            return NONE_VAL
    if not base.objs and self.pending:
        self.apply_pending(tuple(self.val_models), "", node)
    return NONE_VAL


def _m_softmax(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    t = self.content(base)
    return of_taint(with_flags(t, VOCAB | NORMED) if t is not NONE else t, base.loops, base.old)


def _m_write(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    t = self.content(args[0]) if args else NONE
    self.write_file(base, t)
    if t.nll:
        self.report(node, t, bool(t.flags & BITS), getattr(node, "lineno", 0), "")
    return NONE_VAL


def _m_read(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    if isinstance(base.const, (str, bytes)):
        return None
    return self.read_file(base, node)


def _m_glob(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    obj = self.alloc("list", "list", node)
    t = join_taint(self.path_taint(args[0].const) if args else NONE, self.content(args[0]) if args else NONE)
    self.store_elem(obj, of_taint(t))
    return Val(objs=(obj,), taint=t)


def _m_copy_(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    if is_params(base) and args:
        t = self.content(args[0])
        if not self.weak or t.upd or t.toks:
            self.write_parameters(base, args[0], node)
        return base
    return None


def _m_get(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    result: Val | None = None
    for obj in base.objs:
        if obj.kind == "dict":
            value = self.subscript_dict(obj, args[0], node) if args else UNKNOWN
            if len(args) > 1 and not (args[0].const is not NOCONST and args[0].const in obj.fields):
                value = join(value, args[1]) if value is not UNKNOWN else (args[1] if obj.elem is None and not obj.fields else value)
            result = value if result is None else join(result, value)
    return result


def _m_append(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    func = getattr(node, "func", None)
    name = getattr(func, "attr", "append")
    for obj in base.objs:
        if obj.kind in ("list", "libmod"):
            for v in args[-1:]:
                self.store_elem(obj, vary(self.iterate(v, node, 0) if name in ("extend", "update") else v, self.control))
        elif obj.kind == "tensor":
            for v in args:
                self.add_content(obj, self.content(v))
    if not base.objs:
        return None
    return NONE_VAL


def _m_dict_update(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for obj in base.objs:
        if obj.kind == "dict":
            for v in args:
                for other in v.objs:
                    if other.kind == "dict":
                        for key, value in other.fields.items():
                            self.store_field(obj, key, value)
                        if other.elem is not None:
                            self.store_elem(obj, other.elem)
                t = self.content(v)
                if any(r.split == "val" for r in t.toks) and not t.flags & DIFF and not t.nll:
                    self.count_write(obj, t, node)
            for key, value in kwargs.items():
                self.store_field(obj, key, value)
            return NONE_VAL
    return _m_append(self, base, args, kwargs, node)


def _m_items(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    dicts = [o for o in base.objs if o.kind == "dict"]
    if not dicts:
        return None
    out = self.alloc("list", "list", node)
    name = getattr(getattr(node, "func", None), "attr", "items")
    for obj in dicts:
        pairs = list(obj.fields.items())
        if obj.elem is None and 0 < len(pairs) <= 4 and len(dicts) == 1 and not any(is_params(v) for _, v in pairs):
            for index, (key, value) in enumerate(pairs):
                out.fields[index] = {"items": Val(items=(constant(key), value)), "values": value, "keys": constant(key)}[name]
            continue
        value_or_none = obj.elem
        for _, item in pairs:
            value_or_none = item if value_or_none is None else join(value_or_none, item)
        value = value_or_none if value_or_none is not None else UNKNOWN
        self.store_elem(out, {"items": Val(items=(UNKNOWN, value)), "values": value, "keys": UNKNOWN}[name])
    return Val(objs=(out,), loops=base.loops, old=base.old)


def _m_setdefault(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for obj in base.objs:
        if obj.kind == "dict" and len(args) > 1:
            self.store_elem(obj, args[1])
            return self.subscript_dict(obj, args[0], node)
    return None


def _m_pop(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for obj in base.objs:
        if obj.kind == "dict" and args:
            return self.subscript_dict(obj, args[0], node)
        if obj.kind == "list":
            return self.iterate(base, node, self.innermost())
    return None


def _m_zero_grad(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    self.pending = frozenset()
    self.effects += 1
    return NONE_VAL


def _m_index(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`t.index_select(dim, idx)`, `t.take(idx)`: a look-up."""
    index = args[-1] if args else UNKNOWN
    return self.subscript_tensor(base, [o for o in base.objs if o.kind == "tensor"], index, ast.Name("index", ast.Load()), node)


_METHODS: dict[str, Method] = {
    "backward": _m_backward,
    "step": _m_step,
    "zero_grad": _m_zero_grad,
    "softmax": _m_softmax,
    "log_softmax": _m_softmax,
    "gather": _m_gather,
    "write": _m_write,
    "write_bytes": _m_write,
    "write_text": _m_write,
    "read": _m_read,
    "read_bytes": _m_read,
    "read_text": _m_read,
    "readinto": _m_read,
    "glob": _m_glob,
    "rglob": _m_glob,
    "copy_": _m_copy_,
    "get": _m_get,
    "append": _m_append,
    "extend": _m_append,
    "add": _m_append,
    "appendleft": _m_append,
    "insert": _m_append,
    "update": _m_dict_update,
    "items": _m_items,
    "values": _m_items,
    "keys": _m_items,
    "setdefault": _m_setdefault,
    "pop": _m_pop,
    "popleft": _m_pop,
    "index_select": _m_index,
    "take": _m_index,
}
