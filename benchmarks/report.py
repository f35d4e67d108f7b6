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
    "memory": memory,
    "trace": trace,
    "locally_connected": locally_connected,
}


def figures() -> str:
    """The lines for every result there is, and where they were measured."""
    found = {name: HERE / "results" / f"{name}.json" for name in LINES}
    results = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.exists()}
    lines = [f"- {LINES[name](result)}." for name, result in results.items()]
    places = {f"{result['machine']['processor']}, {result['machine']['cores']} cores" for result in results.values()}
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
