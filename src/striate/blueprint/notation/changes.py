"""A network said by what it changes in the one before, as ZFNet is in lectures ("AlexNet but:"):

CONV1: change from (11x11 stride 4) to (7x7 stride 2)
CONV3,4,5: instead of 384, 384, 256 filters use 512, 1024, 512
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from striate.blueprint.notation.claims import Claim
from striate.blueprint.notation.figures import AGREES, DIFFERS
from striate.blueprint.notation.network import Network
from striate.blueprint.notation.tidy import Line

FORM = "changes to the listing before"
WINDOW = r"\(?(\d{1,4})\s?x\s?(\d{1,4}),? stride (\d{1,4})\)?"
MOVED = re.compile(rf"\s*(CONV|POOL)(\d{{1,3}})\s*: change from {WINDOW} to {WINDOW}\s*", re.I)
COUNTS = r"(\d{1,7}(?:, ?\d{1,7}){0,40})"
WIDENED = re.compile(
    rf"\s*CONV(\d{{1,3}}(?:, ?\d{{1,3}}){{0,40}})\s*: instead of {COUNTS} filters,? use {COUNTS}\s*", re.I
)


class Change(NamedTuple):
    """The layer of that name was `was` and becomes `to` (fields of its Spec)."""

    name: str
    was: Mapping[str, Any]
    to: Mapping[str, Any]


def read_changes(line: Line) -> list[Change]:
    """The changes a line speaks of; none for any other line."""
    if found := MOVED.fullmatch(line.text):
        was, to = (
            {"kernel": (a, b), "stride": c} for a, b, c in (_ints(found.groups()[2:5]), _ints(found.groups()[5:]))
        )
        return [Change(f"{found[1].lower()}{found[2]}", was, to)]
    if found := WIDENED.fullmatch(line.text):
        names, before, after = (_ints(re.findall(r"\d+", group)) for group in found.groups())
        if len(names) == len(before) == len(after):
            each = zip(names, before, after, strict=True)
            return [Change(f"conv{name}", {"out": was}, {"out": to}) for name, was, to in each]
    return []


def varied(model: Network, line: int, changes: list[Change]) -> Network:
    """A network like `model` with those layers changed; what the line says they were is claimed.

    Raises as placing does.
    """
    specs = dict(model.specs)
    net = Network(line if model.form != FORM else model.line, model.volume, model.flat)
    net.form = FORM
    claims = []
    for name, was, to in changes:
        if spec := specs.get(name):
            ours = {field: getattr(spec, field) for field in was}
            verdict = AGREES if ours == was else DIFFERS
            claims.append(Claim(line, name, "filters", _said(was), _said(ours), verdict, "before the change"))
            specs[name] = spec._replace(**to)
    for name, spec in specs.items():
        net.add(spec._replace(name=name))
    net.say(*(model.said if model.form == FORM else ()), *claims)
    return net


def _ints(said: tuple[str, ...] | list[str]) -> tuple[int, ...]:
    return tuple(map(int, said))


def _said(fields: Mapping[str, Any]) -> str:
    kernel, stride = fields.get("kernel"), fields.get("stride")
    return f"{kernel[0]}x{kernel[1]} stride {stride}" if isinstance(kernel, tuple) else str(fields["out"])
