"""Where a layer puts images: its features of a data set, and these in a plane, drawn as the images themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.blueprint import Refusal
from striate.blueprint.said import counted, visible
from striate.data.drawn import FAINT, INK
from striate.data.memory import room_for
from striate.visualize import figures
from striate.visualize.images import Data, Tick, batches, unheard
from striate.visualize.units import channels_first
from striate.visualize.watching import OUT, known, layers, ran, undisturbed, value_of, watched

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THUMBNAIL = 64  # pixels of the longer side
POOLINGS = ("mean", "flat")
MOST = 625  # thumbnails in a picture that a phone can show
NAMED = 20  # classes that a legend has room for
LONGEST = 0.75  # inches of a class's name
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")  # Okabe & Ito 2008
MARKERS = "osD^vP*X<>ph"  # as many classes again with every colour


class Features(NamedTuple):
    """What `layer` makes of images: `values` float32 N×D. `said`: what the D numbers are. `thumbs` float32 N×C×h×w in
    0..1, the images to look at; `labels` int64 N and the `classes` they stand for, where the data has them.
    """

    values: Tensor
    layer: str
    said: str
    thumbs: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()


class Embedded(NamedTuple):
    """Features in a plane: `points` float32 N×2, x before y; `said` how they came there."""

    points: Tensor
    said: str


def last_layer(model: nn.Module, x: Tensor) -> str:
    """The layer whose features stand for an image where none is named: the last that is not yet the classes' scores
    (Krizhevsky et al. 2012, section 6.1, take the last hidden layer). Runs the network on the first image of x.
    """
    names = {known(model, name): name for name in reversed(layers(model)) if name != OUT}
    with torch.no_grad(), undisturbed(model), watched(model, names) as found:
        classes = ran(model, x[:1], scored=True).shape[1]
    before = [name for name, value in found.items() if value.ndim in (2, 4) and value.shape[1] != classes]
    if not before:
        raise Refusal("Cannot choose a layer to look at: none comes before the classes' scores.", ways="Name one.")
    return names[before[-1]]


def features(
    model: nn.Module, data: Data, layer: str = "", pooling: str = "mean", size: int = 0, tick: Tick = unheard
) -> Features:
    """What a layer (by default the last before the classes' scores) makes of every image of a data set, or of x. A map
    is averaged over its cells ("mean") or taken whole ("flat"). `tick` is told of images done. Of the network's values
    no more than one batch's are in memory at a time.

    Raises NotFound for a layer, CannotTrain (no images, no rule, no room), Refusal (no tensor, not numbers).
    """
    if pooling not in POOLINGS:
        raise Refusal(f'Cannot pool maps by "{pooling}".', ways=f"One of: {', '.join(POOLINGS)}.")
    inner = known(model, layer) if layer else ""
    kept, thumbs, labels, shape = list[Tensor](), list[Tensor](), list[Tensor](), torch.Size()
    for x, y, look in batches(model, data, size):
        if not inner:
            layer = last_layer(model, x)
            inner = known(model, layer)
        with torch.no_grad(), undisturbed(model), watched(model, [inner]) as found:
            found[OUT] = ran(model, x, inner == OUT)
        value = channels_first(model, value_of(found, inner, layer))
        if not kept:
            shape = value.shape[1:]
            numbers = len(shape) and shape[0] if pooling == "mean" else shape.numel()
            room_for(4 * len(data) * numbers, f"{counted(len(data), 'image')}' features of {layer}", POOLED)
        kept.append(_pooled(value, pooling).float().cpu())
        thumbs.append(_thumbnails(look))
        labels += [] if y is None else [y]
        tick(sum(map(len, kept)))
    values = torch.cat(kept)
    if odd := int((~values.isfinite()).any(1).sum()):
        raise Refusal(f"Cannot use {layer}'s features: those of {odd:,} of {len(values):,} images are not numbers.")
    said = _said(layer, shape, pooling)
    classes = () if isinstance(data, Tensor) else data.classes
    return Features(values, layer, said, torch.cat(thumbs), torch.cat(labels) if labels else None, classes)


POOLED = 'pooling="mean" takes one number a channel; or take fewer images.'


def _pooled(value: Tensor, pooling: str) -> Tensor:
    if value.ndim < 2:
        value = value.reshape(len(value), 1)
    return value.flatten(2).mean(2) if pooling == "mean" and value.ndim > 2 else value.flatten(1)


def _said(layer: str, shape: torch.Size, pooling: str) -> str:
    if shape[1:].numel() <= 1:
        return f"{layer}: {counted(shape.numel(), 'number')}"
    whole = "×".join(map(str, shape))
    if pooling == "mean":
        return f"{layer}: {counted(shape[0], 'number')}, each the mean of a map of {'×'.join(map(str, shape[1:]))}"
    return f"{layer}: {counted(shape.numel(), 'number')}, {whole}"


def _thumbnails(look: Tensor) -> Tensor:
    height, width = look.shape[2:]
    if max(height, width) <= THUMBNAIL:
        return look
    scale = THUMBNAIL / max(height, width)
    small = max(1, round(height * scale)), max(1, round(width * scale))
    return F.interpolate(look, small, mode="bilinear", antialias=True).clamp_(0, 1)


def pca(values: Tensor) -> Embedded:
    """The two directions in which features (float N×D) vary most: Pearson 1901; the signs are scikit-learn's."""
    from sklearn.decomposition import PCA

    _enough(values, 3)
    wide = values.shape[1] > 1
    found = PCA(2 if wide else 1, random_state=0).fit(values.double().numpy())
    points = torch.from_numpy(found.transform(values.double().numpy())).float()
    points = points if wide else F.pad(points, (0, 1))
    return Embedded(points, f"PCA: the plane holds {found.explained_variance_ratio_.sum():.0%} of the variance")


def tsne(values: Tensor, perplexity: float = 30.0, seed: int = 0) -> Embedded:
    """van der Maaten & Hinton 2008 (JMLR 9), by Barnes-Hut (scikit-learn), from the PCA of the features, of which 50
    components are kept as in the paper (section 4.2). Near neighbours stay near; distances between groups say little.
    Of fewer images the perplexity is smaller: a third of their number.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    _enough(values, 4)
    if not perplexity > 1:
        raise Refusal(f"Cannot embed with a perplexity of {perplexity:g}: it is a number of neighbours, more than 1.")
    perplexity = min(perplexity, (len(values) - 1) / 3)
    numbers = values.double().numpy()
    if min(numbers.shape) > 50:
        numbers = PCA(50, random_state=seed).fit_transform(numbers)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(numbers)
    return Embedded(torch.from_numpy(points).float(), f"t-SNE, perplexity {perplexity:.3g}")


def _enough(values: Tensor, least: int) -> None:
    if len(values) < least:
        raise Refusal(f"Cannot embed {counted(len(values), 'image')}: a plane says something of {least} or more.")
    if not values.isfinite().all():
        raise Refusal("Cannot embed features that are not numbers.")
    if (values == values[0]).all():
        raise Refusal(f"Cannot embed {counted(len(values), 'image')}: their features are all the same.")


def snapped(points: Tensor, side: int = 0) -> Tensor:
    """Each of N points gets a cell of its own in a grid of side×side (0: half as many cells again as points), int64 N×2
    (row, column), row 0 on top: the nearest that is free, those in the middle first.
    """
    side = side or int((1.5 * len(points)) ** 0.5) + 1
    if side * side < len(points):
        raise Refusal(f"Cannot snap {len(points):,} images to a grid of {side}×{side}: it has {side * side:,} cells.")
    low, high = points.aminmax(dim=0)
    at = (points - low) / (high - low).clamp(min=1e-12) * (side - 1)
    at = torch.stack([side - 1 - at[:, 1], at[:, 0]], 1)
    cells = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    free, taken = torch.ones(len(cells), dtype=torch.bool), torch.empty(len(points), 2, dtype=torch.int64)
    for i in (at - at.median(0).values).norm(dim=1).argsort(stable=True).tolist():
        distance = (cells - at[i]).square().sum(1).masked_fill(~free, torch.inf)
        cell = int(distance.argmin())
        free[cell], taken[i] = False, cells[cell]
    return taken


def embedding_picture(found: Features, embedded: Embedded, title: str, grid: bool = True, most: int = MOST) -> bytes:
    """A PNG: the images where the plane has them, `most` of them at most, evenly chosen. On a `grid` each has a cell of
    its own; without one they lie where they are, and whichever would cover another is its class's mark alone. Classes
    have a colour and a mark.
    """
    n = len(found.values)
    chosen = torch.linspace(0, n - 1, most).round().long().unique() if n > most else torch.arange(n)
    points, thumbs = embedded.points[chosen], found.thumbs[chosen]
    figure = figures.canvas(figures.WIDE, 5.4 if found.classes else 4.9, title)
    axes = figure.subplots()
    # both in units of a thumbnail, y upwards: (0, 0) is the lower left one's middle
    if grid:
        cells = snapped(points).flip(1)
        side = int(cells.max()) + 1
        at = cells.float() * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, side - 1.0])
        whole = torch.ones(len(at), dtype=torch.bool)
    else:
        side = 24
        low, high = points.aminmax(dim=0)
        at = (points - low) / (high - low).clamp(min=1e-12) * (side - 1)
        whole = _uncovered(at)
    _images(axes, thumbs[whole], at[whole])
    _marks(axes, found, chosen, at, whole, side)
    axes.set(xlim=(-0.6, side - 0.4), ylim=(-0.6, side - 0.4), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    shared = counted(n, "image") if len(chosen) == n else f"{len(chosen):,} of {n:,} images"
    figures.below(figure, f"{shared}; layer {found.said}\n{embedded.said}")
    return figures.png(figure)


def _name(found: Features, label: int) -> str:
    name = visible(found.classes[label]) if label < len(found.classes) else str(label)
    return figures.fitted(name, LONGEST, lines=1)


def _uncovered(at: Tensor) -> Tensor:
    """Which of the points N×2 are a whole image's side away from all that come before and are."""
    whole = torch.zeros(len(at), dtype=torch.bool)
    for i, point in enumerate(at):
        whole[i] = not ((at[:i][whole[:i]] - point).abs().amax(1) < 1).any()
    return whole


def _images(axes: Axes, thumbs: Tensor, at: Tensor) -> None:
    half = torch.tensor(thumbs.shape[2:]) / max(thumbs.shape[2:]) * 0.47
    for thumb, (x, y) in zip(thumbs.movedim(1, -1), at.tolist(), strict=True):
        box = (x - float(half[1]), x + float(half[1]), y - float(half[0]), y + float(half[0]))
        look = thumb if thumb.shape[2] == 3 else thumb[..., 0]
        axes.imshow(look.numpy(), cmap="gray", vmin=0, vmax=1, extent=box, interpolation="bilinear", zorder=2)


def _marks(axes: Axes, found: Features, chosen: Tensor, at: Tensor, whole: Tensor, side: int) -> None:
    """Each image's class, as a mark in its corner or in its place."""
    if found.labels is None:
        axes.scatter(at[~whole, 0], at[~whole, 1], s=6, color=FAINT, zorder=1)
        return
    labels, corner = found.labels[chosen], at - 0.33 * whole[:, None]
    size = max(14.0, 1.2 * (320 / side * 0.3) ** 2 / 4)
    for label in labels.unique().tolist():
        for seen, order in ((whole, 3), (~whole, 1)):
            at_x, at_y = corner[(labels == label) & seen].T
            axes.scatter(
                at_x, at_y, s=size, color=COLOURS[label % len(COLOURS)], marker=MARKERS[label % len(MARKERS)],
                edgecolors=INK, linewidths=0.5, zorder=order, label=_name(found, label) if order == 3 else None,
            )  # fmt: skip
    if len(labels.unique()) <= NAMED:
        legend = axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5, fontsize=figures.SMALL, frameon=False,
            handletextpad=0.1, columnspacing=0.8, markerscale=max(1.0, (30 / size) ** 0.5),
        )  # fmt: skip
        for text in legend.get_texts():
            text.set(color=INK, parse_math=False)
