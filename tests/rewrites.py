"""Rewritings of a script that leave what it does as it is: the same program, in another form.

For the metamorphic tests that form decides nothing. Each takes a `Program` and a source of choices, and returns another
program, or the same one where it has nothing to take hold of.
"""

from __future__ import annotations

import ast
import base64
import copy
import lzma
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tests.rename_script import renamed

DEAD = (
    "def unused(model, opt, tokens):\n    for epoch in range(3):\n"
    "        model(tokens[:-1], tokens[1:]).backward()\n        opt.step()\n",
    "class Unused:\n    def step(self, table, key):\n        table[key] += 1\n        raise RuntimeError\n",
    "def unused_too(x):\n    return [y for y in x if y is not None]\n",
)


@dataclass(frozen=True)
class Program:
    """A script and the modules beside it."""

    text: str
    modules: Mapping[str, str] = field(default_factory=dict)


Rewriting = Callable[[Program, random.Random], Program]
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


def unparsed(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def under_other_names(program: Program, chance: random.Random) -> Program:
    """Every name of the script's own is another one; not where modules share names with it."""
    return program if program.modules else replace(program, text=renamed(program.text))


def functions_in_another_order(program: Program, chance: random.Random) -> Program:
    """Neighbouring functions change places where nothing is evaluated when they are defined."""
    tree = ast.parse(program.text)
    body: list[ast.stmt] = []
    run: list[ast.stmt] = []
    for statement in [*tree.body, ast.Pass()]:
        if isinstance(statement, ast.FunctionDef) and not _evaluates(statement):
            run.append(statement)
            continue
        chance.shuffle(run)
        body += [*run, statement]
        run = []
    tree.body = body
    return replace(program, text=unparsed(tree))


def with_dead_code(program: Program, chance: random.Random) -> Program:
    """Definitions that nobody uses stand between the others."""
    tree = ast.parse(program.text)
    first = next((i for i, n in enumerate(tree.body) if isinstance(n, ast.FunctionDef | ast.ClassDef)), len(tree.body))
    for code in DEAD:
        tree.body.insert(chance.randint(first, len(tree.body)), ast.parse(code).body[0])
    return replace(program, text=unparsed(tree))


def with_a_helper_inlined(program: Program, chance: random.Random) -> Program:
    """One call of a function that ends in its only `return` is replaced by the function's body."""
    tree = ast.parse(program.text)
    helpers = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and _inlinable(n)}
    places = [
        (block, at, call, helpers[name])
        for block in _blocks(tree)
        for at, statement in enumerate(block)
        for call in [_whole_call(statement)]
        if call is not None and isinstance(call.func, ast.Name) and (name := call.func.id) in helpers
        if not call.keywords and len(call.args) == len(helpers[name].args.args)
        if not any(isinstance(argument, ast.Starred) for argument in call.args)
    ]
    if not places:
        return program
    block, at, call, helper = chance.choice(places)
    if any(statement in helper.body for statement in block):
        return program
    suffix = f"_{chance.randrange(1000)}"
    body = copy.deepcopy(helper.body)
    own = {a.arg for a in helper.args.args} | {
        n.id for n in ast.walk(helper) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    for part in (n for statement in body for n in ast.walk(statement)):
        if isinstance(part, ast.Name) and part.id in own:
            part.id += suffix
    bound: list[ast.stmt] = [
        ast.Assign([ast.Name(parameter.arg + suffix, ast.Store())], argument)
        for parameter, argument in zip(helper.args.args, call.args, strict=True)
    ]
    result: ast.expr = ast.Constant(None)
    if isinstance(body[-1], ast.Return):
        last = body.pop()
        assert isinstance(last, ast.Return)
        result = last.value or result
    block[at : at + 1] = [*bound, *body, _with_value(block[at], result)]
    return replace(program, text=unparsed(tree))


def split_into_a_module(program: Program, chance: random.Random) -> Program:
    """One function moves, with all that it uses, into a module beside the script."""
    tree = ast.parse(program.text)
    definitions = {name: node for node in tree.body for name in _defined(node)}
    functions = [name for name, node in definitions.items() if isinstance(node, ast.FunctionDef) and name != "main"]
    module = f"part_{len(program.modules)}"
    if not functions:
        return program
    moved, todo = set[str](), [chance.choice(functions)]
    while todo:
        name = todo.pop()
        if name not in moved:
            moved.add(name)
            todo += [n.id for n in ast.walk(definitions[name]) if isinstance(n, ast.Name) and n.id in definitions]
    if "main" in moved:
        return program
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    gone = [node for node in tree.body if moved.intersection(_defined(node))]
    names = sorted(name for node in gone for name in _defined(node))
    future = [node for node in imports if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    rest = [node for node in tree.body if node not in gone and node not in future]
    tree.body = [*future, ast.ImportFrom(module, [ast.alias(name) for name in names], 0), *rest]
    other = unparsed(ast.Module([*imports, *gone], []))
    return Program(unparsed(tree), {**program.modules, module: other})


def packed(program: Program, chance: random.Random) -> Program:
    """The script is compressed text that it decodes and executes."""
    data = program.text.encode()
    library, code, decoder = chance.choice(
        [
            ("lzma", base64.b85encode(lzma.compress(data)), "b85decode"),
            ("zlib", base64.b64encode(zlib.compress(data)), "b64decode"),
            ("zlib", base64.a85encode(zlib.compress(data)), "a85decode"),
        ]
    )
    text = f"import base64, {library}\nexec({library}.decompress(base64.{decoder}({code.decode()!r})))\n"
    return replace(program, text=text)


def _evaluates(function: ast.FunctionDef) -> bool:
    """Whether defining the function reads names of the script."""
    defaults = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
    return bool(function.decorator_list) or any(isinstance(n, ast.Name) for d in defaults for n in ast.walk(d))


def _inlinable(function: ast.FunctionDef) -> bool:
    inner = [n for statement in function.body for n in ast.walk(statement)]
    arguments = function.args
    awkward = (ast.Yield, ast.YieldFrom, ast.Global, ast.Nonlocal, ast.FunctionDef, ast.Lambda, ast.ClassDef)
    returns = [n for n in inner if isinstance(n, ast.Return)]
    return (
        not function.decorator_list
        and not (arguments.defaults or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)
        and not any(isinstance(n, awkward) for n in inner)
        and (not returns or returns == [function.body[-1]])
    )


def _blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Lists of statements inside functions, outermost first."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list):
                    yield block


def _whole_call(statement: ast.stmt) -> ast.Call | None:
    value = getattr(statement, "value", None) if isinstance(statement, ast.Expr | ast.Assign | ast.Return) else None
    return value if isinstance(value, ast.Call) else None


def _with_value(statement: ast.stmt, value: ast.expr) -> ast.stmt:
    """The statement about another value; the value of an expression statement is dropped."""
    if isinstance(statement, ast.Assign):
        return ast.Assign(statement.targets, value)
    return ast.Return(value) if isinstance(statement, ast.Return) else ast.Pass()


def _defined(node: ast.stmt) -> list[str]:
    """Names that a top-level definition gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
