"""Events as lines of a log, and back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy
import pytest

from striate.training.events import Checkpoint, Done, Epoch, Event, Kept, Started, Step, Warning, as_line, from_line

EVENTS: list[Event] = [
    Started(1000, 100, ("nought", "öne"), 431_080, 2, 16, "float32", "cpu", Path("runs/a"), 8),
    Step(7, 1, 0.1 + 0.2, 1e-07, 128),
    Step(10**6, 300, 2.302585092994046, 3.0, 1),
    Epoch(1, 8, 2.25, None, None, 0.5, 2000.0),
    Kept(Path("runs/a/model.safetensors"), 1, 0.5),
    Checkpoint(Path("runs/a/checkpoints/0000000007-ab.safetensors"), 7),
    Warning('It says "so".\nAnd more.'),
    Done(True, 2, 16, 1, 0.5, 1.5),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_line_is_the_event(event: Event) -> None:
    line = as_line(event)
    fields = {**json.loads(json.dumps(asdict(event), default=str)), "event": type(event).__name__.lower()}
    assert json.loads(line) == fields
    assert "\n" not in line
    assert from_line(line[:-3]) is None, "cut short it is none"
    read = from_line(line)
    assert read is not None
    assert as_line(read) == line


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, numpy.float64(0.5), numpy.float32(0.1), numpy.int64(3), True]
)
@pytest.mark.parametrize("name", ["step", "epoch", "loss", "lr", "examples"])
def test_a_step_with_any_number_is_json(name: str, number: float) -> None:
    event = Step(**{"step": 7, "epoch": 1, "loss": 0.5, "lr": 1e-3, "examples": 128, name: number})
    line = as_line(event)
    assert line == json.dumps({"event": "step", **asdict(event)}, default=str)
    read = from_line(line)
    assert read is not None
    assert as_line(read) == line
