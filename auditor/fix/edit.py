"""Edits of a script that leave the rest of it as it is, comments and layout included.

Places are those of `ast` nodes; the editing is done on libcst's tree, which knows how a statement goes from a line with
semicolons, from a suite of one line, or from a block that has nothing else in it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

_Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
Place = tuple[int, int]
"""Line, from 1, and column in characters, from 0: where a node begins."""


@dataclass(frozen=True)
class Edit:
    """What is done to a script."""

    what: str
    """In words, as the rest of a sentence that begins with the script's author: `remove the call ...`."""
    remove: tuple[Place, ...] = ()
    """Statements that go."""
    replace: Mapping[tuple[Place, Place], str] | None = None
    """Expressions, by where they begin and end, and the expression that takes their place."""
    order: tuple[Place, ...] = ()
    """The statements of one block, by where they begin, in their new order."""
    insert: Mapping[Place, str] | None = None
    """Statements by where they begin, and the code that comes before them; it takes their comments."""
    otherwise: tuple[Place, ...] = ()
    """`if` and `elif` whose branch goes: what follows `else`, or the next `elif`, takes their place."""
    keeps: bool = False
    """Whether what was flagged stays, in a legal form: then the audit must still see it."""


def apply(source: str, edit: Edit) -> str | None:
    """The edited source; None where libcst does not read the source or a place is not found."""
    wrapper = _read(source)
    if wrapper is None:
        return None
    editor = _Editor(edit)
    edited = wrapper.visit(editor).code
    wanted = (
        len(edit.remove) + len(edit.replace or {}) + bool(edit.order) + len(edit.insert or {}) + len(edit.otherwise)
    )
    return edited if editor.done == wanted else None


@lru_cache(maxsize=1)
def _read(source: str) -> MetadataWrapper | None:
    """The concrete tree; libcst refuses some minified programs that Python takes (`else(x)`)."""
    try:
        return MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError):
        return None


class _Editor(cst.CSTTransformer):
    """Carries one edit out, and counts what it did."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, edit: Edit):
        super().__init__()
        self.edit = edit
        self.done = 0
        self.places = {*edit.remove, *edit.order, *(edit.insert or {}), *edit.otherwise}
        self.places |= {begin for begin, _ in edit.replace or {}}
        self.chained: set[Place] = set()

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Go into a statement only where something in it is to change: that is nearly all of the time of an edit."""
        plain = not getattr(node, "decorators", ())  # which come before what counts as the beginning
        if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement) and plain:
            begin, end = self._begin(node), self._end(node)
            if not any(begin <= place <= end for place in self.places):
                return False
        return super().on_visit(node)

    def visit_If_orelse(self, node: cst.If) -> None:
        """Remember which `if` is written `elif`."""
        if isinstance(node.orelse, cst.If):
            self.chained.add(self._begin(node.orelse))

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        """Remove or replace a node whose place is named, once its parts are done."""
        if isinstance(original_node, cst.SimpleStatementLine):
            line = cst.ensure_type(updated_node, cst.SimpleStatementLine)
            left = _closed(line) if line.body else None
            return self._preceded(original_node, left) if left else cst.RemoveFromParent()  # type: ignore[return-value]
        if isinstance(original_node, cst.BaseSmallStatement | cst.BaseCompoundStatement):
            if self._begin(original_node) in self.edit.remove:
                self.done += 1
                return cst.RemoveFromParent()
            if isinstance(original_node, cst.If) and self._begin(original_node) in self.edit.otherwise:
                self.done += 1
                return self._otherwise(original_node, cst.ensure_type(updated_node, cst.If))  # type: ignore[return-value]
            if isinstance(original_node, cst.BaseCompoundStatement):
                return self._preceded(original_node, updated_node)  # type: ignore[return-value, arg-type]
        elif isinstance(original_node, cst.BaseExpression) and self.edit.replace:
            text = self.edit.replace.get((self._begin(original_node), self._end(original_node)))
            if text is not None:
                self.done += 1
                # Parentheses around the old expression keep the new one together.
                parts = {"lpar": updated_node.lpar, "rpar": updated_node.rpar}  # type: ignore[attr-defined]
                return cst.parse_expression(text).with_changes(**parts)  # type: ignore[return-value]
        elif isinstance(original_node, cst.IndentedBlock) and self.edit.order:
            return self._reordered(original_node, updated_node)  # type: ignore[return-value, arg-type]
        return updated_node

    def _preceded(
        self, original: _Statement, updated: _Statement
    ) -> _Statement | cst.FlattenSentinel[cst.BaseStatement]:
        code = (self.edit.insert or {}).get(self._begin(original))
        if code is None:
            return updated
        self.done += 1
        new = cst.parse_module(code)
        first, *more = new.body
        assert isinstance(first, cst.SimpleStatementLine | cst.BaseCompoundStatement)
        lines = [*updated.leading_lines, *new.header, *first.leading_lines]
        first = first.with_changes(leading_lines=lines)
        return cst.FlattenSentinel([first, *more, updated.with_changes(leading_lines=())])

    def _otherwise(
        self, original: cst.If, updated: cst.If
    ) -> cst.BaseStatement | cst.Else | cst.RemovalSentinel | cst.FlattenSentinel[cst.BaseStatement]:
        rest = updated.orelse
        if rest is None:
            return cst.RemoveFromParent()
        if self._begin(original) in self.chained:
            return rest
        if isinstance(rest, cst.If):
            return rest.with_changes(leading_lines=updated.leading_lines)
        if isinstance(rest.body, cst.IndentedBlock):
            body = list(rest.body.body)
        else:
            body = [_closed(cst.SimpleStatementLine(cst.ensure_type(rest.body, cst.SimpleStatementSuite).body))]
        first = body[0]
        assert isinstance(first, cst.SimpleStatementLine | cst.BaseCompoundStatement)
        first = first.with_changes(leading_lines=[*updated.leading_lines, *first.leading_lines])
        return cst.FlattenSentinel([first, *body[1:]])

    def _reordered(self, original: cst.IndentedBlock, updated: cst.IndentedBlock) -> cst.IndentedBlock:
        begins = [self._begin(statement) for statement in original.body]
        if sorted(begins) != sorted(self.edit.order) or len(original.body) != len(updated.body):
            return updated
        self.done += 1
        return updated.with_changes(body=[updated.body[begins.index(place)] for place in self.edit.order])

    def _begin(self, node: cst.CSTNode) -> Place:
        start = self.get_metadata(PositionProvider, node).start
        return start.line, start.column

    def _end(self, node: cst.CSTNode) -> Place:
        end = self.get_metadata(PositionProvider, node).end
        return end.line, end.column


def _closed(line: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    """A line without a semicolon at its end."""
    return line.with_deep_changes(line.body[-1], semicolon=cst.MaybeSentinel.DEFAULT)


def begin(node: ast.stmt | ast.expr, lines: Sequence[str]) -> Place:
    """Where a node begins; a decorated definition begins with its first decorator."""
    first = min([node, *getattr(node, "decorator_list", [])], key=lambda part: (part.lineno, part.col_offset))
    return first.lineno, _characters(lines, first.lineno, first.col_offset)


def end(node: ast.stmt | ast.expr, lines: Sequence[str]) -> Place:
    """Where a node ends, exclusively."""
    line = node.end_lineno or node.lineno
    return line, _characters(lines, line, node.end_col_offset or 0)


def _characters(lines: Sequence[str], line: int, column: int) -> int:
    """`ast` counts columns in bytes of UTF-8."""
    return len(lines[line - 1].encode()[:column].decode(errors="replace"))
