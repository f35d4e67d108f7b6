"""What a layer is: fields as torch names them, and one method of physics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from sys import float_info
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from striate.blueprint.refusal import CannotMake
from striate.blueprint.volume import LIMIT, Volume
from striate.blueprint.window import FITS, Reading

Size = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | str
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
NONE: Shapes = MappingProxyType({})


class Placed(NamedTuple):
    """A layer on a volume: all that follows from it.

    Parameters, bytes, receptive field and state-dict shapes are derived from these, once, elsewhere.
    """

    output: Volume
    weights: Shapes = NONE  # trained, by their state-dict name
    buffers: Shapes = NONE  # kept but not trained
    macs: int | None = 0  # multiply-adds of weights with values, one example; None: not known
    windows: tuple[Reading, Reading] | None = None  # how rows and columns are read; None: cell by cell
    unread: tuple[int, int] = (0, 0)  # real rows and columns that no window reaches


def _whole(least: int) -> Any:
    def check(value: object) -> str | None:
        if type(value) is int and least <= value <= LIMIT:
            return None  # nearly always
        numbers = list(_flat(value))
        if not numbers or any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
            return "a whole number"
        if not _in_pairs(value):
            return "one number or a pair of them"
        return None if all(least <= n <= LIMIT for n in numbers) else f"from {least} to {LIMIT:,}"

    return check


def _in_pairs(value: object) -> bool:
    return not isinstance(value, tuple) or (len(value) == 2 and all(map(_in_pairs, value)))


def whole(least: int) -> dict[str, Any]:
    """Metadata of a field that holds whole numbers."""
    return {"check": _whole(least)}


def _flat(value: object) -> Any:
    if isinstance(value, tuple):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _among(*words: object) -> Any:
    return lambda value: None if value in words else "one of " + ", ".join(map(str, words))


def among(*words: object) -> dict[str, Any]:
    """Metadata of a field that holds one of some words."""
    return {"check": _among(*words)}


def _number(low: float, high: float) -> Any:
    def check(value: object) -> str | None:
        honest = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if honest else f"a number from {low:g} to {high:g}"

    return check


def numbers() -> dict[str, Any]:
    """Metadata of a field that holds a list of whole numbers."""
    return {"check": _list}


def _list(value: object) -> str | None:
    honest = isinstance(value, tuple) and all(type(n) is int and n >= 0 for n in value)
    return None if honest else "whole numbers, as (0, 1, 2)"


# What a field may hold, by its name: the one place where sizes are bounded, before anything is computed from them.
BOUNDS: dict[str, Any] = {
    **dict.fromkeys(
        (
            "out_channels",
            "out_features",
            "kernel_size",
            "stride",
            "dilation",
            "groups",
            "num_groups",
            "size",
            "output_size",
            "scale_factor",
        ),
        _whole(1),
    ),
    **dict.fromkeys(("padding", "output_padding"), _whole(0)),
    "fit": _among(*FITS),
    "p": _number(0, 1),
    "eps": _number(0, 1),
    "momentum": _number(0, 1),
    "output_ratio": _number(0, 1),
    **dict.fromkeys(("alpha", "beta", "k", "factor"), _number(-float_info.max, float_info.max)),
    **dict.fromkeys(("bias", "affine", "transposed", "count_include_pad", "average"), _among(True, False)),
}


@cache
def _checks(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """The fields of a class of layers that are held to something: the name, what checks it, whether it may be None."""
    fields_ = kind.__dataclass_fields__.items()
    found = [(name, field, field.metadata.get("check") or BOUNDS.get(name)) for name, field in fields_]
    return tuple((name, check, "None" in str(field.type)) for name, field, check in found if check)


@dataclass(frozen=True)
class Layer:
    """A leaf of a blueprint. A layer of your own is a frozen dataclass with a `place` method (and a torch form:
    `nn.realise.register`).
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, check, optional in _checks(kind):
            value = getattr(self, name)
            if (value is None and optional) or (name == "padding" and value == "same"):
                continue  # the layer's own docstring says what None means
            if wanted := check(value):
                raise CannotMake(f"Cannot make {self!r}: {name} is {value!r}; it must be {wanted}.", layer=self)

    whole_grid: ClassVar[bool] = False  # its statistics read the whole grid, whatever its field says

    def place(self, volume: Volume) -> Placed:
        """Put the layer on a volume; raises CannotPlace where it does not fit."""
        raise NotImplementedError(f"{type(self).__name__} needs a place(volume) method: its output, weights and MACs")

    def __repr__(self) -> str:
        return typed(self)


def typed(layer: Layer, name: str = "", leave: tuple[str, ...] = ()) -> str:
    """The layer as its author would type it: what must be said bare, the rest by name, defaults unsaid. `eval` gives it
    back.
    """
    said = [(field, getattr(layer, field.name)) for field in fields(layer) if field.name not in leave]
    words = [
        repr(value) if field.default is MISSING else f"{field.name}={value!r}"
        for field, value in said
        if value != field.default
    ]
    return f"{name or type(layer).__name__}({', '.join(words)})"


def pair(value: Any) -> tuple[Any, Any]:
    """(rows, columns) of a field that may be said once for both."""
    return value if isinstance(value, tuple) else (value, value)
