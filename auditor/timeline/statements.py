"""Execution of statements: control flow and branches under the effective configuration."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from auditor.timeline.events import (
    ConfigRead,
    Skipped,
)
from auditor.timeline.frames import NO_UPDATES
from auditor.timeline.loops import Loops
from auditor.timeline.values import (
    JUDGED_PART,
    JUDGED_WHOLE,
    NOCONST,
    NONE,
    NONE_VAL,
    TRAINING,
    UNKNOWN,
    Obj,
    Val,
    join,
    of_obj,
    retaint,
    taint,
    vary,
)


class Statements(Loops):
    """One method a statement type; `run` executes a block."""

    __slots__ = ()

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Execute a block until it ends or control leaves it."""
        first = self.first_iteration
        gate = self.gate
        for statement in body:
            if self.dead:
                break
            self.spend()
            method = _DISPATCH.get(type(statement))
            if method is not None:
                method(self, statement)
        self.first_iteration = first
        self.gate = gate

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.ev(node.value)

    def _do_assign(self, node: ast.Assign) -> None:
        value = self.ev(node.value)
        for target in node.targets:
            self.assign(target, value)
            if self.gate is not NONE and isinstance(target, ast.Name):
                self.note_gated_value(self.gate, self.content(value), node)

    def _do_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.ev(node.value))
        elif isinstance(node.target, ast.Name) and isinstance(self.frame.node, ast.ClassDef):
            self.frame.vars.setdefault(node.target.id, UNKNOWN)

    def _do_augassign(self, node: ast.AugAssign) -> None:
        target = node.target
        right = self.ev(node.value)
        if isinstance(target, ast.Name):
            innermost = self.loops[-1].loop.bit if len(self.loops) > self.frame.loop_base else 0
            left = self._ev_name(target)
            self.assign(target, self.augment(node, left, right, innermost))
        elif isinstance(target, ast.Attribute):
            base = self.ev(target.value)
            left = self.attribute(base, target.attr, target)
            value = self.augment(node, left, right, self.innermost())
            self.write_parameters(base, right, node)
            self.set_attribute(base, target.attr, value, node)
        elif isinstance(target, ast.Subscript):
            self.rewritten = (target, target.value)
            base = self.ev(target.value)
            left = self.subscript(base, target.slice, target)
            self.rewritten = ()
            value = self.augment(node, left, right, 0)
            if base.taint.deps and not right.taint.deps:  # the look-up of a row is no use of it
                t = value.taint
                kept = t.deps - base.taint.deps
                value = retaint(value, taint(t.toks, t.upd, kept, t.nll, t.counts, t.flags, t.crossings, t.gates))
            self.set_item(base, target.slice, value, target, reads_itself=True)

    def augment(self, node: ast.AugAssign, left: Val, right: Val, bit: int) -> Val:
        """The value of `left op= right`; arrays and lists are changed in place."""
        tensors = [o for o in left.objs if o.kind == "tensor"]
        if tensors:
            t = self.content(right)
            before = self.content(left)
            c = self.binary(type(node.op), Val(taint=before), Val(const=right.const, taint=t), node).taint
            # updates belong to the state, which a branch that leaves takes with it
            c = taint(c.toks, NO_UPDATES, c.deps, c.nll, c.counts, c.flags, c.crossings, c.gates)
            for obj in tensors:
                self.add_content(obj, c)
                if t.upd:
                    self.add_state(obj, t.upd)
            self.write_parameters(left, right, node)
            return left
        if self.is_list(left) and isinstance(node.op, ast.Add):
            for obj in left.objs:
                self.store_elem(obj, self.iterate(right, node, 0))
            return left
        self.write_parameters(left, right, node)
        if self.gate is not NONE:
            self.note_gated_value(self.gate, self.content(right), node)
        value = self.binary(type(node.op), left, right, node)
        if value.const is not NOCONST and not self.weak:
            return value
        return vary(value, bit)

    def _do_return(self, node: ast.Return) -> None:
        value = self.ev(node.value) if node.value is not None else NONE_VAL
        self.frame.returned = value if self.frame.returned is None else join(self.frame.returned, value)
        self.dead = True

    def _do_raise(self, node: ast.Raise) -> None:
        self.dead = True

    def _do_break(self, node: ast.Break) -> None:
        if self.loops:
            self.loops[-1].breaks.append(self.snapshot())
        self.dead = True

    def _do_continue(self, node: ast.Continue) -> None:
        if self.loops:
            self.loops[-1].continues.append(self.snapshot())
        self.dead = True

    def _do_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.frame.vars.pop(target.id, None)

    def _do_global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.frame.nonlocals |= frozenset(node.names)

    def _do_assert(self, node: ast.Assert) -> None:
        return

    def _do_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        obj = self.alloc("func", node.name, node, node=node)
        obj.frame = self.frame
        defaults = [self.ev(d) for d in node.args.defaults]
        obj.fields = dict(enumerate(defaults))
        for name, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if default is not None:
                obj.fields[name.arg] = self.ev(default)
        obj.extra = frozenset()
        value = of_obj(obj)
        for decorator in reversed(node.decorator_list):
            value = self.decorate(decorator, value, obj)
        self.assign_name(node.name, value)

    def decorate(self, decorator: ast.expr, value: Val, obj: Obj) -> Val:
        """A decorated function: library decorators keep it, the script's own are called."""
        if isinstance(decorator, ast.Name) and decorator.id in ("property", "staticmethod", "classmethod"):
            obj.extra = (obj.extra or frozenset()) | {decorator.id}
            return value
        if isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "getter"):
            return value
        fn = self.ev(decorator)
        if any(o.kind in ("func", "class") for o in fn.objs):
            return self.call_value(fn, [value], {}, decorator)
        self.note_wrapped(obj.name, fn, decorator)
        if any(o.kind == "lib" and o.name == "functools.cached_property" for o in fn.objs):
            obj.extra = (obj.extra or frozenset()) | {"property"}
        return value

    def _do_class(self, node: ast.ClassDef) -> None:
        self.define_class(node)

    def _do_import(self, node: ast.Import) -> None:
        for alias in node.names:
            path = alias.name if alias.asname else alias.name.split(".")[0]
            module = self.import_module(alias.name, node)
            value = module if module is not None else of_obj(self.lib_object(path))
            self.assign_name(alias.asname or path, value)

    def _do_import_from(self, node: ast.ImportFrom) -> None:
        package = self.module_path(node)
        module = self.import_module(package, node)
        for alias in node.names:
            if alias.name == "*":
                if module is not None:
                    for name, value in module.objs[0].fields.items():
                        self.assign_name(name, value)
                continue
            if module is not None:
                found = module.objs[0].fields.get(alias.name)
                value = found or self.import_module(f"{package}.{alias.name}", node) or UNKNOWN
            else:
                inner = self.import_module(f"{package}.{alias.name}", node)
                value = inner or self.lib_value(f"{node.module or ''}.{alias.name}")
            self.assign_name(alias.asname or alias.name, value)

    def module_path(self, node: ast.ImportFrom) -> str:
        """The dotted name that `from ... import` asks for; leading dots count from the importing module."""
        if not node.level or not self.frame.file:
            return node.module or ""
        parts = self.frame.file.split(".")
        up = node.level - self.is_package(self.frame.file)
        return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])

    def _do_if(self, node: ast.If) -> None:
        test = self.ev(node.test)
        known = self.truth(test)
        forced = self.forced.get(node.lineno)
        if forced is not None and known is not None and not self.frame.file:
            known = forced
            if known is not bool(self.truth(test)):
                self.note_forced(node, known)
        if node.lineno in self.explore and not self.frame.file:
            known = None
        elif (
            known is None
            and isinstance(node.test, ast.Name | ast.Attribute)
            and test.objs
            and self.is_none(test) is False
            and all(o.kind in ("inst", "func", "class") for o in test.objs)
        ):
            known = True
        if known is not None and self.gives_up(node.body if known else node.orelse):
            known = not known  # the reported run got past this check
        if known is not None:
            taken, left_out = (node.body, node.orelse) if known else (node.orelse, node.body)
            if left_out:
                self.note_block(self.timeline.skipped, node, left_out)
            if taken and not self.weak:
                self.note_block(self.timeline.taken, node, taken)
            self.run(taken)
            return
        first, later = self.guards_first_iteration(node.test)
        before = self.snapshot()
        self.weak += 1
        self.unsure += 1
        saved_first, saved_control = self.first_iteration, self.control
        self.first_iteration |= first
        if varying := test.loops & self.active:
            self.control = (*self.control, (self.births, varying))
        conditions = self.conditions(node)
        saved_held, self.held = self.held, self.held | conditions
        saved_choosing = self.choosing
        self.choosing |= test.taint.flags & (JUDGED_PART | JUDGED_WHOLE)
        gate = self.gate
        self.gate = inside = self.gated(self.content(test))
        in_training = bool(test.taint.flags & TRAINING)
        self.in_training += in_training
        self.run(node.body)
        self.in_training -= in_training
        self.held = saved_held
        ends = [] if self.dead else [self.left()]
        left = self.dead
        self.dead = False
        self.restore(before)
        self.first_iteration = saved_first | later
        if conditions:
            self.forget_updates_under(conditions)
        self.run(node.orelse)
        self.choosing = saved_choosing
        # what follows a branch that leaves runs where the test went the other way
        self.first_iteration = saved_first | (later if left else 0) | (first if self.dead else 0)
        if not self.dead:
            ends.append(self.left())
        self.weak -= 1
        self.unsure -= 1
        self.control = saved_control
        self.gate = gate if len(ends) == 2 else inside  # what follows a branch that leaves hangs on the test as well
        self.merge(ends)

    def gives_up(self, body: list[ast.stmt]) -> bool:
        """Whether a block only ends the program with an error."""
        return (
            bool(body)
            and isinstance(body[-1], ast.Raise)
            and all(isinstance(s, ast.Expr | ast.Assign | ast.Raise) for s in body)
        )

    def note_block(self, blocks: list[Skipped], node: ast.If, body: list[ast.stmt]) -> None:
        """Remember a block that the configuration takes or skips."""
        key = (node.lineno, node.col_offset, body is node.body, blocks is self.timeline.taken)
        if key in self.noted:
            return
        self.noted.add(key)
        blocks.append(
            Skipped(
                body[0].lineno,
                body[-1].end_lineno or body[-1].lineno,
                node.lineno,
                body is node.body,
            )
        )

    def note_forced(self, node: ast.If, outcome: bool) -> None:
        """The logs show which way this branch went: the switch that it tests was set so."""
        for part in ast.walk(node.test):
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            read = self.timeline.config.get(name.upper())
            if read is not None and read.value.strip().lower() in ("0", "false", "", "no", "off", "1", "true"):
                self.timeline.config[name.upper()] = ConfigRead(
                    name.upper(), str(int(outcome)), self.evidence_source, read.line, read.default
                )

    def conditions(self, node: ast.If) -> frozenset[tuple[object, ...]]:
        """The parts of a test that are not known, each told from others by its text and what its names were given."""
        parts = self.tests.get(node)
        if parts is None:
            test = node.test
            whole = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
            named = [_names(part) for part in whole]
            parts = self.tests[node] = (
                []  # another call may give another answer
                if None in named
                else [
                    (part, self.shown(part), tuple(map(self.assigned_line, names or ())))
                    for part, names in zip(whole, named, strict=True)
                ]
            )
        ctx = self.frame.ctx
        if len(parts) == 1 or node.lineno in self.explore:
            found = self.unknown_tests.get((node, ctx))
            if found is None:
                found = self.unknown_tests[node, ctx] = frozenset([(ctx, text, lines) for _, text, lines in parts])
            return found
        return frozenset([(ctx, text, lines) for part, text, lines in parts if self.truth(self.ev(part)) is None])

    def forget_updates_under(self, conditions: frozenset[tuple[object, ...]]) -> None:
        """Where a test fails, what this iteration did only where it holds has not happened."""
        undone = {u.number for u in self.update_list if conditions <= u.held}
        if undone:
            for obj, upd in self.states.items():
                self.states[obj] = frozenset(c for c in upd if c.update not in undone or c.loops & self.active)

    def guards_first_iteration(self, test: ast.expr) -> tuple[int, int]:
        """Loops in whose first iteration only a test holds (`epoch == 0`), or only then fails (`epoch > 0`)."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            first, later = self.guards_first_iteration(test.operand)
            return later, first
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return 0, 0
        kind, left, right = type(test.ops[0]), test.left, test.comparators[0]
        if isinstance(left, ast.Constant):
            kind, left, right = _MIRRORED.get(kind, kind), right, left
        loops = self.counters(left)
        if not loops or not isinstance(right, ast.Constant):
            return 0, 0
        if (kind, right.value) in ((ast.Eq, 0), (ast.Lt, 1), (ast.LtE, 0)):
            return loops, 0
        if (kind, right.value) in ((ast.NotEq, 0), (ast.Gt, 0), (ast.GtE, 1)):
            return 0, loops
        return 0, 0

    def counters(self, node: ast.expr) -> int:
        """The loops around us that a name counts."""
        value = self.lookup(node.id) if isinstance(node, ast.Name) else None
        return value.loops & self.active if value is not None else 0

    def _do_match(self, node: ast.Match) -> None:
        self.ev(node.subject)
        self.branches([case.body for case in node.cases] + [[]])

    def branches(self, bodies: list[list[ast.stmt]]) -> None:
        """Any one of several blocks is executed."""
        before = self.snapshot()
        ends = []
        self.weak += 1
        self.unsure += 1
        for body in bodies:
            self.restore(before)
            self.dead = False
            self.run(body)
            if not self.dead:
                ends.append(self.left())
        self.weak -= 1
        self.unsure -= 1
        self.merge(ends)

    def _do_try(self, node: ast.Try) -> None:
        before = self.snapshot()
        imports = all(isinstance(s, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr) for s in node.body) and any(
            isinstance(s, ast.Import | ast.ImportFrom) for s in node.body
        )
        self.unsure += 1
        self.run(node.body)
        if not self.dead:
            self.run(node.orelse)
        ends = [] if self.dead else [self.left()]
        returned_at_once = self.dead
        self.weak += 1
        if not (imports and ends):  # the reported run had its packages
            for handler in node.handlers:
                self.dead = False
                self.restore(before if not ends else ends[0])
                if not returned_at_once:
                    self.frame.vars = {**before.vars, **self.frame.vars}
                if handler.name:
                    self.frame.vars[handler.name] = UNKNOWN
                self.run(handler.body)
                if not self.dead:
                    ends.append(self.left())
        self.weak -= 1
        self.unsure -= 1
        self.merge(ends)
        if node.finalbody:
            dead, self.dead = self.dead, False
            self.run(node.finalbody)
            self.dead = self.dead or dead

    def _do_with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            value = self.ev(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, self.enter(value, node))
        self.run(node.body)

    def enter(self, value: Val, node: ast.AST) -> Val:
        """The value bound by `with ... as`."""
        for obj in value.objs:
            if obj.kind == "inst":
                method = self.class_attribute(obj.extra, "__enter__")
                if method is not None:
                    return self.call_value(self.bind(method, of_obj(obj)), [], {}, node)
        return value


def _names(test: ast.expr) -> list[ast.Name] | None:
    """The names in a test; None where it calls anything."""
    found: list[ast.Name] = []
    todo: list[ast.AST] = [test]
    while todo:
        part = todo.pop()
        if isinstance(part, ast.Name):
            found.append(part)
        elif isinstance(part, ast.Call):
            return None
        elif isinstance(part, ast.Attribute):
            todo.append(part.value)
        elif not isinstance(part, ast.Constant):
            todo.extend(ast.iter_child_nodes(part))
    return found


_MIRRORED: dict[type, type] = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
_DISPATCH: dict[type, Callable[[Any, Any], None]] = {
    ast.Expr: Statements._do_expr,
    ast.Assign: Statements._do_assign,
    ast.AnnAssign: Statements._do_annassign,
    ast.AugAssign: Statements._do_augassign,
    ast.Return: Statements._do_return,
    ast.Raise: Statements._do_raise,
    ast.Break: Statements._do_break,
    ast.Continue: Statements._do_continue,
    ast.Delete: Statements._do_delete,
    ast.Global: Statements._do_global,
    ast.Nonlocal: Statements._do_global,
    ast.Assert: Statements._do_assert,
    ast.FunctionDef: Statements._do_function,
    ast.AsyncFunctionDef: Statements._do_function,
    ast.ClassDef: Statements._do_class,
    ast.Import: Statements._do_import,
    ast.ImportFrom: Statements._do_import_from,
    ast.If: Statements._do_if,
    ast.Match: Statements._do_match,
    ast.Try: Statements._do_try,
    ast.With: Statements._do_with,
    ast.AsyncWith: Statements._do_with,
    ast.For: Statements._do_for,
    ast.AsyncFor: Statements._do_for,
    ast.While: Statements._do_while,
}
