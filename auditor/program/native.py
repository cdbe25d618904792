"""What native code makes of the losses that it is given: a small reading of C text that stands in a script.

Colours flow from the parameters of the function that is called through assignments and calls, whatever their order:
the losses of scored tokens, what is looked up with the tokens, a loss divided by such a thing (the share of one byte),
and a share that is turned back into a probability.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

LOSS, TOKEN, SHARE, CHANCE = 1, 2, 4, 8
Reading = Literal["sum", "blend", "unknown"]
"""Losses are only added up; shares of bytes are blended with what tokens were counted by; something else."""

MAX_PASSES = 8
MAX_TEXT = 200_000
MAX_PIECE = 4_000
_SKIP = re.compile(r"/\*.*?\*/|//[^\n]*|^[ \t]*#(?:[^\n\\]|\\.|\\\n)*|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(r"\b([A-Za-z_]\w*)\s*\(([^(){};]*)\)\s*\{")
_NAME = re.compile(r"[A-Za-z_]\w*")
_TARGET = re.compile(r"([A-Za-z_]\w*)\s*(?:\[[^=]*\]|\)|(?:->|\.)\s*\w+)*\s*(?:<<|>>|[-+*/%|&^])?$")
_EQUALS = re.compile(r"(?<![<>=!])=(?!=)")
_CONDITION = re.compile(r"[^()?:,=]*(?:\([^()]*\)[^()?:,=]*)*\?")
"""`test ?`: what is chosen by a test does not hold what was tested."""
_TRUTH = re.compile(r"&&|\|\||[<>=!]=|(?<![<>-])[<>](?![<>])|!(?!=)")
_KEYWORDS = frozenset({"if", "for", "while", "switch", "return", "sizeof", "else", "do"})
_REAL = frozenset({"double", "float"})
_EXP = re.compile(r"\b(?:exp|expf|exp2|exp2f|pow|powf)\s*\(")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


@dataclass
class _Function:
    parameters: list[str]
    types: list[bool]
    """Whether each parameter holds integers."""
    pieces: list[str]
    """Statements, and the parts of declarations and of loop heads."""
    colours: dict[str, int] = field(default_factory=dict)


def reading(text: str, name: str, arguments: Sequence[int]) -> Reading | None:
    """What `name` makes of its arguments, given the colours of each; None when the text does not define it."""
    functions = _functions(_SKIP.sub(" ", text)) if len(text) <= MAX_TEXT else {}
    if name not in functions or any(len(piece) > MAX_PIECE for f in functions.values() for piece in f.pieces):
        return None
    entry = functions[name]
    for parameter, whole, colour in zip(entry.parameters, entry.types, arguments, strict=False):
        entry.colours[parameter] = TOKEN if colour & LOSS and whole else colour  # losses are no integers
    for _ in range(MAX_PASSES):
        before = [dict(f.colours) for f in functions.values()]
        for function in functions.values():
            for piece in function.pieces:
                _assign(function, piece)
                _call(function, piece, functions)
        if before == [f.colours for f in functions.values()]:
            break
    kinds = {kind for f in functions.values() for piece in f.pieces for kind in _uses(f, piece)}
    return "blend" if "blend" in kinds else "unknown" if kinds else "sum"


def _functions(text: str) -> dict[str, _Function]:
    found = {}
    for head in _HEAD.finditer(text):
        if head.group(1) in _KEYWORDS:
            continue
        body = text[head.end() : _closing(text, head.end() - 1, "{", "}")]
        names = [_NAME.findall(part.partition("[")[0]) for part in head.group(2).split(",")]
        pieces = [piece for statement in re.split(r"[;{}]", body) for piece in _split(statement, ",")]
        whole = [_REAL.isdisjoint(n[:-1]) for n in names]
        found[head.group(1)] = _Function([n[-1] if n else "" for n in names], whole, pieces)
    return found


def _closing(text: str, start: int, opening: str, closing: str) -> int:
    """Where the bracket that opens at `start` closes."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == opening) - (text[at] == closing)
        if depth == 0:
            return at
    return len(text)


