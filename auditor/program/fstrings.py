"""Read the f-strings of Python 3.12 (PEP 701) with the `ast` of Python 3.11.

There, the expression in a replacement field may hold the enclosing quote, backslashes, comments and line breaks.
Such an expression is taken out, parsed on its own and put back into the tree, so that the tree is what Python 3.12
would build and every node keeps its line. (libcst reads most of these scripts too, but takes half a second for each,
and rejects some valid ones, such as `1for x in y`.)
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

_STRING = re.compile(r"#[^\n]*|((?<!\w)[A-Za-z]{1,2})?('''|\"\"\"|'|\")")
_PREFIXES = frozenset(("f", "rf", "fr", "b", "rb", "br", "u", "r"))
_PLAIN_END = {
    quote: re.compile(rf"(?s:(?:[^\\{quote[0]}{newline}]|\\.{extra})*){quote}")
    for quote, newline, extra in (
        ("'", r"\n", ""),
        ('"', r"\n", ""),
        ("'''", "", "|'(?!'')"),
        ('"""', "", '|"(?!"")'),
    )
}
_SIMPLE = re.compile(r"[\w.()\[\]+\-*/%, ]*")
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
_DEPTH = 20


class _Unfinished(Exception):
    """The text ends within a string, or is no f-string after all."""


@dataclass
class _Scanner:
    text: str
    taken: list[tuple[str, int]] = field(default_factory=list)
    """Expressions that were taken out, with their lines."""

    def rewrite(self) -> str:
        """The text with the difficult expressions replaced by names; every line keeps its number."""
        out: list[str] = []
        at = 0
        while match := _STRING.search(self.text, at):
            out.append(self.text[at : match.start()])
            if match[2] is None:
                out.append(match[0])
                at = match.end()
                continue
            end, literal = self._string(match, 0)
            out.append(literal)
            at = end
        out.append(self.text[at:])
        return "".join(out)

    def _string(self, match: re.Match[str], depth: int) -> tuple[int, str]:
        """The end of the string literal that starts at `match`, and what to write in its place."""
        prefix, quote = (match[1] or "").lower(), match[2]
        if "f" not in prefix or prefix not in _PREFIXES:
            plain = _PLAIN_END[quote].match(self.text, match.end())
            if plain is None:
                raise _Unfinished
            return plain.end(), self.text[match.start() : plain.end()]
        if depth > _DEPTH:
            raise _Unfinished
        end, body = self._body(match.end(), quote, "r" in prefix, depth)
        literal = f"{match[1]}{quote}{body}{quote}"
        lost = self.text.count("\n", match.start(), end) - literal.count("\n")
        return end, literal + "\\\n" * lost

    def _body(self, at: int, quote: str, raw: bool, depth: int) -> tuple[int, str]:
        out: list[str] = []
        while not self.text.startswith(quote, at):
            char = self._char(at)
            if char == "\\":
                named = self.text.startswith("\\N{", at) and not raw
                end = self.text.find("}", at) + 1 if named else at + 2
                if raw and self.text[at + 1 : at + 2] in "{}":
                    end = at + 1
                if not end:
                    raise _Unfinished
                out.append(self.text[at:end])
                at = end
            elif self.text.startswith(("{{", "}}"), at):
                out.append(self.text[at : at + 2])
                at += 2
            elif char == "{":
                at, replacement = self._field(at + 1, quote, raw, depth)
                out.append(replacement)
            elif char == "\n" and len(quote) == 1:
                raise _Unfinished
            else:
                out.append(char)
                at += 1
        return at + len(quote), "".join(out)

    def _char(self, at: int) -> str:
        if at >= len(self.text):
            raise _Unfinished
        return self.text[at]

    def _field(self, start: int, quote: str, raw: bool, depth: int) -> tuple[int, str]:
        """A replacement field, from behind its brace: expression, conversion, format."""
        end = self._expression(start, depth)
        expression = self.text[start:end]
        debug = re.search(r"(?<![=!<>])=\s*$", expression)
        if not _SIMPLE.fullmatch(expression[: debug.start()] if debug else expression):
            line = self.text.count("\n", 0, start) + 1
            name = f"__taken_{len(self.taken)}__"
            self.taken.append((expression[: debug.start()] if debug else expression, line))
            plain = self.text[end] == "}"
            expression = name + ("!r" if debug and plain else "")
        out = "{" + expression
        at = end
        if self.text[at] == "!":
            conversion = re.compile(r"!\s*\w+\s*").match(self.text, at)
            if conversion is None:
                raise _Unfinished
            out += conversion[0].replace(" ", "")
            at = conversion.end()
        if self._char(at) == ":":
            at += 1
            out += ":"
            while self._char(at) != "}":
                if self.text.startswith(quote, at):
                    raise _Unfinished
                if self.text[at] == "{":
                    at, inner = self._field(at + 1, quote, raw, depth + 1)
                    out += inner
                else:
                    out += self.text[at]
                    at += 1
        if self._char(at) != "}":
            raise _Unfinished
        return at + 1, out + "}"

    def _expression(self, at: int, depth: int) -> int:
        """The end of the expression that starts here: the `}`, `!` or `:` that is not part of it."""
        nesting = 0
        while True:
            char = self._char(at)
            if char in "'\"#" or char.isalpha():
                match = _STRING.match(self.text, at)
                if match is not None:
                    at = match.end() if match[2] is None else _Scanner(self.text)._string(match, depth + 1)[0]
                    continue
                word = re.compile(r"\w+").match(self.text, at)
                at = word.end() if word else at + 1
                continue
            if char in _OPEN:
                nesting += 1
            elif nesting == 0 and (char in "}:" or (char == "!" and self.text[at + 1 : at + 2] != "=")):
                return at
            elif char in _CLOSE:
                nesting -= 1
            at += 1


class _PutBack(ast.NodeTransformer):
    def __init__(self, taken: list[tuple[str, int]]) -> None:
        self.taken = taken

    def visit_Name(self, node: ast.Name) -> ast.expr:
        match = re.fullmatch(r"__taken_(\d+)__", node.id)
        if match is None:
            return node
        source, line = self.taken[int(match[1])]
        # A line break before the closing bracket ends a comment that the expression may end with.
        value = parse(f"({source}\n)", mode="eval")
        assert isinstance(value, ast.Expression)
        return ast.increment_lineno(value, line - 1).body


def parse(text: str, mode: str = "exec") -> ast.AST:
    """Like `ast.parse`, for text whose f-strings may be of Python 3.12.

    Raises `SyntaxError` where that grammar does not accept the text either.
    """
    scanner = _Scanner(text)
    try:
        plain = scanner.rewrite()
    except _Unfinished:
        return ast.parse(text, mode=mode)
    tree: ast.AST = ast.parse(plain, mode=mode)
    if not scanner.taken:
        return tree
    result = _PutBack(scanner.taken).visit(tree)
    assert isinstance(result, ast.AST)
    return result
