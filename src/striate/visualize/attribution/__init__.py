"""Which part of an image a network's answer is due to, by the methods of the literature, with one signature.

    heat = attribute(model, x, "grad-cam", target="collie")
    heat.values                                            # N×H×W, at the image's size

Whether a map says anything of the network is another question: `striate.visualize.trust`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from striate.blueprint import NotFound, Refusal
from striate.visualize.attribution.asked import Heat, Target
from striate.visualize.attribution.cam import cam, grad_cam, grad_cam_plus_plus
from striate.visualize.attribution.gradients import (
    gradient,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)
from striate.visualize.attribution.occlusion import occlusion

__all__ = [
    "METHODS", "Heat", "Method", "Target", "attribute", "cam", "grad_cam", "grad_cam_plus_plus", "gradient",
    "guided_backprop", "input_x_gradient", "integrated_gradients", "occlusion", "smooth_grad",
]  # fmt: skip


class Method(NamedTuple):
    """A way to attribute, where it is from, and what its map's numbers mean."""

    run: Callable[..., Heat]
    source: str
    meaning: str


METHODS = {
    "gradient": Method(gradient, "Simonyan et al. 2013", "|slope| of the score"),
    "input-x-gradient": Method(input_x_gradient, "Shrikumar et al. 2016", "part of the score"),
    "guided-backprop": Method(guided_backprop, "Springenberg et al. 2014", "|slope|, guided"),
    "integrated-gradients": Method(integrated_gradients, "Sundararajan et al. 2017", "part of the score"),
    "smooth-grad": Method(smooth_grad, "Smilkov et al. 2017", "|mean slope| of the score"),
    "grad-cam": Method(grad_cam, "Selvaraju et al. 2016", "evidence for the class"),
    "grad-cam++": Method(grad_cam_plus_plus, "Chattopadhay et al. 2017", "evidence for the class"),
    "cam": Method(cam, "Zhou et al. 2015", "score of the class there"),
    "occlusion": Method(occlusion, "Zeiler and Fergus 2013", "score lost when covered"),
}


def attribute(
    model: nn.Module,
    x: Tensor,
    method: str = "grad-cam",
    target: Target = None,
    layer: str | None = None,
    **options: Any,
) -> Heat:
    """How much each place of images, float N×C×H×W as the model reads them, matters for a class: a number, a name,
    one of each for every image, or None for the network's own answer.

    `layer` is for the methods that look at one; where none is named it is chosen. `options` are the method's own.
    Raises NotFound for an unknown method, class or layer (near names), Refusal for what cannot be looked at.
    """
    if method not in METHODS:
        raise NotFound("method", method, METHODS)
    run = METHODS[method].run
    if layer is not None:
        options["layer"] = layer
    takes = [*(run.__kwdefaults__ or ())]
    if more := sorted({*options} - {*takes}):
        if more == ["layer"]:
            looks = [name for name, one in METHODS.items() if "layer" in (one.run.__kwdefaults__ or ())]
            raise Refusal(f"Cannot look at a layer by {method}: it looks at none.", ways=f"{', '.join(looks)} do.")
        raise Refusal(f"Cannot give {method} {', '.join(more)}.", ways=f"It takes {', '.join(takes)}.")
    return run(model, x, target, **options)
