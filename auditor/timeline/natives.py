"""Calls of native code through `ctypes`: C text that stands in the script is read, other native code is not."""

from __future__ import annotations

import ast
import re

from auditor.program.native import LOSS, TOKEN, Reading, reading
from auditor.timeline.receivers import Receivers
from auditor.timeline.registry import Args
from auditor.timeline.values import BITS, DIFF, FILLED, NONE, Taint, Val, join_taint, of_taint, taint, with_flags

_IN_BITS = re.compile(r"\blog2f?\s*\(|\blog\s*\(\s*2(?:\.0*)?\s*\)|\b0\.69314|\b1\.4426")


class Natives(Receivers):
    """Functions of native libraries, when they are given losses of validation tokens."""

    __slots__ = ()

    def call_native(self, name: str, args: Args, node: ast.AST) -> Val:
        """`library.name(...)`: losses that go in come out in the buffers that it is given."""
        contents = [self.content(arg) for arg in args]
        result = self.apply_unknown(args, {}, node)
        if not any(t.nll for t in contents):
            if any(map(_is_token, contents)):
                self.fill(args, contents, node)
            return result
        everything = result.taint
        for t in contents:
            everything = join_taint(everything, t)
        how, bits = self.native_reading(name, contents)
        if how == "blend":
            tokens = NONE
            for t in contents:
                tokens = join_taint(tokens, t if _is_token(t) else NONE)
            read = self.count_read(node, None, name, tokens, False, getattr(node, "lineno", 0), pieces=True)
            self.mix_event(node, frozenset((read.number,)), everything.nll, pieces=True)
            everything = join_taint(everything, taint(counts=frozenset((read.number,))))
        elif how != "sum":
            reason = f"native code (`{name}`) is given the losses of scored tokens; what it makes of them was not read"
            entry = (getattr(node, "lineno", 0), reason)
            if entry not in self.timeline.opaque:
                self.timeline.opaque.append(entry)
        everything = with_flags(everything, BITS if bits else 0)
        self.effect()
        for arg, given in zip(args, contents, strict=True):
            for obj in arg.objs:
                if obj.kind == "tensor" and not given.nll and not given.toks:
                    self.add_content(obj, everything)
        return of_taint(everything, result.loops, result.old)

    def fill(self, args: Args, contents: list[Taint], node: ast.AST) -> None:
        """Native code is given validation tokens: it may fill the other arrays from them."""
        for arg, given in zip(args, contents, strict=True):
            for obj in arg.objs:
                if obj.kind == "tensor" and not given.toks:
                    self.add_content(obj, taint(flags=FILLED))
        self.timeline.filled_in &= self.active
        self.effect()

    def native_reading(self, name: str, contents: list[Taint]) -> tuple[Reading | None, bool]:
        """What the C text that defines a function makes of its arguments, and whether it counts in bits."""
        colours = [LOSS if t.nll else TOKEN if _is_token(t) else 0 for t in contents]
        for part in ast.walk(self.frame.globals.node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and name in part.value:
                found = reading(part.value, name, colours)
                if found is not None:
                    return found, bool(_IN_BITS.search(part.value))
        return None, False


def _is_token(t: Taint) -> bool:
    return not t.nll and not t.flags & DIFF and any(r.split == "val" for r in t.toks)
