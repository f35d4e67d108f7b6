"""How fast is a ledger, and is it right? All of the zoo against torchinfo, fvcore and torch's FlopCounterMode.

Peers run on meta tensors (no arithmetic, as fast as they go; fvcore's tracing takes only real ones), on the networks
that striate builds and, where torchvision has the same network, on torchvision's own. Where totals differ, the
difference is explained by rows, and what the explanations leave over is shown.

    python benchmarks/ledger.py [--times]
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]

from _harness import RESULTS, Json, ratios, record, rounds  # noqa: E402
from striate import build, ledger  # noqa: E402
from striate.cost import Ledger  # noqa: E402
from striate.zoo import NETWORKS  # noqa: E402

TIMED = ("resnet152", "googlenet", "vgg16")
WHOLE = {  # whole processes, from nothing to the totals
    "striate ledger resnet152": [sys.executable, "-m", "striate", "ledger", "resnet152"],
    "import torch, torchinfo": [sys.executable, "-c", "import torch, torchinfo"],
    "import torch, fvcore.nn": [sys.executable, "-c", "import torch, fvcore.nn"],
    "import torch.utils.flop_counter": [sys.executable, "-c", "import torch.utils.flop_counter"],
}


def torchinfo(module: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """(parameters, MACs)"""
    from torchinfo import summary

    found = summary(module, shape, device="meta", verbose=0)
    return found.total_params, found.total_mult_adds


def fvcore(module: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    import torch
    from fvcore.nn import FlopCountAnalysis, parameter_count

    counted = FlopCountAnalysis(module, torch.zeros(shape))
    counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return parameter_count(module)[""], int(counted.total())


def flop_counter(module: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.empty(shape, device="meta"))
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2


Count = Callable[[Any, tuple[int, ...]], tuple[int, int]]
PEERS: dict[str, tuple[Count, str]] = {  # how it counts, and where the module must be
    "torchinfo": (torchinfo, "meta"),
    "FlopCounterMode": (flop_counter, "meta"),
    "fvcore": (fvcore, "cpu"),
}


def explanations(priced: Ledger, peer: str, module: Any) -> Iterator[tuple[str, int, int]]:
    """Why a peer counts more (+) or less (-): (reason, parameters, MACs), as far as rows can say."""
    codes = [row for row in priced.rows if row.layer.startswith("RadialBasis")]
    yield "distances to fixed codes: no weighted layer to the peers", 0, -sum(row.macs or 0 for row in codes)
    norms = [row for row in priced.rows if row.layer.startswith("BatchNorm")]
    if peer == "fvcore":
        yield "batch norms: 2 a value (we count MACs of weights with windows of values)", 0, 2 * _values(norms)
        asked = any(type(part).__name__ == "AdaptiveAvgPool2d" for part in module.modules())  # a mean is not counted
        pools = [row for row in priced.rows if asked and row.label.startswith("avg pool")]
        inputs = [priced.graph[priced.graph[row.name].inputs[0]].output.size for row in pools]
        yield "adaptive average pools: 1 a value read", 0, sum(inputs)
    if peer == "torchinfo":
        yield "norms: 1 a parameter", 0, sum(row.parameters for row in norms)
        positions = [row for row in priced.rows if row.layer.startswith("PositionBias")]
        yield "biases of positions: 1 a value", 0, _values(positions)
        biased = [row for row in priced.rows if "bias" in priced.graph[row.name].placed.weights and row.macs]
        convs = [row for row in biased if not row.layer.startswith("Linear")]
        yield "biases of convolutions: 1 an output cell", 0, sum(row.output.size for row in convs)
        linear = [row for row in biased if row.layer.startswith("Linear")]
        yield "biases of linear layers: 1 an output", 0, sum(row.output.size for row in linear)


def _values(rows: list[Any]) -> int:
    return sum(row.output.size for row in rows)


def compare(make: Callable[[str], Any], priced: Ledger) -> Json:
    """Each peer's totals, its difference from ours, and how much of that is explained."""
    ours = priced.totals.parameters, priced.totals.macs
    found: Json = {"ours": ours}
    for peer, (count, device) in PEERS.items():
        try:
            theirs = count(module := make(device), (1, *priced.input))
        except Exception as error:  # a peer that cannot is a result too
            found[peer] = {"cannot": f"{type(error).__name__}: {error}".splitlines()[0][:160]}
            continue
        difference = theirs[0] - ours[0], theirs[1] - ours[1]
        reasons = (
            [reason for reason in explanations(priced, peer, module) if any(reason[1:])] if any(difference) else []
        )
        left = tuple(d - sum(reason[i + 1] for reason in reasons) for i, d in enumerate(difference))
        found[peer] = {"totals": theirs, "difference": difference, "because": reasons, "unexplained": left}
    return found


