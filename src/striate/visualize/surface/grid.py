"""The loss at every point of a line or a grid: row by row, by several at once, gone on with where it was left."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path
from threading import local
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.blueprint.files import unwritten, write_atomically
from striate.data.threads import apart
from striate.visualize.images import Tick, unheard
from striate.visualize.surface.objective import Objective, loss_at
from striate.visualize.surface.weights import Write, movable, moving, vector

POINTS, SPAN = 51, (-1.0, 1.0)  # as in the paper's pictures
MOST = 1001  # points of a side
LONGEST = 32  # bytes of a number in a file
Span = tuple[float, float]
Directions = tuple[Tensor, Tensor]


class Surface(NamedTuple):
    """`losses` float64 R×C: at [i, j] that of the weights + x[i]·first direction + y[j]·second; NaN in rows that are
    not `done` (bool R), inf or NaN where it is so. A line has one column. `here`: the loss of the weights themselves.
    `rows`: the folder with a file for each row, where they were kept.
    """

    losses: Tensor
    x: Tensor
    y: Tensor
    done: Tensor
    here: float
    images: int
    rows: Path | None = None


def line(
    model: nn.Module, of: Objective, direction: Tensor, span: Span = SPAN, points: int = POINTS,
    folder: str | Path | None = None, tick: Tick = unheard,
) -> Surface:  # fmt: skip
    """The loss along one direction; along `between(model, other)`, with a span of -0.5 to 1.5, from one network to
    another.
    """
    nowhere = torch.zeros_like(direction)
    return _surface(model, of, (direction, nowhere), _axis(span, points), torch.zeros(1).double(), folder, tick=tick)


def surface(
    model: nn.Module, of: Objective, directions: Directions, span: Span | tuple[Span, Span] = SPAN,
    points: int = POINTS, folder: str | Path | None = None, share: tuple[int, int] = (0, 1), threads: int = 1,
    tick: Tick = unheard,
) -> Surface:  # fmt: skip
    """The loss over a plane, points×points: Li et al. 2018 (arXiv 1712.09913, section 4). In evaluation mode, as the
    paper's code has it: norms use the statistics the network has. Its weights are moved in place, and are afterwards
    the very same. `span`: of both axes, or of each.

    With a `folder` each row is a file there when it is done, under a name that weights, directions, data and grid give
    it: whoever calls again, after a kill too, computes only what is missing, and rows of other surfaces are left alone.
    `share` (k, n): of n processes this one, counted from 0, fills every n-th row from the k-th on; called without a
    share, whatever others left. `threads` fill rows at once, each with a copy of the network. `tick` is told of points
    done, those found in the folder too.

    Raises Refusal (weights that are not numbers, a grid that is none), CannotWrite.
    """
    spans = span if isinstance(span[0], tuple) else (span, span)
    x, y = (_axis(one, points) for one in spans)  # type: ignore[arg-type]
    return _surface(model, of, directions, x, y, folder, share, threads, tick)


def _axis(span: Span, points: int) -> Tensor:
    """float64, with an exact 0 where it goes through the weights themselves."""
    low, high = span
    if not (2 <= points <= MOST and math.isfinite(low) and math.isfinite(high) and low < high):
        raise Refusal(
            f"Cannot make an axis of {points} points from {low:g} to {high:g}.",
            ways=f"2 to {MOST:,} points, from a number to a larger one.",
        )
    return torch.linspace(low, high, points, dtype=torch.float64).round(decimals=12)


def _surface(
    model: nn.Module, of: Objective, directions: Directions, x: Tensor, y: Tensor, folder: str | Path | None,
    share: tuple[int, int] = (0, 1), threads: int = 1, tick: Tick = unheard,
) -> Surface:  # fmt: skip
    base, (k, n) = vector(model), share
    if not 0 <= k < n or threads < 1:
        raise Refusal(f"Cannot fill part {k} of {n} with {threads} threads: parts go from 0, threads from 1.")
    for direction in directions:
        if direction.shape != base.shape:
            raise Refusal(f"Cannot walk along {direction.numel():,} numbers: this network's weights are {len(base):,}.")
    kept = None if folder is None else _Kept(Path(folder) / digest(model, base, directions, of, x, y), len(y))
    losses = torch.full((len(x), len(y)), torch.nan, dtype=torch.float64)
    done = torch.zeros(len(x), dtype=torch.bool)

    def take(row: int, found: list[float]) -> None:
        losses[row], done[row] = torch.tensor(found, dtype=torch.float64), True
        tick(int(done.sum()) * len(y))

    def look(kept: _Kept | None) -> None:
        for row, found in kept.rows(done.logical_not().nonzero().flatten().tolist()) if kept else ():
            take(row, found)

    look(kept)
    missing = [row for row in range(k, len(x), n) if not done[row]]
    with moving(model) as write:
        here = loss_at(model, of)
        if not math.isfinite(here):
            raise Refusal(f"Cannot draw a surface around these weights: their own loss is {here}.")
        walk = _Walk(base, directions, of, x, y)
        for row, found in walk.rows(missing, model, write) if threads == 1 else walk.threaded(missing, model, threads):
            if kept:
                kept.keep(row, found)
            take(row, found)
    look(kept)
    return Surface(losses, x, y, done, here, of.images, kept and kept.folder)


class _Walk(NamedTuple):
    base: Tensor
    directions: Directions
    of: Objective
    x: Tensor
    y: Tensor

    def row(self, row: int, model: nn.Module, write: Write) -> list[float]:
        first, second = self.directions
        start = self.base + float(self.x[row]) * first
        found = []
        for along in self.y.tolist():
            write(start, second, along)
            found.append(loss_at(model, self.of))
        return found

    def rows(self, rows: list[int], model: nn.Module, write: Write) -> Iterator[tuple[int, list[float]]]:
        for row in rows:
            yield row, self.row(row, model, write)

    def threaded(self, rows: list[int], model: nn.Module, threads: int) -> Iterator[tuple[int, list[float]]]:
        """The cores are shared out among the threads; each row comes when it is done."""
        mine, before = local(), torch.get_num_threads()

        def one(row: int) -> tuple[int, list[float]]:
            if not hasattr(mine, "model"):
                mine.model = deepcopy(model)
            with moving(mine.model) as write:
                return row, self.row(row, mine.model, write)

        with ThreadPoolExecutor(threads, "surface", apart, (max(1, before // threads),)) as pool:
            coming = [pool.submit(one, row) for row in rows]
            try:
                for future in as_completed(coming):
                    torch.set_num_threads(before)  # what the pool's threads said is for them alone
                    yield future.result()
            finally:
                for future in coming:
                    future.cancel()


class _Kept(NamedTuple):
    """Rows as files of a folder, each whole or not there."""

    folder: Path
    columns: int

    def rows(self, wanted: list[int]) -> Iterator[tuple[int, list[float]]]:
        """Those of them that are there; what cannot be read is as if it were not."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritten(self.folder, error) from None
        for row in wanted:
            try:
                if (path := self._path(row)).stat().st_size > LONGEST * (self.columns + 1):
                    continue
                found = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(found, list) and len(found) == self.columns and all(isinstance(v, float) for v in found):
                yield row, found

    def keep(self, row: int, found: list[float]) -> None:
        write_atomically(self._path(row), json.dumps(found))

    def _path(self, row: int) -> Path:
        return self.folder / f"row-{row:04}.json"


def digest(model: nn.Module, base: Tensor, directions: Directions, of: Objective, x: Tensor, y: Tensor) -> str:
    """A name for what a surface follows from: the network as it prints itself, its weights, the directions, the data,
    the loss by its name, the grid.
    """
    said = hashlib.sha256(f"{model}|{[*movable(model)]}|{_name(of.loss)}|{of.dtype}".encode())
    for tensor in (base, *directions, x, y, *(tensor for pair in of.batches for tensor in pair)):
        said.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        said.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return said.hexdigest()[:24]


def _name(loss: Callable[..., object]) -> str:
    return f"{getattr(loss, '__module__', '')}.{getattr(loss, '__qualname__', type(loss).__qualname__)}"
