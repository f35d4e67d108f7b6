"""The deconvnet: what in the image a unit answered to, its activation projected back to pixels (Zeiler & Fergus 2013,
arXiv 1311.2901, section 2.1).

On the way back each step undoes one of the network's: a max pool puts the signal where its maximum had been (the
switch), a rectifier rectifies *the signal*, a convolution is run with its own filters transposed. All but the second
are what a gradient does, so the network's own backward pass is taken, with other rules for some of its steps:

- Where overlapping windows chose the same cell their signals add. The paper says "place"; with its switches held, a
  pool is a linear map, and going back its transpose (Zeiler, Taylor & Fergus 2011, section 3), which adds.
- What a value was divided by (local response, group, layer norm) is held, as the switches are. The paper has no such
  step on the way back.
- Concatenations part, sums give each of their terms the whole signal, a batch norm scales: linear maps, transposed.
- Other non-linearities have no place in it, nor have products of two values: refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.blueprint import Refusal
from striate.blueprint.said import counted
from striate.judging.trained import like
from striate.visualize.units import Unit
from striate.visualize.units import unit as read
from striate.visualize.watching import as_far_as, undisturbed

CELLS = 1 << 20  # of images that are projected at once: 20 of 224×224
FAINT = 0.01  # of the strongest: what of a projection nobody sees

Gradients = tuple[Tensor | None, ...]
Rule = Callable[[Any, Gradients, Gradients], Gradients]  # the step, what it would hand on, what it is given


@torch.inference_mode(False)
def deconvnet(model: nn.Module, x: Tensor, unit: str | Unit, tick: Callable[[int], None] = lambda done: None) -> Tensor:
    """A unit's activation projected back to the pixels: float32 N×C×H×W, of the images x, N×C×H×W as the network reads
    them.

    It starts from one activation, all others 0 (section 2.1): of a channel or a layer its strongest in each image.
    Where nothing but linear maps and max pools lie in between it is that activation times its gradient. `tick` is told
    of images done. Raises NotFound, Refusal (something on the way has no way back, no gradient, not a number).
    """
    wanted = read(model, unit) if isinstance(unit, str) else unit
    own = like(model, x)
    few = max(1, CELLS // max(1, x.shape[-1] * x.shape[-2]))
    signals, done = [], 0
    with torch.enable_grad(), undisturbed(model), as_far_as(model, [wanted.layer]) as run:
        for part in x.split(few):
            pixels = part.detach().to(own.device, own.dtype, copy=True).requires_grad_()
            signals.append(_projected(run(pixels)[wanted.layer], pixels, wanted))
            tick(done := done + len(part))
    return torch.cat(signals)


def _projected(value: Tensor, pixels: Tensor, unit: Unit) -> Tensor:
    """The strongest of a unit's activations, in its layer's value, back to the pixels that this was computed from."""
    cells = unit.of(value).reshape(len(value), -1)
    strange = int((~cells.isfinite()).any(1).sum())
    if strange:
        raise Refusal(
            f"Cannot project {unit}: its activation is not a number in {counted(strange, 'image')} of {len(value)}.",
            ways="The image, or the network's weights, hold NaN or infinity.",
        )
    _attach(value, unit)
    strongest = cells.detach().argmax(1, keepdim=True)  # of equals the first: a signal has one beginning
    start = cells.gather(1, strongest)
    [signal] = torch.autograd.grad(start, pixels, start.detach(), allow_unused=True)
    if signal is None:
        raise no_gradient("project", unit)
    return signal.float().cpu()


def no_gradient(verb: str, what: object) -> Refusal:
    return Refusal(
        f"Cannot {verb} {what}: no gradient leads from it to the image.",
        "The network computes it outside torch's autograd (detach, no_grad, rounding, an index), or without the image.",
        "Name a layer nearer to the image.",
    )


def from_image(step: Any) -> list[Any]:
    """The steps of the backward pass that a step hands on to, but for what the image has no part in."""
    return [before for before, _ in step.next_functions if before is not None]


def steps_back(value: Tensor, on: Callable[[Any], Sequence[Any]] = from_image) -> Iterator[Any]:
    """The steps of the backward pass from a value, its own first, each once; `on` says where a step goes on to."""
    ahead = [] if value.grad_fn is None else [value.grad_fn]
    met = {*ahead}
    while ahead:
        yield (step := ahead.pop())
        new = [before for before in on(step) if before not in met]
        met.update(new)
        ahead += new


def name_of(step: Any) -> str:
    """ReluBackward0 is Relu."""
    return re.sub(r"Backward\d*$", "", step.name().rpartition("::")[2])


def _dividend(step: Any) -> list[Any]:
    return from_image(step)[: 1 if name_of(step) in DIVISIONS else None]


def _attach(value: Tensor, unit: Unit) -> None:
    """Give the steps back from a value the deconvnet's rules. Raises Refusal where one has none."""
    if value.grad_fn is None:
        raise no_gradient("project", unit)
    for step in steps_back(value, _dividend):
        if (rule := _rule(step, unit)) is not None:
            step.register_hook(lambda handed, given, step=step, rule=rule: rule(step, handed, given))


