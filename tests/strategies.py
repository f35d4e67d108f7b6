"""Random blueprints for Hypothesis: every layer with every field, every wiring, names of every kind.

They are well made, not necessarily well joined: drafting one may refuse.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from hypothesis import strategies as st

from striate.blueprint import ACTIVATIONS, FITS, LAYERS, Concat, Dag, Dense, Gate, Layer, Residual, Seq, Shared, Tap

counts = st.integers(1, 64)
sizes = st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9))
cells = st.integers(0, 3)
chances = st.floats(0, 1) | st.sampled_from([0, 1])
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)

# What a field may hold, by its name; a layer's own table comes first.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("out_features", "num_groups", "groups", "size"), counts),
    **dict.fromkeys(("kernel_size", "stride", "dilation", "output_size"), sizes),
    "padding": st.just("same") | cells | st.tuples(cells, cells) | st.tuples(*[st.tuples(cells, cells)] * 2),
    "output_padding": cells | st.tuples(cells, cells),
    "fit": st.sampled_from([None, *FITS]),
    **dict.fromkeys(("p", "eps", "momentum"), chances),
    **dict.fromkeys(("alpha", "beta", "k", "output_ratio"), numbers),
    **dict.fromkeys(("bias", "affine", "transposed", "count_include_pad", "average"), st.booleans()),
    "channels": st.lists(st.integers(0, 99), max_size=9).map(tuple),
    "codes": st.lists(st.integers(0, 2**90), max_size=12).map(tuple),
    "out_channels": counts,
}
OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Conv": {"out_channels": st.none() | counts, "groups": st.none() | counts},
    "Activation": {"kind": st.sampled_from(ACTIVATIONS)},
    "Pool": {"kind": st.sampled_from(["max", "average"]), "stride": st.none() | sizes},
    "GlobalPool": {"kind": st.sampled_from(["max", "average"])},
    "Upsample": {"scale_factor": st.integers(1, 64), "mode": st.sampled_from(["nearest", "bilinear"])},
    "FractionalMaxPool": {"kernel_size": st.integers(1, 9)},
    "Dropout": {"channels": st.booleans()},
}


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Any layer of striate.blueprint."""
    name = draw(st.sampled_from(sorted(LAYERS)))
    layer = LAYERS[name]
    known = {**VALUES, **OWN.get(name, {})}
    said = {f.name: known[f.name] for f in fields(layer) if f.default is MISSING}
    unsaid = {f.name: known[f.name] for f in fields(layer) if f.default is not MISSING}
    return layer(**draw(st.fixed_dictionaries(said, optional=unsaid)))


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
