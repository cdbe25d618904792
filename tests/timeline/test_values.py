"""Abstract values: joining is a least upper bound on what `same` compares, and taints are interned."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.program.linear import Linear
from auditor.timeline import values as values_module
from auditor.timeline.values import (
    MAX_REGIONS,
    NOCONST,
    NONE,
    NONE_OBJ,
    NONE_VAL,
    UNKNOWN,
    Carried,
    Cut,
    Dep,
    Obj,
    Region,
    Taint,
    Val,
    constant,
    join,
    join_taint,
    of_obj,
    reset_tables,
    same,
    taint,
    vary,
    with_flags,
)


@pytest.fixture(autouse=True, scope="module")
def fresh_tables() -> Iterator[None]:
    """Taints of this module are interned among themselves."""
    reset_tables()
    yield
    reset_tables()


OBJECTS = tuple(Obj("tensor", f"t{number}", number) for number in range(3))
masks = st.integers(0, 3)
linears = st.builds(lambda c, t: Linear(c, t), st.integers(0, 2), st.sampled_from(((), ((0, 1),), ((1, 2),))))
cuts = st.builds(Cut, st.sampled_from((("const", 2), ("const", 3))), st.booleans())
regions = st.builds(
    lambda split, loops, old, start, shift, end, cut: Region(split, loops, old, start, shift, end=end, cut=cut),
    st.sampled_from(("val", "train")),
    masks,
    masks,
    st.none() | linears,
    st.integers(0, 1),
    st.none() | linears,
    st.none() | cuts,
)
taints = st.builds(
    taint,
    st.frozensets(regions, max_size=2),
    st.frozensets(st.builds(Carried, st.integers(0, 2), masks), max_size=2),
    st.frozensets(st.builds(Dep, st.integers(0, 2), st.integers(0, 2), masks, st.none() | cuts), max_size=2),
    st.frozensets(st.integers(0, 2), max_size=2),
    st.frozensets(st.integers(0, 2), max_size=2),
    st.integers(0, 4095),
)
constants = st.sampled_from((NOCONST, NOCONST, None, 0, 1, True, 1.0, "a"))
some_objects = st.lists(st.sampled_from(OBJECTS), unique=True, max_size=2).map(tuple)
plain = st.builds(
    lambda const, objs, lin, loops, old, content: Val(
        const, None, objs if const is NOCONST else (), lin, loops, old, content
    ),
    constants,
    some_objects,
    st.none() | linears,
    masks,
    masks,
    taints,
)
tuples = st.builds(
    lambda items, loops, content: Val(items=items, loops=loops, taint=content),
    st.lists(plain, max_size=2).map(tuple),
    masks,
    st.just(NONE),
)
values = plain | tuples
tensors = st.builds(
    lambda objs, loops, old, content: Val(objs=objs, loops=loops, old=old, taint=content),
    some_objects,
    masks,
    masks,
    taints,
)


def equal(a: Val, b: Val) -> bool:
    """`same`, whatever the order in which the objects were met."""
    if set(a.objs) != set(b.objs):
        return False
    if a.items is not None and b.items is not None and len(a.items) == len(b.items):
        bare_a, bare_b = (Val(v.const, None, (), v.lin, v.loops, v.old, v.taint) for v in (a, b))
        return same(bare_a, bare_b) and all(map(equal, a.items, b.items))
    a_sorted, b_sorted = (
        Val(v.const, v.items, tuple(sorted(v.objs, key=lambda o: o.number)), v.lin, v.loops, v.old, v.taint)
        for v in (a, b)
    )
    return same(a_sorted, b_sorted)


@given(values)
def test_join_is_idempotent(a: Val) -> None:
    assert join(a, a) is a
    copy = Val(a.const, a.items, a.objs, a.lin, a.loops, a.old, a.taint)
    assert same(join(a, copy), a)


@given(values, values)
def test_join_is_commutative(a: Val, b: Val) -> None:
    assert equal(join(a, b), join(b, a))


@given(tensors, tensors, tensors)
def test_join_of_contents_and_objects_is_associative(a: Val, b: Val, c: Val) -> None:
    assert equal(join(join(a, b), c), join(a, join(b, c)))


@given(plain, plain, plain)
def test_join_of_values_is_associative(a: Val, b: Val, c: Val) -> None:
    assert equal(join(join(a, b), c), join(a, join(b, c)))


@given(values, values)
def test_nothing_is_lost_in_a_join(a: Val, b: Val) -> None:
    joined = join(a, b)
    for v in (a, b):
        assert same(join(joined, v), joined) or v.items is not None
        assert v.loops | joined.loops == joined.loops
        assert v.old | joined.old == joined.old
        assert set(v.objs) <= set(joined.objs)
        assert v.taint.toks <= joined.taint.toks
        assert v.taint.deps <= joined.taint.deps
        assert v.taint.upd <= joined.taint.upd
        assert v.taint.nll <= joined.taint.nll
        assert v.taint.flags | joined.taint.flags == joined.taint.flags


@given(taints, taints, taints)
def test_contents_form_a_semilattice(a: Taint, b: Taint, c: Taint) -> None:
    assert join_taint(a, b) is join_taint(b, a)
    assert join_taint(a, a) is a
    assert join_taint(join_taint(a, b), c) is join_taint(a, join_taint(b, c))
    assert join_taint(a, NONE) is a


@given(taints, st.integers(0, 4095), st.integers(0, 4095))
def test_equal_contents_are_one_object(a: Taint, add: int, drop: int) -> None:
    assert taint(a.toks, a.upd, a.deps, a.nll, a.counts, a.flags) is a
    changed = with_flags(a, add, drop)
    assert changed.flags == (a.flags | add) & ~drop
    assert with_flags(changed, 0, 0) is changed
    assert changed.toks == a.toks


@given(st.frozensets(regions, min_size=MAX_REGIONS + 1, max_size=2 * MAX_REGIONS))
def test_too_many_regions_are_merged_cautiously(many: frozenset[Region]) -> None:
    merged = taint(many).toks
    assert len(merged) <= MAX_REGIONS
    assert {r.split for r in merged} == {r.split for r in many}
    for r in many:  # a merged region moves with a loop only if each of its parts does, and remembers what is old
        assert any(m.split == r.split and m.loops | r.loops == r.loops and m.old | r.old == m.old for m in merged)


def test_one_is_not_true() -> None:
    assert join(constant(1), constant(True)).const is NOCONST
    assert join(constant(1), constant(1.0)).const is NOCONST
    assert join(constant(1), constant(1)).const == 1


def test_what_may_be_none_says_so() -> None:
    tensor = of_obj(OBJECTS[0])
    for joined in (join(NONE_VAL, tensor), join(tensor, NONE_VAL)):
        assert set(joined.objs) == {NONE_OBJ, OBJECTS[0]}
        assert joined.const is NOCONST


def test_a_pair_that_may_be_none_keeps_its_items() -> None:
    pair = Val(items=(constant(1), constant(2)))
    for joined in (join(NONE_VAL, pair), join(pair, NONE_VAL)):
        assert joined.items is not None
        assert [item.const for item in joined.items] == [1, 2]


def test_items_of_tuples_of_different_length_are_kept_as_content() -> None:
    content = taint(frozenset((Region("val"),)))
    pair = Val(items=(Val(taint=content), UNKNOWN))
    single = Val(items=(UNKNOWN,))
    assert join(pair, single).items is None
    assert join(pair, single).taint is content


@given(values, masks)
def test_varying_adds_loops_and_nothing_else(a: Val, loops: int) -> None:
    varied = vary(a, loops)
    assert varied.loops == a.loops | loops
    assert same(Val(varied.const, varied.items, varied.objs, varied.lin, a.loops, varied.old, varied.taint), a)


def test_flags_do_not_share_bits() -> None:
    flags = [
        v for name, v in vars(values_module).items() if name.isupper() and type(v) is int and not name.startswith("MAX")
    ]
    assert len(flags) > 10
    assert sum(flags) == functools.reduce(operator.or_, flags)
