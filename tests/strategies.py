"""Random blueprints for Hypothesis: every layer with every field, every wiring, names of every kind.

They are well made, not necessarily well joined: drafting one may refuse.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from striate.blueprint import LAYERS, Concat, Dag, Dense, Gate, Layer, Residual, Seq, Shared, Tap
from striate.blueprint.layer import BOUNDS

# The type of a field says what it may hold; this table, how much.
FROM_1 = ("out_channels", "out_features", "kernel_size", "stride", "dilation", "groups", "num_groups", "size")
RANGES: dict[str, tuple[int, int]] = {
    **dict.fromkeys((*FROM_1, "output_size", "scale_factor"), (1, 64)),
    **dict.fromkeys(("p", "eps", "momentum", "output_ratio"), (0, 1)),
    "grid": (-3, 3),
    "codes": (0, 2**90),
}


def words(field: Field[Any]) -> tuple[str, ...]:
    """The words a field may hold: those that its check asks for."""
    if field.name == "padding":
        return ("same",)
    check = field.metadata.get("check") or BOUNDS.get(field.name)
    return tuple(check("").removeprefix("one of ").split(", ")) if check else ("word",)


def values(hint: Any, field: Field[Any]) -> st.SearchStrategy[Any]:
    """What a field of this type may hold."""
    inside = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(values(one, field) for one in inside))
    if get_origin(hint) is tuple and inside[-1] is ...:
        return st.lists(values(inside[0], field), max_size=9).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*(values(one, field) for one in inside))
    if hint is str:
        return st.sampled_from(words(field))
    if hint is float:
        low, high = RANGES.get(field.name, (None, None))
        return st.floats(low, high, allow_nan=False, allow_infinity=False) | values(int, field)
    if hint is int:
        return st.integers(*RANGES.get(field.name, (0, 64)))
    return {bool: st.booleans(), type(None): st.none()}[hint]


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Any layer of striate.blueprint."""
    name = draw(st.sampled_from(sorted(LAYERS)))
    layer = LAYERS[name]
    hints = get_type_hints(layer)
    said = {f.name: values(hints[f.name], f) for f in fields(layer)}
    free = {f.name: said.pop(f.name) for f in fields(layer) if f.default is not MISSING}
    return layer(**draw(st.fixed_dictionaries(said, optional=free)))


plain = ("stem", "conv1", "3a", "self", "class", "input", "0", "1", "7", "project", "a-b")
names = st.sampled_from([*plain, "a:b", "two words", 'a"b', "#"]) | st.text(min_size=1, max_size=6).map(
    lambda text: text.replace(".", "_")
)


@st.composite
def parts(draw: st.DrawFn, of: st.SearchStrategy[Any], least: int = 0) -> tuple[list[Any], dict[str, Any]]:
    """Children for Seq, Concat and Dense: some by position (a run of equal ones among them), some by name."""
    bare = draw(st.lists(of, min_size=least, max_size=3))
    bare += [draw(of)] * draw(st.sampled_from([0, 0, 1, 3]))
    named = draw(st.dictionaries(names, of, max_size=3))
    return bare, {name: part for name, part in named.items() if name not in map(str, range(len(bare)))}


@st.composite
def dags(draw: st.DrawFn, of: st.SearchStrategy[Any]) -> Dag:
    takes = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    known, steps = list(takes), []
    for name in draw(st.lists(names.filter(lambda name: name not in takes), max_size=3, unique=True)):
        if len(known) > 1 and draw(st.booleans()):
            inputs = draw(st.lists(st.sampled_from(known), min_size=2, max_size=3))
            steps.append((name, draw(st.sampled_from(["concat", "add", "multiply"])), tuple(inputs)))
        else:
            steps.append((name, draw(of), (draw(st.sampled_from(known)),)))
        known.append(name)
    gives = st.sampled_from(known) | st.lists(st.sampled_from(known), min_size=1, max_size=2).map(tuple)
    return Dag(tuple(takes), tuple(steps), draw(gives))


def _wired(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    both = parts(of)
    return st.one_of(
        both.map(lambda p: Seq(*p[0], **p[1])),
        both.map(lambda p: Dense(*p[0], **p[1])),
        parts(of, least=1).map(lambda p: Concat(*p[0], **p[1])),
        st.builds(Residual, of, st.none() | of),
        st.builds(Gate, of),
        st.builds(Tap, names, st.none() | of),
        st.builds(Shared, names, of),
        dags(of),
    )


def blueprints(leaves: int = 8) -> st.SearchStrategy[Any]:
    """Small blueprints over all layers and wirings."""
    return st.recursive(layers(), _wired, max_leaves=leaves)