def _rule(step: Any, unit: Unit) -> Rule | None:
    name, from_two = name_of(step), len(from_image(step)) > 1
    if name in PRODUCTS and from_two:
        why = "multiplies two values that both come from the image"
    elif name in BATCH and step._saved_training:
        why = "normalises by this batch's own statistics, not by kept ones"
    elif name in BOUNDED and not _from_zero(step):
        why = "lets values below 0 through"
    elif name in DIVISIONS and step.next_functions[0][0] is None:
        why = "divides by a value that comes from the image"
    elif name not in KNOWN:
        why = "is no rectifier, max pool or linear map"
    else:
        return _first if name in DIVISIONS and from_two else RULES.get(name)
    raise Refusal(
        f"Cannot project {unit} back to the image: {name} is on the way, which {why}.",
        "The deconvnet goes back through rectifiers, max pools, and linear maps.",
        "Name a layer before it; or see the gradient, which passes through everything.",
    )


def _from_zero(step: Any) -> bool:
    """Whether what is clipped is clipped at 0 below."""
    least = getattr(step, "_saved_min_val", getattr(step, "_saved_min", getattr(step, "_saved_threshold", None)))
    return least == 0


def _rectified(step: Any, handed: Gradients, given: Gradients) -> Gradients:
    """What comes back is rectified itself; which values were positive on the way up does not matter."""
    return (given[0] if given[0] is None else given[0].clamp(min=0), *handed[1:])


def _first(step: Any, handed: Gradients, given: Gradients) -> Gradients:
    return handed[0], None if handed[1] is None else torch.zeros_like(handed[1])


def _grouped(step: Any, handed: Gradients, given: Gradients) -> Gradients:
    """Of a group norm only its factor: weight / deviation, by group of channels."""
    if given[0] is None:
        return handed
    n, c = given[0].shape[:2]
    factor = step._saved_result2.reshape(n, -1).repeat_interleave(c // step._saved_group, 1)
    factor = factor if step._saved_weight is None else factor * step._saved_weight
    return (given[0] * factor.reshape(n, c, *[1] * (given[0].ndim - 2)), *handed[1:])


def _layered(step: Any, handed: Gradients, given: Gradients) -> Gradients:
    """Of a layer norm only its factor: weight / deviation, by cell."""
    if given[0] is None:
        return handed
    weight = 1 if step._saved_weight is None else step._saved_weight
    return (given[0] * step._saved_result2 * weight, *handed[1:])


BOUNDED = {"Hardtanh", "Clamp", "ClampMin", "Threshold"}  # rectifiers where the least that they let through is 0
RECTIFIERS = {"Relu", *BOUNDED}
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(RECTIFIERS, _rectified),
    "NativeGroupNorm": _grouped,
    "NativeLayerNorm": _layered,
}
# Steps of torch's backward pass by name. Switches: the gradient goes to the cell that had been chosen.
SWITCHED = {"MaxPool2DWithIndices", "AdaptiveMaxPool2D", "FractionalMaxPool2D", "Max", "Maximum"}
DIVISIONS = {"Div"}
BATCH = {"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"}
PRODUCTS = {"Mul", "Convolution", "Addmm", "Mm", "Bmm", "Baddbmm", "Mv", "Dot"}
LINEAR = {
    "AccumulateGrad", "AdaptiveAvgPool2D", "Add", "Alias", "AsStrided", "AvgPool2D", "Cat", "ChannelShuffle", "Clone",
    "ConstantPadNd", "Copy", "Expand", "Flip", "Gather", "Im2Col", "Index", "IndexSelect", "Mean", "MkldnnConvolution",
    "Narrow", "Neg", "Permute", "PixelShuffle", "PixelUnshuffle", "ReflectionPad2D", "Repeat", "ReplicationPad2D",
    "Reshape", "ReshapeAlias", "Roll", "Select", "Slice", "SlowConvTranspose2D", "Split", "SplitWithSizes", "Squeeze",
    "Stack", "Sub", "Sum", "T", "ToCopy", "Transpose", "Unbind", "Unfold", "UnsafeView", "Unsqueeze",
    "UpsampleBilinear2D", "UpsampleNearest2D", "View",
}  # fmt: skip
KNOWN = {*RULES, *SWITCHED, *DIVISIONS, *BATCH, *PRODUCTS, *LINEAR}


