"""Files of weights from strangers: nothing they hold is run, and little is read before it is refused."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from striate import build
from striate.blueprint import CannotRead, Refusal
from striate.nn import Network
from striate.nn.weights import move, open_weights

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".npz")


class Payload:
    """What runs when a pickle of it is opened: a file appears."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "it ran"


@pytest.fixture(scope="module")
def network() -> Network:
    return build("lenet5")


@pytest.fixture
def frugal() -> Iterator[None]:
    """Refusing takes little time and memory."""
    tracemalloc.start()
    begun = time.monotonic()
    yield
    took, (_, peak) = time.monotonic() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 20
    assert peak < 64 * 2**20


def bare(held: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(held))


def zipped(held: Any, path: Path) -> None:
    torch.save(held, path)


def legacy(held: Any, path: Path) -> None:
    torch.save(held, path, _use_new_zipfile_serialization=False)


def array(held: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{name: np.array([value], dtype=object) for name, value in held.items()}, allow_pickle=True)


def test_the_payload_is_real(trace: Path, tmp_path: Path) -> None:
    zipped({"w": Payload(trace)}, tmp_path / "x.pth")
    torch.load(tmp_path / "x.pth", weights_only=False)
    assert trace.is_dir()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("write", [bare, zipped, legacy, array])
@pytest.mark.usefixtures("frugal")
def test_a_pickle_that_would_run_is_refused(
    write: Callable[[Any, Path], None], suffix: str, trace: Path, tmp_path: Path, network: Network
) -> None:
    file = tmp_path / f"weights{suffix}"
    write({"conv1.conv.weight": Payload(trace)}, file)
    with pytest.raises(CannotRead, match="Cannot read"):
        move(file, network)
    assert not trace.exists()


def test_what_a_pickle_asked_for_is_named(trace: Path, tmp_path: Path) -> None:
    zipped({"w": Payload(trace)}, tmp_path / "x.pth")
    with pytest.raises(CannotRead, match=r"its pickle asks for posix\.mkdir; tensors alone are read"):
        open_weights(tmp_path / "x.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(
        CannotRead, match=r"asks for torch\.nn\.modules\.linear\.Linear.*\n.*torch\.save\(model\.state_dict"
    ):
        open_weights(tmp_path / "module.pth")


class Huge:
    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (10**11,)


@pytest.mark.parametrize("write", [zipped, legacy])
@pytest.mark.usefixtures("frugal")
def test_a_pickle_that_would_fill_memory(write: Callable[[Any, Path], None], tmp_path: Path) -> None:
    """torch's own list lets bytearray pass."""
    write({"w": Huge()}, tmp_path / "x.pth")
    with pytest.raises(CannotRead, match=r"asks for __builtin__\.bytearray"):
        open_weights(tmp_path / "x.pth")


@pytest.mark.usefixtures("frugal")
def test_a_storage_larger_than_its_file(tmp_path: Path) -> None:
    file = tmp_path / "x.pth"
    legacy({"w": torch.zeros(70_000)}, file)
    claim = struct.pack("<i", 70_000)
    file.write_bytes(file.read_bytes().replace(b"J" + claim, b"J" + struct.pack("<i", 2_000_000_000)))
    with pytest.raises(CannotRead, match="its pickle speaks of 2000000000 in a file of"):
        open_weights(file)


