"""Several processes that learn together, started by torchrun as users start them, and one of them killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from striate.blueprint import CannotTrain
from striate.training.checkpoint import listed
from striate.training.ranks import Ranks, SyncedNorm, together

NETS = {
    "plain": "conv: conv 8 3x3\nact: relu\npool: maxpool 2x2\nfc: linear 10\n",
    "norms": "conv: conv 8 3x3\nnorm: batchnorm\nact: relu\npool: maxpool 2x2\nfc: linear 10\n",
}
# Adam would make steps of the rounding in a bias before a norm, whose gradient is 0.
SAID = (
    "--set",
    "threads=1",
    "--seed",
    "3",
    "--lr",
    "0.05",
    "--set",
    "optimizer=sgd",
    "--set",
    "augment=padded-crop(1)",
)


def torchrun(
    count: int, *arguments: object, folder: Path, program: tuple[str, ...] = ("-m", "striate"), **how: Any
) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*launcher, *program, *map(str, arguments)]
    there = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=there, **pipes, **how)


LITTLE_MEMORY = """
from striate.cli import main
from striate.data import opening

opening.fits = lambda wanted: False
main()
"""


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("net", NETS)
def test_two_processes_learn_what_one_does(net: str, tmp_path: Path) -> None:
    """The same global batch, the same losses and the same weights, to rounding; BatchNorm sees the whole batch."""
    (tmp_path / "net.txt").write_text(NETS[net])
    said = (
        "train",
        "net.txt",
        "--epochs",
        3,
        "--batch-size",
        100,
        *SAID,
        "--set",
        f"sync_norm={net == 'norms'}".lower(),
    )
    for count, out in ((1, "one"), (2, "two")):
        process = torchrun(count, *said, "--out", out, folder=tmp_path)
        told, _ = process.communicate(timeout=300)
        assert process.returncode == 0, told
        assert told.count("net.txt on digits") == told.count("On the 360 test images") == 1, "the first one speaks"
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 3 * 13 + 3
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-6
    weights = [load_file(tmp_path / out / "model.safetensors") for out in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-5, rtol=1e-4)


def test_without_it_norms_see_their_own_share_and_the_losses_differ(tmp_path: Path) -> None:
    (tmp_path / "net.txt").write_text(NETS["norms"])
    for count, out in ((1, "one"), (2, "two")):
        said = ("train", "net.txt", "--epochs", 1, "--batch-size", 20, *SAID, "--out", out)
        told, _ = (process := torchrun(count, *said, folder=tmp_path)).communicate(timeout=300)
        assert process.returncode == 0, told
    assert abs(losses(tmp_path / "one")[5] - losses(tmp_path / "two")[5]) > 1e-5


def test_one_that_dies_ends_the_run_with_its_cause_and_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "net.txt").write_text(NETS["plain"])
    said = ("train", "net.txt", "--epochs", 2000, "--batch-size", 100, *SAID, "--checkpoint-every", 0, "--out", "run")
    process = torchrun(2, *said, folder=tmp_path)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 60) and time.monotonic() < deadline:
        time.sleep(0.1)
    victim = next(pid for pid in children(process.pid) if rank(pid) == "1")
    os.kill(victim, signal.SIGKILL)
    told, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "SIGKILL" in told or "Signal 9" in told
    if "Cannot go on" in told:  # unless torchrun ended it first
        assert "Cannot go on in process 0 of 2: another one is gone." in told
        assert "striate resume run." in told
    assert "pair.cc" not in told
    assert not children(process.pid), "no orphan"
    assert listed(tmp_path / "run")
    step = int(listed(tmp_path / "run")[0].name.partition("-")[0])
    assert step > 20
    on = torchrun(2, "resume", "run", folder=tmp_path)
    deadline = time.monotonic() + 120
    while f'"step": {step + 30}' not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    on.send_signal(signal.SIGTERM)
    told, _ = on.communicate(timeout=120)
    assert "Stopped after step" in told
    done = json.loads(log.read_text().splitlines()[-1])
    assert done["event"] == "done"
    assert done["step"] >= step + 30


def test_what_is_typed_wrong_is_said_once(tmp_path: Path) -> None:
    told, _ = torchrun(2, "train", "lenet5", "--set", "lrr=1", folder=tmp_path).communicate(timeout=120)
    assert told.count('No field of a recipe "lrr".') == 1


OF_ITS_OWN = """
from striate import cli
from striate.blueprint import CannotTrain
from striate.training.ranks import Ranks

