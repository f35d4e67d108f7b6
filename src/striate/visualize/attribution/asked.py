"""What every method of attribution asks of a network: the scores of some images, for one class each, and how those
scores follow what they are made of.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from striate.blueprint import NotFound, Refusal
from striate.blueprint.said import counted
from striate.judging.trained import as_scores, like, main_way_out, metadata_of
from striate.visualize.watching import FAILURES, ran, undisturbed

MANY, HEAVY = 1 << 18, 2  # weights, and of each value that is read: then the weights are not brought to its layout
CELLS = 1 << 19  # of images that are worked on at once, 8 of 224×224: they share in reading the weights
MOST = 128  # of small ones: what more of them make does not stay close to the processor
Target = int | str | Sequence[int | str] | Tensor | None
Tick = Callable[[int], None]
Look = Callable[[Tensor, Tensor | None], "Heat"]


class Heat(NamedTuple):
    """How much each place of N images matters for one class of each, on the CPU.

    `values` float32 N×H×W, at the images' size; `targets` int64 N, the classes; `scores` float32 N, theirs before any
    soft-max, and `shares` the probabilities. Where a method has them: `channels` N×C×H×W, each colour's part; `cells`
    N×h×w, the map of `layer` before it was enlarged; `error` N, what the parts lack of adding up (completeness).
    """

    method: str
    values: Tensor
    targets: Tensor
    scores: Tensor
    shares: Tensor
    channels: Tensor | None = None
    cells: Tensor | None = None
    layer: str = ""
    error: Tensor | None = None


class Asked(NamedTuple):
    """N images' scores N×classes, float32, and the class that is asked for of each, int64 N."""

    scores: Tensor
    targets: Tensor

    @property
    def of(self) -> Tensor:
        """The score of each image's class, N."""
        return self.scores.gather(1, self.targets[:, None])[:, 0]

    def heat(self, method: str, values: Tensor, **more: Any) -> Heat:
        """Their answer; `values` float N×H×W. Raises Refusal where it is not of numbers."""
        if not isfinite(more.get("cells", values).sum().item()) and values.isnan().any():
            raise Refusal(
                f"Cannot show {method}: {counted(int(values.isnan().sum()), 'value')} of its map are not numbers.",
                ways="Somewhere a gradient overflows: float32 has more room than float16.",
            )
        shares = self.scores.detach().softmax(1).gather(1, self.targets[:, None])[:, 0]
        heat = Heat(method, values.float(), self.targets, self.of, shares, **more)
        return Heat._make(part.detach().cpu() if isinstance(part, Tensor) else part for part in heat)


@contextmanager
def asking(model: nn.Module, x: Tensor, hooked: bool = True) -> Iterator[Tensor]:
    """The images as the model reads them, of its dtype, on its device, apart from whatever they came from; meanwhile
    gradients are on, and the model is undisturbed (`hooked`: but for hooks of ours that make it quicker). Raises
    Refusal for what is no image, or not of numbers, or none that the network runs on.
    """
    weight = like(model, x)
    if x.ndim != 4 or not len(x):
        shape = "×".join(map(str, x.shape))
        raise Refusal(f"Cannot look at images of {shape or 'no size'}.", ways="N×C×H×W: x[None] makes one of an image.")
    if not x.is_floating_point():
        raise Refusal(f"Cannot look at {x.dtype} images.".replace("torch.", ""), ways="Normalise them: images.seen")
    if not isfinite(x.sum().item()) and (bad := ~x.isfinite().flatten(1).all(1)).any():
        first = int(bad.nonzero()[0])
        count = int((~x[first].isfinite()).sum())
        raise Refusal(f"Cannot look at image {first}: {count:,} of its {x[first].numel():,} values are no numbers.")
    to = weight.device, weight.dtype
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            undisturbed(model, inplace=True) as modules,
            _in_rows(modules if hooked else []),
        ):
            yield x.detach().to(*to, copy=True, memory_format=torch.channels_last)  # convolutions are quicker so
    except Refusal:
        raise
    except FAILURES:
        with torch.no_grad(), undisturbed(model, inplace=True):
            ran(model, x[:1].clone())  # is it the image? then that is said
        raise


