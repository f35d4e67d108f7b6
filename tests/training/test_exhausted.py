"""Memory really runs out, and the refusal's way out really is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import re, resource, sys
import torch
from striate.blueprint import Activation, CannotTrain, Conv, GlobalPool, Linear, Seq, draft
from striate.data import open_data
from striate.nn import build
from striate.training import Warning, train

data = open_data("digits")
hidden = [Conv(256, 1), Activation("tanh")] * 3
net = draft(Seq(*hidden, GlobalPool(), Linear(10)), "1x8x8")

def run(batch):
    said = []
    try:
        for event in train(build(net), data, epochs=1, batch_size=batch, threads=1, precision="float32", seed=1):
            said.append(event)
    except CannotTrain as refusal:
        assert str(refusal) in [event.text for event in said if isinstance(event, Warning)]
        print(refusal)
        return refusal
    print("trained")

run(16)  # what torch makes once and keeps
pages = int(open("/proc/self/statm").read().split()[0])
room = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (room, room))
refusal = run(1400)
run(int(re.search("size of (\\\\d+) fits", str(refusal))[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory is taken")
def test_where_memory_runs_out_the_batch_that_is_named_fits() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN, str(250 * 2**20)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    first, *refusal, last = done.stdout.splitlines()
    assert (first, last) == ("trained", "trained")
    assert refusal[0] == "Cannot train with batches of 1293 images of 1×8×8: memory ran out."
    assert re.fullmatch(r"    A step holds \d+ MiB and what its kernels take beside; \d+ MiB are there\.", refusal[1])
    fits = re.fullmatch(r"    A batch size of (\d+) fits\.", refusal[2])
    assert fits is not None
    assert 200 < int(fits[1]) < 1293  # neither more than there is room for, nor so few that it says nothing
