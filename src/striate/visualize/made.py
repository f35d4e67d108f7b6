"""Views that are images themselves, made by a network: what excites units, a dream on a photo, a photo as painted."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.blueprint.said import counted
from striate.data import read_image
from striate.visualize.dream import dream
from striate.visualize.images import batches
from striate.visualize.imagine import imagine, measured, objective
from striate.visualize.imagine.drawn import sheet
from striate.visualize.style import restyle
from striate.visualize.units import Unit, channels_first
from striate.visualize.wanted import View, Wanted
from striate.visualize.watching import OUT, values

UNITS, STEPS, SIDE = 4, 128, 128  # of a layer, so many channels, quickly and small; of one unit alone, all it takes
SEARCHED, SHOWN = 2_000, 4  # images that are held against what was imagined, and of them are beside it
LONGEST = 512  # pixels of a photo's longer side


def imagine_view(of: Wanted) -> View:
    """Of the unit that is named, or a sum (`conv2:17 + 0.5 * out:collie`); of a layer, some of its channels. With data,
    beside them the images that have most of the same, measured in the same way.
    """
    units = _units(of)
    alone = len(units) == 1
    inside = all(unit is not None and unit.layer != OUT for unit in units.values())
    steps = STEPS * (2 if alone else 1)
    size = SIDE if inside and not alone and min(of.reads.grid) > SIDE else None
    images, reached = dict[str, Tensor](), dict[str, float]()
    with of.progress(
        f"Imagining {next(iter(units)) if alone else counted(len(units), 'unit')}", steps * len(units), "step"
    ) as tick:
        for place, name in enumerate(units):

            def told(done: int, before: int = place * steps) -> None:
                tick(before + done)

            found = imagine(of.model, name, size, steps=steps, seed=of.seed, tick=told)
            images[name], reached[name] = found.images[0], float(found.reached[0])
    real, best = _real(of, units) if of.data else ({}, {})
    lines = [
        f"{name}: {value:.4g}" + (f", real images up to {best[name]:.4g}" if best else "")
        for name, value in reached.items()
    ]
    facts = {"reached": reached, "steps": steps, **({"images": best} if best else {})}
    told_ = "Imagined, and how much it has of what was wanted\n  " + "\n  ".join(lines)
    return View(sheet(images, real, reached, best), facts, told_)


def _units(of: Wanted) -> dict[str, Unit | None]:
    """What is imagined, by the text that says it; a sum is no unit."""
    terms = objective(of.unit, of.model).terms if of.unit else ()
    if len(terms) > 1 or any(term.weight != 1 for term in terms):
        return {of.unit: None}
    noise = torch.zeros(1, *of.reads.volume)
    unit = of.read_unit() if of.unit else Unit(of.chosen_layer(noise))
    if unit.channel is not None:
        return {of.unit: unit}
    channels = channels_first(of.model, values(of.model, noise, [unit.layer])[unit.layer]).shape[1]
    picked = torch.linspace(0, channels - 1, min(UNITS, channels)).round().long().tolist()
    return {str(one): one for one in (Unit(unit.layer, channel) for channel in picked)}


def _real(of: Wanted, units: dict[str, Unit | None]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The images of the data that have most of what is wanted, float N×C×H×W in 0..1, and how much the first has:
    measured whole, as what is imagined.
    """
    data, done = of.some(SEARCHED), 0
    most = {name: (torch.empty(0), torch.empty(0)) for name in units}
    with of.progress(f"What has most of {', '.join(units)}", len(data), "image") as tick:
        for x, _, looks in batches(of.model, data):
            for name, kept in most.items():
                pairs = zip(kept, (measured(of.model, x, name), looks), strict=True)
                values, images = (torch.cat([*filter(len, pair)]) for pair in pairs)
                best = values.topk(min(SHOWN, len(values)))
                most[name] = best.values, images[best.indices]
            tick(done := done + len(x))
    return {name: images for name, (_, images) in most.items()}, {name: float(v[0]) for name, (v, _) in most.items()}


def dream_view(of: Wanted) -> View:
    """On the image, of the unit or layer that is named, or the layer that decides."""
    photo = _photo(of, of.image)
    wanted = of.unit or of.chosen_layer(torch.zeros(1, *of.reads.volume))
    with of.progress(f"Dreaming on {of.image}", 40, "step") as tick:
        made = dream(of.model, photo, wanted, seed=of.seed, tick=tick)
    return View(_png(made), {"wanted": wanted, "size": [*made.shape[1:]]}, f"{of.image}, with more of {wanted} in it")


def style_view(of: Wanted) -> View:
    photo, painting = _photo(of, of.image), _photo(of, of.like)
    with of.progress(f"{of.image} as {of.like}", 200, "step") as tick:
        made = restyle(of.model, photo, painting, seed=of.seed, tick=tick)
    return View(_png(made), {"like": of.like, "size": [*made.shape[1:]]}, f"{of.image} in the style of {of.like}")


def _photo(of: Wanted, image: str) -> Tensor:
    """uint8 C×H×W, no larger than what is done in reasonable time. Raises CannotRead."""
    photo = read_image(Path(image), of.reads.channels)
    height, width = photo.shape[1:]
    if max(height, width) <= LONGEST:
        return photo
    scale = LONGEST / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return F.interpolate(photo[None], size, mode="bilinear", antialias=True)[0]


def _png(picture: Tensor) -> bytes:
    """A PNG of uint8 C×H×W."""
    from PIL import Image

    pixels, file = picture.movedim(0, -1).contiguous().numpy(), BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(file, "PNG")
    return file.getvalue()
