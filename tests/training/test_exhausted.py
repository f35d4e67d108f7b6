"""Memory really runs out, and the refusal's way out really is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import resource, sys
from striate.blueprint import Activation, CannotTrain, Conv, GlobalPool, Linear, Seq, draft
from striate.data import open_data
from striate.nn import build
from striate.training import train

room, batch = map(int, sys.argv[1:])
data = open_data("digits")
net = draft(Seq(*[Conv(256, 1), Activation("tanh")] * 6, GlobalPool(), Linear(10)), "1x8x8")

def run(batch):
    try:
        for _ in train(build(net), data, epochs=1, batch_size=batch, threads=1, precision="float32", seed=1):
            pass
    except CannotTrain as refusal:
        return str(refusal)
    return "trained"

run(16)  # what torch makes once and keeps
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + room, taken + room))
print(run(batch))
"""
ROOM = 450 * 2**20


def trained(batch: int) -> list[str]:
    """What a process says that has so much room and trains with such batches."""
    command = [sys.executable, "-c", TRAIN, str(ROOM), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory is taken")
def test_where_memory_runs_out_the_batch_that_is_named_fits() -> None:
    fact, numbers, ways = trained(1400)
    assert fact == "Cannot train with batches of 1293 images of 1×8×8: memory ran out."
    said = re.fullmatch(r"    A step holds (\d+) MiB and what its kernels take beside; (\d+) MiB are there\.", numbers)
    assert said is not None
    assert int(said[1]) > int(said[2]) > 0.8 * ROOM / 2**20
    fits = re.fullmatch(r"    A batch size of (\d+) fits\.", ways)
    assert fits is not None
    assert 400 < int(fits[1]) < 1293  # neither more than there is room for, nor so few that it says nothing
    assert trained(int(fits[1])) == ["trained"]
