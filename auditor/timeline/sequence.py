"""What library operations do to the axes of a tensor (`axes`), by the names that libraries give them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence

from auditor.timeline import axes as ax
from auditor.timeline.axes import LOST, Axes, Effect
from auditor.timeline.registry import Args, Kwargs
from auditor.timeline.shapes import SHAPES, integers, size_letter
from auditor.timeline.values import DIFF, NOCONST, PARAMS, Obj, Val

_ELEMENTWISE = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "contiguous",
        "float",
        "half",
        "bfloat16",
        "double",
        "type",
        "type_as",
        "detach",
        "clone",
        "requires_grad_",
        "relu",
        "gelu",
        "silu",
        "sigmoid",
        "tanh",
        "exp",
        "log",
        "log1p",
        "log2",
        "expm1",
        "sqrt",
        "rsqrt",
        "square",
        "abs",
        "neg",
        "clamp",
        "clamp_min",
        "clamp_max",
        "dropout",
        "softplus",
        "elu",
        "leaky_relu",
        "mish",
        "relu6",
        "hardtanh",
        "logsigmoid",
        "softsign",
        "nan_to_num",
        "round",
        "floor",
        "ceil",
        "sign",
        "cos",
        "sin",
        "erf",
        "reciprocal",
        "logical_not",
        "bitwise_not",
        "relu_",
        "sigmoid_",
        "tanh_",
        "long",
        "int",
        "bool",
        "rms_norm",
        "layer_norm",
        "normalize",
        "cumsum",
        "cumprod",
        "logcumsumexp",
        "zeros_like",
        "ones_like",
        "empty_like",
        "full_like",
        "rand_like",
        "randn_like",
        "data",
        "pow",
    ]
)
_REDUCING = frozenset(
    [
        "sum",
        "mean",
        "prod",
        "std",
        "var",
        "amax",
        "amin",
        "any",
        "all",
        "logsumexp",
        "nansum",
        "nanmean",
        "count_nonzero",
        "std_mean",
        "var_mean",
        "norm",
        "quantile",
        "nanquantile",
    ]
)
_PICKING = frozenset(["max", "min", "median", "mode", "kthvalue"])
_SCANNING = frozenset(["softmax", "log_softmax", "softmin", "sort", "argsort", "topk", "flip", "fft", "ifft"])
_ARITHMETIC = {
    "add": "add",
    "sub": "add",
    "mul": "multiply",
    "add_": "add",
    "sub_": "add",
    "mul_": "multiply",
    "div": "other",
    "div_": "other",
    "maximum": "other",
    "minimum": "other",
}
_MASKING = frozenset(["masked_fill", "masked_fill_", "tril", "triu", "tril_", "triu_"])
_SAME_SHAPE_MODULES = frozenset(
    [
        "RMSNorm",
        "LayerNorm",
        "Dropout",
        "Identity",
        "ReLU",
        "GELU",
        "SiLU",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "LeakyReLU",
        "ELU",
        "Mish",
        "Hardtanh",
    ]
)
_RECURRENT = frozenset(["LSTM", "GRU", "RNN"])
SHAPED_MODULES = frozenset(
    ["Conv1d", "GroupNorm", "InstanceNorm1d", "MultiheadAttention", "TransformerEncoderLayer", *_RECURRENT]
)
"""Library modules of which the analysis keeps the arguments that they were made with."""
_OPERATORS: dict[type, str] = {ast.Add: "add", ast.Sub: "add", ast.Mult: "multiply"}
JOINING = frozenset(["torch.cat", "torch.concat", "torch.concatenate", "torch.stack"])
"""Calls whose first argument is a list of tensors."""
CARRIED = "the state after the last position enters another pass over the same sequence"
FINAL_STATE = ("output_final_state", "return_final_states", "return_last_state", "return_final_state")
"""Switches of recurrent operations that give the state after the last position as a second result."""
_NO_MASK = "attention with neither `is_causal` nor a mask: every position sees later ones"


def laid_out(values: Iterable[Val]) -> bool:
    """Whether the axes of any value are known."""
    for v in values:  # noqa: SIM110 (a generator costs twice as much, at every call)
        if v.axes is not None:
            return True
    return False


def tensor(v: Val) -> Axes | None:
    """The axes of a tensor, when they are known."""
    return v.axes if v.axes is not None and v.axes.kind == "tensor" else None


def at_boundaries(v: Val) -> bool:
    """Whether a value is a mask of document boundaries."""
    return v.axes is not None and v.axes.boundary


def is_scalar(v: Val) -> bool:
    """Whether a value is a number."""
    return v.const is not NOCONST or (v.axes is not None and v.axes.kind == "size")


def is_weight(v: Val) -> bool:
    """Whether a value is made of parameters alone."""
    return bool(v.taint.flags & (PARAMS | DIFF)) and not v.taint.toks


def of_binary(op: type, left: Val, right: Val) -> Effect:
    """`left op right`."""
    a, b = tensor(left), tensor(right)
    if op is ast.MatMult:
        return of_matmul(left, right)
    return _arithmetic(_OPERATORS.get(op, "other"), left, right, a, b)


def _arithmetic(kind: str, left: Val, right: Val, a: Axes | None, b: Axes | None) -> Effect:
    if a is not None and b is not None:
        return ax.broadcast(a, b, kind == "add")
    known, other = (a, right) if a is not None else (b, left)
    if known is None:
        return LOST
    if kind == "add":
        return ax.met(known, is_scalar(other), is_weight(other), "add")
    return ax.met(known, is_scalar(other), is_weight(other), "multiply" if kind == "multiply" else "other")


def of_matmul(left: Val, right: Val) -> Effect:
    """A matrix product."""
    a, b = tensor(left), tensor(right)
    weights = [v.axes is None and bool(v.taint.flags & PARAMS) for v in (left, right)]
    return ax.multiplied(a, b, weight_left=weights[0], weight_right=weights[1])


def of_compare(left: Val, right: Val) -> Effect:
    """A comparison; of token ids, it finds document boundaries. A batch may be made of zeros and filled afterwards."""
    known = [v for v in (left, right) if tensor(v) is not None]
    if not known:
        return LOST
    about_ids = any(
        v.axes is not None and (v.axes.boundary or ((v.taint.toks or v.axes.tags == "BT") and not v.taint.flags & DIFF))
        for v in known
    )
    if not about_ids:
        return LOST
    tags = max((v.axes.tags for v in known if v.axes is not None), key=len)
    return Effect(Axes(tags, boundary=True))


def of_method(name: str, base: Val, args: Args, kwargs: Kwargs) -> Effect:
    """`base.name(...)`, or `torch.name(base, ...)`."""
    a = tensor(base)
    if a is None:
        return _shifted_arithmetic(name, base, args, kwargs)
    if name in _ELEMENTWISE:
        return Effect(a)
    if name in _ARITHMETIC and args:
        return _arithmetic(_ARITHMETIC[name], base, args[0], a, tensor(args[0]))
    if name in _MASKING:
        return ax.masked(a, boundary=bool(args) and at_boundaries(args[0]))
    if name in ("matmul", "bmm", "mm") and args:
        return of_matmul(base, args[0])
    if name == "lerp" and args:
        return _arithmetic("add", base, args[0], a, tensor(args[0]))
    if name in _REDUCING or name in _PICKING:
        return _reduced(name, a, args, kwargs)
    if name in _SCANNING:
        return _scanned(name, a, args, kwargs)
    if name in SHAPES:
        return SHAPES[name](a, args, kwargs)
    return LOST


def _shifted_arithmetic(name: str, base: Val, args: Args, kwargs: Kwargs) -> Effect:
    """A value of unknown shape meets a tensor of known axes."""
    if name in ("matmul", "bmm", "mm") and args:
        return of_matmul(base, args[0])
    if name in _ARITHMETIC and args and tensor(args[0]) is not None:
        return _arithmetic(_ARITHMETIC[name], base, args[0], None, tensor(args[0]))
    return LOST


def _reduced(name: str, a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    given = kwargs.get("dim", kwargs.get("axis"))
    at = 1 if name in ("norm", "kthvalue", "quantile", "nanquantile") else 0
    if given is None and len(args) > at:
        given = args[at]
    if given is not None and given.const is None:
        given = None
    dims = integers([given]) if given is not None else None
    if given is not None and dims is None:
        return LOST
    keep = kwargs.get("keepdim", args[at + 1] if len(args) > at + 1 and name not in ("std", "var") else None)
    if keep is not None and keep.const is NOCONST:
        return LOST
    effect = ax.reduced(a, dims, bool(keep is not None and keep.const), name)
    if name in _PICKING and dims is not None and effect.axes is not None:
        return effect._replace(axes=effect.axes._replace(kind="each"))
    return effect


def _scanned(name: str, a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    at = 1 if name in ("topk", "fft", "ifft") else 0
    given = kwargs.get("dim", kwargs.get("dims", args[at] if len(args) > at else None))
    dims = integers([given]) if given is not None else [-1] if name in ("topk", "sort", "argsort", "fft") else None
    if not dims or (name in ("fft", "ifft") and ("n" in kwargs or args)):
        return LOST
    effect = ax.scanned(a, dims[0], name)
    if name in ("topk", "sort") and effect.axes is not None:
        at_dim = ax.index_of(a, dims[0]) or 0
        tags = a.tags[:at_dim] + "-" + a.tags[at_dim + 1 :] if name == "topk" else a.tags
        return effect._replace(axes=Axes(tags, "each"))
    return effect


def of_function(path: str, args: Args, kwargs: Kwargs, parts: Sequence[Val] | None) -> Effect:
    """A call of a library function; `parts` are the tensors of the list that comes first."""
    last = path.rpartition(".")[2]
    if last in _ATTENTION:
        return _attention(last, args, kwargs)
    if last in ("cat", "concat", "concatenate") and parts is not None:
        given = kwargs.get("dim", args[1] if len(args) > 1 else None)
        dims = integers([given]) if given is not None else [0]
        effect = ax.joined([tensor(p) for p in parts], dims[0]) if dims else LOST
        return effect
    if last == "stack" and parts is not None:
        given = kwargs.get("dim", args[1] if len(args) > 1 else None)
        dims = integers([given]) if given is not None else [0]
        known = {tensor(p) for p in parts}
        first = next(iter(known)) if len(known) == 1 else None
        made = ax.inserted(first, dims[0]) if first is not None and dims else LOST
        return Effect(made.axes._replace(tags=made.axes.tags.replace("1", "-"))) if made.axes is not None else LOST
    if last == "where" and len(args) == 3:
        known_axes = tensor(args[1]) or tensor(args[2])
        return ax.masked(known_axes, boundary=at_boundaries(args[0])) if known_axes is not None else LOST
    if last == "einsum" and args and isinstance(args[0].const, str):
        weights = [bool(v.taint.flags & PARAMS) for v in args[1:]]
        return ax.einsum(args[0].const, [tensor(v) for v in args[1:]], weights)
    if last == "rearrange" and len(args) > 1 and isinstance(args[1].const, str):
        known_axes = tensor(args[0])
        return ax.rearranged(known_axes, args[1].const) if known_axes is not None else LOST
    if last == "linear" and len(args) > 1:
        a = tensor(args[0])
        return ax.multiplied(a, None, weight_left=False, weight_right=True) if a is not None else LOST
    return of_method(last, args[0], args[1:], kwargs) if args else LOST


_ATTENTION = {
    "scaled_dot_product_attention": ("is_causal", 5, "attn_mask", 3, -2),
    "flash_attn_func": ("causal", 5, "", 0, 1),
    "flex_attention": ("", 0, "block_mask", 4, -2),
}
"""Name -> switch and its place, mask and its place, and the axis of the positions."""


def _attention(name: str, args: Args, kwargs: Kwargs) -> Effect:
    switch, switch_at, mask, mask_at, along = _ATTENTION[name]
    given = [kwargs.get(n, args[i] if i < len(args) else None) for n, i in (("query", 0), ("key", 1), ("value", 2))]
    query, key = given[0], given[1]
    a = tensor(query) if query is not None else None
    b = tensor(key) if key is not None else None
    if b is None:
        return Effect(a)
    at = ax.index_of(b, along)
    if at is None or b.tags[at] not in "T":
        return Effect(a)
    causal = kwargs.get(switch, args[switch_at] if switch and len(args) > switch_at else None)
    masks = [kwargs.get(mask, args[mask_at] if mask and len(args) > mask_at else None)]
    if name == "flex_attention":
        masks.append(kwargs.get("score_mod", args[3] if len(args) > 3 else None))
    open_switch = causal is None or (causal.const is not NOCONST and not causal.const)
    no_mask = all(m is None or m.const is None for m in masks)
    return Effect(a, _NO_MASK if open_switch and no_mask else "")


def of_module(obj: Obj, args: Args, kwargs: Kwargs) -> Effect:
    """`module(x)` of a library module."""
    a = tensor(args[0]) if args else None
    name = obj.name
    if a is None or (name != "Embedding" and not args[0].taint.flags & DIFF):  # token ids are embedded first
        return LOST
    if name in _SAME_SHAPE_MODULES:
        return Effect(a)
    if name == "Linear":
        return ax.multiplied(a, None, weight_left=False, weight_right=True)
    if name == "Embedding":
        return Effect(Axes(a.tags.replace("P", "T") + "-"))
    made: tuple[Args, Kwargs] = obj.extra if isinstance(obj.extra, tuple) else ([], {})
    if name == "Conv1d":
        return _convolved(a, *made)
    if name in ("GroupNorm", "InstanceNorm1d"):
        mixed = len(a.tags) == 3 and a.tags[-1] == "T"
        return Effect(a, f"`{name}` takes its statistics over all positions of the sequence" if mixed else "")
    if name == "MultiheadAttention":
        masked = any(kwargs.get(k) is not None for k in ("attn_mask", "is_causal")) or len(args) > 3
        return Effect(a._replace(kind="each"), "" if masked or "T" not in a.tags else _NO_MASK)
    if name == "TransformerEncoderLayer":
        masked = any(kwargs.get(k) is not None for k in ("mask", "src_mask", "is_causal")) or len(args) > 1
        return Effect(a, "" if masked or "T" not in a.tags else _NO_MASK)
    return LOST


def _convolved(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    """A convolution that keeps the length of its input with padding on both sides looks ahead."""
    if len(a.tags) != 3 or a.tags[-1] not in "TLC":
        return LOST

    def given(name: str, at: int, default: int) -> object:
        v = kwargs.get(name, args[at] if len(args) > at else None)
        v = v.items[0] if v is not None and v.items else v
        return default if v is None else v.const

    kernel, padding, dilation = given("kernel_size", 2, 0), given("padding", 4, 0), given("dilation", 5, 1)
    tags = a.tags[:-2] + "-T"
    if a.tags[-1] == "C":
        return Effect(Axes(tags[:-1] + "C")) if kernel == 1 else LOST
    if not isinstance(kernel, int) or not isinstance(dilation, int):
        return Effect(Axes(tags if padding == 0 or a.tags[-1] == "L" else tags[:-1] + "C"))
    same = padding == "same" or (isinstance(padding, int) and 2 * padding == (kernel - 1) * dilation)
    if kernel > 1 and same and a.tags[-1] == "T" and given("stride", 3, 1) == 1:
        return Effect(Axes(tags), ax.NOT_CROPPED)
    longer = isinstance(padding, int) and padding > 0 and not same
    return Effect(Axes(tags[:-1] + "C" if longer else tags))


def of_subscript(a: Axes, index: ast.AST, ev: Callable[[ast.AST], Val]) -> Effect:
    """`x[...]` with slices, integers, `None` and an ellipsis; any other index loses track."""
    parts = list(index.elts) if isinstance(index, ast.Tuple) else [index]
    if a.kind == "each":
        return Effect(a._replace(kind="tensor"))
    plain = [p for p in parts if not _is_none(p) and not _is_ellipsis(p)]
    if len(plain) > len(a.tags) or (_is_none(parts[0]) and a.tags[:1] == "B"):
        return LOST
    rest = len(a.tags) - len(plain)
    if not any(map(_is_ellipsis, parts)):
        parts.append(ast.Constant(...))
    out, at = "", 0
    for part in parts:
        if _is_none(part):
            out += "1"
        elif _is_ellipsis(part):
            out += a.tags[at : at + rest]
            at += rest
        elif isinstance(part, ast.Slice):
            if part.step is not None and a.tags[at] in ax.POSITIONS:
                return LOST
            low, high = (_bound(b, ev) for b in (part.lower, part.upper))
            out += ax.cut(a.tags[at], low, high)
            at += 1
        else:
            value = ev(part)
            if value.taint.toks or value.taint.flags or value.objs or value.items is not None or value.axes is not None:
                return LOST
            if not isinstance(value.const, int) and value.lin is None and not value.loops:
                return LOST
            at += 1
    return Effect(a._replace(tags=out))


def of_store(a: Axes, index: ast.AST, value: Val, ev: Callable[[ast.AST], Val]) -> Effect:
    """`x[...] = value`: the axes of `x` afterwards."""
    part, given = of_subscript(a, index, ev).axes, tensor(value)
    return ax.filled(a, part, given) if part is not None and given is not None else Effect(a)


def _bound(node: ast.AST | None, ev: Callable[[ast.AST], Val]) -> int | str | None:
    """A bound of a slice: a constant, or the letter of the axis whose length it is."""
    if node is None:
        return None
    v = ev(node)
    return v.const if isinstance(v.const, int) else size_letter(v)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_ellipsis(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
