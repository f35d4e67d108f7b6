"""What a checkpoint's file is to others: a .safetensors like the library's own, and never two that disagree."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from xxhash import xxh3_64

from striate.blueprint import CannotWrite
from striate.training import checkpoint
from striate.training.checkpoint import Copy, Writer, listed, write

TENSORS = {
    "b.weight": torch.randn(3, 5, 2, 2).to(memory_format=torch.channels_last),
    "a.count": torch.tensor(7),
    "half": torch.randn(4).half(),
    "brain": torch.randn(3).bfloat16(),
    "flags": torch.tensor([True, False, True]),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "none": torch.empty(0, 4),
    "wide": torch.randn(2, dtype=torch.float64),
}


def copy(tensors: dict[str, Tensor]) -> Copy:
    return Copy(tensors).of(tensors)


def test_it_is_the_file_that_the_library_would_write(tmp_path: Path) -> None:
    path = write(tmp_path, 12, copy(TENSORS), {"said": "grün"}).path
    content = path.read_bytes()
    theirs = load(save({name: tensor.contiguous() for name, tensor in TENSORS.items()}, {"striate": ""}))
    assert load(content).keys() == theirs.keys()
    for name, tensor in load(content).items():
        assert tensor.dtype == TENSORS[name].dtype
        assert torch.equal(tensor, theirs[name])
    assert path.name == f"0000000012-{xxh3_64(content).hexdigest()}.safetensors"


def test_the_two_newest_stay(tmp_path: Path) -> None:
    for step in (3, 10, 200):
        write(tmp_path, step, copy(TENSORS), {})
    assert [int(path.name.partition("-")[0]) for path in listed(tmp_path)] == [200, 10]


def test_what_changes_meanwhile_is_not_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training goes on while a slow disk takes the bytes; one that is early waits, and tells what it waited for."""
    going, real = threading.Event(), checkpoint.write_atomically
    monkeypatch.setattr(checkpoint, "write_atomically", lambda *said: (going.wait(30), real(*said))[1])
    weight, writer = torch.zeros(1000), Writer(tmp_path)
    assert writer.begin(1, {"w": weight}, dict) == []
    assert writer.busy
    assert writer.done() == []
    weight.add_(1)
    threading.Timer(0.2, going.set).start()
    [first] = writer.begin(2, {"w": weight}, dict)
    weight.add_(1)
    [second] = writer.finish()
    writer.close()
    assert [load(event.path.read_bytes())["w"][0] for event in (first, second)] == [0, 1]


def test_a_disk_that_fails_is_heard_of_at_the_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path)
    writer.begin(1, TENSORS, dict)
    [kept] = writer.finish()

    def full(*_: object) -> None:
        raise CannotWrite("Cannot write: no space left on device.")

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    writer.begin(2, TENSORS, dict)
    with pytest.raises(CannotWrite, match="no space left"):
        writer.finish()
    writer.close()
    assert listed(tmp_path) == [kept.path]


def test_what_is_not_finite_is_not_written(tmp_path: Path) -> None:
    assert write(tmp_path, 1, copy({"model.a": torch.ones(3)}), {}) is not None
    for value in (torch.nan, torch.inf):
        assert write(tmp_path, 2, copy({"model.a": torch.tensor([1.0, value])}), {}) is None
    assert [path.name[:10] for path in listed(tmp_path)] == ["0000000001"], "what can be gone on from still stands"
    assert write(tmp_path, 3, copy({"model.a": torch.ones(3), "optimizer.0.exp_avg": torch.tensor([torch.inf])}), {})


def test_its_thread_computes_alone_and_the_training_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second team of threads, even an idle one, slows each step of a small network down."""
    told, before = [], torch.get_num_threads()
    real = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda *said: (real(*said), told.append(torch.get_num_threads()))[0])
    torch.set_num_threads(2)
    try:
        writer = Writer(tmp_path)
        for step in (1, 2):
            writer.begin(step, {"model.w": torch.ones(1 << 20)}, dict)
            writer.finish()
        assert torch.get_num_threads() == 2
        writer.close()
    finally:
        torch.set_num_threads(before)
    assert told == [1, 1]
