"""Is a ledger of somebody else's module right, and how soon is it there? Small modules, and architectures by the dozen.

1. Every small module of tests/nn/modules_suite.py, against loops that count one multiply-add at a time, and what
   torchinfo, fvcore and torch's FlopCounterMode make of it (the last one backward too), on the CPU in float32.
   torchinfo counts a bias as a multiply-add, so how often each is more than a tenth off stands beside.
2. Every classifier of torchvision and a hundred networks of timm: parameters, multiply-adds by the shapes that reach
   torch's kernels, torchvision's published figures, seconds.
3. How long a trace takes beside the peers' own passes.

    python benchmarks/trace.py [small] [architectures] [speed]
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]

import torch  # noqa: E402
from torch.utils import _pytree as pytree  # noqa: E402

from _harness import Json, ratios, record, rounds  # noqa: E402
from nn.architectures import TIMM, architecture, by_shapes, torchvisions  # noqa: E402
from nn.modules_suite import SUITE  # noqa: E402
from nn.scalar_loops import counted  # noqa: E402
from striate.blueprint import Refusal  # noqa: E402
from striate.cost.backward import backward_macs  # noqa: E402
from striate.nn import trace  # noqa: E402
from striate.nn.tracing.named import library  # noqa: E402

TIMED = ("torchvision:resnet50", "torchvision:swin_t", "torchvision:efficientnet_b0", "torchvision:vit_b_16")


def torchinfo(module: Any, inputs: tuple[Any, ...]) -> int:
    from torchinfo import summary

    return int(summary(module, input_data=list(inputs), verbose=0, mode="eval", device="cpu").total_mult_adds)


def fvcore(module: Any, inputs: tuple[Any, ...]) -> int:
    from fvcore.nn import FlopCountAnalysis

    found = FlopCountAnalysis(module.eval(), inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(found.total())


def flop_counter(module: Any, inputs: tuple[Any, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module.eval()(*inputs)
    return int(counter.get_total_flops() // 2)


def flop_counter_back(module: Any, inputs: tuple[Any, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    outs = [leaf for leaf in pytree.tree_leaves(module.eval()(*inputs)) if isinstance(leaf, torch.Tensor)]
    with FlopCounterMode(display=False) as counter:
        sum(out.sum() for out in outs).backward()  # type: ignore[union-attr]
    return int(counter.get_total_flops() // 2)


PEERS: dict[str, Callable[[Any, tuple[Any, ...]], int]] = {
    "torchinfo": torchinfo,
    "fvcore": fvcore,
    "FlopCounterMode": flop_counter,
    "FlopCounterMode, backward": flop_counter_back,
}


def small() -> Json:
    """One line a module, and for each peer how many it gets right."""
    lines: dict[str, Json] = {}
    right = dict.fromkeys(("striate", "striate, backward", *PEERS), 0)
    far = dict.fromkeys(right, 0)
    heads = ("loops", "ours", "torchinfo", "fvcore", "Flop…", "back", "ours", "Flop…")
    print(f"{'module':42}" + "".join(f"{head:>10}" for head in heads))
    for name, case in SUITE.items():
        torch.manual_seed(0)
        graph = trace(case.make(), case.inputs())
        ours, ours_back = graph.macs, sum(n or 0 for n in backward_macs(graph).values())
        forward, back = counted(case.make(), case.inputs())
        found = {peer: _asked(count, case) for peer, count in PEERS.items()}
        said = {"striate": ours, "striate, backward": ours_back if case.back else back} | found
        wanted = {peer: back if peer.endswith("backward") else forward for peer in said}
        for peer, value in said.items():
            right[peer] += value == wanted[peer]
            far[peer] += value is None or abs(value - wanted[peer]) > wanted[peer] / 10
        lines[name] = {"loops": forward, "loops_backward": back} | said
        shown = [_cell(found[peer], wanted[peer]) for peer in PEERS]
        cells = (forward, ours, *shown[:3], back, ours_back, shown[3])
        print(f"{name:42}" + "".join(f"{cell:>10}" for cell in cells))
    print(f"\n!: differs from the loops; -: fails on the module. Of {len(SUITE)} right: {right}; a tenth off: {far}")
    return {"right": right, "more_than_a_tenth_off": far, "of": len(SUITE), "modules": lines}


def _asked(count: Callable[[Any, tuple[Any, ...]], int], case: Any) -> int | None:
    torch.manual_seed(0)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return count(case.make(), case.inputs())
    except Exception:  # a peer's own failure is an answer
        return None


def _cell(value: int | None, wanted: int) -> str:
    return "-" if value is None else f"{value}{'!' if value != wanted else ' '}"


def architectures() -> Json:
    found: dict[str, Json] = {}
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    names = [*(f"torchvision:{name}" for name in torchvisions()), *(f"timm:{name}" for name in TIMM)]
    for name in names:
        try:
            module, volume, published = architecture(name)
        except Refusal as refusal:
            found[name] = {"refused": str(refusal)}
            continue
        start, busy = time.perf_counter(), time.process_time()
        graph = trace(module, volume)
        wall, cpu = time.perf_counter() - start, time.process_time() - busy
        parameters, macs = sum(p.numel() for p in module.parameters()), by_shapes(module, volume)
        found[name] = {
            "input": str(volume),
            "parameters": graph.parameters,
            "macs": graph.macs,
            "published_g": published,
            "parameters_equal": graph.parameters == parameters,
            "macs_equal": graph.macs == macs,
            "unknown": graph.unknown,
            "nodes": len(graph),
            "s": round(wall, 3),
            "cpu_s": round(cpu, 3),
        }
        off = "" if parameters == graph.parameters and macs == graph.macs and not graph.unknown else "  DIFFERS"
        print(
            f"{name:48} {graph.parameters / 1e6:8.2f} M {graph.macs / 1e9:8.3f} G  {wall:5.2f} s ({cpu:.2f} cpu){off}"
        )
    traced = [line for line in found.values() if "macs" in line]
    stated = [(line["macs"] / 1e9, line["published_g"]) for line in traced if line["published_g"]]
    totals = {
        "traced": len(traced),
        "parameters_equal": sum(line["parameters_equal"] for line in traced),
        "macs_equal": sum(line["macs_equal"] for line in traced),
        "without_unknown": sum(not line["unknown"] for line in traced),
        "published": len(stated),
        "as_published": sum(abs(ours - theirs) <= 6e-4 + 2e-3 * theirs for ours, theirs in stated),
        "under_3_s_of_processor": sum(line["cpu_s"] < 3 for line in traced),
        "slowest_cpu_s": max((line["cpu_s"] for line in traced), default=None),
    }
    print(totals)
    return {"totals": totals, "networks": found}


def speed() -> Json:
    """A trace, and what peers need for the same module: FlopCounterMode on meta tensors, the others on real ones."""
    figures: Json = {}
    for name in TIMED:
        module, volume, _ = architecture(name)
        real = library("torchvision").models.get_model(name.partition(":")[2], weights=None).eval()
        meta, image = torch.empty(1, *volume, device="meta"), torch.zeros(1, *volume)
        contenders: dict[str, Callable[[], object]] = {
            "striate.trace": lambda module=module, volume=volume: trace(module, volume),  # type: ignore[misc]
            "FlopCounterMode": lambda module=module, meta=meta: flop_counter(module, (meta,)),  # type: ignore[misc]
            "torchinfo": lambda real=real, image=image: torchinfo(real, (image,)),  # type: ignore[misc]
            "fvcore": lambda real=real, image=image: fvcore(real, (image,)),  # type: ignore[misc]
        }
        figures[name] = rounds(contenders, 3)
        shown = ", ".join(f"{who} {of['cpu_median_s']:.2f}" for who, of in figures[name].items())
        print(f"{name}: processor seconds: {shown}")
        times = ratios(figures[name], "striate.trace", "cpu_median_s")
        print("   as long as ours:", {who: round(ratio, 2) for who, ratio in times.items()})
    return figures


PARTS: dict[str, Callable[[], Json]] = {"small": small, "architectures": architectures, "speed": speed}


def main() -> None:
    chosen = sys.argv[1:] or list(PARTS)
    result = {part: PARTS[part]() for part in chosen}
    if set(chosen) == set(PARTS):
        question = (__doc__ or "").splitlines()[0]
        print(record("trace", question, result, "torch", "torchvision", "timm", "torchinfo", "fvcore"))


if __name__ == "__main__":
    main()