def ours(name: str, device: str) -> Any:
    return build(name, device=device).eval()


def torchvision_s(name: str) -> Callable[[str], Any] | None:
    """What makes torchvision's network of the same name, if there is one."""
    import torch

    import reference

    try:
        models = reference.torchvision().models
    except BaseException:  # pytest's skip is one
        return None
    if name not in models.list_models():
        return None
    options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}

    def make(device: str) -> Any:
        with torch.device(device):
            return getattr(models, name)(**options).eval()

    return make


def main() -> None:
    logging.disable(logging.WARNING)
    again = "--times" in sys.argv  # the totals as they were recorded, the times anew
    totals: Json = json.loads((RESULTS / "ledger.json").read_text(encoding="utf-8"))["totals"] if again else {}
    for name in () if again else NETWORKS:
        priced = ledger(name)
        totals[name] = compare(partial(ours, name), priced)
        if theirs := torchvision_s(name):
            totals[name]["torchvision's own"] = compare(theirs, priced)
        print(name, *(_verdict(peer, totals[name][peer]) for peer in PEERS), sep="  ", flush=True)
    times: Json = {}
    for name in TIMED:
        shape = (1, *NETWORKS[name].input)
        contenders: dict[str, Callable[[], object]] = {"striate": partial(ledger, name)}
        for peer, (count, device) in PEERS.items():
            contenders[peer] = partial(count, ours(name, device), shape)
        timed = rounds(contenders, 9)
        longer, busier = ratios(timed, "striate"), ratios(timed, "striate", "cpu_median_s")
        times[name] = {"seconds": timed, "times as long": longer, "times the processor's time": busier}
        print(name, *(f"{who} {of['median_s'] * 1e3:.1f} ms" for who, of in timed.items()), sep="  ", flush=True)
    alone = rounds({"striate": partial(ledger, "resnet152")}, 200, 0)["striate"]
    whole = rounds({what: partial(_run, line) for what, line in WHOLE.items()}, 9)
    print("resnet152 alone", f"{alone['median_s'] * 1e3:.2f} ms (least {alone['least_s'] * 1e3:.2f})")
    print(*(f"{what}: {of['median_s']:.3f} s" for what, of in whole.items()), sep="\n")
    result = {"in process": times, "resnet152, 200 times in a row": alone, "whole process": whole, "totals": totals}
    question = (__doc__ or "").splitlines()[0]
    print(record("ledger", question, result, "torch", "torchinfo", "fvcore", "torchvision"))


def _run(line: list[str]) -> None:
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _verdict(peer: str, of: Json) -> str:
    if "cannot" in of:
        return f"{peer}: cannot"
    parameters, macs = of["difference"]
    if not (parameters or macs):
        return f"{peer}: same"
    explained = "explained" if not any(of["unexplained"]) else f"unexplained {of['unexplained']}"
    return f"{peer}: {parameters:+,} parameters, {macs:+,} MACs ({explained})"


if __name__ == "__main__":
    main()
