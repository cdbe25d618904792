"""Streams: positions are told by content, and changes stay where they were asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.experiment.probe.streams import Recipe, changed, stream
from auditor.runtime.observe.stream import UNKNOWN, Stream

seeds = st.integers(0, 10_000)
recipes = st.builds(
    Recipe,
    length=st.integers(200, 1500),
    tokens=st.just(tuple(range(4, 200))),
    bos=st.just(1),
    documents=st.integers(1, 10),
)
quick = settings(max_examples=25, deadline=None, derandomize=True)


@quick
@given(recipes, seeds)
def test_every_row_of_sixteen_tells_where_it_is_from(recipe: Recipe, seed: int) -> None:
    tokens = np.array(stream(recipe, seed))
    index = Stream(tokens)
    assert len(tokens) == recipe.length
    for start in range(0, len(tokens) - 16, 7):
        assert index.places(tokens[start : start + 16]).tolist() == list(range(start, start + 16))


@quick
@given(recipes, seeds)
def test_rows_of_a_batch_are_told_apart_and_padding_is_of_nowhere(recipe: Recipe, seed: int) -> None:
    tokens = np.array(stream(recipe, seed))
    batch = np.zeros((3, 40), dtype=np.int64)
    batch[0, :32], batch[1, :32], batch[2, :20] = tokens[64:96], tokens[100:132], tokens[7:27]
    places = Stream(tokens).places(batch)
    assert places[0, :32].tolist() == list(range(64, 96))
    assert places[1, :32].tolist() == list(range(100, 132))
    assert places[2, :20].tolist() == list(range(7, 27))
    assert (places[:, 32:] == UNKNOWN).all()


@quick
@given(recipes, seeds, seeds)
def test_another_stream_is_not_taken_for_this_one(recipe: Recipe, one: int, other: int) -> None:
    tokens = stream(recipe, one)
    apart = stream(recipe, other + 20_000, [tokens])
    inside = [token for token in apart if token != recipe.bos]
    assert (Stream(np.array(tokens)).places(np.array(inside)) == UNKNOWN).mean() > 0.99


@quick
@given(recipes, seeds, st.data())
def test_a_change_changes_just_the_places_asked_for_and_no_document(
    recipe: Recipe, seed: int, data: st.DataObject
) -> None:
    tokens = stream(recipe, seed)
    places = data.draw(st.sets(st.integers(0, recipe.length - 1), max_size=60))
    after = changed(recipe, tokens, places, seed + 1)
    differs = {at for at, (a, b) in enumerate(zip(tokens, after, strict=True)) if a != b}
    assert differs == {at for at in places if tokens[at] != recipe.bos}
    assert [at for at, token in enumerate(after) if token == recipe.bos] == [
        at for at, token in enumerate(tokens) if token == recipe.bos
    ]
