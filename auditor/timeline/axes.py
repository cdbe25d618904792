"""Which axis of a tensor runs along the positions of the sequence, and what mixes positions.

A tensor of the model starts as token ids, batch by positions; each operation says where the positions are afterwards.
An operation that is not listed loses track, and nothing is said of what follows: precision comes first.

One letter an axis:

- `B` the batch, `-` features, heads and the like, `1` an axis of size one;
- `T` the positions; `M` the positions of a pair (query, key) under a mask; `F` batch and positions folded into one;
- `P` the positions, each holding what the one before held; `A` all but the first; `I` all but the last; `H` the first;
- `L` the positions, padded in front; `C` what a padded convolution makes of them, before it is cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

POSITIONS = frozenset("TMPAIHLCF")
_WHOLE = frozenset("TPLF")
"""Axes over which a sum takes in every position."""


class Axes(NamedTuple):
    """The axes of a tensor, of each of several tensors (`each`), or the axis whose length a number is (`size`)."""

    tags: str
    kind: Literal["tensor", "each", "size"] = "tensor"
    boundary: bool = False
    """Made by comparing token ids: a mask of document boundaries."""


Kind = Literal["ahead", "scale", "range", "previous"]
"""How positions come to hold others.

They hold later ones (`ahead`); a divisor made of all of them, which cancels where it divides itself (`scale`); a range
of the whole tensor, which cancels where what it divided is multiplied by it again, as in rounding (`range`); or the one
before (`previous`).
"""


class Effect(NamedTuple):
    """The axes of a result, and how its positions came to hold others."""

    axes: Axes | None
    why: str = ""
    """Why positions hold others; empty: they do not."""
    kind: Kind = "ahead"


LOST = Effect(None)
NEXT = "every position is given what the next one holds"
NOT_CROPPED = "a convolution is padded on both sides and not cropped"


def index_of(axes: Axes, dim: int) -> int | None:
    """A dimension counted from the front."""
    rank = len(axes.tags)
    return dim + rank if -rank <= dim < 0 else dim if 0 <= dim < rank else None


def reduced(axes: Axes, dims: Sequence[int] | None, keep: bool, what: str) -> Effect:
    """A sum, mean or other statistic over some axes; None: over all."""
    picked = range(len(axes.tags)) if dims is None else [index_of(axes, d) for d in dims]
    if None in picked:
        return LOST
    over = {axes.tags[i] for i in picked if i is not None}
    tags = "".join(
        "1" if i in picked and keep else "" if i in picked else "T" if c == "M" and "M" in over else c
        for i, c in enumerate(axes.tags)
    )
    why = f"`{what}` takes in all positions of the sequence" if over & _WHOLE else ""
    return Effect(Axes(tags, boundary=axes.boundary), why, "range" if dims is None else "ahead")


def scanned(axes: Axes, dim: int, what: str) -> Effect:
    """An operation along one axis that keeps the shape and lets every element see all others: softmax, sort, flip."""
    at = index_of(axes, dim)
    if at is None:
        return LOST
    alone = axes.tags[at] in _WHOLE and sum(c in POSITIONS for c in axes.tags) == 1
    why = f"`{what}` along the sequence lets a position see later ones" if alone else ""
    return Effect(axes, why, "scale" if what in ("softmax", "log_softmax") else "ahead")


def transposed(axes: Axes, first: int, second: int) -> Effect:
    """Two axes change places."""
    a, b = index_of(axes, first), index_of(axes, second)
    if a is None or b is None:
        return LOST
    tags = list(axes.tags)
    tags[a], tags[b] = tags[b], tags[a]
    return Effect(axes._replace(tags="".join(tags)))


def permuted(axes: Axes, order: Sequence[int]) -> Effect:
    """All axes in another order."""
    picked = [index_of(axes, d) for d in order]
    if len(picked) != len(axes.tags) or None in picked:
        return LOST
    return Effect(axes._replace(tags="".join(axes.tags[i] for i in picked if i is not None)))


def inserted(axes: Axes, dim: int) -> Effect:
    """An axis of size one is put in."""
    rank = len(axes.tags) + 1
    at = dim + rank if dim < 0 else dim
    return Effect(axes._replace(tags=axes.tags[:at] + "1" + axes.tags[at:])) if 0 <= at < rank else LOST


def removed(axes: Axes, dim: int) -> Effect:
    """An axis is taken out."""
    at = index_of(axes, dim)
    return LOST if at is None else Effect(axes._replace(tags=axes.tags[:at] + axes.tags[at + 1 :]))


def reshaped(axes: Axes, sizes: Sequence[str]) -> Effect:
    """A view of other shape; each size is the letter of the axis it is the length of, `*` (-1), or `-`.

    The positions are found again where their length is named, where -1 follows the batch, or where batch and
    positions are folded into the first axis.
    """
    tags = axes.tags
    held = [c for c in tags if c in POSITIONS]
    if not held:
        return Effect(axes._replace(tags="".join(c if c in "B1" else "-" for c in sizes)))
    if len(held) > 1:
        return Effect(axes) if len(sizes) == len(tags) and [c for c in sizes if c in POSITIONS] == held else LOST
    out = "".join("-" if c == "*" else c for c in sizes)
    named = [i for i, c in enumerate(sizes) if c in POSITIONS]
    if len(named) == 1 and (held[0] != "F" or "B" in sizes):
        at = named[0]
        return Effect(axes._replace(tags=out[:at] + ("T" if held[0] == "F" else held[0]) + out[at + 1 :]))
    if named or held[0] == "F":
        return LOST
    if tags[:2] == "B" + held[0]:
        if sizes[:2] == ["B", "*"] and len(sizes) >= len(tags):
            return Effect(axes._replace(tags="B" + held[0] + out[2:]))
        if sizes[:1] == ["*"] and len(sizes) == len(tags) - 1 and held[0] == "T":
            return Effect(axes._replace(tags="F" + out[1:]))
    return LOST


def flattened(axes: Axes, first: int, last: int) -> Effect:
    """Neighbouring axes are folded into one."""
    a, b = index_of(axes, first), index_of(axes, last)
    if a is None or b is None:
        return LOST
    inner = axes.tags[a : b + 1]
    folded = inner if len(inner) == 1 else "F" if inner == "BT" else "-" if not POSITIONS & set(inner) else ""
    return Effect(axes._replace(tags=axes.tags[:a] + folded + axes.tags[b + 1 :])) if folded else LOST


def cut(tag: str, low: int | str | None, high: int | str | None) -> str:
    """The letter of an axis after a slice; bounds are constants, or the letter of an axis whose length they are."""
    if tag == "C" and high not in (None, "C"):
        return "T" if low in (None, 0) else "-"
    if tag not in POSITIONS or (low in (None, 0) and (high is None or high == tag or high == "T")):
        return tag
    if low in (None, 0):
        known = {("T", -1): "I", ("T", 1): "H", ("L", -1): "P"}
        return known.get((tag, high), "-") if isinstance(high, int) else "-"
    return "A" if tag == "T" and low == 1 and high is None else "-"


def joined(parts: Sequence[Axes | None], dim: int) -> Effect:
    """Tensors put one after the other along an axis."""
    known = [p for p in parts if p is not None]
    if not known or len({len(p.tags) for p in known}) > 1:
        return LOST
    model = known[0]
    at = index_of(model, dim)
    if at is None:
        return LOST
    along = [p.tags[at] if p is not None else "?" for p in parts]
    held = [c for c in along if c in POSITIONS]
    if not held:
        rest = {p.tags[:at] + p.tags[at + 1 :] for p in known}
        shifted = next((p for p in known if "P" in p.tags), model) if len(rest) > 1 else model
        return Effect(model._replace(tags=shifted.tags[:at] + "-" + shifted.tags[at + 1 :]))
    why = ""
    if len(along) == 2 and along[1] == "I":
        tag = "P"
    elif len(along) == 2 and along[0] == "A" and along[1] in "?-1H":
        tag, why = "T", NEXT
    elif (len(along) == 2 and along == ["H", "A"]) or held == ["T"]:
        tag = "T"
    else:
        return LOST
    return Effect(model._replace(tags=model.tags[:at] + tag + model.tags[at + 1 :]), why)


def filled(a: Axes, part: Axes, value: Axes) -> Effect:
    """`a` after `value` is written over a `part` of it: `a[:, 1:] = value[:, :-1]` makes it the sequence before."""
    if len(part.tags) != len(a.tags) or len(value.tags) != len(a.tags):
        return Effect(a)
    for at, pair in enumerate(zip(a.tags, part.tags, value.tags, strict=True)):
        if pair == ("T", "A", "I"):
            return Effect(a._replace(tags=a.tags[:at] + "P" + a.tags[at + 1 :]))
        if pair == ("T", "I", "A"):
            return Effect(a, NEXT)
    return Effect(a)


def broadcast(a: Axes, b: Axes, adds: bool) -> Effect:
    """Two tensors of known axes are added (`adds`) or multiplied."""
    rank = max(len(a.tags), len(b.tags))
    out, previous, ahead = "", False, False
    boundary = a.boundary or b.boundary
    for x, y in zip(a.tags.rjust(rank, "1"), b.tags.rjust(rank, "1"), strict=True):
        pair = {x, y}
        if x == y or y in "1-":
            tag = x if x != "1" else y
        elif x in "1-":
            tag = y
        elif pair in ({"T", "P"}, {"A", "I"}):
            current, earlier = ("T", "P") if "T" in pair else ("A", "I")
            masked = boundary and not adds
            previous = previous or adds
            tag = current if adds or masked else earlier
        elif pair == {"T", "M"}:
            tag = "M"
        elif pair == {"T", "C"}:  # of the same length although nothing was cropped
            tag, ahead = "T", True
        else:
            return LOST
        if boundary and not adds:
            tag = {"P": "T", "I": "A"}.get(tag, tag)
        out += tag
    axes = Axes(out, boundary=(boundary and not adds) or (a.boundary and b.boundary))
    if ahead:
        return Effect(axes, NOT_CROPPED)
    return Effect(axes, "each position is blended with the one before" if previous else "", "previous")


def met(a: Axes, scalar: bool, weight: bool, op: Literal["add", "multiply", "other"]) -> Effect:
    """A tensor of known axes meets a value of unknown shape: a number, a weight, or something that may be a mask."""
    if scalar:
        return Effect(a)
    if not weight and op != "other":
        if sum(c in "TM" for c in a.tags) > 1:
            return masked(a)
        if op == "multiply" and {"P", "I"} & set(a.tags):
            return Effect(a._replace(tags=a.tags.replace("P", "T").replace("I", "A")))
    if "1" in a.tags and not weight and POSITIONS & set(a.tags):
        return LOST
    return Effect(a._replace(tags=a.tags.replace("1", "-")))


def masked(a: Axes, *, boundary: bool = False) -> Effect:
    """Pairs of positions are masked; so is a shifted sequence, or a gate, where documents begin (`boundary`)."""
    a = a._replace(boundary=a.boundary or boundary)
    if sum(c in "TM" for c in a.tags) > 1:
        return Effect(a._replace(tags=a.tags.replace("T", "M")))
    return Effect(a._replace(tags=a.tags.replace("P", "T").replace("I", "A")))


_WEIGHTED = "positions are weighed with no causal mask"


def multiplied(a: Axes | None, b: Axes | None, *, weight_left: bool, weight_right: bool) -> Effect:
    """A matrix product; `weight_*`: that side is a parameter as it stands."""
    if (a is not None and len(a.tags) < 2) or (b is not None and len(b.tags) < 2):
        return LOST
    if a is not None and b is not None:
        inner = {a.tags[-1], b.tags[-2]}
        batch = max((a.tags[:-2], b.tags[:-2]), key=len)
        tags = batch + a.tags[-2] + b.tags[-1]
        if inner & POSITIONS:
            return _contracted(tags, inner)
        return Effect(Axes(tags))
    if a is not None:
        if a.tags[-1] in POSITIONS and not weight_right and a.tags[-1] != "M":
            return LOST
        tags = a.tags[:-1] + "-"
        return _contracted(tags, {a.tags[-1]}) if a.tags[-1] in POSITIONS else Effect(Axes(tags))
    if b is not None:
        if b.tags[-2] in POSITIONS:
            return Effect(Axes(b.tags), _WEIGHTED if weight_left else "")
        return Effect(Axes(b.tags[:-2] + "-" + b.tags[-1]))
    return LOST


def _contracted(tags: str, inner: set[str]) -> Effect:
    """What is left after a sum over positions: masked pairs give a causal result."""
    if "M" in inner:
        return Effect(Axes(tags.replace("M", "T")))
    return Effect(Axes(tags), _WEIGHTED if inner & _WHOLE else "")


def einsum(equation: str, operands: Sequence[Axes | None], weights: Sequence[bool]) -> Effect:
    """`torch.einsum`."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or "." in equation or len(terms) != len(operands):
        return LOST
    letters: dict[str, set[str]] = {}
    for term, axes, weight in zip(terms, operands, weights, strict=True):
        if axes is not None and len(axes.tags) != len(term):
            return LOST
        for i, letter in enumerate(term):
            tag = axes.tags[i] if axes is not None else "-" if weight else "?"
            letters.setdefault(letter, set()).add(tag)
    summed = {letter: tags for letter, tags in letters.items() if letter not in right and tags & POSITIONS}
    under_mask = any("M" in tags for tags in summed.values())
    if any("?" in tags and "M" not in tags for tags in summed.values()):
        return LOST
    tags = ""
    for letter in right:
        held = letters.get(letter, {"-"}) & POSITIONS
        if len(held) > 1 and held != {"T", "M"}:
            return LOST
        tag = "M" if "M" in held else next(iter(held), "B" if "B" in letters.get(letter, ()) else "-")
        tags += "T" if tag == "M" and under_mask else tag
    ahead = any(tags_in & _WHOLE and "M" not in tags_in for tags_in in summed.values())
    return Effect(Axes(tags), _WEIGHTED if ahead else "")


def rearranged(axes: Axes, pattern: str) -> Effect:
    """`einops.rearrange`: positions that are split, or folded with anything, are lost."""
    left, arrow, right = pattern.partition("->")
    sides = [_groups(side) for side in (left, right)]
    if not arrow or len(sides[0]) != len(axes.tags):
        return LOST
    tag_of: dict[str, str] = {}
    for group, tag in zip(sides[0], axes.tags, strict=True):
        if tag in POSITIONS and len(group) != 1:
            return LOST
        for name in group:
            tag_of[name] = tag
    out = ""
    for group in sides[1]:
        tags = [tag_of.get(name, "1") for name in group]
        if len(tags) > 1 and POSITIONS & set(tags):
            return LOST
        out += tags[0] if len(tags) == 1 else "-"
    return Effect(axes._replace(tags=out))


def _groups(side: str) -> list[list[str]]:
    """The axes of one side of a pattern, each a list of names."""
    out: list[list[str]] = []
    inside = False
    for word in side.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            inside = True
            out.append([])
        elif word == ")":
            inside = False
        elif inside:
            out[-1].append(word)
        else:
            out.append([word])
    return out
