"""How layers are joined. Each wiring has one method, `draw`, that writes itself into the graph.

Joins mean something in exactly three places: concat, add, multiply. Everything else is a plain function returning
wiring (`parts`).
A value on its way is a wire: the name of the node that gave it, or a bundle (tuple) of such names between Dags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Union

from striate.blueprint.layer import Layer
from striate.blueprint.refusal import CannotMake

if TYPE_CHECKING:
    from striate.blueprint.graph import Pen

Wire = Union[str, tuple[str, ...]]  # noqa: UP007 (an alias used in annotations of others)
JOINS = ("concat", "add", "multiply")


class Wiring:
    """A branch of the tree; `draw(pen, wire)` writes it down and gives the wire that leaves it."""

    def draw(self, pen: Pen, x: Wire) -> Wire:
        raise NotImplementedError(f"{type(self).__name__} needs a draw(pen, wire) method")


Blueprint = Layer | Wiring
PARTS = (Layer, Wiring, type(None))
Part = tuple[str, Blueprint]


def _named(parts: Iterable[Any], named: dict[str, Any], owner: str) -> tuple[Part, ...]:
    """Children as (name, part): by position "0", "1", …, then by keyword; None is left out (an activation one does not
    want).
    """
    both = [*((str(i), part) for i, part in enumerate(parts)), *named.items()]
    for name, part in both:
        if not isinstance(part, PARTS):
            raise CannotMake(f"Cannot make {owner}: its part {name} is {part!r}; it must be a layer or a wiring.")
        if not name or "." in name:
            raise CannotMake(f'Cannot make {owner}: a part is named "{name}"; names are not empty and have no dots.')
    if named and parts and len(dict(both)) < len(both):
        twice = next(name for i, (name, _) in enumerate(both) if name in dict(both[:i]))
        raise CannotMake(
            f'Cannot make {owner}: two parts are named "{twice}"; a part without a name has that of its place.'
        )
    return tuple([each for each in both if each[1] is not None])


def _spelled(owner: str, parts: tuple[Part, ...]) -> str:
    """`Seq(Conv(64, 3), act=Activation('relu'))`: what eval gives back. Names that Python could not say as keywords go
    in **{…}.
    """
    bare: list[str] = []
    for i, (name, part) in enumerate(parts):
        if name != str(i):
            break
        bare.append(repr(part))
    rest = parts[len(bare) :]
    if all(name.isascii() and name.isidentifier() and not iskeyword(name) for name, _ in rest):
        plain, odd = [f"{name}={part!r}" for name, part in rest], ""
    else:  # all of them, to keep the order, which is the network's
        plain, odd = [], ", ".join(f"{name!r}: {part!r}" for name, part in rest)
    return f"{owner}({', '.join([*bare, *plain, *(['**{' + odd + '}'] if odd else [])])})"


@dataclass(frozen=True, init=False, repr=False)
class Seq(Wiring):
    """One after another: `Seq(Conv(64, 3), Relu)`, `Seq(stem=…, body=…)`."""

    parts: tuple[Part, ...]

    def __init__(self, /, *parts: Blueprint | None, **named: Blueprint | None) -> None:
        object.__setattr__(self, "parts", _named(parts, named, "Seq"))

    def __iter__(self) -> Iterator[Blueprint]:
        return (part for _, part in self.parts)

    def __repr__(self) -> str:
        return _spelled("Seq", self.parts)

    def draw(self, pen: Pen, x: Wire) -> Wire:
        for name, part in self.parts:  # a layer needs no pen of its own
            x = pen.place(part, x, name) if isinstance(part, Layer) else part.draw(pen.inside(name), x)
        return x


@dataclass(frozen=True, init=False, repr=False)
class Concat(Wiring):
    """Arms that read the same volume, their outputs stacked along channels (inception)."""

    arms: tuple[Part, ...]

    def __init__(self, /, *arms: Blueprint | None, **named: Blueprint | None) -> None:
        object.__setattr__(self, "arms", _named(arms, named, "Concat"))
        if not self.arms:
            raise CannotMake("Cannot make Concat(): it has no arms; give it two or more.")

    def __repr__(self) -> str:
        return _spelled("Concat", self.arms)

    def draw(self, pen: Pen, x: Wire) -> Wire:
        return pen.join("concat", [pen.inside(name).draw(arm, x) for name, arm in self.arms])


@dataclass(frozen=True)
class Residual(Wiring):
    """x + body(x). `project` is drawn on x only where the body changed its volume: the paper's own rule (He et al.
    2015, section 3.3).
    """

    body: Blueprint
    project: Blueprint | None = None

    def draw(self, pen: Pen, x: Wire) -> Wire:
        y = pen.inside("body").draw(self.body, x)
        if self.project is not None and pen.volume(x) != pen.volume(y):
            x = pen.inside("project").draw(self.project, x)
        hint = (
            "The body changed the volume; give Residual a project=."
            if self.project is None
            else "Its project does not give the body's volume."
        )
        return pen.join("add", [x, y], hint)


@dataclass(frozen=True)
class Gate(Wiring):
    """x times gate(x), the gate's grid stretched where it is 1×1 (squeeze and excitation, Hu et al. 2017)."""

    gate: Blueprint

    def draw(self, pen: Pen, x: Wire) -> Wire:
        hint = "A gate gives one number for each channel (C×1×1) or for each value."
        return pen.join("multiply", [x, pen.inside("gate").draw(self.gate, x)], hint)


