"""Images as a network reads them, and as people see them: some, or all of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.blueprint import CannotTrain, Refusal
from striate.data import Images, Streamed, deal, read_image
from striate.data.preprocessing import Preprocessing
from striate.judging.trained import metadata_of, preprocessing_of
from striate.judging.views import bare

CELLS = 1 << 21  # of images that a network sees at once: 41 of 224×224
MANY = 256  # images at once, at most
Data = Images | Streamed | Tensor
Tick = Callable[[int], None]


def unheard(done: int) -> None:
    """Nobody is told."""


class Seen(NamedTuple):
    """`x` what the network reads, float32 N×C×H×W, normalised; `pixels` the same to look at, uint8 N×C×H×W; the rule
    that leads from one to the other.
    """

    x: Tensor
    pixels: Tensor
    rule: Preprocessing


def rule_of(model: nn.Module) -> Preprocessing:
    """How images are prepared for it, as it says itself. Raises CannotTrain where it says nothing."""
    try:
        return preprocessing_of(model)
    except CannotTrain:
        raise CannotTrain(
            f"Cannot prepare images for this {type(model).__name__}: it does not say how.",
            ways="rule=, a striate.data.Preprocessing, says it to seen and to Wanted; --rule 3x64x64 to striate see.",
        ) from None


@contextmanager
def ruled(model: Any, rule: Preprocessing | None) -> Iterator[None]:
    """While it lasts a model says that `rule` of its images, whatever it says else; without one, nothing is changed."""
    if rule is None:
        yield
        return
    before = dict(vars(model))
    model.metadata = {**metadata_of(model), "preprocessing": rule.to_json()}
    try:
        yield
    finally:
        if "metadata" in before:
            model.metadata = before["metadata"]
        else:
            del model.metadata


def seen(model: nn.Module, images: Iterable[str | Path] | Tensor, rule: Preprocessing | None = None) -> Seen:
    """Image files (or uint8 N×C×H×W) as `model` reads them, by its own rule or the one given. Raises CannotRead,
    CannotTrain (it does not say how images are prepared for it).
    """
    rule = rule or rule_of(model)
    if isinstance(images, Tensor):
        pixels = rule.prepare(images)
    else:
        read = (read_image(Path(path), rule.channels, rule.covered).unsqueeze(0) for path in images)
        pixels = torch.cat([rule.prepare(image) for image in read])
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return Seen(rule.normalise(pixels, device), pixels, rule)


def shown(x: Tensor, rule: Preprocessing) -> Tensor:
    """Back from what a network reads, float N×C×H×W, to what people see: float32 in 0..1, red before blue."""
    mean, std = (torch.tensor(v, device=x.device).view(1, -1, 1, 1) for v in (rule.mean, rule.std))
    return (x.detach().float() * std + mean).clamp(0, 1).cpu()


def batches(model: nn.Module, data: Data, size: int = 0) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
    """A data set as `model` reads it, in its order: x float N×C×H×W, the labels int64 N where there are any, and the
    same images to look at, float32 in 0..1. Images of a data set are prepared by the model's own rule, a tensor is
    x already. What cannot be read is left out. `size` images at a time (0: as many as memory allows).
    """
    cells = _cells(data)
    at_once = size or max(1, min(MANY, CELLS // max(1, cells)))
    if not (isinstance(at_once, int) and at_once > 0):
        raise Refusal(f"Cannot look at {at_once} images at a time.", ways="1 at least; 0: as many as memory allows.")
    first = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    for pixels, labels, look in _prepared(model, data, at_once):
        yield pixels.to(first.device, first.dtype), labels, look


def _cells(data: Data) -> int:
    if not isinstance(data, Images | Streamed | Tensor):
        raise Refusal(
            f"Cannot look at a {type(data).__name__}: a data set, or a tensor N×C×H×W, is wanted.",
            ways="striate.data.open_data opens a data set; torch.from_numpy makes a tensor of an array.",
        )
    if isinstance(data, Tensor) and (data.ndim != 4 or not data.is_floating_point()):
        kind = f"{data.dtype} {'×'.join(map(str, data.shape))}".removeprefix("torch.")
        raise Refusal(f"Cannot show a network a tensor of {kind}: float N×C×H×W, normalised, is wanted.")
    if not len(data):
        raise CannotTrain("Cannot look at a data set without images.")
    height, width = data.shape[2:] if isinstance(data, Tensor) else data.volume[1:]
    return int(height * width)


def _prepared(model: nn.Module, data: Data, at_once: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
    if isinstance(data, Tensor):
        said = metadata_of(model).get("preprocessing")
        rule = Preprocessing.from_json(said) if said else None
        for x in data.split(at_once):
            yield x, None, shown(x, rule) if rule else _between(x)
        return
    rule = rule_of(model)
    if isinstance(data, Streamed):
        for x, labels in deal(data, rule, at_once, shuffle=False).epoch(1):
            yield x, labels, shown(x, rule)
        return
    for at in torch.arange(len(data)).split(at_once):
        pixels = rule.prepare(bare(data.pixels[at].cpu(), rule))
        yield rule.normalise(pixels), data.labels[at].cpu(), pixels.float() / 255


def _between(x: Tensor) -> Tensor:
    """Images of an unknown rule, each from its darkest to its brightest."""
    low, high = (x.detach().float().cpu().flatten(1).aminmax(dim=1)[i].view(-1, 1, 1, 1) for i in (0, 1))
    return (x.detach().float().cpu() - low) / (high - low).clamp(min=1e-12)
