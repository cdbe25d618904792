"""Follow what the loader of a packed script does, statement by statement, without running any of it.

Only constants, the functions of `library` and the loader's own small functions are computed. Where a condition is
unknown, both branches are followed. The result is the list of source texts that the loader would execute.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Sequence

from auditor.submission.unpack import files, library, methods
from auditor.submission.unpack.decoders import CannotDecode
from auditor.submission.unpack.values import (
    File,
    FilePath,
    Function,
    Module,
    Namespace,
    Ref,
    State,
    Unknown,
)

_COMPUTE_ERRORS = (
    CannotDecode, ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError, OverflowError,
    SyntaxError, LookupError, RecursionError, MemoryError,
)  # fmt: skip
_CALL_DEPTH = 12
_FUNCTION_SIZE = 1500
"""Syntax nodes above which a function is the program itself and no loader."""
_LOADER_WORDS = frozenset(
    [
        "exec", "compile", "run_path", "run_module", "exec_module", "import_module", "__import__", "decompress",
        "b85decode", "a85decode", "b64decode", "b32decode", "unhexlify", "fromhex", "write", "write_text",
        "write_bytes", "read_text", "read_bytes", "open", "system", "execv", "Popen", "run", "check_call", "call",
        "loads", "ModuleType",
    ]
)  # fmt: skip
"""A function that calls none of these, and no function that does, unpacks nothing."""


class _Returned(Exception):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class _Raised(Exception):
    """The loader itself raises an error, or leaves."""


class Loader:
    """One pass over one script; `state` collects what it would execute."""

    def __init__(self, tree: ast.Module, state: State) -> None:
        self.tree = tree
        self.state = state
        self.names: list[dict[str, object]] = [{"__file__": state.disk.script, "__name__": "__main__"}]
        first_class = next((i for i, node in enumerate(tree.body) if isinstance(node, ast.ClassDef)), len(tree.body))
        functions = {node.name: node for node in tree.body[:first_class] if isinstance(node, ast.FunctionDef)}
        self._small = _loader_functions(functions)
        self.is_program = first_class < len(tree.body)
        """Whether the script defines classes: then it is more than a loader, which can only stand before them."""

    def follow(self) -> None:
        """Execute the module; raises `CannotDecode` when a budget is spent."""
        with contextlib.suppress(_Raised, _Returned):
            for index, statement in enumerate(self.tree.body):
                self.state.index, self.state.line = index, statement.lineno
                self._statement(statement)

    # Statements

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=value):
                self._value(value)
            case ast.Assign(targets=targets, value=value):
                result = self._value(value)
                for target in targets:
                    self._bind(target, result)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, self._value(value))
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                self._bind(target, self._binary(op, self._name(name), self._value(value)))
            case ast.Import(names=aliases):
                for alias in aliases:
                    module = files.import_module(self.state, alias.name)
                    if alias.asname is None and "." in alias.name:
                        module = Ref(alias.name.split(".")[0])
                    self.names[-1][alias.asname or alias.name.split(".")[0]] = module
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                found = files.import_module(self.state, module)
                for alias in aliases:
                    self.names[-1][alias.asname or alias.name] = methods.attribute(found, alias.name, self.state)
            case ast.FunctionDef(name=name):
                self.names[-1][name] = Function(node)
            case ast.With(items=entries, body=body):
                for entry in entries:
                    opened = self._value(entry.context_expr)
                    if entry.optional_vars is not None:
                        self._bind(entry.optional_vars, opened)
                self._block(body)
            case ast.If(test=test, body=body, orelse=orelse):
                self._if(self._truth(self._value(test)), body, orelse)
            case ast.For(target=target, iter=values, body=body):
                self._for(target, self._value(values), body)
            case ast.While():
                self._forget([node])
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
                self._try(body, handlers, orelse, finalbody)
            case ast.Return(value=value):
                raise _Returned(self._value(value) if value is not None else None)
            case ast.Raise():
                raise _Raised
            case ast.ClassDef(name=name):
                self.names[-1][name] = Unknown("a class of the script")

    def _if(self, truth: bool | None, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        if truth is not None:
            self._block(body if truth else orelse)
            return
        for branch in (body, orelse):
            # Only the branch ends with a return; what follows may still be reached by the other one.
            with contextlib.suppress(_Returned, _Raised):
                self._block(branch)

    def _for(self, target: ast.expr, values: object, body: list[ast.stmt]) -> None:
        try:
            entries = library.items(values)
        except CannotDecode as error:
            entries = [Unknown(str(error))]
        for entry in entries:
            self._bind(target, entry)
            self._block(body)

    def _try(
        self,
        body: list[ast.stmt],
        handlers: list[ast.ExceptHandler],
        orelse: list[ast.stmt],
        finalbody: list[ast.stmt],
    ) -> None:
        try:
            self._block(body)
            self._block(orelse)
        except _Raised:
            for handler in handlers:
                self._block(handler.body)
        finally:
            self._block(finalbody)

    def _forget(self, statements: Sequence[ast.AST]) -> None:
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.names[-1][node.id] = Unknown("a value computed in a loop")

    def _bind(self, target: ast.expr, value: object) -> None:
        match target:
            case ast.Name(id=name):
                self.names[-1][name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts: Sequence[object] = [Unknown("a part of an unknown value")] * len(targets)
                if isinstance(value, (list, tuple)) and len(value) == len(targets):
                    parts = value
                for part, item in zip(targets, parts, strict=True):
                    self._bind(part, item)
            case ast.Attribute(value=owner, attr=name):
                module = self._value(owner)
                if isinstance(module, Module):
                    module.attributes[name] = value
            case ast.Subscript(value=owner, slice=key):
                container, index = self._value(owner), self._value(key)
                if isinstance(container, dict) and isinstance(index, (str, int)):
                    container[index] = value
                elif isinstance(container, Namespace) and isinstance(index, str):
                    names = self.names[0] if container.module is None else container.module.attributes
                    names[index] = value

    # Expressions

    def _value(self, node: ast.expr) -> object:
        """The value of an expression; whatever goes wrong makes it `Unknown`, a spent budget ends the pass."""
        self.state.meter.step()
        try:
            return self._compute(node)
        except _COMPUTE_ERRORS as error:
            if self.state.meter.spent:
                raise CannotDecode(str(error)) from None
            return Unknown(str(error) if isinstance(error, CannotDecode) else f"a {type(error).__name__}")

    def _compute(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=owner, attr=name):
                return self._constant(methods.attribute(self._value(owner), name, self.state))
            case ast.Call():
                return self._call(node)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self._value(left), self._value(right))
            case ast.JoinedStr(values=parts):
                return self._formatted(parts)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                values = self._elements(elements)
                return values if isinstance(node, ast.List) else tuple(values)
            case ast.Dict(keys=keys, values=values):
                return {self._value(k): self._value(v) for k, v in zip(keys, values, strict=True) if k is not None}
            case ast.Subscript(value=owner, slice=key):
                return self._item(self._value(owner), key)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self._value(operand)
                return -number if isinstance(number, int) else Unknown("a negative of an unknown value")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                truth = self._truth(self._value(operand))
                return Unknown("an unknown condition") if truth is None else not truth
            case ast.BoolOp(op=op, values=parts):
                return self._boolean(isinstance(op, ast.And), parts)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return methods.compare(op, self._value(left), self._value(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                truth = self._truth(self._value(test))
                return Unknown("an unknown condition") if truth is None else self._value(body if truth else orelse)
            case (
                ast.ListComp(elt=element, generators=generators) | ast.GeneratorExp(elt=element, generators=generators)
            ):
                return [self._value(element) for _ in self._generated(generators)]
            case ast.DictComp(key=key, value=value, generators=generators):
                return {self._value(key): self._value(value) for _ in self._generated(generators)}
            case ast.Lambda():
                return Function(node)
            case ast.NamedExpr(target=target, value=value):
                result = self._value(value)
                self._bind(target, result)
                return result
        return Unknown("an expression that is not read")

    def _name(self, name: str) -> object:
        for scope in (self.names[-1], self.names[0]):
            if name in scope:
                return scope[name]
        if name in library.FUNCTIONS or name in (
            "globals",
            "getattr",
            "setattr",
            "eval",
            "map",
            "vars",
            "bytes",
            "str",
        ):
            return Ref(name)
        return Ref("builtins") if name == "__builtins__" else Unknown(f"the name {name}")

    def _constant(self, value: object) -> object:
        if not isinstance(value, Ref):
            return value
        name = value.name.removeprefix("builtins.")
        if name == "sys.argv":
            return [self.state.disk.script]
        return library.CONSTANTS.get(name, Ref(name))

    def _elements(self, elements: Sequence[ast.expr]) -> list[object]:
        values: list[object] = []
        for element in elements:
            if isinstance(element, ast.Starred):
                values.extend(library.items(self._value(element.value)))
            else:
                values.append(self._value(element))
        return values

    def _formatted(self, parts: Sequence[ast.expr]) -> object:
        texts: list[object] = []
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                if part.format_spec is not None or part.conversion not in (-1, 115):
                    raise CannotDecode("a formatted value")
                texts.append(library.FUNCTIONS["str"](self.state, [self._value(part.value)], {}))
            else:
                texts.append(self._value(part))
        return methods.call_method("", "join", [texts], {}, self.state)

    def _binary(self, op: ast.operator, left: object, right: object) -> object:
        for side in (left, right):
            if isinstance(side, Unknown):
                return side
        return methods.operate(op, left, right, self.state)

    def _boolean(self, every: bool, parts: Sequence[ast.expr]) -> object:
        unknown: Unknown | None = None
        value: object = every
        for part in parts:
            value = self._value(part)
            truth = self._truth(value)
            if truth is None:
                unknown = Unknown("an unknown condition")
            elif truth is not every:
                return value
        return unknown or value

    @staticmethod
    def _truth(value: object) -> bool | None:
        return bool(value) if value is None or isinstance(value, (bool, int, str, bytes, list, tuple, dict)) else None

    def _item(self, container: object, key: ast.expr) -> object:
        if isinstance(container, Unknown):
            return container
        if isinstance(key, ast.Slice):
            bounds = [self._value(part) if part is not None else None for part in (key.lower, key.upper, key.step)]
            numbers = [bound for bound in bounds if isinstance(bound, int)]
            if isinstance(container, (str, bytes, list, tuple)) and len(numbers) + bounds.count(None) == 3:
                self.state.meter.take(len(container))
                return container[slice(*bounds)]  # type: ignore[arg-type]
            raise CannotDecode("a slice that is not read")
        index = self._value(key)
        if isinstance(index, Unknown):
            return index
        if isinstance(container, (str, bytes, list, tuple, dict)):
            return container[index]  # type: ignore[call-overload, index]
        if isinstance(container, Namespace) and isinstance(index, str):
            names = self.names[0] if container.module is None else container.module.attributes
            return names.get(index, Unknown(f"the name {index}"))
        raise CannotDecode("an index that is not read")

    def _generated(self, generators: Sequence[ast.comprehension]) -> Iterator[None]:
        first, rest = generators[0], generators[1:]
        for entry in library.items(self._value(first.iter)):
            self._bind(first.target, entry)
            truths = [self._truth(self._value(test)) for test in first.ifs]
            if None in truths:
                raise CannotDecode("a condition that could not be computed")
            if all(truths):
                yield from self._generated(rest) if rest else (None,)

    # Calls

    def _call(self, node: ast.Call) -> object:
        if any(keyword.arg is None for keyword in node.keywords):
            raise CannotDecode("a call with ** arguments")
        args = self._elements(node.args)
        keywords = {keyword.arg: self._value(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        if isinstance(node.func, ast.Attribute):
            owner = self._value(node.func.value)
            if isinstance(owner, Ref):
                return self._library_call(self._constant(methods.attribute(owner, node.func.attr, self.state)),
                                          args, keywords)  # fmt: skip
            if isinstance(owner, Unknown):
                return owner
            for value in (*args, *keywords.values()):
                if isinstance(value, Unknown) and not isinstance(owner, (File, FilePath, list)):
                    return value
            return methods.call_method(owner, node.func.attr, args, keywords, self.state)
        function = self._value(node.func)
        if isinstance(function, Function):
            return self._own_call(function.node, args, keywords)
        return self._library_call(function, args, keywords)

    def _library_call(self, function: object, args: list[object], keywords: dict[str, object]) -> object:
        if isinstance(function, Unknown):
            return function
        if not isinstance(function, Ref):
            raise CannotDecode("a call that is not read")
        name = function.name.removeprefix("builtins.")
        match name, args:
            case "globals" | "vars", []:
                return Namespace(None)
            case "getattr", [owner, str(attribute), *_]:
                return self._constant(methods.attribute(owner, attribute, self.state))
            case "setattr", [Module() as module, str(attribute), value]:
                module.attributes[attribute] = value
                return None
            case "eval", [str(text), *_] if len(text) < 100_000:
                return self._value(ast.parse(text.strip(), mode="eval").body)
            case "map", [Function(node=node), values]:
                return [self._own_call(node, [value], {}) for value in library.items(values)]
            case "pathlib.Path.cwd", []:
                return FilePath(self.state.disk.folder)
            case "exec" | "sys.path.insert" | "print" | "os.makedirs", _:
                pass
            case _:
                for value in (*args, *keywords.values()):
                    if isinstance(value, Unknown):
                        return value
        call = library.FUNCTIONS.get(name)
        if call is None:
            return Unknown(f"the call {name}")
        if name == "exec" and self.is_program and len(self.names) > 1 and isinstance(args[0], Unknown):
            return None  # Text that a program computes for itself is for a rule to judge, not a packing.
        return call(self.state, args, keywords)

    def _own_call(self, node: ast.FunctionDef | ast.Lambda, args: list[object], keywords: dict[str, object]) -> object:
        if isinstance(node, ast.FunctionDef) and node.name not in self._small:
            return Unknown(f"the function {node.name}")
        if len(self.names) > _CALL_DEPTH:
            raise CannotDecode("its unpacking code takes too many steps")
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        scope: dict[str, object] = {name: Unknown("a missing argument") for name in names}
        for name, default in zip(names[len(names) - len(node.args.defaults) :], node.args.defaults, strict=True):
            scope[name] = self._value(default)
        scope.update(zip(names, args, strict=False))
        scope.update(keywords)
        self.names.append(scope)
        try:
            if isinstance(node, ast.Lambda):
                return self._value(node.body)
            self._block(node.body)
            return None
        except _Returned as returned:
            return returned.value
        finally:
            self.names.pop()


def _loader_functions(functions: dict[str, ast.FunctionDef]) -> frozenset[str]:
    """The functions that may take part in unpacking: small, and calling a loader word or one another."""
    calls: dict[str, set[str]] = {}
    for name, node in functions.items():
        nodes = list(ast.walk(node))
        if len(nodes) > _FUNCTION_SIZE:
            continue
        calls[name] = {n.id for n in nodes if isinstance(n, ast.Name)} | {
            n.attr for n in nodes if isinstance(n, ast.Attribute)
        }
    small = {name for name, words in calls.items() if words & _LOADER_WORDS}
    while more := {name for name, words in calls.items() if name not in small and words & small}:
        small |= more
    return frozenset(small)