@dataclass(frozen=True, init=False, repr=False)
class Dense(Wiring):
    """Each block reads all that came before it: x = concat(x, block(x)) (Huang et al. 2016, arXiv 1608.06993)."""

    blocks: tuple[Part, ...]

    def __init__(self, /, *blocks: Blueprint, **named: Blueprint) -> None:
        object.__setattr__(self, "blocks", _named(blocks, named, "Dense"))

    def __repr__(self) -> str:
        return _spelled("Dense", self.blocks)

    def draw(self, pen: Pen, x: Wire) -> Wire:
        for name, block in self.blocks:
            inner = pen.inside(name)
            x = inner.join("concat", [x, inner.inside("block").draw(block, x)])
        return x


@dataclass(frozen=True)
class Tap(Wiring):
    """A named way out: x goes on as it is, and `head(x)` (or x itself) leaves as `name` (auxiliary classifiers, stage
    features).
    """

    name: str
    head: Blueprint | None = None

    def draw(self, pen: Pen, x: Wire) -> Wire:
        pen.tap(self.name, pen.inside(self.name).draw(self.head, x) if self.head is not None else x)
        return x


@dataclass(frozen=True)
class Shared(Wiring):
    """The same weights wherever this name appears: drawn again, `part` uses those of its first place (siamese towers,
    heads over a pyramid).
    """

    name: str
    part: Blueprint

    def draw(self, pen: Pen, x: Wire) -> Wire:
        return pen.sharing(self.name).draw(self.part, x)


Step = tuple[str, Union[Blueprint, str], tuple[str, ...]]  # noqa: UP007


@dataclass(frozen=True)
class Dag(Wiring):
    """Any wiring at all, step by step: NASNet's cells, U-Nets, pyramids.

    `takes` names the wires that come in (one name: a single wire; several: a bundle, or one wire given to each name). A
    step is (name, part, inputs): a layer or
    wiring on one input, or "concat" | "add" | "multiply" on several. `gives` is the name that leaves, or a bundle of
    them.

        Dag(("x", "last"), (("left", Conv(8, 3, padding=1), ("x",)), ("sum", "add", ("left", "last"))), ("sum", "x"))
    """

    takes: tuple[str, ...]
    steps: tuple[Step, ...]
    gives: str | tuple[str, ...]

    def __post_init__(self) -> None:
        known = set(self.takes)
        for name, part, inputs in self.steps:
            if missing := [i for i in inputs if i not in known]:
                raise CannotMake(
                    f'Cannot make Dag: step "{name}" reads "{missing[0]}", which no earlier step gives.',
                    ways=f"Known there: {', '.join(sorted(known))}.",
                )
            if (isinstance(part, str) and (part not in JOINS or len(inputs) < 2)) or (
                not isinstance(part, str) and len(inputs) != 1
            ):
                raise CannotMake(
                    f'Cannot make Dag: step "{name}" is {part!r} on {len(inputs)} inputs.',
                    ways=f"A layer or wiring reads one; {', '.join(JOINS)} read two or more.",
                )
            if name in known or not name or "." in name:
                raise CannotMake(f'Cannot make Dag: a step is named "{name}"; each name once, not empty, no dots.')
            known.add(name)
        if missing := [g for g in self.leaving if g not in known]:
            raise CannotMake(
                f'Cannot make Dag: it gives "{missing[0]}", which no step makes. Known: {", ".join(sorted(known))}.'
            )

    @property
    def leaving(self) -> tuple[str, ...]:
        return (self.gives,) if isinstance(self.gives, str) else self.gives

    def draw(self, pen: Pen, x: Wire) -> Wire:
        wires: dict[str, Wire] = dict(zip(self.takes, _spread(x, len(self.takes)), strict=True))
        for name, part, inputs in self.steps:
            inner = pen.inside(name)
            read = [wires[i] for i in inputs]
            wires[name] = inner.join(part, read) if isinstance(part, str) else inner.draw(part, read[0])
        leaving = [wires[name] for name in self.leaving]
        if isinstance(self.gives, str):
            return leaving[0]
        return tuple(wire for wire in leaving if isinstance(wire, str))


def _spread(x: Wire, n: int) -> tuple[Wire, ...]:
    if n == 1:
        return (x,)
    bundle = x if isinstance(x, tuple) else (x,) * n
    if len(bundle) != n:
        raise CannotMake(f"Cannot make Dag: it takes {n} wires and is given {len(bundle)}.")
    return bundle


WIRINGS: dict[str, type[Wiring]] = {
    wiring.__name__: wiring for wiring in (Seq, Concat, Residual, Gate, Dense, Tap, Shared, Dag)
}
