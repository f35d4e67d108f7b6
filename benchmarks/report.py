"""Writes README's figures from benchmarks/results; `--check` says whether they are those."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START = "<!-- figures: written by benchmarks/report.py from benchmarks/results -->\n"
END = "<!-- end of figures -->\n"
Json = dict[str, Any]


def ledger(found: Json) -> str:
    of = found["in process"]["resnet152"]
    peers = ", ".join(f"{name} {times:.0f}×" for name, times in of["times as long"].items())
    whole = found["whole process"]
    alone, imports = whole["striate ledger resnet152"], whole["import torch, torchinfo"]
    n = of["seconds"]["striate"]["n"]
    return (
        f"ResNet-152's ledger, in process: {of['seconds']['striate']['median_s'] * 1e3:.1f} ms; longer take {peers} "
        f"(n = {n}). `striate ledger resnet152` as a whole process: {alone['median_s']:.2f} s, where importing a peer "
        f"alone takes {imports['median_s']:.1f} s (n = {alone['n']})"
    )


def train_small(found: Json) -> str:
    fastest = min(found["ratios"], key=found["ratios"].__getitem__)
    ours, peer = found["timed"]["striate"], found["timed"][fastest]
    return (
        f"LeNet-5, one epoch of MNIST with its data path: {ours['median_s']:.1f} s to {ours['top1_mean']:.2%}; "
        f"torch's own example at its best ({fastest}) {peer['median_s']:.1f} s to {peer['top1_mean']:.2%}: "
        f"{found['ratios'][fastest]:.1f}× (n = {ours['n']})"
    )


def mnist_99(found: Json) -> str:
    ours, seconds = found["ours"], found["ours"]["seconds"]["median"]
    fastest = min(found["peers"].values(), key=lambda peer: peer["seconds"])
    return (
        f"MNIST from its files to {ours['top1_mean']:.2%} (mean of {ours['seeds']} seeds): {seconds:.1f} s with "
        f"{ours['network']}; torch's own example at its best takes {fastest['seconds']:.0f} s to "
        f"{fastest['top1'][-1]:.2%}: {fastest['seconds'] / seconds:.0f}×"
    )


def resnet18_step(found: Json) -> str:
    case = found["cases"]["3×3 stem"]
    ours = case["timed"]["striate"]
    best = min(case["ratios"], key=case["ratios"].__getitem__)
    return (
        f"A training step of ResNet-18 at 32×32, batch {found['batch']}: {ours['images_per_s']:.0f} images/s, "
        f"{ours['share_of_gemm']:.0%} of a GEMM in {ours['precision']} by the ledger's operations; against eager torch "
        f"out of the box {case['ratios']['torch']:.1f}×, at its best ({best.removeprefix('torch, ')}) "
        f"{case['ratios'][best]:.2f}× "
        f"(n = {ours['n']})"
    )


def data(found: Json) -> str:
    fewest, tutorial = "DataLoader, 2 workers", "DataLoader, torchvision, 2 workers"
    resident = {"32×32×3": found["resident"]["wall_ratio"], "28×28": found["resident_grey"]["wall_ratio"]}
    told = ", ".join(f"{name} {of[tutorial]:.0f}× ({of[fewest]:.0f}×)" for name, of in resident.items())
    streamed = [found[of] for of in ("streamed", "streamed_large")]

    def shares(who: str) -> str:
        rates = [of["images_per_s"] for of in streamed]
        ceilings = [max(rate["decoding alone"], rate["decoding alone, whole"]) for rate in rates]
        return " and ".join(f"{rate[who] / most:.0%}" for rate, most in zip(rates, ceilings, strict=True))

    slower = " and ".join(f"{of['wall_ratio']['DataLoader, 2 workers, Pillow']:.1f}×" for of in streamed)
    n = found["resident"]["times"]["striate"]["n"]
    return (
        f"Images cropped, flipped and dealt from memory: a DataLoader with 2 workers and torchvision's transforms (in "
        f"the fewest operations) takes {told}. From JPEGs of short side 256 and of 640×480, of the rate at which both "
        f"cores do nothing but decode: {shares('striate, bytes')} as bytes for a device, {shares('striate')} as "
        f"normalised floats, {shares('striate, crops')} of random crops; a DataLoader with 2 workers and Pillow takes "
        f"{slower} (n = {n})"
    )


def loop(found: Json) -> str:
    lenet5 = [of["striate, a log"] for of in found["overhead"] if of["network"] == "lenet5"]
    torchs, ours = (max(of[f"against {whose} optimiser"]["share"] for of in lenet5) for whose in ("torch's", "our"))
    delays = ", ".join(
        f"{name} {of['without']['until it is there']['median']:.2f}" for name, of in found["checkpoints"].items()
    )
    return (
        f"The loop with its log, LeNet-5 at batch 128: {torchs:+.1%} over a bare loop with torch's optimiser, "
        f"{ours:+.1%} over one with ours; steps held up by a checkpoint (median): {delays}"
    )


def killed(found: Json) -> str:
    equal = "all ended with the bits" if found["equal"] else "NOT all ended with the bits"
    return (
        f"{found['kills']} kills at random moments, {len(found['cases'])} ways of training: {equal} of the "
        f"uninterrupted run; damaged checkpoints found: {found['damaged']}"
    )


def trained(found: Json) -> str:
    told = (
        f"{of['network']} on {of['data']} {of['top1_mean']:.2%} ({len(of['runs'])} seed{'s' * (len(of['runs']) > 1)}, "
        f"{of['seconds_mean'] / 60:.1f} min each)"
        for name, of in found["experiments"].items()
        if not name.endswith("depth")
    )
    depths = {name.partition(",")[0]: of for name, of in found["experiments"].items() if name.endswith("depth")}
    deep = ", ".join(f"{name} {1 - of['runs'][0]['top1_learnt']:.1%}" for name, of in depths.items())
    line = f"Trained here, top-1 on the test images: {', '.join(told)}"
    return f"{line}. Depth, the error on what was learnt of CIFAR-10: {deep}" if deep else line


def airbench(found: Json) -> str:
    ours, peer = found["warm"]["compiled"], found["warm"]["peer"]
    cold = {way: found["cold"][way][0]["whole_s"] for way in ("captured", "peer")}
    return (
        f"CIFAR-10 on one {found['gpu']}, airbench94 (n = {ours['n']}): {ours['seconds_median']:.2f} s to "
        f"{ours['top1_mean']:.2%}, airbench94_muon {peer['seconds_median']:.2f} s to {peer['top1_mean']:.2%}; from a "
        f"fresh process {cold['captured']:.0f} s (steps captured, not compiled) and {cold['peer']:.0f} s"
    )


def attribution(found: Json) -> str:
    cases = ", ".join(
        f"{name} {of['times as long']:.2f}× ({of['as it comes']:.1f}×)" for name, of in found["on"].items()
    )
    n = next(iter(found["on"].values()))["seconds"]["striate"]["n"]
    return f"Attribution, captum at its best settings (as it comes) takes: {cases} (n = {n})"


def imagine(found: Json) -> str:
    whole = "256 steps, processor's seconds"
    cases = {name: of for name, of in found.items() if isinstance(of, dict) and whole in of}
    n = next(iter(cases.values()))["of 16 steps"]["imagine"]["n"]
    told = ", ".join(f"{name} {of[whole]:.1f} s" for name, of in cases.items())
    return f"An image imagined in 256 steps, on one core: {told} (n = {n})"


def surface(found: Json) -> str:
    shares = ", ".join(f"{name} {case['share']:.0%}" for name, case in found["cases"].items())
    n = next(iter(found["cases"].values()))["timed"]["surface"]["n"]
    whole = f"; 51×51 points in {found['whole']['seconds']:.0f} s" if "whole" in found else ""
    return (
        f"A loss surface of ResNet-20 on {found['images']:,} images, images/s as a share of plain inference: {shares} "
        f"(n = {n}){whole}"
    )


def skips(found: Json) -> str:
    of = list(found["networks"].values())
    told = ", ".join(
        f"{one['file'].partition('.')[0]} {one['sharpness']:.2f} (mean {one['sharpness_average']:.2f})" for one in of
    )
    epochs = of[0]["provenance"]["recipe"]["epochs"]
    return (
        f"Sharpness (highest rise of the loss in ten directions, of 1 + itself), CIFAR-10 after {epochs} epochs: {told}"
    )


def locally_connected(found: Json) -> str:
    cases = ", ".join(f"{case['ratio']:.1f}× at {name}" for name, case in found["cases"].items())
    n = next(iter(found["cases"].values()))["times"]["striate"]["n"]
    return f"A locally connected layer, forward and backward, against unfold-and-multiply: {cases} (n = {n})"


def memory(found: Json) -> str:
    errors = found["errors"]
    peers = ", ".join(f"{name} {of['median']:.1%}" for name, of in errors.items() if name != "striate")
    ours = errors["striate"]
    return (
        f"A training step's peak memory, foretold before anything is allocated: error at most {ours['worst']:.2%} over "
        f"{ours['n']} cases (median {ours['median']:.2%}); medians of others: {peers}"
    )


def trace(found: Json) -> str:
    small, large = found["small"], found["architectures"]["totals"]
    right = ", ".join(
        f"{name} {n}" for name, n in small["right"].items() if name not in ("striate", "striate, backward")
    )
    return (
        f"Operations of {small['of']} small modules against scalar loops: {small['right']['striate']} are right; of "
        f"others' counts {right}. Exactly counted architectures of torchvision and timm: {large['macs_equal']} of "
        f"{large['traced']}"
    )


LINES: dict[str, Callable[[Json], str]] = {
    "ledger": ledger,
    "train_small": train_small,
    "mnist_99": mnist_99,
    "resnet18_step": resnet18_step,
    "data": data,
    "loop": loop,
    "killed": killed,
    "trained": trained,
    "airbench": airbench,
    "attribution": attribution,
    "imagine": imagine,
    "surface": surface,
    "skips": skips,
    "memory": memory,
    "trace": trace,
    "locally_connected": locally_connected,
}


def figures() -> str:
    """The lines for every result there is, and where they were measured."""
    found = {name: HERE / "results" / f"{name}.json" for name in LINES}
    results = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.exists()}
    lines = [f"- {LINES[name](result)}." for name, result in results.items()]
    machines = [result["machine"] for result in results.values() if "gpu" not in result]
    places = {f"{machine['processor']}, {machine['cores']} cores" for machine in machines}
    return "\n".join(
        [*lines, "", f"Medians, contenders in turn in the same run, on {' and '.join(sorted(places))}, shared.", ""]
    )


def main() -> int:
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    kept, _, after = rest.partition(END)
    if "--check" in sys.argv:
        return int(kept != figures())
    README.write_text(before + START + figures() + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
