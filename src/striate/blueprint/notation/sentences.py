"""One line about one layer, however it is worded: rows of AlexNet's listing, of VGG-16's ledger, of worked examples.

[55x55x96] CONV1: 96 11x11 filters at stride 4, pad 0
CONV3-64: [224x224x64]     POOL2: [112x112x64]     FC: [1x1x4096]
CONV2..12: 192 3x3 filters, stride 1, pad 1 => [19x19x192]
CONV with 10 3x3 filters, stride 1, pad 1:     30 neurons with receptive fields 5x5, applied at stride 1/pad1:
"""

from __future__ import annotations

import re
from typing import NamedTuple

from striate.blueprint.convolving import Conv, LocallyConnected
from striate.blueprint.layers import Activation, Dropout, Linear, LocalResponseNorm, Relu
from striate.blueprint.notation.text import refuse
from striate.blueprint.notation.tidy import Line
from striate.blueprint.pooling import AvgPool, MaxPool
from striate.blueprint.wiring import Blueprint

BY = r"\s{0,3}[x*]\s{0,3}"
SIZE = rf"\d{{1,9}}(?:{BY}\d{{1,9}}){{0,2}}"
NAME = (
    r"(?P<how>MAX|AVG|AVERAGE)?\s?(?P<kind>INPUT|CONV|POOL|NORM|LRN|FC|RELU|DROPOUT|SOFT-?MAX)"
    r"(?P<number>\d{1,4})?(?:-(?P<width>\d{1,9}))?(?:\.\.\.?(?P<last>\d{1,4}))?"
)
ROWS = (  # a listing's rows: what they do not say well is refused
    re.compile(rf"\s*\[\s*(?P<volume>{SIZE})\s*\]\s*{NAME}\s*(?:$|:(?P<rest>.*))", re.I),
    re.compile(rf"\s*{NAME}\s*:(?P<rest>\s*\[\s*(?P<volume>{SIZE})\s*\].*)", re.I),
    re.compile(rf"\s*{NAME}\s*:(?P<rest>.*=>\s*\[\s*(?P<volume>{SIZE})\s*\].*)", re.I),
)
SPOKEN = re.compile(
    rf"(?:^|layer\s?\(|first |second |third |fourth |fifth )\s*{NAME}\s?"
    r"(?:\)\s*:|layer\s*:|:|layer\s+with|with)(?P<rest>.*)",
    re.I,
)
PLAIN = re.compile(rf"\s*{NAME}\s*", re.I)
FIELDS = {
    "filters": re.compile(
        rf"(?<![\dx*.])(\d{{1,9}})\s+(\d{{1,4}}){BY}(\d{{1,4}})(?:{BY}\d{{1,6}})?\s+(?:conv\s+)?filters?\b", re.I
    ),
    "window": re.compile(
        rf"(?<![\dx*.])(\d{{1,4}}){BY}(\d{{1,4}})(?:{BY}\d{{1,6}})?\s+(?:filters?|neurons?|connectivity)\b"
        rf"|receptive fields?\W{{1,4}}(\d{{1,4}}){BY}(\d{{1,4}})",
        re.I,
    ),
    "neurons": re.compile(r"(?<![\dx*.])(\d{1,9})\s+neurons\b|number of neurons\W{1,5}(\d{1,9})\b", re.I),
    "stride": re.compile(r"\bstrides?\s*=?\s*(\d{1,4})\b", re.I),
    "pad": re.compile(r"\bpad(?:ding)?\s*(?:with\s*)?=?\s*(\d{1,4})\b", re.I),
}
FULL = re.compile(r"\b(?:fully[- ]connected|FC)\b.{0,30}\bto (\d{1,9}) neurons", re.I)
KRIZHEVSKY = LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)  # Krizhevsky et al. 2012, section 3.3


class Spec(NamedTuple):
    """A layer as a line words it; `out` is None where the line gives only a window."""

    kind: str
    name: str
    out: int | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: int | str = 0
    shared: bool = True  # False: each position has weights of its own
    times: int = 1

    def part(self) -> Blueprint:
        kernel = self.kernel[0] if self.kernel[0] == self.kernel[1] else self.kernel
        pad = self.kernel[0] // 2 if isinstance(self.pad, str) else self.pad
        match self.kind:
            case "conv":
                return (Conv if self.shared else LocallyConnected)(self.out or 1, kernel, self.stride, pad)
            case "maxpool":
                return MaxPool(kernel, self.stride, pad)
            case "avgpool":
                return AvgPool(kernel, self.stride, pad)
            case "fc":
                return Linear(self.out or 1)
        return {"norm": KRIZHEVSKY, "relu": Relu, "dropout": Dropout()}.get(self.kind, Activation("softmax"))