def _split(text: str, signs: str) -> list[str]:
    """Parts between signs that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth = max(0, depth + (sign in "([") - (sign in ")]"))  # the head of a loop is cut at its semicolons
        if depth == 0 and sign in signs:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _colour(function: _Function, text: str) -> int:
    found = 0
    for name in _NAME.findall(text):
        found |= function.colours.get(name, 0)
    return found


def _paint(colours: dict[str, int], name: str, colour: int) -> None:
    if colour:
        colours[name] = colours.get(name, 0) | colour


def _assign(function: _Function, piece: str) -> None:
    """`target = value`: the target takes the colours of the value."""
    equals = _EQUALS.search(piece)
    target = _TARGET.search(piece[: equals.start()].rstrip()) if equals else None
    if equals is None or target is None:
        return
    value = _CONDITION.sub("", piece[equals.end() :])
    if _TRUTH.search(value):
        return
    colour = _colour(function, value) | _share(function, value)
    if colour & SHARE and _EXP.search(value):
        colour |= CHANCE
    _paint(function.colours, target.group(1), colour)


def _share(function: _Function, text: str) -> int:
    """SHARE where a loss is divided by what was looked up with the token."""
    for group in _groups(text):
        over = _split(group, "/")
        if len(over) > 1 and _colour(function, over[0]) & LOSS and _colour(function, over[1]) & (TOKEN | LOSS) == TOKEN:
            return SHARE
    return 0


def _call(function: _Function, piece: str, functions: Mapping[str, _Function]) -> None:
    """`f(a, &b)`: colours go to the parameters, and come back through pointers."""
    for call in _CALL.finditer(piece):
        callee = functions.get(call.group(1))
        if callee is None:
            continue
        given = _split(piece[call.end() : _closing(piece, call.end() - 1, "(", ")")], ",")
        for parameter, argument in zip(callee.parameters, given, strict=False):
            _paint(callee.colours, parameter, _colour(function, argument) | _share(function, argument))
            held = _NAME.fullmatch(argument.strip().lstrip("&").strip())
            if held is not None and argument.strip().startswith("&"):
                _paint(function.colours, held.group(), callee.colours.get(parameter, 0))


def _uses(function: _Function, piece: str) -> Iterator[Reading]:
    """What a statement does with losses, other than adding them."""
    for group in _groups(piece):
        terms = _split(group, "+-")
        for term in terms:
            if not _is_chance(function, term):
                continue
            inner = [name for name in _NAME.findall(term) if _EXP.search(term)]
            others = [name for other in terms if other is not term for name in _NAME.findall(other)]
            if any(function.colours.get(n, 0) & (TOKEN | LOSS) == TOKEN for n in [*inner, *others]):
                yield "blend"
    for exponent in _EXP.finditer(piece):
        if _colour(function, piece[exponent.end() : _closing(piece, exponent.end() - 1, "(", ")")]) & LOSS:
            yield "unknown"
    if re.search(r"[<>?]", piece.replace("->", "")) and _colour(function, piece) & LOSS:
        yield "unknown"


def _groups(piece: str) -> Iterator[str]:
    """The value of a statement and every bracket in it."""
    yield _EQUALS.split(piece)[-1]
    for at, sign in enumerate(piece):
        if sign == "(":
            yield piece[at + 1 : _closing(piece, at, "(", ")")]


def _is_chance(function: _Function, term: str) -> bool:
    """Whether a term is a probability made of a share."""
    if _colour(function, _EXP.split(term)[0]) & CHANCE:
        return True
    powers = [term[m.end() : _closing(term, m.end() - 1, "(", ")")] for m in _EXP.finditer(term)]
    return any((_colour(function, power) | _share(function, power)) & SHARE for power in powers)