@contextmanager
def _in_rows(modules: list[nn.Module]) -> Iterator[None]:
    """Where a convolution has far more weights than it reads values, those are laid out anew, not the weights."""
    hooks = [
        part.register_forward_pre_hook(_rows)
        for part in modules
        if type(part) is nn.Conv2d and part.weight.numel() > MANY and part.kernel_size != (1, 1)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _rows(conv: nn.Module, read: tuple[Any, ...]) -> Any:
    few = len(read) == 1 and conv.weight.numel() > HEAVY * read[0].numel()  # type: ignore[operator]
    return (read[0].contiguous(),) if few else None


def numbered(model: nn.Module, target: Target, count: int) -> Tensor | None:
    """A class for each of `count` images, int64; None where the network's own answer is meant. Raises Refusal."""
    if target is None:
        return None
    array = isinstance(target, Tensor | np.ndarray) and target.ndim > 0
    several = array or (isinstance(target, Sequence) and not isinstance(target, str))
    wanted: list[Any] = [*target] if several else [target] * count  # type: ignore[misc]
    if len(wanted) != count:
        raise Refusal(
            f"Cannot look for {len(wanted)} classes in {counted(count, 'image')}: one for each, or one for all."
        )
    numbers = [_number(model, which) for which in wanted]
    if beyond := [number for number in numbers if number.bit_length() > 63]:
        raise Refusal(f"Cannot look for class {beyond[0]}: no network tells so many apart.")
    return torch.tensor(numbers)


def _number(model: nn.Module, which: Any) -> int:
    if not isinstance(which, str):
        try:
            return operator.index(which)
        except TypeError:
            shape = "×".join(map(str, getattr(which, "shape", ())))
            raise Refusal(
                f"Cannot look for {f'a target of {shape}' if shape else which}: a class is a whole number or a name.",
                ways="Of scores or one-hot rows, argmax(1) says which." if shape else "",
            ) from None
    classes = metadata_of(model).get("classes") or ()
    if which in classes:
        return int(classes.index(which))
    if which.isdecimal():
        return int(which)
    if not classes:
        raise Refusal(f'Cannot look for "{which}": this model has no names for its classes.', ways="A number from 0.")
    raise NotFound("class", which, classes)


def ask(model: nn.Module, x: Tensor, targets: Tensor | None) -> Asked:
    """Run the model. Raises Refusal where it does not answer with scores, N×classes, or has no such class."""
    return answered(model, model(x.clone()), targets)  # the network's first step may be in place


def answered(model: nn.Module, out: Any, targets: Tensor | None) -> Asked:
    """What came out of the model, as `ask` gives it."""
    out = main_way_out(out)
    if out.ndim > 2 and out.shape[2:].numel() == 1:
        out = out.flatten(1)
    if out.ndim != 2:
        shape = "×".join(map(str, out.shape))
        raise Refusal(
            f"Cannot ask {type(model).__name__} for a class: it answers with a tensor of {shape}.",
            ways="Scores N×classes are wanted.",
        )
    if not out.is_floating_point():
        raise Refusal(
            f"Cannot attribute {type(model).__name__}'s answer: it is {str(out.dtype).removeprefix('torch.')}, "
            "which has no gradient.",
            ways="Scores N×classes are wanted, before a class is chosen.",
        )
    scores = as_scores(model, out)
    if not isfinite(scores.sum().item()) and scores.isnan().any():
        raise Refusal("Cannot ask this model: its answers are not numbers.", ways="Its weights are damaged.")
    classes = scores.shape[1]
    if targets is None:
        return Asked(scores, scores.detach().argmax(1))
    if beyond := [which for which in targets.tolist() if not 0 <= which < classes]:
        raise Refusal(
            f"Cannot look for class {beyond[0]}: the network tells {classes:,} classes apart.",
            ways=f"0 to {classes - 1}.",
        )
    return Asked(scores, targets.to(scores.device))


def slope(
    model: nn.Module, asked: Asked, x: Tensor, of: Tensor, what: str = "the image", shares: Tensor | float = 1.0
) -> Tensor:
    """How the scores asked for, each by its share, follow `of`, a value on the way from x to them. Raises Refusal where
    there is no gradient, with the reason.
    """
    scores = asked.scores
    each = shares.to(scores)[:, None] if isinstance(shares, Tensor) else shares
    to = torch.zeros_like(scores).scatter_(1, asked.targets[:, None], each)
    found = torch.autograd.grad(scores, of, to, allow_unused=True)[0] if scores.requires_grad else None
    if found is None:
        raise _no_gradient(model, asked, x, what)
    return found


def _no_gradient(model: nn.Module, asked: Asked, x: Tensor, what: str) -> Refusal:
    """Why: tried with other images."""
    with torch.no_grad():
        other = ask(model, x.detach().flip(3) + x.detach().std(), asked.targets)
    fact = f"{type(model).__name__} gives no gradient"
    if torch.equal(other.scores, asked.scores.detach()):
        return Refusal(f"{fact}: its answer is the same whatever the image.", ways="Is the image used at all?")
    return Refusal(
        f"{fact}: its answer follows from the image, but there is no path back to {what}.",
        "On the way values were detached, made without gradients (no_grad) or whole numbers.",
        'method="occlusion" needs no gradient.',
    )


def at_a_time(cells: int, at_once: int | None = None) -> int:
    """How many images of so many cells are worked on at once, where nobody says: a power of two."""
    if at_once is not None and not (isinstance(at_once, int) and at_once > 0):
        raise Refusal(f"Cannot work on {at_once} images at once.", ways="1 at least; without at_once= it is chosen.")
    return at_once or min(MOST, 1 << max(0, (CELLS // cells).bit_length() - 1))


def each(
    model: nn.Module,
    x: Tensor,
    target: Target,
    look: Look,
    at_once: int | None = None,
    tick: Tick = lambda done: None,
    hooked: bool = True,
) -> Heat:
    """What `look` finds in the images, N×C×H×W: a few at a time, with the classes asked for of them (None: the
    network's own). `tick` is told how many are done. `hooked` as in `asking`.
    """
    found: list[Heat] = []
    with asking(model, x, hooked) as images:
        targets = numbered(model, target, len(x))
        few = at_a_time(x.shape[2] * x.shape[3], at_once)
        for start in range(0, len(x), few):
            stop = min(start + few, len(x))
            found.append(look(images[start:stop], None if targets is None else targets[start:stop]))
            tick(stop)
    if len(found) == 1:
        return found[0]
    columns = zip(*found, strict=True)
    return Heat._make(torch.cat(c) if isinstance(c[0], Tensor) else c[0] for c in columns)