class Row(NamedTuple):
    """What a line says: a layer (None for the input), and the volume stated with it."""

    spec: Spec | None
    volume: tuple[int, ...] | None
    ledger: bool = False  # CONV3-64 and POOL2, whose numbers are sizes


def numbers(size: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", size))


def field(name: str, text: str) -> list[int]:
    found = FIELDS[name].search(text)
    return [int(n) for n in found.groups() if n] if found else []


def read_row(text: str, line: Line) -> Row | None:
    """A row of a listing, or None. Raises CannotRead where a row does not say what its layer needs."""
    for pattern in ROWS:
        if found := pattern.match(line.text):
            break
    else:
        return None
    volume = numbers(found["volume"])
    kind, rest = _kind(found), found["rest"] or ""
    if kind == "input":
        return Row(None, volume)
    spec = worded(kind, _name(found), rest)
    ledger = not spec
    if not spec and kind == "conv" and found["width"] and found["number"]:
        spec = Spec(kind, "conv", int(found["width"]), (int(found["number"]),) * 2, 1, "same")
    elif not spec and kind in ("maxpool", "avgpool") and found["number"] and not rest.replace(" ", "").isalpha():
        spec = Spec(kind, "pool", None, (int(found["number"]),) * 2, int(found["number"]))
    elif not spec and kind == "fc":
        spec = Spec(kind, "fc", volume[-1])
    if not spec:
        at = line.at(found.start("rest") + len(rest) - len(rest.lstrip()) if rest.strip() else found.end("kind"))
        raise refuse(text, at, f"this does not say what {_name(found)} is.", HINTS[kind])
    return Row(_repeated(spec, found), volume, ledger)


HINTS = {
    "conv": "For instance: [55x55x96] CONV1: 96 11x11 filters at stride 4, pad 0, or CONV3-64: [224x224x64]",
    **dict.fromkeys(
        ("maxpool", "avgpool"), "For instance: [27x27x96] MAX POOL1: 3x3 filters at stride 2, or POOL2: [112x112x64]"
    ),
}


def _kind(found: re.Match[str]) -> str:
    kind = found["kind"].lower().replace("-", "")
    if kind == "pool":
        return "maxpool" if (found["how"] or "max").lower() == "max" else "avgpool"
    return "norm" if kind == "lrn" else kind


def _name(found: re.Match[str]) -> str:
    return found["kind"].lower().replace("-", "") + (found["number"] or "")


def _repeated(spec: Spec, found: re.Match[str]) -> Spec:
    """CONV2..12 is eleven of them."""
    return (
        spec._replace(times=max(1, min(int(found["last"]) - int(found["number"]) + 1, 1000)))
        if found["last"] and found["number"]
        else spec
    )


def worded(kind: str, name: str, rest: str) -> Spec | None:
    """The layer that words such as "96 11x11 filters at stride 4, pad 0" describe."""
    if kind in ("norm", "relu", "softmax", "dropout"):
        return Spec(kind, name)
    filters, window = field("filters", rest), field("window", rest)
    neurons, strides, pads = field("neurons", rest), field("stride", rest), field("pad", rest)
    if kind == "fc":
        return Spec(kind, name, neurons[0]) if neurons else None
    if not filters and not window:
        return None
    out = filters[0] if filters else None
    kernel = (filters[1], filters[2]) if filters else (window[0], window[1])
    stride, pad = strides[0] if strides else 1, pads[0] if pads else 0
    if kind == "conv" and out is None and neurons:
        return Spec(kind, name, neurons[0], kernel, stride, pad, shared=False)
    return Spec(kind, name, out, kernel, stride, pad)


def read_spoken(line: Line) -> Spec | None:
    """A layer in a sentence: "CONV with 10 3x3 filters", "First layer (CONV1): …", "10 5x5 filters with stride 1"."""
    if full := FULL.search(line.text):
        return Spec("fc", "fc", int(full[1]))
    if found := PLAIN.fullmatch(line.text):
        return Spec("relu", "relu") if found["kind"].lower() == "relu" else None
    if found := SPOKEN.search(line.text):
        kind = _kind(found)
        spec = worded(kind, _name(found), found["rest"])
        if spec or kind != "conv":
            return _repeated(spec, found) if spec else None
    kind = "maxpool" if re.search(r"\bmax pool", line.text, re.I) else "conv"
    return worded(kind, kind.removeprefix("max"), line.text)
