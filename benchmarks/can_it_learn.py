"""Can it learn? Values and gradients by layer, of plain and residual networks of growing depth, drawn in several ways.

On CIFAR-10, the networks of He et al. 2016 (arXiv 1512.03385, section 4.2), drawn as He et al. 2015 say, before the
first step and after some, with SGD at the paper's rate of 0.1 (no warm-up, no augmentation, 64 images a step). Then a
plain network of 20 layers whose weights are drawn as He, as Xavier and as a Gaussian of deviation 0.01, with BatchNorm
and without. Nothing is timed; the pictures lie beside the figures.

    python benchmarks/can_it_learn.py [folder of CIFAR-10] [steps]
"""

from __future__ import annotations

import sys

from torch import Tensor

from _harness import RESULTS, record
from _sets import cifar10
from striate import build
from striate.data import Images, open_data
from striate.visualize.learning import Flowing, anew, flows
from striate.visualize.learning_drawn import draw_flows

QUESTION = "how values and gradients flow through plain and residual networks of growing depth, and ways to begin"
DEPTHS, WORDS = (20, 32, 56), ("he", "xavier", "gaussian(0.01)")
STEPS, IMAGES = 100, 6400


def by_depth(x: Tensor, y: Tensor, steps: int) -> list[Flowing]:
    networks = {f"{kind}{depth}": anew(build(f"{kind}{depth}")) for depth in DEPTHS for kind in ("plain", "resnet")}
    return flows(networks, x, y, at=(0, steps), tick=_told)


def by_beginning(x: Tensor, y: Tensor, steps: int) -> list[Flowing]:
    plain = build("plain20")
    ways = [(word, norms) for norms in (False, True) for word in WORDS]
    networks = {f"{word}, {'' if norms else 'no '}norms": anew(plain, word, norms) for word, norms in ways}
    return flows(networks, x, y, at=(0, steps), tick=_told)


def _figures(of: Flowing) -> dict[str, object]:
    """Without what belongs to layers that have no weights."""
    said = of.to_json()
    rows = said.pop("layers")
    weighted = [row for row in rows if row["weight"] is not None]
    columns = {name: " ".join(_short(row[name]) for row in weighted) for name in ("deviation", "gradient", "weight")}
    return {**said, "layers, in their order": columns}


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def _told(done: int) -> None:
    if done % 50 == 0:
        print(f"{done} steps", flush=True)


def main() -> None:
    given, steps = sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    with cifar10(given) as folder:
        data = open_data(folder)
    assert isinstance(data.train, Images)
    some = data.train[:IMAGES]
    x, result = data.preprocessing.normalise(some.pixels), dict[str, object]()
    RESULTS.mkdir(exist_ok=True)
    for name, ask, title in (
        ("can_it_learn_depth", by_depth, "Plain and residual"),
        ("can_it_learn_beginning", by_beginning, "plain20, drawn in three ways"),
    ):
        found = ask(x, some.labels, steps)
        print(*(of.told() for of in found), sep="\n")
        (RESULTS / f"{name}.png").write_bytes(draw_flows(found, title))
        result[name] = [_figures(of) for of in found]
    print(record("can_it_learn", QUESTION, {"steps": steps, **result}, "torch"))


if __name__ == "__main__":
    main()