cli.PATIENCE = 1e6
summed, left = Ranks.sums, [5]

def sums(self, *values, **how):
    left[0] -= 1
    if self.rank == 1 and not left[0]:
        raise CannotTrain("Cannot go on: what only the second process knows.")
    return summed(self, *values, **how)

Ranks.sums = sums
cli.main()
"""


def test_what_ends_one_process_alone_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "net.txt").write_text(NETS["plain"])
    (tmp_path / "of_its_own.py").write_text(OF_ITS_OWN)
    said = ("train", "net.txt", "--epochs", 9, *SAID, "--out", "run")
    process = torchrun(2, *said, folder=tmp_path, program=("of_its_own.py",))
    try:
        told, _ = process.communicate(timeout=60)
    finally:
        process.terminate()
    assert process.returncode != 0
    assert "Cannot go on: what only the second process knows." in told


@pytest.mark.parametrize(
    ("says", "gone"),
    [
        ("[../gloo/transport/tcp/pair.cc:537] Connection closed by peer [127.0.0.1]:1. GLHF!", True),
        ("Timed out waiting 1800000ms for recv operation to complete", True),
        ("ProcessGroupGloo::allreduce: a tensor of no elements", False),
        ("NCCL error in ours, invalid usage", False),
    ],
)
def test_only_what_says_that_somebody_left_is_taken_for_that(
    says: str, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_: None)
    with (
        pytest.raises(CannotTrain if gone else RuntimeError) as raised,
        together(Ranks(1, 2), torch.device("cpu"), Path("runs/a")),
    ):
        raise RuntimeError(says)
    assert ("striate resume runs/a." in str(raised.value)) is gone
    assert (says in str(raised.value)) is not gone


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
    return [int(one) for one in found]


def rank(pid: int) -> str:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((v.decode().removeprefix("RANK=") for v in variables if v.startswith(b"RANK=")), "")


def test_a_norm_over_one_process_is_torchs_own() -> None:
    torch.manual_seed(0)
    plain = torch.nn.BatchNorm2d(5)
    ours = torch.nn.BatchNorm2d(5)
    ours.__class__ = SyncedNorm
    x = torch.randn(7, 5, 4, 4)
    torch.testing.assert_close(ours(x), plain(x))
    torch.testing.assert_close(ours.running_var, plain.running_var)


def test_a_process_whose_share_cannot_be_read_takes_part(tmp_path: Path) -> None:
    """Nobody waits for it for ever; what it could not read weighs nothing."""
    photos, rng = tmp_path / "photos", np.random.default_rng(0)
    for name in ("ant", "bee"):
        (photos / name).mkdir(parents=True)
        for i in range(80):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{i:02}.jpg")
    (photos / "ant" / "03.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    (tmp_path / "net.txt").write_text(NETS["plain"].replace("linear 10", "linear 2"))
    (tmp_path / "little_memory.py").write_text(LITTLE_MEMORY)
    said = ("train", "net.txt", "--data", "photos", "--size", 32, "--epochs", 1, "--batch-size", 2, *SAID[:-2])
    process = torchrun(2, *said, "--out", "run", folder=tmp_path, program=("little_memory.py",))
    try:
        told, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, told
    assert "streamed from the disk" in told
    steps = list(map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines()))
    seen = [line["examples"] for line in steps if line["event"] == "step"]
    assert {1, 2} == {*seen}, "a batch of one image where the other's could not be read"
