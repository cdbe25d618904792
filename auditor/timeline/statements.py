"""Execution of statements: control flow, branches under the effective configuration, loops to a fixpoint."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from auditor.timeline.calls import Calls
from auditor.timeline.events import ConfigRead, Loop, Skipped
from auditor.timeline.machine import LoopContext, Snapshot
from auditor.timeline.values import (
    NOCONST,
    NONE,
    NONE_VAL,
    UNKNOWN,
    Obj,
    Val,
    constant,
    join,
    join_taint,
    of_obj,
    of_taint,
    same,
    vary,
)

MAX_PASSES = 2


class Statements(Calls):
    """One method a statement type; `run` executes a block."""

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Execute a block until it ends or control leaves it."""
        for statement in body:
            if self.dead:
                return
            self.steps += 1
            method = _DISPATCH.get(type(statement))
            if method is not None:
                method(self, statement)

    # ---- simple statements ---------------------------------------------------------------------------

    def do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.ev(node.value)

    def do_assign(self, node: ast.Assign) -> None:
        value = self.ev(node.value)
        for target in node.targets:
            self.assign(target, value)

    def do_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.ev(node.value))
        elif isinstance(node.target, ast.Name) and isinstance(self.frame.node, ast.ClassDef):
            self.frame.vars.setdefault(node.target.id, UNKNOWN)

    def do_augassign(self, node: ast.AugAssign) -> None:
        target = node.target
        right = self.ev(node.value)
        if isinstance(target, ast.Name):
            innermost = self.loops[-1].loop.bit if len(self.loops) > self.frame.loop_base else 0
            left = self.ev_name(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            self.assign(target, self.augment(node, left, right, innermost))
        elif isinstance(target, ast.Attribute):
            base = self.ev(target.value)
            left = self.attribute(base, target.attr, target)
            value = self.augment(node, left, right, self.innermost())
            self.write_parameters(base, right, node)
            self.set_attribute(base, target.attr, value, node)
        elif isinstance(target, ast.Subscript):
            base = self.ev(target.value)
            left = self.subscript(base, target.slice, target)
            value = self.augment(node, left, right, 0)
            self.set_item(base, target.slice, value, target, reads_itself=True)

    def augment(self, node: ast.AugAssign, left: Val, right: Val, bit: int) -> Val:
        tensors = [o for o in left.objs if o.kind == "tensor"]
        if tensors:
            t = self.content(right)
            before = self.content(left)
            self.binary(type(node.op), Val(taint=before), Val(const=right.const, taint=t), node)
            combined = self.binary(type(node.op), Val(taint=before), Val(const=right.const, taint=t), node).taint
            for obj in tensors:
                self.add_content(obj, combined)
                if t.upd:
                    self.add_state(obj, t.upd)
            self.write_parameters(left, right, node)
            return left
        if self.is_list(left) and isinstance(node.op, ast.Add):
            for obj in left.objs:
                self.store_elem(obj, self.iterate(right, node, 0))
            return left
        self.write_parameters(left, right, node)
        value = self.binary(type(node.op), left, right, node)
        if value.const is not NOCONST and not self.weak:
            return value
        return vary(value, bit)

    def do_return(self, node: ast.Return) -> None:
        value = self.ev(node.value) if node.value is not None else NONE_VAL
        self.frame.returned = value if self.frame.returned is None else join(self.frame.returned, value)
        self.dead = True

    def do_raise(self, node: ast.Raise) -> None:
        self.dead = True

    def do_break(self, node: ast.Break) -> None:
        if self.loops:
            self.loops[-1].breaks.append(self.snapshot())
        self.dead = True

    def do_continue(self, node: ast.Continue) -> None:
        if self.loops:
            self.loops[-1].continues.append(self.snapshot())
        self.dead = True

    def do_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.frame.vars.pop(target.id, None)

    def do_global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.frame.nonlocals |= frozenset(node.names)

    def do_assert(self, node: ast.Assert) -> None:
        return

    # ---- definitions ---------------------------------------------------------------------------------

    def do_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
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
        if isinstance(decorator, ast.Attribute) and decorator.attr == "cached_property":
            obj.extra = (obj.extra or frozenset()) | {"property"}
        return value

    def do_class(self, node: ast.ClassDef) -> None:
        self.define_class(node)

    # ---- imports -------------------------------------------------------------------------------------

    def do_import(self, node: ast.Import) -> None:
        for alias in node.names:
            path = alias.name if alias.asname else alias.name.split(".")[0]
            module = self.import_module(alias.name, node)
            value = module if module is not None else of_obj(self.lib_object(path))
            self.assign_name(alias.asname or path, value)

    def do_import_from(self, node: ast.ImportFrom) -> None:
        module = self.import_module(node.module or "", node)
        for alias in node.names:
            if alias.name == "*":
                if module is not None:
                    for name, value in module.objs[0].fields.items():
                        self.assign_name(name, value)
                continue
            if module is not None:
                value = module.objs[0].fields.get(alias.name, UNKNOWN)
            else:
                value = self.lib_value(f"{node.module or ''}.{alias.name}")
            self.assign_name(alias.asname or alias.name, value)

    # ---- branches ------------------------------------------------------------------------------------

    def do_if(self, node: ast.If) -> None:
        test = self.ev(node.test)
        known = self.truth(test)
        forced = self.forced.get(node.lineno)
        if forced is not None and known is not None and not self.frame.file and not self.overridden(node.test):
            known = forced
            if known is not bool(self.truth(test)):
                self.note_forced(node, known)
        if node.lineno in self.explore and not self.frame.file:
            known = None
        elif known is None and isinstance(node.test, ast.Name | ast.Attribute) and test.objs and self.is_none(test) is False and all(o.kind in ("inst", "func", "class") for o in test.objs):
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
        first = self.guards_first_iteration(node.test)
        before = self.snapshot()
        self.weak += 1
        saved_first, saved_control = self.first_iteration, self.control
        self.first_iteration |= first
        self.control |= test.loops & self.active
        self.run(node.body)
        self.first_iteration = saved_first
        ends = [] if self.dead else [self.snapshot()]
        self.dead = False
        self.restore(before)
        self.run(node.orelse)
        if not self.dead:
            ends.append(self.snapshot())
        self.weak -= 1
        self.control = saved_control
        self.merge(ends)

    def gives_up(self, body: list[ast.stmt]) -> bool:
        """Whether a block only ends the program with an error."""
        return bool(body) and isinstance(body[-1], ast.Raise) and all(isinstance(s, ast.Expr | ast.Assign | ast.Raise) for s in body)

    def note_block(self, blocks: list[Skipped], node: ast.If, body: list[ast.stmt]) -> None:
        key = (node.lineno, node.col_offset, body is node.body, blocks is self.timeline.taken)
        if key in self.noted:
            return
        self.noted.add(key)
        blocks.append(
            Skipped(
                body[0].lineno,
                body[-1].end_lineno or body[-1].lineno,
                ast.unparse(node.test)[:120],
                self.frame.name,
                node.lineno,
                body is node.body,
            )
        )

    def overridden(self, test: ast.expr) -> bool:
        """Whether the user set the switch that a branch tests: `--env` is stronger than any log."""
        for part in ast.walk(test):
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            if self.env.get(name.upper(), ("", ""))[1] == "--env":
                return True
        return False

    def note_forced(self, node: ast.If, outcome: bool) -> None:
        """The logs show which way this branch went: the switch that it tests was set so."""
        for part in ast.walk(node.test):
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            read = self.timeline.config.get(name.upper())
            if read is not None and read.value.strip().lower() in ("0", "false", "", "no", "off", "1", "true"):
                self.timeline.config[name.upper()] = ConfigRead(name.upper(), str(int(outcome)), self.evidence_source, read.line, read.default)

    def guards_first_iteration(self, test: ast.expr) -> int:
        """Loops of whose first iteration the test holds only: `epoch == 0`."""
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            for side, other in ((test.left, test.comparators[0]), (test.comparators[0], test.left)):
                if isinstance(side, ast.Name) and isinstance(other, ast.Constant) and other.value == 0:
                    value = self.lookup(side.id)
                    if value is not None and value.loops & self.active:
                        return value.loops & self.active
        return 0

    def do_match(self, node: ast.Match) -> None:
        self.ev(node.subject)
        self.branches([case.body for case in node.cases] + [[]])

    def branches(self, bodies: list[list[ast.stmt]]) -> None:
        """Any one of several blocks is executed."""
        before = self.snapshot()
        ends = []
        self.weak += 1
        for body in bodies:
            self.restore(before)
            self.dead = False
            self.run(body)
            if not self.dead:
                ends.append(self.snapshot())
        self.weak -= 1
        self.merge(ends)

    def do_try(self, node: ast.Try) -> None:
        before = self.snapshot()
        imports = all(isinstance(s, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr) for s in node.body) and any(
            isinstance(s, ast.Import | ast.ImportFrom) for s in node.body
        )
        self.run(node.body)
        if not self.dead:
            self.run(node.orelse)
        ends = [] if self.dead else [self.snapshot()]
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
                    ends.append(self.snapshot())
        self.weak -= 1
        self.merge(ends)
        if node.finalbody:
            dead, self.dead = self.dead, False
            self.run(node.finalbody)
            self.dead = self.dead or dead

    def do_with(self, node: ast.With | ast.AsyncWith) -> None:
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

    # ---- loops ---------------------------------------------------------------------------------------

    def do_for(self, node: ast.For | ast.AsyncFor) -> None:
        source = self.ev(node.iter)
        count = self.known_length(source)
        if count == 0 and not self.explore:
            self.note_empty_loop(node)
            self.run(node.orelse)
            return
        unrolled = self.unroll(node, source, count)
        if unrolled:
            return
        bit = self.loop_bit(node)
        loop = Loop(bit, node.lineno, "for", ast.unparse(node.target)[:60])
        once = count == 1

        def step() -> bool:
            self.assign(node.target, self.iterate(source, node, bit))
            self.run(node.body)
            return True

        self.loop(loop, step, once=once, always=count is not None and count > 0)
        if not self.dead and node.orelse:
            self.run(node.orelse)

    def note_empty_loop(self, node: ast.For | ast.AsyncFor) -> None:
        key = (node.lineno, node.col_offset, True, False)
        if key in self.noted:
            return
        self.noted.add(key)
        self.timeline.skipped.append(
            Skipped(node.body[0].lineno, node.body[-1].end_lineno or 0, "for " + ast.unparse(node.iter)[:100], self.frame.name)
        )

    def unroll(self, node: ast.For | ast.AsyncFor, source: Val, count: int | None) -> bool:
        """Short loops over literal tuples and lists are run element by element: their elements differ in kind."""
        elements = self.literal_elements(source)
        if elements is None or not 1 <= len(elements) <= 4 or count is None:
            return False
        if all(e.const is not NOCONST for e in elements) and not all(isinstance(e.const, str) for e in elements):
            return False
        bit = self.loop_bit(node)
        context = LoopContext(Loop(bit, node.lineno, "for", ast.unparse(node.target)[:60]))
        for element in elements:
            if self.dead:
                break
            self.loops.append(context)
            self.assign(node.target, element)
            self.run(node.body)
            self.loops.pop()
            ends = ([] if self.dead else [self.snapshot()]) + context.continues
            context.continues = []
            self.merge(ends)
        ends = ([] if self.dead else [self.snapshot()]) + context.breaks
        self.merge(ends)
        if not self.dead and node.orelse:
            self.run(node.orelse)
        return True

    def do_while(self, node: ast.While) -> None:
        bit = self.loop_bit(node)
        loop = Loop(bit, node.lineno, "while", ast.unparse(node.test)[:60])
        first = self.truth(self.ev(node.test))
        if first is False:
            return
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)

        def step() -> bool:
            known = self.truth(self.ev(node.test))
            if known is False:
                return False
            self.run(node.body)
            return True

        self.loop(loop, step, once=False, always=first is True, endless=endless)
        if not self.dead and node.orelse:
            self.run(node.orelse)

    def loop(self, loop: Loop, step: Callable[[], bool], *, once: bool, always: bool, endless: bool = False) -> None:
        """Interpret a loop body until the state at its head no longer changes."""
        context = LoopContext(loop)
        self.loops.append(context)
        outer_active = self.active
        self.active |= loop.bit
        exits: list[Snapshot] = [] if always else [self.snapshot()]
        head = self.snapshot()
        self.weak += 1
        for number in range(MAX_PASSES):
            growth = self.growth
            context.continues = []
            if not step():
                exits.append(self.snapshot())
                break
            ends = ([] if self.dead else [self.snapshot()]) + context.continues
            if not ends:
                break
            self.merge(ends)
            if once:
                exits.append(self.snapshot())
                break
            after = self.snapshot()
            if not endless:
                exits.append(after)
            self.cross_back_edge(loop.bit)
            changed = self.widen(head, loop.bit)
            head = self.snapshot()
            if number and not changed and growth == self.growth:
                break
        self.weak -= 1
        self.loops.pop()
        self.active = outer_active
        self.dead = False
        self.merge(exits[-2:] + context.breaks if len(exits) > 2 else exits + context.breaks)

    def widen(self, head: Snapshot, bit: int) -> bool:
        """Join the state at the end of the body into the one at the loop's head; whether anything changed."""
        changed = False
        variables = self.frame.vars
        for name, before in head.vars.items():
            now = variables.get(name)
            if now is None:
                variables[name] = before
                continue
            if now is before:
                continue
            merged = join(before, now)
            if not same(merged, before):
                changed = True
                if merged.const is NOCONST and not merged.objs and merged.items is None:
                    merged = vary(merged, bit)
            variables[name] = merged
        for name in variables:
            if name not in head.vars:
                changed = True
        for obj, upd in head.states.items():
            now_upd = self.states.get(obj)
            self.states[obj] = upd if now_upd is None else upd | now_upd
        for obj, upd in self.states.items():
            if head.states.get(obj) != upd:
                changed = True
        return changed


_DISPATCH: dict[type, Callable[[Any, Any], None]] = {
    ast.Expr: Statements.do_expr,
    ast.Assign: Statements.do_assign,
    ast.AnnAssign: Statements.do_annassign,
    ast.AugAssign: Statements.do_augassign,
    ast.Return: Statements.do_return,
    ast.Raise: Statements.do_raise,
    ast.Break: Statements.do_break,
    ast.Continue: Statements.do_continue,
    ast.Delete: Statements.do_delete,
    ast.Global: Statements.do_global,
    ast.Nonlocal: Statements.do_global,
    ast.Assert: Statements.do_assert,
    ast.FunctionDef: Statements.do_function,
    ast.AsyncFunctionDef: Statements.do_function,
    ast.ClassDef: Statements.do_class,
    ast.Import: Statements.do_import,
    ast.ImportFrom: Statements.do_import_from,
    ast.If: Statements.do_if,
    ast.Match: Statements.do_match,
    ast.Try: Statements.do_try,
    ast.With: Statements.do_with,
    ast.AsyncWith: Statements.do_with,
    ast.For: Statements.do_for,
    ast.AsyncFor: Statements.do_for,
    ast.While: Statements.do_while,
}
