"""From bytes to a syntax tree, or one clear line that says why not.

The tree is that of the standard library's `ast`. Scripts may use a newer grammar than the Python that audits them:
f-strings of 3.12 are read by `fstrings`, type parameters are removed with libcst.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings

from auditor.program import fstrings
from auditor.submission.text import UnreadableSource, check_size, read_source

__all__ = ["UnreadableSource", "parse", "read_source"]


def parse(text: str) -> ast.Module:
    """Parse a script, including one in a newer grammar; line numbers are those of `text`.

    Raises `UnreadableSource`; its `kind` tells a broken script (`broken`) from one in a grammar that is newer than
    the auditor's (`grammar`) and one that is nested too deeply or too large (`deep`).
    """
    check_size(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Invalid escapes in foreign code are not our user's business.
        try:
            try:
                return ast.parse(text)
            except SyntaxError as error:
                return _newer(text, error)
        except (RecursionError, MemoryError):
            raise UnreadableSource("the program is nested too deeply to be read", "deep") from None
        except ValueError as error:
            raise UnreadableSource(f"the source is not valid Python: {ascii(str(error))[1:-1][:100]}") from None


def _newer(text: str, error: SyntaxError) -> ast.Module:
    """Read what a newer Python accepts; `error` is what this one says of it."""
    if sys.version_info < (3, 12):
        try:
            tree = fstrings.parse(text)
            assert isinstance(tree, ast.Module)
            return tree
        except SyntaxError:
            pass
    if _mentions_type_parameters(text):
        plain = _without_type_parameters(text)
        if plain is not None:
            try:
                tree = fstrings.parse(plain)
                assert isinstance(tree, ast.Module)
                return tree
            except SyntaxError:
                here = f"{sys.version_info[0]}.{sys.version_info[1]}"
                message = f"line {error.lineno}: only a newer Python than {here} reads it"
                raise UnreadableSource(message, "grammar", error.lineno) from None
    message = ascii(error.msg)[1:-1][:100]
    raise UnreadableSource(f"line {error.lineno}: not valid Python: {message}", "broken", error.lineno) from None


def _mentions_type_parameters(text: str) -> bool:
    return (
        re.search(r"^\s*(?:type\s+\w+\s*[=\[]|(?:async\s+)?(?:def|class)\s+\w+\s*\[)", text, re.MULTILINE) is not None
    )


def _without_type_parameters(text: str) -> str | None:
    """The same program without PEP 695 type parameters and aliases, line for line; None when libcst rejects it."""
    import libcst

    class Remove(libcst.CSTTransformer):
        def leave_FunctionDef(
            self, original_node: libcst.FunctionDef, updated_node: libcst.FunctionDef
        ) -> libcst.FunctionDef:
            return updated_node.with_changes(type_parameters=None)

        def leave_ClassDef(self, original_node: libcst.ClassDef, updated_node: libcst.ClassDef) -> libcst.ClassDef:
            return updated_node.with_changes(type_parameters=None)

        def leave_TypeAlias(self, original_node: libcst.TypeAlias, updated_node: libcst.TypeAlias) -> libcst.Assign:
            return libcst.Assign([libcst.AssignTarget(updated_node.name)], libcst.Name("None"))

    try:
        plain = libcst.parse_module(text).visit(Remove()).code
    except (libcst.ParserSyntaxError, libcst.CSTValidationError):
        return None
    return plain if plain.count("\n") == text.count("\n") else None
