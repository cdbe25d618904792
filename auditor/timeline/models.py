"""Models of the language and the standard library: containers, iteration, files, printing."""

from __future__ import annotations

import ast
import os.path

from auditor.program.linear import atom
from auditor.timeline.library import Library
from auditor.timeline.registry import FUNCTIONS, METHODS, PATHS, Args, Kwargs
from auditor.timeline.values import (
    BITS,
    NOCONST,
    NONE,
    NONE_VAL,
    STATE,
    UNKNOWN,
    Obj,
    Val,
    constant,
    is_params,
    join_taint,
    of_obj,
    of_taint,
    reordered,
    retaint,
    with_flags,
)

SCALAR_TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def _glob(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("list", "list", node)
    t = self.content(args[0]) if args else NONE
    self.store_elem(obj, of_taint(t))
    return Val(objs=(obj,), taint=t)


def _reader(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.read_file(args[0] if args else kwargs.get("file", kwargs.get("f", UNKNOWN)), node)


def _open(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.open_file(args[0] if args else UNKNOWN)


def _save(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1:
        data, target = (args[1], args[0]) if path.startswith("numpy") else (args[0], args[1])
        content = self.saved(data)
        self.write_file(target, content)
        if content.flags & STATE:
            self.timeline.saved = self.moment(node)
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
    if args and isinstance(args[-1].const, str) and args[-1].const.endswith(".py"):
        return self.new_path(f"?/{args[-1].const}", t)  # a module, wherever it lies
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
            return Val(
                const=(made := SCALAR_TYPES[path.rpartition(".")[2]](v.const)),
                lin=constant(made).lin,
                loops=v.loops,
                taint=v.taint,
            )
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


def smaller(self: Library, args: Args, result: Val, node: ast.AST, *, parts: bool) -> Val:
    """Of several values the smallest: a choice where two of them are losses."""
    losses = [t for t in map(self.content, args) if t.nll]
    if len(losses) < 2:
        return result
    return retaint(result, self.choice(node, result.taint, parts or self.compares_parts(losses[0], losses[1])))


def _minmax(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1 and all(isinstance(a.const, (int, float)) for a in args):
        return constant((min if path.endswith("min") else max)(a.const for a in args))
    v = self.unknown(*args)
    if len(args) == 1:
        v = self.unknown(self.iterate(args[0], node, 0))
    if len(args) > 1 and path.endswith("min"):
        v = smaller(self, args, v, node, parts=False)
    elif "key" in kwargs and v.taint.nll:
        v = retaint(v, self.choice(node, v.taint, False))
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
    self.store_elem(
        obj,
        Val(items=tuple(self.iterate(a, a_node, 0) for a, a_node in zip(args, _arg_nodes(node, args), strict=True))),
    )
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
    by_key = last == "sorted" and "key" in kwargs
    if v.objs and v.objs[0].kind in ("list", "opt") and not (by_key and v.objs[0].elem is not None):
        return v
    obj = self.alloc("list", "list", node)
    element = self.iterate(v, node, 0)
    self.store_elem(obj, reordered(element) if by_key else element)
    return Val(objs=(obj,), loops=v.loops, old=v.old, taint=with_flags(v.taint))


def _dict(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not kwargs and any(obj.kind == "lib" and obj.name == "os.environ" for v in args for obj in v.objs):
        return args[0]  # a copy of the environment
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
        params = (
            {a.arg for a in frame.node.args.args} if isinstance(frame.node, ast.FunctionDef | ast.Lambda) else set()
        )
        if frame.caller is not None and any(
            isinstance(n, ast.Name) and n.id in params for a in inner for n in ast.walk(a)
        ):
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
        if (
            len(args) > 2
            and obj is not None
            and obj.kind == "inst"
            and args[1].const not in obj.fields
            and self.class_attribute(obj.extra, args[1].const) is None
        ):
            return args[2]
        return self.attribute(args[0], args[1].const, node)
    return (self.computed_attribute(args[0]) if len(args) > 1 else None) or self.unknown(*args)


def _globals(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`globals()`: the variables of the module themselves, so that an item assigned is a name bound."""
    obj = self.alloc("globals", "globals", node)
    obj.frame = self.frame.globals
    return of_obj(obj)


def _setattr(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 2 and isinstance(args[1].const, str):
        self.set_attribute(args[0], args[1].const, args[2], node)
    return NONE_VAL


def _partial(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("partial", "partial", node)
    obj.extra = (args, kwargs)
    return of_obj(obj)


def _identity(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return args[0] if args else UNKNOWN


def _places(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.method_value(args[0], "argsort", args[1:], kwargs, node) if args else None


def _map(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) < 2:
        return UNKNOWN
    obj = self.alloc("list", "list", node)
    self.store_elem(obj, self.call_value(args[0], [self.iterate(a, node, 0) for a in args[1:]], {}, node))
    return of_obj(obj)


def _defaultdict(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("dict", "dict", node)
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


def _next(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.iterate(args[0], node, self.innermost_of(args[0])) if args else None


def _field(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`dataclasses.field`: the default, made anew for each instance."""
    obj = self.alloc("field", "field", node)
    obj.extra = kwargs.get("default_factory")
    return kwargs.get("default", of_obj(obj))


def _native(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """A native library."""
    return of_obj(self.alloc("native", "library", node))


def _copy_file(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) > 1:
        self.copy_file(args[0], args[1], node)
    return NONE_VAL


def _thread(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """A thread runs its target; when, is not known: here and now."""
    if "target" in kwargs:
        given = kwargs["args"].items if "args" in kwargs else ()
        self.call_value(kwargs["target"], list(given or ()), {}, node)
    return None


def _foreach(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`torch._foreach_add_(parameters, others)`: every parameter is changed in place with its share of the others."""
    changed = self.iterate(args[0], node, 0) if len(args) > 1 else UNKNOWN
    if not is_params(changed):
        return None
    value = self.unknown(*(self.iterate(v, node, 0) for v in args[1:]))
    if path.endswith("_copy_"):
        return METHODS["copy_"](self, changed, [value], {}, node)
    self.write_parameters(changed, value, node)
    return NONE_VAL


PATHS["threading.Thread"] = PATHS["multiprocessing.Process"] = _thread
PATHS.update(
    {
        **{f"torch._foreach_{name}_": _foreach for name in ("add", "sub", "lerp", "copy", "addcmul", "addcdiv")},
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
        "builtins.bytearray": _buffer,
        "ctypes.CDLL": _native,
        "ctypes.PyDLL": _native,
        "ctypes.cdll.LoadLibrary": _native,
        "numpy.ctypeslib.load_library": _native,
        "ctypes.c_void_p": _identity,
        "ctypes.cast": _identity,
        "ctypes.byref": _identity,
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
        "builtins.next": _next,
        "builtins.reversed": _sequence,
        "builtins.dict": _dict,
        "builtins.print": _print,
        "builtins.isinstance": _isinstance,
        "builtins.hasattr": _hasattr,
        "builtins.getattr": _getattr,
        "builtins.globals": _globals,
        "builtins.setattr": _setattr,
        "builtins.identity": _identity,
        "collections.defaultdict": _defaultdict,
        "collections.Counter": _defaultdict,
        "collections.OrderedDict": _dict,
        "collections.deque": _deque,
        "types.SimpleNamespace": _namespace,
        "types.ModuleType": _namespace,
        "functools.partial": _partial,
        "dataclasses.field": _field,
        "pathlib.Path": _path,
        "tqdm.tqdm": _identity,
        "tqdm.auto.tqdm": _identity,
        "sys.stdout.write": _print,
        "json.dump": _print,
        "numpy.save": _save,
        "torch.save": _save,
        "pickle.dump": _save,
    }
)
for copying in ("shutil.copy", "shutil.copyfile", "shutil.move", "os.replace", "os.rename"):
    PATHS[copying] = _copy_file
FUNCTIONS.update(
    {
        "argsort": _places,
        "nonzero": _places,
        "flatnonzero": _places,
        "argwhere": _places,
        "fromfile": _reader,
        "memmap": _reader,
        "load": _reader,
        "open_memmap": _reader,
        "from_file": _reader,
    }
)
FUNCTIONS["info"] = FUNCTIONS["warning"] = _print
