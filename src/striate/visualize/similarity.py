"""Whether layers, of one network or of two, hold images for alike in the same way: CKA and RSA, as a matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.blueprint.said import counted, visible
from striate.data.drawn import INK
from striate.data.memory import room_for
from striate.nn.build import Network
from striate.visualize import figures
from striate.visualize.images import Data, Tick, batches, unheard
from striate.visualize.ranks import ranks
from striate.visualize.watching import OUT, layers, values

BATCH = 128  # images whose similarities are taken at a time
MOST = 16  # layers, where none are named
HELD = 1 << 30  # bytes of features in memory at a time
ROUNDING = 1e-6  # of float32 features, with a margin
NUMBERS = 8  # layers: a matrix has room for its numbers
NAMED = 1.5  # inches of a layer's name


class Similarity(NamedTuple):
    """`values` float64 L×M, 1 where two layers agree: of the layers `rows` of one network with `columns`, of the same
    or another; `measure` is a name in MEASURES; found on so many `images`.
    """

    values: Tensor
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    measure: str
    images: int


def linear_cka(a: Tensor, b: Tensor, unbiased: bool = False) -> float:
    """Linear centred kernel alignment of features N×D and N×E of the same N images (Kornblith et al. 2019, arXiv
    1905.00414, section 3): 1 for what a rotation and a scale make of each other. As defined there, or `unbiased`: with
    HSIC as of Song et al. 2012 (JMLR 13, equation 5), which many dimensions do not lift towards 1.
    """
    centre = _u_centred if unbiased else _centred
    one, other = (centre(_gram(v)) for v in (a, b))
    return float((one * other).sum() / ((one * one).sum() * (other * other).sum()).sqrt())


def _gram(features: Tensor) -> Tensor:
    """Inner products, float64 N×N; the mean is taken off first, which changes nothing but the rounding."""
    flat = features.flatten(1).float()
    varied = flat - flat.mean(0)
    if varied.abs().max() <= ROUNDING * flat.abs().max():
        varied.zero_()
    return (varied @ varied.T).double()


def _centred(gram: Tensor) -> Tensor:
    return gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()


def _u_centred(gram: Tensor) -> Tensor:
    """Székely & Rizzo 2014 (Annals of Statistics 42, section 2): inner products of such matrices are n(n-3) times the
    unbiased HSIC.
    """
    n = len(gram)
    gram = gram.clone().fill_diagonal_(0)
    row = gram.sum(0) / (n - 2)
    return (gram - row - row[:, None] + gram.sum() / ((n - 1) * (n - 2))).fill_diagonal_(0)


def rdm(features: Tensor) -> Tensor:
    """The representational dissimilarity matrix of features N×D, float64 N×N: 1 less the correlation of two images'
    features (Kriegeskorte et al. 2008, Frontiers in Systems Neuroscience 2:4, figure 1); 1 where there is none because
    an image's features are all the same.
    """
    flat = features.flatten(1).double()
    flat = flat - flat.mean(1, keepdim=True)
    flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return (1 - flat @ flat.T).fill_diagonal_(0)


def similarity(
    model: nn.Module, data: Data, names: Sequence[str] = (), other: nn.Module | None = None,
    others: Sequence[str] = (), measure: str = "cka", tick: Tick = unheard,
) -> Similarity:  # fmt: skip
    """How alike the layers `names` of a network see the images of a data set (or x) and those (`others`) of another, or
    of itself. Where none are named: those with weights and the joins, sixteen at most, evenly chosen. Maps are taken
    whole.

    "cka": linear CKA by unbiased HSIC, summed over batches (Nguyen et al. 2021, arXiv 2010.15327, equation 3), so that
    no more than a batch is in memory; as good as unbiased by the batch's size. "rsa": Spearman's correlation of
    dissimilarity matrices (`rdm`), N²/2 numbers a layer. `tick` is told of images done, of all passes over the data.

    Raises NotFound for a layer, Refusal (fewer than four images, features that are not numbers or all the same).
    """
    if measure not in MEASURES:
        raise Refusal(f'Cannot compare layers by "{measure}".', ways=f"One of: {', '.join(MEASURES)}.")
    if len(data) < 4:
        raise Refusal(f"Cannot compare layers on {counted(len(data), 'image')}: 4 or more say something.")
    x = next(batches(model, data, 1))[0]
    rows = tuple(names) or telling_layers(model, x)
    sides = [(model, rows)]
    if other is not None or others:
        its = other or model
        sides.append((its, tuple(others) or telling_layers(its, next(batches(its, data, 1))[0])))
    found, images = MEASURES[measure](sides, data, tick)
    return Similarity(found, rows, sides[-1][1], measure, images)


Sides = Sequence[tuple[nn.Module, tuple[str, ...]]]


def telling_layers(model: nn.Module, x: Tensor) -> tuple[str, ...]:
    """The layers with weights and the joins of a network of ours, MOST at most, in their order; where there are more,
    not those inside a join's arms: blocks are told apart by what they hand on. Runs the network on x.
    """
    parts = dict(model.named_modules())
    nodes = [node.name for node in model.graph.nodes] if isinstance(model, Network) else []

    def telling(name: str) -> bool:
        weight, part = getattr(parts.get(name), "weight", None), parts.get(name)
        join = name in nodes and (part is None or any(True for _ in part.children()))
        return join if weight is None else weight.ndim > 1

    named = [name for name in layers(model) if name != OUT and telling(name)]
    named.sort(key=lambda name: nodes.index(name) if name in nodes else 0)  # a join is written before what it joins
    if not named:
        raise Refusal("Cannot choose layers to compare: none has weights.", ways="Name some.")
    outer = [name for name in named if not any(name.startswith(f"{join}.") for join in named)]
    named = outer if len(named) > MOST and len(outer) > MOST // 2 else named
    chosen = torch.linspace(0, len(named) - 1, min(MOST, len(named))).round().int().tolist()
    return tuple(named[i] for i in chosen)


def _cka(sides: Sides, data: Data, tick: Tick) -> tuple[Tensor, int]:
    """Of all pairs of layers, the products of their centred inner products, summed over batches."""
    size, done, images = BATCH if len(data) % BATCH not in (1, 2, 3) else BATCH - 4, 0, 0
    sums: list[Tensor] = []
    for parts in zip(*(batches(model, data, size) for model, _ in sides), strict=True):
        done += len(parts[0][0])
        tick(done)
        if len(parts[0][0]) < 4:
            continue
        images += len(parts[0][0])
        flat = [
            torch.stack([_u_centred(_gram(_numbers(value, name))).flatten() for name, value in by_name.items()])
            for by_name in (values(model, x, names) for (model, names), (x, _, _) in zip(sides, parts, strict=True))
        ]
        one, other = flat[0], flat[-1]
        here = [one @ other.T, (one * one).sum(1), (other * other).sum(1)]
        sums = [a + b for a, b in zip(sums, here, strict=True)] if sums else here
    cross, mine, theirs = sums
    for (_, names), own in zip((sides[0], sides[-1]), (mine, theirs), strict=True):
        _varied(names, own)
    return cross / (mine[:, None] * theirs).sqrt(), images


def _numbers(value: Tensor, name: str) -> Tensor:
    if not value.isfinite().all():
        raise Refusal(f"Cannot compare {name} with other layers: its values are not all numbers.")
    return value.cpu()


def _varied(names: Sequence[str], own: Tensor) -> None:
    if flat := [name for name, size in zip(names, own.tolist(), strict=True) if not size > 0]:
        raise Refusal(f"Cannot compare {flat[0]} with other layers: its values are the same for all images.")


def _rsa(sides: Sides, data: Data, tick: Tick) -> tuple[Tensor, int]:
    above = None
    found = []
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        tick(done)

    for model, names in sides:
        room_for(4 * len(names) * len(data) ** 2, f"dissimilarities of {len(data):,} images", "Take fewer images.")
        by_rank = []
        for name, features in _whole(model, data, names, told):
            above = torch.ones(len(features), len(features)).triu(1).bool() if above is None else above
            by_rank.append(ranks(rdm(features)[above].round(decimals=7)))
            _varied([name], by_rank[-1].var()[None])
        stacked = torch.stack(by_rank)
        stacked = stacked - stacked.mean(1, keepdim=True)
        found.append(stacked / stacked.norm(dim=1, keepdim=True))
    assert above is not None
    return found[0] @ found[-1].T, len(above)


def _whole(
    model: nn.Module, data: Data, names: Sequence[str], told: Callable[[int], None]
) -> Iterator[tuple[str, Tensor]]:
    """Each layer's features of all images, N×D: as many layers at a time as memory is meant to hold."""
    bytes_of = {
        name: 4 * len(data) * value.numel()
        for name, value in values(model, next(batches(model, data, 1))[0], names).items()
    }
    left = list(bytes_of)
    while left:
        group = [left.pop(0)]
        held = bytes_of[group[0]]
        while left and held + bytes_of[left[0]] <= HELD:
            held += bytes_of[left[0]]
            group.append(left.pop(0))
        room_for(held, f"{counted(len(data), 'image')}' features of {group[0]}", "Take fewer images.")
        kept: dict[str, list[Tensor]] = {name: [] for name in group}
        for x, _, _ in batches(model, data):
            for name, value in values(model, x, group).items():
                kept[name].append(_numbers(value, name).flatten(1).float())
            told(len(x))
        yield from ((name, torch.cat(parts)) for name, parts in kept.items())


