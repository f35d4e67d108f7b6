"""Which part of a volume each axis of a tensor runs over, followed through views: N×H×W×C, tokens, heads, windows.

A volume is channels × rows × columns however its tensor lies. Each of its three axes may be taken to pieces (a view
that splits, Swin's windows, attention's heads), permuted and put together again; as long as every piece is there the
tensor is the whole volume, and no number has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from striate.blueprint import Volume, Window

CHANNELS, ROWS, COLUMNS = range(3)
Shape = tuple[int, ...]


class Piece(NamedTuple):
    """`size` cells along one axis of a volume (`kind`), `stride` apart."""

    kind: int
    stride: int
    size: int


Dim = tuple[Piece, ...]  # outer to inner


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the input: a view of the volume that `node` gives. Axes of length 1 have no pieces."""

    node: str
    home: Volume
    shape: Shape | None  # None: not known before it runs
    dims: tuple[Dim, ...]
    start: tuple[int, int, int] = (0, 0, 0)  # where in the volume a slice begins

    @property
    def whole(self) -> bool:
        """Every number of the volume is there, once."""
        found = [1, 1, 1]
        for dim in self.dims:
            for piece in dim:
                found[piece.kind] *= piece.size
        return tuple(found) == tuple(self.home) and self.start == (0, 0, 0)

    @property
    def plain(self) -> bool:
        """It lies as N×C×H×W (or N×C, where the volume is a vector) with a batch of one."""
        return self.whole and self.dims == plain(self.home, len(self.dims))

    def axis(self, kind: int) -> int | None:
        """The axis that is all of the channels (rows, columns) and nothing else."""
        full = _full(kind, self.home[kind])
        found = [i for i, dim in enumerate(self.dims) if dim == full]
        return found[0] if len(found) == 1 and full else None

    def viewed(self, shape: Shape) -> Value | None:
        """The same numbers in the same order under another shape; None where the pieces cannot say it."""
        left = [piece for dim in self.dims for piece in dim]
        dims: list[Dim] = []
        for n in shape:
            dim: list[Piece] = []
            while n > 1:
                if not left:
                    return None
                kind, stride, size = left.pop(0)
                if n % size == 0:
                    dim.append(Piece(kind, stride, size))
                    n //= size
                elif size % n == 0:
                    inner = size // n
                    dim.append(Piece(kind, stride * inner, n))
                    left.insert(0, Piece(kind, stride, inner))
                    n = 1
                else:
                    return None
            dims.append(joined(dim))
        return None if left else replace(self, shape=shape, dims=tuple(dims))

    def permuted(self, order: Sequence[int]) -> Value:
        shape = None if self.shape is None else tuple(self.shape[i] for i in order)
        return replace(self, shape=shape, dims=tuple(self.dims[i] for i in order))

    def sliced(self, at: int, first: int, count: int, step: int = 1) -> Value | None:
        """`count` of an axis's cells from `first` on; None where that is not said by its outermost piece."""
        dim = self.dims[at]
        inner = prod(piece.size for piece in dim[1:])
        if not dim or self.shape is None or prod(piece.size for piece in dim) != self.shape[at]:
            return None
        (kind, stride, _), rest = dim[0], dim[1:]
        if count == 1:
            return self._cell(at, first)
        if rest and (step != 1 or first % inner or count % inner):
            return None
        return self._from(
            at, joined((Piece(kind, stride * step, count // inner), *rest)), kind, first // inner * stride, count
        )

    def _cell(self, at: int, index: int) -> Value:
        value = self
        for i, piece in enumerate(self.dims[at]):
            inner = prod(p.size for p in self.dims[at][i + 1 :])
            value = value._from(at, (), piece.kind, index // inner * piece.stride, 1)
            index %= inner
        return value

    def _from(self, at: int, dim: Dim, kind: int, offset: int, count: int) -> Value:
        assert self.shape is not None
        start = list(self.start)
        start[kind] += offset
        shape = (*self.shape[:at], count, *self.shape[at + 1 :])
        dims = (*self.dims[:at], dim, *self.dims[at + 1 :])
        return replace(self, shape=shape, dims=dims, start=(start[0], start[1], start[2]))

    def without(self, at: int) -> Value:
        """An axis of length 1 taken out."""
        shape = None if self.shape is None else (*self.shape[:at], *self.shape[at + 1 :])
        return replace(self, shape=shape, dims=(*self.dims[:at], *self.dims[at + 1 :]))


def _full(kind: int, n: int) -> Dim:
    return (Piece(kind, 1, n),) if n != 1 else ()


def joined(pieces: Iterable[Piece]) -> Dim:
    """Neighbouring pieces that run on as one."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and last.kind == piece.kind and last.stride == piece.stride * piece.size:
            found[-1] = Piece(piece.kind, piece.stride, last.size * piece.size)
        elif piece.size != 1:
            found.append(piece)
    return tuple(found)


def plain(volume: Volume, axes: int = 4) -> tuple[Dim, ...]:
    """The axes of N×C×H×W, or of N×C."""
    full = [_full(kind, n) for kind, n in enumerate(volume)]
    return ((), *full, *[()] * (axes - 4)) if axes >= 4 else ((), full[0]) if axes == 2 else (full[0],)


def renewed(dims: Sequence[Sequence[Piece]]) -> tuple[Volume, tuple[Dim, ...]]:
    """A volume of their own for axes made of others' pieces: channels in the order in which they stand, rows and
    columns in the order of the grid they come from.
    """
    made = [list(dim) for dim in dims]
    sizes = []
    for kind in (CHANNELS, ROWS, COLUMNS):
        places = [(i, j) for i, dim in enumerate(made) for j, piece in enumerate(dim) if piece.kind == kind]
        if kind != CHANNELS:
            places.sort(key=lambda place: -dims[place[0]][place[1]].stride)
        stride = 1
        for i, j in reversed(places):
            made[i][j] = Piece(kind, stride, made[i][j].size)
            stride *= made[i][j].size
        sizes.append(stride)
    return Volume(*sizes), tuple(joined(dim) for dim in made)


def guessed(shape: Shape) -> tuple[Dim, ...]:
    """Axes of a tensor of which only the shape is known: a leading 1 is the batch, then channels first."""
    lead, body = (1, shape[1:]) if len(shape) > 1 and shape[0] == 1 else (0, shape)
    kinds = {0: (), 1: (CHANNELS,), 2: (CHANNELS, ROWS)}.get(len(body), (CHANNELS, *[ROWS] * (len(body) - 2), COLUMNS))
    return ((),) * lead + tuple(_full(kind, n) for kind, n in zip(kinds, body, strict=True))


def carried(values: Sequence[Value], shape: Shape) -> tuple[Dim, ...]:
    """Axes of a tensor made of others: an axis keeps what it was where its length is the same, and its kind where it
    is not.
    """
    for value in values:
        if len(value.dims) == len(shape):
            break
    else:
        return guessed(shape)
    made: list[Dim] = []
    for i, n in enumerate(shape):
        dim = next(
            (v.dims[i] for v in values if len(v.dims) == len(shape) and prod(p.size for p in v.dims[i]) == n), None
        )
        if dim is None:
            kinds = {piece.kind for v in values if len(v.dims) == len(shape) for piece in v.dims[i]}
            unused = {CHANNELS, ROWS, COLUMNS} - {p.kind for v in values for d in v.dims for p in d}
            dim = _full(kinds.pop() if len(kinds) == 1 else ROWS if kinds else min(unused or {ROWS}), n)
        made.append(dim)
    return tuple(made)


def cut(value: Value) -> tuple[Window | None, Window | None]:
    """How a slice reads rows and columns of the whole."""
    windows: list[Window | None] = []
    for kind in (ROWS, COLUMNS):
        pieces = [piece for dim in value.dims for piece in dim if piece.kind == kind]
        if prod(piece.size for piece in pieces) == value.home[kind]:
            windows.append(Window(1))
        elif len(pieces) == 1:
            windows.append(Window(1, pieces[0].stride, -value.start[kind]))
        else:
            windows.append(None)
    return windows[0], windows[1]


def reading(home: Volume, kept: Iterable[Dim]) -> tuple[Window | None, Window | None]:
    """How a step reads rows and columns whose result still has the pieces `kept`: cell by cell where all of an axis is,
    in patches where only the coarse steps are, else the whole of it (None).
    """
    windows: list[Window | None] = []
    for kind in (ROWS, COLUMNS):
        cells = home[kind]
        pieces = [piece for dim in kept for piece in dim if piece.kind == kind]
        left = prod(piece.size for piece in pieces)
        finest = min((piece.stride for piece in pieces), default=0)
        if left == cells:
            windows.append(Window(1))
        elif finest > 1 and left * finest == cells:
            windows.append(Window(finest, finest))
        else:
            windows.append(None)
    return windows[0], windows[1]


EVERYTHING = (None, None)  # the whole grid: the most that a step can read
CELL_BY_CELL = (Window(1), Window(1))
