"""A script under other names: the same program, with every name of its own replaced and no comment or docstring.

For the metamorphic test that names decide nothing. What a name means outside the script stays: imports, attributes and
keyword arguments of libraries, strings, and the names that strings speak of (`getattr`, keys of a saved state).
"""

from __future__ import annotations

import argparse
import ast
import builtins
import io
import pathlib
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable

from auditor.program.source import parse

Function = ast.FunctionDef | ast.AsyncFunctionDef

_TYPES = (
    str, bytes, bytearray, int, float, dict, list, set, tuple, Counter, Exception, pathlib.Path, io.BytesIO,
    io.TextIOWrapper, re.Match, re.Pattern, threading.Thread, argparse.ArgumentParser, subprocess.Popen,
)  # fmt: skip
_TORCH = frozenset(
    """H T abs add add_ addcmul_ all all_gather all_reduce amax amin any apply argmax argmin args argsort backward
    barrier betas bfloat16 bias bool bucketize buffers byte cat children chunk clamp clamp_ clone closure compile
    contiguous copy_ cos cpu ctx cuda cummax cumprod cumsum data data_ptr decode defaults detach detach_ device diag
    diagonal dim div div_ double dropout dtype eigh elapsed_time element_size embedding embedding_dim encode eps eq
    eval exp exp_ expand expand_as extra_repr fileno fill_ fill_diagonal_ finish flatten flip float fn forward fp16
    from_numpy gather ge generator grad grad_fn group groups gt half head hook id_to_piece imag in_features
    index_add_ index_copy_ index_fill_ index_put_ index_select indices int inv inverse is_byte is_contiguous
    is_control is_cuda is_floating_point is_leaf is_unknown is_unused isfinite isinf isnan item itemsize kthvalue
    kwargs layout le lerp lerp_ load load_state_dict log log2 log_softmax logical_and logical_or logits logsumexp
    long lr lt mT major manual_seed masked_fill masked_fill_ masked_scatter masked_select matmul max maximum mean
    median min minimum minor mm module modules momentum mul mul_ multinomial name named_buffers named_children
    named_modules named_parameters narrow nbytes ndim ne neg neg_ nelement new_empty new_full new_ones new_tensor
    new_zeros nonzero norm normal_ num_embeddings num_heads numel numpy ones out_features pad param_groups
    parameters permute pin_memory pow prod q_proj quantile real reciprocal record record_stream register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_hook register_module
    register_parameter relu remove repeat repeat_interleave requires_grad requires_grad_ reset reset_parameters
    reshape result retain_grad roll round round_ rsqrt save save_for_backward saved_tensors scatter scatter_
    scatter_add scatter_add_ seek select set_ set_postfix shape sharding shift shutdown sigmoid sign sin size slice
    softmax sort sp_model split sqrt square squeeze squeeze_ stack start state state_dict std step stop storage
    stride strides sub sub_ submit sum synchronize t tanh to tolist topk total_memory trace train training transpose
    transpose_ tril triu type type_as unbind unflatten unfold uniform_ unique unsqueeze unsqueeze_ untyped_storage
    values var version view view_as vocab_size wait weight where world_size zero_ zero_grad zeros""".split()  # noqa: SIM905
)
LIBRARY = _TORCH | {name for kind in _TYPES for name in dir(kind)}
"""Attributes of library objects: an own attribute of the same name cannot be told from them without types."""
_PLAIN_DECORATORS = {
    "staticmethod",
    "classmethod",
    "property",
    "no_grad",
    "inference_mode",
    "compile",
    "dataclass",
    "cache",
}

_NAMES = re.compile(r"[\w.,*\[\]]+")
"""A string that may speak of attributes: one name, a dotted one, or a list of them; no message."""


def renamed(text: str) -> str:
    """The same program under other names; raises `UnreadableSource` when `text` is no program."""
    tree = parse(text)
    names = Names(tree)
    return ast.unparse(ast.fix_missing_locations(_Renamer(names).visit(tree))) + "\n"