MEASURES = {"cka": _cka, "rsa": _rsa}
MEASURE = {"cka": "linear CKA", "rsa": "Spearman's correlation"}
MEANING = {"cka": "Linear CKA: 1 is the same up to rotation and scale", "rsa": "RSA: Spearman's correlation of RDMs"}


def similarity_picture(found: Similarity, title: str, mine: str = "", its: str = "") -> bytes:
    """A PNG of the matrix, the first layers at the lower left; `mine` and `its` name the networks."""
    n, m = found.values.shape
    figure = figures.canvas(figures.WIDE, figures.WIDE * max(0.7, min(1.3, 0.15 + 0.65 * n / m)), title)
    axes = figure.subplots()
    low = min(0.0, float(found.values.min())) if found.measure == "rsa" else 0.0
    drawn = axes.imshow(found.values.clamp(low, 1).numpy(), cmap=figures.HEAT, vmin=low, vmax=1, origin="lower")
    axes.set_xticks(range(m), [_short(name) for name in found.columns], rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), [_short(name) for name in found.rows])
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set(parse_math=False, fontsize=figures.SMALL, color=INK)
    if max(n, m) <= NUMBERS:
        for row in range(n):
            for column in range(m):
                value = float(found.values[row, column])
                colour = INK if (value - low) / (1 - low) > 0.6 else "white"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=figures.SMALL)
    for name, to in ((its, axes.set_xlabel), (mine, axes.set_ylabel)):
        to(figures.fitted(visible(name), 2.5, lines=2), color=INK, fontsize=figures.SMALL, parse_math=False)
    figures.scale(figure, drawn, axes, MEASURE[found.measure])
    figures.below(figure, f"{MEANING[found.measure]}; {counted(found.images, 'image')}")
    return figures.png(figure)


def _short(name: str) -> str:
    return figures.fitted(visible(name), NAMED, lines=1)
