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


def apply(source: str, edit: Edit) -> str | None:
    """The edited source; None where libcst does not read the source or a place is not found."""
    wrapper = _read(source)
    if wrapper is None:
        return None
    editor = _Editor(edit)
    edited = wrapper.visit(editor).code
    wanted = len(edit.remove) + len(edit.replace or {}) + bool(edit.order)
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

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        """Remove or replace a node whose place is named, once its parts are done."""
        if isinstance(original_node, cst.SimpleStatementLine):
            return _closed(cst.ensure_type(updated_node, cst.SimpleStatementLine))  # type: ignore[return-value]
        if isinstance(original_node, cst.BaseSmallStatement | cst.BaseCompoundStatement):
            if self._begin(original_node) in self.edit.remove:
                self.done += 1
                return cst.RemoveFromParent()
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


def _closed(line: cst.SimpleStatementLine) -> cst.SimpleStatementLine | cst.RemovalSentinel:
    """A line from which a statement may have gone: no semicolon at its end, and no line where nothing is left."""
    if not line.body:
        return cst.RemoveFromParent()
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