def boxes(signals: Tensor, least: int = 8) -> list[tuple[int, int, int, int]]:
    """For each projection N×C×H×W the square that holds what one sees of it, (top, bottom, left, right), at least
    `least` wide and within the image: what to cut out of the image beside it.
    """
    return [_box(signal.abs().amax(0), least) for signal in signals]


def _box(strength: Tensor, least: int) -> tuple[int, int, int, int]:
    there = strength > FAINT * strength.max()
    spans = []
    for axis in (1, 0):
        cells = there.any(axis).nonzero().flatten().tolist()
        spans.append((cells[0], cells[-1] + 1) if cells else (0, there.shape[1 - axis]))
    side = max(least, *(end - start for start, end in spans))
    box = []
    for (start, end), size in zip(spans, there.shape, strict=True):
        wide = min(side, size)
        first = min(max(0, (start + end - wide) // 2), size - wide)
        box += [first, first + wide]
    return box[0], box[1], box[2], box[3]


def drawn(plates: Sequence[tuple[str, Tensor, Tensor]], side: int = 64) -> bytes:
    """A PNG as the paper's figure 2: for each unit (its name; projections K×C×H×W; the images, float 0..1 or uint8
    K×C×H×W) the projections, and beside them the patches of the images that they cover. Grey is 0; each projection is
    scaled by its own largest value.
    """
    from striate.visualize.figures import WIDE, canvas, fitted, image, png, tiles

    count = max(len(signals) for _, signals, _ in plates)
    across = next(n for n in range(1, count + 1) if n * n >= count)
    tall = WIDE / 2 * (-(-count // across) / across) + 0.25
    figure = canvas(WIDE, tall * len(plates) + 0.1, "Projected back to pixels, and the images")
    axes = figure.subplots(len(plates), 2, squeeze=False)
    for row, (name, signals, pixels) in zip(axes, plates, strict=True):
        scaled = 0.5 + 0.5 * signals / signals.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
        found = boxes(signals)
        name = fitted(name, WIDE / 2 - 0.1, lines=1)
        for place, images, title in zip(row, (scaled, pixels), (name, "patches of the images"), strict=True):
            image(place, tiles(_cut(images, found, side), across, gap=2), title)
    return png(figure)


def _cut(images: Tensor, found: Sequence[tuple[int, int, int, int]], side: int) -> Tensor:
    """The boxes of images, each enlarged to side×side: float 0..1."""
    images = images if images.is_floating_point() else images / 255
    cuts = [image[None, :, a:b, c:d] for image, (a, b, c, d) in zip(images, found, strict=True)]
    return torch.cat([nn.functional.interpolate(cut, (side, side), mode="nearest-exact") for cut in cuts])
