"""Views of a network's weights and of what it does with one image."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from striate.blueprint import CannotTrain, Refusal, Volume
from striate.visualize.activations import maps
from striate.visualize.activations_drawn import draw_maps
from striate.visualize.attribution import METHODS, attribute
from striate.visualize.attribution.drawn import draw_attribution
from striate.visualize.deconvnet import deconvnet, drawn
from striate.visualize.field import effective, sight
from striate.visualize.field_drawn import draw_field
from striate.visualize.filters import filters
from striate.visualize.filters_drawn import draw_filters
from striate.visualize.images import batches
from striate.visualize.page import LOOKED, class_name, page, steps
from striate.visualize.page_drawn import draw_page
from striate.visualize.trust import curves, randomised
from striate.visualize.trust_drawn import Tried, draw_trust
from striate.visualize.units import Unit
from striate.visualize.wanted import View, Wanted
from striate.visualize.where import Where, called, judged, tried, where

FIELDS = 64  # images over which an effective field is averaged
PROJECTED = 3  # units of the deconvnet, where none is named
QUICKER = {"smooth-grad": {"samples": 10}, "integrated-gradients": {"steps": 16}}  # where all methods are wanted


def page_view(of: Wanted) -> View:
    with of.progress(f"Looking at {of.image}", steps(), "step") as tick:
        found = page(of.model, of.seen(), of.image, of.name, of.target, of.layer or None, tick)
    return View(draw_page(found), found.to_json(), found.told())


def attribution_view(of: Wanted) -> View:
    """By one method, or by all that the network allows."""
    seen, found, left_out = of.seen(), list[Where](), list[str]()
    methods = [of.method] if of.method else [*METHODS]
    with of.progress(f"Looking at {of.image}", len(methods), "method") as tick:
        for done, method in enumerate(methods, 1):
            try:
                found.append(_where(of, seen.x, method))
            except Refusal as refusal:
                if of.method:
                    raise
                left_out.append(f"{method} is left out. {refusal.fact}")
            tick(done)
    told = ["\n  ".join((f"{one.title}: {one.told()}", *one.lines()[1:])) for one in found] + left_out
    facts = {"maps": [one.to_json() for one in found], "left_out": left_out}
    names = {int(one.heat.targets[0]): one.of for one in found}
    classes = [names.get(i, "") for i in range(max(names, default=-1) + 1)]
    png = draw_attribution(seen.pixels[0], [one.heat for one in found], classes, trusts=[one.trust for one in found])
    return View(png, facts, "\n".join(told))


def _where(of: Wanted, x: Tensor, method: str) -> Where:
    options = _options(of, method)
    heat = attribute(of.model, x, method, of.target, **options)
    return where(heat, class_name(of.model, int(heat.targets[0])), tried(of.model, x, heat, options))


def trust_view(of: Wanted) -> View:
    """By one method, or by those of the page; more closely than there."""
    seen, drawn_of, left_out = of.seen(), list[Tried](), list[str]()
    methods = [of.method] if of.method else [*dict.fromkeys(method for method, _, _ in LOOKED)]
    with of.progress(f"Trying maps of {of.image}", len(methods), "method") as tick:
        for done, method in enumerate(methods, 1):
            options = _options(of, method)
            try:
                heat = attribute(of.model, seen.x, method, of.target, **options)
                anew = randomised(of.model, seen.x, method, heat, **options)
                drawn_of.append((heat, curves(of.model, seen.x, heat), anew))
            except Refusal as refusal:
                if of.method or (done == len(methods) and not drawn_of):
                    raise
                left_out.append(f"{method} is left out. {refusal.fact}")
            tick(done)
    facts, told = [], []
    for heat, changed, anew in drawn_of:
        areas = {name: float(area[0]) for name, area in changed.areas.items()}
        facts.append({"method": heat.method, **areas, "alike": anew.alike.tolist(), "unchanged": anew.unchanged})
        said = f"insertion: area {areas['insertion']:.2f}, by chance {areas['random_insertion']:.2f}"
        told.append("\n  ".join((called(heat.method), *judged(heat, changed, anew).told(), said)))
    title = f"{class_name(of.model, int(drawn_of[0][0].targets[0]))}: how far its maps are to be trusted"
    facts_ = {"tests": facts, "left_out": left_out}
    return View(draw_trust(seen.pixels[0], drawn_of, title=title), facts_, "\n".join(told + left_out))


def _options(of: Wanted, method: str) -> dict[str, Any]:
    options: dict[str, Any] = {} if of.method else dict(QUICKER.get(method, {}))
    return {**options, "layer": of.layer} if of.layer and (of.method or "cam" in method) else options


def activations_view(of: Wanted) -> View:
    seen = of.seen()
    found = maps(of.model, seen.x, [of.layer] if of.layer else ())
    channels = {one.layer: one.order[0, :5].tolist() for one in found}
    told = "\n".join(f"Strongest channels of {name}: {', '.join(map(str, these))}" for name, these in channels.items())
    return View(draw_maps(found, seen.pixels[0]), {"strongest": channels}, told)


def deconvnet_view(of: Wanted) -> View:
    """Of the unit that is named, or of the strongest channels of the layer that decides."""
    seen = of.seen()
    if of.unit:
        units = [of.read_unit()]
    else:
        [strongest] = maps(of.model, seen.x, [of.chosen_layer(seen.x)])
        units = [Unit(strongest.layer, channel) for channel in strongest.order[0, :PROJECTED].tolist()]
    plates = [(str(unit), deconvnet(of.model, seen.x, unit), seen.pixels) for unit in units]
    named = ", ".join(map(str, units))
    return View(drawn(plates), {"units": [*map(str, units)]}, f"Projected back to pixels: {named}")


def filters_view(of: Wanted) -> View:
    found = filters(of.model, of.layer)
    facts = {"layer": found.layer, "filters": len(found.weights), "dead": [*found.dead]}
    facts["alike"] = [[pair.first, pair.second, round(pair.cosine, 4)] for pair in found.alike]
    rule = None
    with suppress(CannotTrain):  # without one, colours are those that the network reads
        rule = of.reads
    return View(draw_filters(found, rule), facts, f"{found.layer}: {found.told()}")


def field_view(of: Wanted) -> View:
    """On the image that is given, or the first of the data, or on grey; what counts of it, over the data or that
    image.
    """
    rule = of.reads
    if of.image:
        x, pixels = of.seen()[:2]
        if of.data:
            x = torch.cat([x, *(more for more, _, _ in batches(of.model, of.some(FIELDS)))])
    elif of.data:
        parts = [*batches(of.model, of.some(FIELDS))]
        x, pixels = torch.cat([part[0] for part in parts]), parts[0][2]
    else:
        pixels = torch.full((1, *rule.volume), 160, dtype=torch.uint8)
        x = torch.randn(8, *rule.volume, generator=torch.Generator().manual_seed(of.seed))
    unit = of.read_unit() if of.unit else Unit(of.chosen_layer(x))
    at = sight(of.model, unit, Volume(*x.shape[1:]))
    with of.progress(f"What {unit} sees", len(x), "image") as tick:
        counts = effective(of.model, x, unit, tick)
    facts = {"unit": str(at.unit), "rows": at.rows, "columns": at.columns, "gated": at.gated, "how": at.how}
    facts |= {"effective": counts.side, "share": round(counts.share, 4), "images": counts.images}
    return View(draw_field(at, pixels[0], counts), facts, f"{at.told()} {counts.told()}")
