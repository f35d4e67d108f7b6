"""How long do Grad-CAM, integrated gradients and occlusion take, against captum at its best, on the same work?

Two networks on one photo, at 227×227 and 224×224: SqueezeNet v1.0 with ImageNet's weights, and torchvision's ResNet-18
(random weights: the work is the same). captum gets the same tensor, channels last or, where that suits it better, in
rows, a network that is in evaluation mode and asks for no gradients of its weights, and, where it matters, the examples
at once and the absence of autograd that make it quickest, tried beforehand; and once more as it comes. Grad-CAM is at
the same layer, integrated gradients has 50 steps and says what it lacks of completeness, occlusion has windows of 32×32
every 16. How far apart the maps are, of each other and of captum's in float64, says that the work is the same.

    python benchmarks/attribution.py [rounds] [network, method …]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]

import captum.attr as captum  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import striate  # noqa: E402
from _harness import Json, ratios, record, rounds  # noqa: E402
from striate.visualize.attribution import attribute  # noqa: E402
from striate.visualize.images import seen  # noqa: E402

DATA = Path(__file__).parents[2] / "shared" / "data"
PHOTO = DATA / "hymenoptera" / "val" / "bees" / "10870992_eebeeb3a12.jpg"
WEIGHTS = DATA / "weights" / "squeezenet1_0_deepcompression" / "squeezenet1_0.npz"
FORMATS = {"rows": torch.contiguous_format, "channels last": torch.channels_last}
AT_ONCE = (1, 2, 4, 8, 16, 50)  # captum's examples at once: 1 is what it does unasked in occlusion, 50 in the other
STEPS, WINDOW, STRIDE = 50, 32, 16
Work = tuple[Callable[[], Tensor], dict[str, Callable[[], Tensor]]]  # ours, and captum's with each of its settings


def networks() -> Iterator[tuple[str, nn.Module, Tensor, str, str]]:
    """(name, module, image, the layer for Grad-CAM as we name it, and as a module)"""
    squeezenet = striate.load("squeezenet1_0", weights=WEIGHTS)
    x = seen(squeezenet, [PHOTO]).x.contiguous(memory_format=torch.channels_last)
    yield "squeezenet1_0", squeezenet, x, "conv10.act", "conv10.act"
    import reference

    torch.manual_seed(0)
    resnet = reference.torchvision().models.resnet18(weights=None)
    yield "resnet18 (torchvision)", resnet, F.interpolate(x, 224) / 64, "layer4", "layer4"


def grad_cam(model: nn.Module, x: Tensor, which: Tensor, layer: str, module: str) -> Work:
    peer = captum.LayerGradCam(model, model.get_submodule(module))

    def theirs(x: Tensor) -> Tensor:
        return captum.LayerAttribution.interpolate(
            peer.attribute(x, which, relu_attributions=True), x.shape[2:], "bilinear"
        )[:, 0]

    return (
        lambda: attribute(model, x, "grad-cam", which, layer).values,
        {name: partial(theirs, x.contiguous(memory_format=order)) for name, order in FORMATS.items()},
    )


def integrated_gradients(model: nn.Module, x: Tensor, which: Tensor, *_: str) -> Work:
    peer = captum.IntegratedGradients(model)

    def theirs(x: Tensor, few: int) -> Tensor:
        return peer.attribute(x, 0.0, which, n_steps=STEPS, internal_batch_size=few, return_convergence_delta=True)[
            0
        ].sum(1)

    return (
        lambda: attribute(model, x, "integrated-gradients", which, steps=STEPS).values,
        {
            f"{name}, internal_batch_size={few}": partial(theirs, x.contiguous(memory_format=order), few)
            for (name, order), few in product(FORMATS.items(), AT_ONCE)
        },
    )


def occlusion(model: nn.Module, x: Tensor, which: Tensor, *_: str) -> Work:
    peer, channels = captum.Occlusion(model), x.shape[1]
    sides = (channels, WINDOW, WINDOW), (channels, STRIDE, STRIDE)

    def theirs(x: Tensor, few: int) -> Tensor:
        with torch.inference_mode():
            return peer.attribute(x, *sides, 0.0, which, perturbations_per_eval=few)[:, 0]

    return (
        lambda: attribute(model, x, "occlusion", which, window=WINDOW, stride=STRIDE).values,
        {
            f"{name}, perturbations_per_eval={few}": partial(theirs, x.contiguous(memory_format=order), few)
            for (name, order), few in product(FORMATS.items(), AT_ONCE)
        },
    )


def grad_cam_of_eight(model: nn.Module, x: Tensor, which: Tensor, layer: str, module: str) -> Work:
    return grad_cam(model, torch.cat([x.roll(i, 3) for i in range(8)]), which.expand(8), layer, module)


METHODS: dict[str, tuple[Callable[..., Work], str]] = {  # and how captum does it unasked
    "grad-cam": (grad_cam, "rows"),
    "grad-cam of 8 images": (grad_cam_of_eight, "rows"),
    "integrated-gradients": (integrated_gradients, "rows, internal_batch_size=50"),
    "occlusion": (occlusion, "rows, perturbations_per_eval=1"),
}


def tried(settings: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Processor seconds of each, the quickest first."""

    def took(run: Callable[[], Tensor]) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    times = {name: min(took(run), took(run)) for name, run in settings.items()}
    return dict(sorted(times.items(), key=lambda of: of[1]))


def main() -> None:
    words = sys.argv[1:]
    n = int(words.pop(0)) if words and words[0].isdecimal() else 9
    found: dict[str, Any] = {}
    for name, model, x, layer, module in networks():
        model.eval().requires_grad_(False)
        with torch.no_grad():
            which = model(x).argmax(1)
        for method, (work, unasked) in METHODS.items():
            if words and not {name.split()[0], method} & {*words}:
                continue
            ours, settings = work(model, x, which, layer, module)
            times = tried(settings)
            setting = next(iter(times))
            theirs = settings[setting]
            exact = work(deepcopy(model).double(), x.double(), which, layer, module)[1][setting]().detach()
            maps = {"each other": (ours(), theirs().detach()), "striate, float64": (ours(), exact)}
            maps["captum, float64"] = (theirs().detach(), exact)
            apart = {
                names: float((one - other).abs().max() / exact.abs().max()) for names, (one, other) in maps.items()
            }
            timed = rounds({"striate": ours, "captum": theirs, "captum, as it comes": settings[unasked]}, n, 0.3)
            longer = {what: ratios(timed, "striate", f"{what}median_s") for what in ("", "cpu_")}
            found[f"{method}, {name}"] = {
                "captum's settings, processor seconds": times, "apart, of the largest": apart, "seconds": timed,
                "times as long": longer[""]["captum"], "times the processor's time": longer["cpu_"]["captum"],
                "as it comes": longer[""]["captum, as it comes"],
            }  # fmt: skip
            print(
                f"{method}, {name}: {timed['striate']['median_s'] * 1e3:.1f} ms, captum ({setting}) "
                f"{timed['captum']['median_s'] * 1e3:.1f} ms, {longer['']['captum']:.2f} times as long "
                f"({longer['cpu_']['captum']:.2f} times the processor's time, as it comes "
                f"{longer['']['captum, as it comes']:.2f} times as long), apart {apart}",
                flush=True,
            )
    result: Json = {"threads": torch.get_num_threads(), "on": found}
    if not words:
        print(record("attribution", (__doc__ or "").splitlines()[0], result, "torch", "captum", "torchvision"))


if __name__ == "__main__":
    main()