class Names:
    """Which names of a program are its own, and what they are replaced by."""

    def __init__(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        self.imported = _imported(nodes)
        functions = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        self.functions = {n.name for n in functions}
        self.classes = {n.name: n for n in nodes if isinstance(n, ast.ClassDef)}
        strings = _strings(nodes)
        words = {word for string in strings if _NAMES.fullmatch(string) for word in re.findall(r"\w+", string)}
        words |= _field_names(nodes)
        patterns = _substring_patterns(nodes)
        dashed = {string.lstrip("-").replace("-", "_") for string in strings if string.startswith("--")}

        class_level = {name for node in self.classes.values() for name in _bound_in_class(node)}
        stored = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
                  and root(n) not in self.imported}  # fmt: skip
        of_libraries = {n.attr for n in nodes if isinstance(n, ast.Attribute) and root(n) in self.imported}
        spaced = {k.arg for n in nodes if isinstance(n, ast.Call) and _last(n.func) in ("SimpleNamespace", "namedtuple")
                  for k in n.keywords}  # fmt: skip
        own_attributes = class_level | stored
        fixed = LIBRARY | of_libraries | words | dashed | spaced
        self.attributes = own_attributes
        kept = {name for name in own_attributes if name in fixed or any(p in name for p in patterns)}
        renamed_attributes = {name for name in own_attributes - kept if not name.startswith("__")}

        self.methods = class_level & self.functions
        ambiguous = self._ambiguous_keywords(nodes, functions) | _decorated_parameters(functions)
        variables = _bound_variables(nodes)
        top = {*self.functions, *self.classes, *_bound_at_top(tree)}
        exact = top & strings if _looks_names_up(nodes) else set()
        renamed_variables = {
            name
            for name in variables - self.imported - ambiguous - exact
            if not name.startswith("__") and name != "_" and not hasattr(builtins, name)
        }
        used = {n.id for n in nodes if isinstance(n, ast.Name)} | {
            n.attr for n in nodes if isinstance(n, ast.Attribute)
        }
        prefix = next(p for p in ("q", "qq", "qqq", "qqqq") if not any(re.fullmatch(rf"{p}[av]\d+", u) for u in used))
        self.attribute_table = {name: f"{prefix}a{i}" for i, name in enumerate(sorted(renamed_attributes))}
        self.variable_table = {name: f"{prefix}v{i}" for i, name in enumerate(sorted(renamed_variables))}

    def keyword_table(self, function: ast.expr) -> dict[str, str] | None:
        """How keywords of a call are renamed: as those of an own function, not at all ({}), or unknown (None)."""
        if isinstance(function, ast.Name):
            if function.id in self.classes:
                node = self.classes[function.id]
                has_init = any(isinstance(part, ast.FunctionDef) and part.name == "__init__" for part in node.body)
                if has_init:
                    return self.variable_table
                return self.attribute_table if node.decorator_list or _last(node.bases[0:1]) == "NamedTuple" else None
            if function.id in self.functions:
                return self.variable_table
            return {} if function.id in self.imported or hasattr(builtins, function.id) else None
        if isinstance(function, ast.Attribute):
            if root(function) in self.imported or function.attr not in self.attributes:
                return {}
            if function.attr in self.methods and function.attr not in LIBRARY:
                return self.variable_table
            return {} if function.attr in LIBRARY else None
        return None

    def _ambiguous_keywords(self, nodes: Iterable[ast.AST], functions: Iterable[Function]) -> set[str]:
        """Keywords of calls that may or may not be calls of the program's own functions."""
        self.variable_table = {"": ""}
        self.attribute_table = {"": ""}
        found: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Call) and self.keyword_table(node.func) is None:
                found |= {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            if isinstance(node, ast.Call) and _last(node.func) == "partial":
                found |= {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            if isinstance(node, ast.Call) and any(keyword.arg is None for keyword in node.keywords):
                called = "__init__" if _last(node.func) in self.classes else _last(node.func)
                found |= {name for function in functions if function.name == called for name in _parameters(function)}
        return found - {"self", "cls"}


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: Names) -> None:
        self.names = names
        self.class_names: set[str] = set()
        """Names bound by the class whose body is being visited."""

    def variable(self, name: str) -> str:
        table = self.names.attribute_table if name in self.class_names else self.names.variable_table
        return table.get(name, name)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        _drop_docstring(node)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        _drop_docstring(node)
        outer = self.class_names
        node.decorator_list = [self.visit(part) for part in node.decorator_list]
        node.bases = [self.visit(part) for part in node.bases]
        self.class_names, name = _bound_in_class(node), self.variable(node.name)
        node.body = [self.visit(part) for part in node.body]
        self.class_names, node.name = outer, name
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: Function) -> ast.AST:
        _drop_docstring(node)
        outer = self.class_names
        node.name = self.variable(node.name)
        node.decorator_list = [self.visit(part) for part in node.decorator_list]
        self._arguments(node.args)
        node.returns = self.visit(node.returns) if node.returns is not None else None
        self.class_names = set()
        node.body = [self.visit(part) for part in node.body]
        self.class_names = outer
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        outer = self.class_names
        self._arguments(node.args)
        self.class_names = set()
        node.body = self.visit(node.body)
        self.class_names = outer
        return node

    def _arguments(self, node: ast.arguments) -> None:
        table = self.names.variable_table
        for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg):
            if argument is not None:
                argument.arg = table.get(argument.arg, argument.arg)
                argument.annotation = self.visit(argument.annotation) if argument.annotation is not None else None
        node.defaults = [self.visit(part) for part in node.defaults]
        node.kw_defaults = [self.visit(part) if part is not None else None for part in node.kw_defaults]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.variable(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if root(node) not in self.names.imported:
            node.attr = self.names.attribute_table.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        table = self.names.keyword_table(node.func) or {}
        for keyword in node.keywords:
            if keyword.arg is not None:
                keyword.arg = table.get(keyword.arg, keyword.arg)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> ast.AST:
        node.names = [self.names.variable_table.get(name, name) for name in node.names]
        return node

    visit_Nonlocal = visit_Global

    def visit_ExceptHandler(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> ast.AST:
        node.name = self.variable(node.name) if node.name is not None else None
        return self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_ExceptHandler


def root(node: ast.expr) -> str | None:
    """The name that `a.b.c` starts with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _last(node: object) -> str | None:
    """The last name of `a.b.c`."""
    if isinstance(node, list):
        node = node[0] if node else None
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _imported(nodes: Iterable[ast.AST]) -> set[str]:
    imports = (n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)))
    return {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}


def _docstring(node: ast.AST) -> ast.Constant | None:
    body = getattr(node, "body", None)
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body:
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            return first.value
    return None


def _drop_docstring(node: ast.Module | ast.ClassDef | Function) -> None:
    if _docstring(node) is not None:
        node.body = node.body[1:]
        if not node.body and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]


def _strings(nodes: Iterable[ast.AST]) -> set[str]:
    docstrings = {id(_docstring(node)) for node in nodes}
    return {
        n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docstrings
    }


def _field_names(nodes: Iterable[ast.AST]) -> set[str]:
    calls = (n for n in nodes if isinstance(n, ast.Call) and _last(n.func) in ("namedtuple", "NamedTuple"))
    strings = _strings([n for call in calls for n in ast.walk(call)])
    return {word for string in strings for word in re.findall(r"\w+", string)}


def _looks_names_up(nodes: Iterable[ast.AST]) -> bool:
    """Whether the program can reach its own functions and variables by their names."""
    return any(
        (isinstance(n, ast.Name) and n.id in ("globals", "locals", "vars", "eval", "exec"))
        or (isinstance(n, ast.Attribute) and n.attr in ("__name__", "__qualname__"))
        for n in nodes
    )


def _substring_patterns(nodes: Iterable[ast.AST]) -> set[str]:
    """Strings that names of parameters are searched for: `"gate" in name`, `name.endswith("scale")`."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and _last(node.func) in (
            "startswith",
            "endswith",
            "replace",
            "removeprefix",
            "find",
        ):
            found |= _strings([n for argument in node.args for n in ast.walk(argument)])
        elif isinstance(node, ast.Compare) and any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
            found |= _strings(list(ast.walk(node.left)))
    return {part for string in found for part in string.strip("._").split(".") if len(part) > 2}


def _bound_in_class(node: ast.ClassDef) -> set[str]:
    names: set[str] = set()
    for part in node.body:
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(part.name)
        else:
            names |= {n.id for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


def _bound_at_top(tree: ast.Module) -> set[str]:
    return {n.id for part in tree.body if not isinstance(part, (ast.FunctionDef, ast.ClassDef))
            for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip


def _bound_variables(nodes: Iterable[ast.AST]) -> set[str]:
    methods = {id(part) for n in nodes if isinstance(n, ast.ClassDef) for part in n.body}
    names: set[str] = set()
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if id(node) not in methods:
                    names.add(name)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.add(name)
    return names


def _parameters(node: Function) -> set[str]:
    return {argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}


def _decorated_parameters(functions: Iterable[Function]) -> set[str]:
    """Parameters whose names a decorator may use, such as those of Triton kernels."""
    special = (f for f in functions if any(_last(d) not in _PLAIN_DECORATORS for d in f.decorator_list))
    return {name for function in special for name in _parameters(function)}
