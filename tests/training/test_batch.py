"""The largest batch that fits: memory really runs out, and neither weights nor generators know of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from small import network
from striate.blueprint import CannotTrain
from striate.data import Splits
from striate.training import batch, find_batch

FIND = """
import resource, sys
import torch
from striate.blueprint import Activation, Conv, GlobalPool, Linear, Seq, draft
from striate.data import open_data
from striate.nn import build
from striate.training import find_batch, train

room = int(sys.argv[1])
data = open_data("digits")
net = draft(Seq(*[Conv(256, 1), Activation("tanh")] * 6, GlobalPool(), Linear(10)), "1x8x8")
how = {"threads": 1, "precision": "float32", "seed": 1}
model = build(net)
for _ in train(build(net), data, epochs=1, batch_size=16, **how):  # what torch makes once and keeps
    pass
before, drawn = {name: t.clone() for name, t in model.state_dict().items()}, torch.get_rng_state()
size = int(sys.argv[2])
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + room, taken + room))
if size:
    for event in train(model, data, epochs=1, batch_size=size, **how):
        pass
    sys.exit()
found = find_batch(model, data, most=100_000, **how)
assert torch.equal(drawn, torch.get_rng_state())
assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
assert all(p.grad is None for p in model.parameters())
print(found.size, found.largest, found)
"""
ROOM = 450 * 2**20


def in_a_process(size: int) -> str:
    """That has so much room, and finds a size (0) or trains with one."""
    done = subprocess.run(
        [sys.executable, "-c", FIND, str(ROOM), str(size)], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory is taken")
def test_where_memory_runs_out_what_is_found_trains_and_nothing_has_changed() -> None:
    for _ in range(3):  # what of its address space a process leaves unused differs from one to the next
        said = in_a_process(0)
        numbers = re.fullmatch(r"(\d+) (\d+) .* ran, [\d,]+ ran out of memory, a tenth stays free\.\n", said)
        assert numbers is not None, said
        size, largest = int(numbers[1]), int(numbers[2])
        assert size <= 0.9 * largest < 1293
        if size > 400:
            break
    assert size > 400
    in_a_process(size)


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 17, 63, 64, 100, 128, 500, 777, 1000])
def test_it_comes_within_an_eighth_of_the_limit(digits: Splits, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_runs", lambda _, __, size: size <= limit)
    told: list[tuple[int, bool]] = []
    found = find_batch(network(), digits, tick=lambda *said: told.append(said))
    assert limit * 8 / 9 - 1 <= found.largest <= limit
    assert 0.75 * found.largest <= found.size or limit < 10
    assert tuple(told) == found.tried
    assert len({size for size, _ in told}) == len(told) <= 14  # nothing twice
    assert found.size < found.largest or limit == 1


@pytest.mark.parametrize(
    ("most", "size", "why"), [(100, 100, "more are not tried"), (10_000, 1293, "there are no more")]
)
def test_no_more_is_tried_than_there_is_or_was_asked(
    digits: Splits, most: int, size: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_runs", lambda *_: True)
    found = find_batch(network(), digits, most=most)
    assert (found.size, found.largest) == (size, size)
    assert why in str(found)


def test_no_more_is_tried_than_is_foretold_to_fit(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "free", lambda: 4 << 20)
    found = find_batch(network(), digits)
    assert found.size == found.tried[-1][0] < 1024
    assert found.why == "more are foretold not to fit"


def test_not_even_one_image(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_runs", lambda *_: False)
    with pytest.raises(CannotTrain, match="memory runs out with one image"):
        find_batch(network(), digits)


def test_what_nothing_is_foretold_of_is_not_tried_on_a_processor(digits: Splits) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(CannotTrain, match="the system ends the program"):
        find_batch(module, digits)


def test_what_goes_wrong_otherwise_is_not_taken_for_memory(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(batch, "_steps", fails)
    with pytest.raises(RuntimeError, match="something else"):
        find_batch(network(), digits)
