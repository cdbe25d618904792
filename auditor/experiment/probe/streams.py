"""Validation streams made so that each position can be recognised, and changed without being noticed.

A stream is a list of documents, each opened by the BOS token, of random tokens in which (almost) every pair of
neighbours occurs once; some phrases are planted again, so that caches of earlier text have something to find.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_PHRASE = (6, 12)
"""Tokens of a planted phrase: fewer than a scored window holds, so that each window also has pairs of its own."""
_APART = 32
"""Phrases are taken from the first half of rows of this many tokens, and planted in the second half of later ones, so
that every row of 16 has pairs that occur once."""
_PLANTED = 0.7
"""How often a row gets a phrase."""


@dataclass(frozen=True)
class Recipe:
    """How long a stream is and which tokens it is made of."""

    length: int
    """Tokens, the first one included, which is never predicted."""
    tokens: tuple[int, ...]
    """Ids of ordinary tokens: those that stand for bytes."""
    bos: int | None
    documents: int
    planted: float = _PLANTED

    def __post_init__(self) -> None:
        """Pairs must not run out, or positions could not be told from one another."""
        if self.length > len(self.tokens) ** 2 // 4:
            raise ValueError(f"{self.length} tokens need more than {len(self.tokens)} different ones")


def stream(recipe: Recipe, seed: int, avoid: Iterable[Sequence[int]] = ()) -> list[int]:
    """A stream; the same seed gives the same tokens. It has no pair of neighbours in common with those to `avoid`."""
    draw = random.Random(seed)
    pairs = {pair for other in avoid for pair in pairwise(other)}
    out: list[int] = []
    starts = _starts(recipe, draw)
    sources: set[int] = set()
    while len(out) < recipe.length:
        if recipe.bos is not None and len(out) in starts:
            out.append(recipe.bos)
        elif len(out) > _APART and len(out) % _APART == _APART // 2 and draw.random() < recipe.planted:
            source = draw.randrange(len(out) // _APART) * _APART
            if source not in sources:
                out.extend(out[source : source + draw.randint(*_PHRASE)])
                sources.add(source)
        else:
            out.append(_fresh(recipe, out[-1] if out else -1, None, pairs, draw))
        if len(out) > 1:
            pairs.add((out[-2], out[-1]))
    return out[: recipe.length]


def changed(recipe: Recipe, tokens: list[int], places: Collection[int], seed: int) -> list[int]:
    """The stream with other tokens at `places`; BOS tokens stay, so that documents keep their lengths."""
    draw = random.Random(seed)
    out = list(tokens)
    pairs = set(pairwise(out))
    for place in sorted(places):
        if out[place] == recipe.bos:
            continue
        before = out[place - 1] if place else -1
        after = out[place + 1] if place + 1 < len(out) and place + 1 not in places else None
        avoid = out[place]
        out[place] = _fresh(recipe, before, after, pairs, draw, avoid)
        pairs.add((before, out[place]))
        if after is not None:
            pairs.add((out[place], after))
    return out


def _starts(recipe: Recipe, draw: random.Random) -> set[int]:
    """Where documents begin: at 0 and at places of uneven distance, so that no two have the same length."""
    inner = draw.sample(range(16, recipe.length - 16), max(0, recipe.documents - 1))
    return {0, *inner}


def _fresh(
    recipe: Recipe,
    before: int,
    after: int | None,
    pairs: set[tuple[int, int]],
    draw: random.Random,
    avoid: int | None = None,
) -> int:
    """A token that makes no pair that the stream already has."""
    while True:
        token = draw.choice(recipe.tokens)
        if token != avoid and (before, token) not in pairs and (after is None or (token, after) not in pairs):
            return token