@pytest.mark.usefixtures("frugal")
def test_a_zip_that_grows(tmp_path: Path) -> None:
    """torch stores; what is deflated was made by somebody else, and may be a thousand times its size."""
    torch.save({"w": torch.zeros(30_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for entry in plain.infolist():
            with plain.open(entry) as source, small.open(entry.filename, "w") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
    assert (tmp_path / "small.pth").stat().st_size < 1_000_000
    with pytest.raises(CannotRead, match="its parts are compressed; torch stores them as they are"):
        open_weights(tmp_path / "small.pth")


@pytest.mark.usefixtures("frugal")
def test_an_array_that_grows_is_not_read_unless_it_fits(tmp_path: Path, network: Network) -> None:
    names = list(network.state_dict())
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
                )
                member.write(bytes(50_000_000 if name == names[0] else 100))
    with pytest.raises(Refusal, match=r"0 of 10 tensors fit; conv1\.conv\.weight is 1000000×1000000, wanted 6×1×5×5"):
        move(tmp_path / "x.npz", network)


def header(claimed: int, text: bytes, numbers: bytes = b"") -> bytes:
    return struct.pack("<Q", claimed) + text + numbers


def one(shape: list[int], offsets: list[int], dtype: str = "F32") -> bytes:
    return json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


BOMBS = {
    "a header of 2^63 bytes": header(2**63, b"{}"),
    "a header of 2^60 bytes": header(2**60, b"{" * 100),
    "a header of 300 MB in 20 bytes": header(300 * 2**20, b"{}          "),
    "a header nested a million deep": header(2**20, b"[" * 2**20),
    "a shape of 10^18": header(len(one([10**9, 10**9], [0, 4])), one([10**9, 10**9], [0, 4]), bytes(4)),
    "numbers beyond the end": header(len(one([10**6], [0, 4 * 10**6])), one([10**6], [0, 4 * 10**6]), bytes(4)),
    "numbers that end before they begin": header(len(one([1], [8, 4])), one([1], [8, 4]), bytes(8)),
    "a negative shape": header(len(one([-1], [0, 4])), one([-1], [0, 4]), bytes(4)),
    "a type nobody knows": header(len(one([1], [0, 4], "F33")), one([1], [0, 4], "F33"), bytes(4)),
    "no header at all": b"\x00" * 40,
    "seven bytes": b"\x02\x00\x00\x00\x00\x00\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.usefixtures("frugal")
def test_headers_that_lie(bomb: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(bomb)
    with pytest.raises(CannotRead, match="Cannot read"):
        open_weights(file)


@pytest.fixture(scope="module")
def files(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole file of each kind."""
    folder, state = tmp_path_factory.mktemp("whole"), network.state_dict()
    save_file(state, folder / "a.safetensors")
    torch.save(state, folder / "b.pth")
    legacy(state, folder / "c.pt")
    np.savez_compressed(folder / "d.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


NAMES = ("a.safetensors", "b.pth", "c.pt", "d.npz")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("frugal")
def test_a_file_cut_short_is_refused_wherever_it_ends(
    name: str, files: dict[str, bytes], tmp_path: Path, network: Network
) -> None:
    whole, path = files[name], tmp_path / name
    before = {n: tensor.clone() for n, tensor in network.state_dict().items()}
    for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999):
        path.write_bytes(whole[: max(1, int(share * len(whole)))])
        with pytest.raises(CannotRead, match="Cannot read"):
            move(path, network)
    assert all(torch.equal(before[n], tensor) for n, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("frugal")
def test_damage_anywhere_is_refused_or_harmless(
    name: str, files: dict[str, bytes], tmp_path: Path, network: Network
) -> None:
    """A file damaged in its description is refused in words, never with a traceback; numbers alone may change."""
    chance, refused = random.Random(name), 0
    for turn in range(120):
        damaged = bytearray(files[name])
        near_an_end = turn % 2
        for _ in range(chance.choice((1, 4, 16))):
            at = chance.randrange(len(damaged))
            if near_an_end:
                at = chance.choice((at % 800, len(damaged) - 1 - at % 800))
            damaged[at] = chance.randrange(256)
        path = tmp_path / name
        path.write_bytes(damaged)
        try:
            move(path, network)
        except Refusal:
            refused += 1
    assert refused > 10


def test_several_states_in_one_file_are_not_guessed_at(network: Network, tmp_path: Path) -> None:
    state = network.state_dict()
    torch.save({"student": state, "teacher": state}, tmp_path / "two.pth")
    with pytest.raises(CannotRead, match="it holds several: student, teacher"):
        open_weights(tmp_path / "two.pth")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(CannotRead, match="it holds no named tensors"):
        open_weights(tmp_path / "list.pth")
