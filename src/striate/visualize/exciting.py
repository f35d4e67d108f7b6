"""What of a data set excites a unit most: the images, the cells, and the patches that these see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotRead, Refusal, Volume
from striate.data import Streamed
from striate.data.stream import UNREADABLE
from striate.visualize.field import LayerField, gradients, layer_field
from striate.visualize.images import CELLS, MANY, Data, Tick, batches, unheard
from striate.visualize.units import Unit, channels_first, unit
from striate.visualize.watching import as_far_as, undisturbed

BEST = 9  # images a channel


class Exciting(NamedTuple):
    """For each of C channels (one, where a unit names it: `channels` int64 C) the K images that excite it most, the
    strongest first: `values` float32 C×K, the largest of each image's map; `images` int64 C×K, their places in the data
    set; `cells` int64 C×K×2, the row and column where. `seen`: of so many images; `left_out`: so many could not be
    read. `field`: how the layer's cells see a `volume` (None: no graph says it).
    """

    layer: str
    channels: Tensor
    values: Tensor
    images: Tensor
    cells: Tensor
    seen: int
    left_out: int
    volume: Volume
    grid: tuple[int, int]
    field: LayerField | None

    def unit(self, row: int, place: int) -> Unit:
        """The unit, and its cell, that one of the values is of."""
        at = tuple(self.cells[row, place].tolist())
        return Unit(self.layer, int(self.channels[row]), at if self.grid != (1, 1) else None)  # type: ignore[arg-type]


class Patch(NamedTuple):
    """What a unit saw: `pixels` float32 C×h×w in 0..1, its field cut at the image's border; `rows` and `columns` the
    first and last of these; the whole image, `around`; its place in the data set, and the value.
    """

    pixels: Tensor
    rows: tuple[int, int]
    columns: tuple[int, int]
    around: Tensor
    image: int
    value: float


@torch.no_grad()
def exciting(
    model: nn.Module, data: Data, of: str | Unit, best: int = BEST, size: int = 0, tick: Tick = unheard
) -> Exciting:
    """The images of a data set (or of x, float N×C×H×W, normalised) that excite a unit most; of a layer, each of its
    channels, in one pass. An image counts once for a channel, by the largest cell of its map (or the cell that the unit
    names): Girshick et al. 2014 (arXiv 1311.2524, section 3.1), Zeiler & Fergus 2013 (arXiv 1311.2901, section 4).

    In memory are one batch's values, `size` images (0: as many as memory allows), and C×`best` places; `tick` is told
    of images done. Raises NotFound, CannotTrain (no images), CannotRead (too many cannot be read), Refusal.
    """
    of = unit(model, of) if isinstance(of, str) else of
    if best < 1:
        raise Refusal(f"Cannot keep the best {best} of a data set's images: 1 or more are kept.")
    kept, seen, volume, height, width = _Best(), 0, Volume(1), 1, 1
    with undisturbed(model), as_far_as(model, [of.layer]) as run:
        for which, x in _placed(model, data, size):
            whole = channels_first(model, run(x)[of.layer])
            value = _chosen(whole, of)
            volume, (height, width) = Volume(*x.shape[1:]), (whole.shape[2:] if whole.ndim > 2 else (1, 1))
            peaks, at = value.flatten(2).max(2)
            if not peaks.isfinite().all():
                raise Refusal(f"Cannot see what excites {of}: its values are not finite.")
            kept = kept.with_more(peaks.T.float().cpu(), which.expand(value.shape[1], -1), at.T.cpu(), best)
            seen += len(which)
            tick(seen)
    cells = torch.stack((torch.div(kept.at, width, rounding_mode="floor"), kept.at % width), 2)
    if of.at is not None:
        cells = torch.tensor(of.at).expand_as(cells)
    channels = torch.arange(len(kept.values)) if of.channel is None else torch.tensor([of.channel])
    field = layer_field(model, of.layer, volume)
    left_out, grid = len(data) - seen, (height, width)
    return Exciting(of.layer, channels, kept.values, kept.images, cells, seen, left_out, volume, grid, field)


def patches(model: nn.Module, data: Data, found: Exciting, row: int = 0) -> list[Patch]:
    """What excited one of the channels most (its `row` in `found`), cut out of the images as the network reads them, by
    the unit's receptive field: exact by the graph, else the box of the gradient's support on that image. The images are
    read once more.
    """
    made = []
    for place, image in enumerate(found.images[row].tolist()):
        x, _, look = next(batches(model, data[image : image + 1], 1))
        at = found.unit(row, place)
        if found.field is not None:
            ends = found.field.of(at.at or (0, 0))
        else:
            support = gradients(model, x, at)[0][0].nonzero()
            low, high = support.amin(0).tolist(), support.amax(0).tolist()
            ends = (low[0], high[0]), (low[1], high[1])
        rows, columns = (
            (max(0, first), min(n - 1, last)) for (first, last), n in zip(ends, look.shape[2:], strict=True)
        )
        pixels = look[0, :, rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
        made.append(Patch(pixels, rows, columns, look[0], image, float(found.values[row, place])))
    return made


class _Best(NamedTuple):
    """C×K, falling: values, the images they are of, and the cell as one number."""

    values: Tensor = torch.empty(0)
    images: Tensor = torch.empty(0)
    at: Tensor = torch.empty(0)

    def with_more(self, values: Tensor, images: Tensor, at: Tensor, best: int) -> _Best:
        """The best of both; of equals the one that came first."""
        if self.values.numel():
            values, images, at = (torch.cat(both, 1) for both in zip(self, (values, images, at), strict=True))
        order = values.argsort(dim=1, descending=True, stable=True)[:, :best]
        return _Best(*(part.gather(1, order) for part in (values, images, at)))


def _chosen(value: Tensor, of: Unit) -> Tensor:
    """N×C×H×W: of a layer's value the channel and the cell that are meant."""
    if value.ndim not in (2, 4):
        shape = "×".join(map(str, value.shape))
        raise Refusal(f"Cannot see what excites {of}: {of.layer} gives {shape}.", ways="N×C×H×W or N×C is wanted.")
    part = of.of(value)
    if of.channel is not None:
        part = part.unsqueeze(1)
    return part.reshape(*part.shape, *(1,) * (4 - part.ndim))


def _placed(model: nn.Module, data: Data, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of a data set, each with its place in it; files that cannot be read are left out, and where these are
    more than a share of UNREADABLE, CannotRead is raised.
    """
    if not isinstance(data, Streamed):
        start = 0
        for x, _, _ in batches(model, data, size):
            yield torch.arange(start, start + len(x)), x
            start += len(x)
        return
    height, width = data.volume.grid
    lost = list[str]()
    for which in torch.arange(len(data)).split(size or max(1, min(MANY, CELLS // (height * width)))):
        whole = _read(model, data[which])
        if whole is not None and len(whole) == len(which):
            yield which, whole
            continue
        for one in which.split(1):  # which of them are missing is found one by one
            if (alone := _read(model, data[one])) is not None:
                yield one, alone
            else:
                lost.append(data.pictures[int(one)].name)
        if len(lost) > UNREADABLE * len(data):
            raise CannotRead(
                f"Cannot read {len(lost)} of the {len(data):,} images of {data.source}, among them {lost[0]}."
            )


def _read(model: nn.Module, data: Streamed) -> Tensor | None:
    try:
        found = [x for x, _, _ in batches(model, data, len(data))]
    except CannotRead:
        return None
    return torch.cat(found) if found else None
