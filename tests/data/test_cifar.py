"""CIFAR as it is given out: binary batches, and Python's without running what is in them."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.blueprint import CannotRead
from striate.data import open_data, pickled

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def sheet(shared: Path, split: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """A thousand real images, N×3×32×32, and their labels."""
    pixels = np.asarray(Image.open(shared / "cifar10" / f"{split}_{number:02}.webp").convert("RGB"))
    labels = np.load(shared / "cifar10" / f"{split}_labels.npy")[1000 * number : 1000 * (number + 1)]
    return pixels.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3).reshape(1000, 3, 32, 32), labels


def binary(folder: Path, batches: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in batches.items():
        flat = pixels.reshape(len(pixels), 3072)
        np.concatenate([labels[:, None].astype(np.uint8), flat], 1).tofile(folder / f"{name}.bin")
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def as_python_2(pixels: np.ndarray, labels: list[int], key: str = "labels") -> bytes:
    """The very bytes that Python 2 and its numpy wrote: cPickle, protocol 2."""
    flat = np.ascontiguousarray(pixels.reshape(len(pixels), 3072))
    dtype = b"cnumpy\ndtype\nq\x04" + text("u1") + b"K\x00K\x01\x87Rq\x05(K\x03" + text("|") + b"NNN" + number(-1)
    dtype += number(-1) + b"K\x00tb"
    state = b"(K\x01" + number(len(flat)) + number(3072) + b"\x86" + dtype
    state += b"\x89T" + struct.pack("<i", flat.size) + flat.tobytes() + b"tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
        + text("b")
        + b"\x87Rq\x06"
        + state
    )
    listed = b"]q\x07(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}q\x01(" + text("data") + array + text(key) + listed + text("batch_label") + text("one of 5") + b"u."
    )


def python(folder: Path, batches: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in batches.items():
        (folder / name).write_bytes(as_python_2(pixels, labels.tolist()))
    names = "".join(f"S'{name}'\np{i + 4}\na" for i, name in enumerate(NAMES))  # protocol 0, as batches.meta is
    (folder / "batches.meta").write_text(
        f"(dp1\nS'num_cases_per_batch'\np2\nI10000\nsS'label_names'\np3\n(lp20\n{names}s."
    )
    return folder


@pytest.fixture(scope="module")
def batches(shared: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """200 real images a batch."""
    parts = {f"data_batch_{i + 1}": sheet(shared, "train", i) for i in range(5)} | {
        "test_batch": sheet(shared, "test", 0)
    }
    return {name: (pixels[:200], labels[:200]) for name, (pixels, labels) in parts.items()}


@pytest.mark.parametrize("write", [binary, python])
def test_both_forms_give_the_images_that_went_in(write, batches, tmp_path: Path) -> None:
    splits = open_data(write(tmp_path / "cifar", batches))
    assert splits.classes == tuple(NAMES)
    train = [batches[f"data_batch_{i}"] for i in range(1, 6)]
    assert np.array_equal(splits.train.pixels.numpy(), np.concatenate([pixels for pixels, _ in train]))
    assert splits.train.labels.tolist() == np.concatenate([labels for _, labels in train]).tolist()
    assert np.array_equal(splits.test.pixels.numpy(), batches["test_batch"][0])
    assert splits.told == "1,200 images, 32×32 as they are"


def test_the_folder_around_it_will_do_and_the_means_are_the_published_ones(shared: Path, tmp_path: Path) -> None:
    parts = {f"data_batch_{i + 1}": sheet(shared, "train", 10 * i) for i in range(5)}
    binary(tmp_path / "cifar-10-batches-bin", parts | {"test_batch": sheet(shared, "test", 0)})
    rule = open_data(tmp_path).preprocessing
    assert rule.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=4e-3)  # a tenth of the images
    assert rule.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=4e-3)


def test_a_hundred_classes_have_a_coarse_label_before_the_fine(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, count in (("train", 300), ("test", 100)):
        records = random.integers(0, 256, (count, 3074), dtype=np.uint8)
        records[:, 0], records[:, 1] = 19, np.arange(count) % 100
        records.tofile(tmp_path / f"{name}.bin")
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"class {i}" for i in range(100)))
    splits = open_data(tmp_path)
    assert splits.train.labels.tolist() == [i % 100 for i in range(300)]
    assert splits.classes[99] == "class 99"


def test_python_s_hundred_classes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 3072), dtype=np.uint8)
    labels = [i % 100 for i in range(200)]
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(as_python_2(pixels, labels, "fine_labels"))
    (tmp_path / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"%d" % i for i in range(100)]}, protocol=3))
    assert torch.equal(open_data(tmp_path).test.pixels.flatten(1), torch.from_numpy(pixels))


def test_what_numpy_writes_today_is_read_too(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 12)
    (tmp_path / "a").write_bytes(pickle.dumps({b"data": array, b"labels": [1, 2], b"n": None}, protocol=3))
    table = pickled.read(tmp_path / "a")
    assert np.array_equal(table[b"data"], array)
    assert (table[b"labels"], table[b"n"]) == ([1, 2], None)


class Attack:
    def __init__(self, path: Path, function: object = os.system) -> None:
        self.path, self.function = path, function

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return self.function, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_create_a_file_creates_none(protocol: int, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    evil.write_bytes(pickle.dumps({"data": Attack(tmp_path / "made")}, protocol=protocol))
    with pytest.raises(CannotRead, match=f"Cannot read {evil}: at byte "):
        pickled.read(evil)
    assert not (tmp_path / "made").exists()
    pickle.loads(evil.read_bytes())
    assert (tmp_path / "made").exists()  # it would have


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\x02cbuiltins\neval\n.", "names builtins.eval"),
        (b"\x80\x02cnumpy\nload\n.", "names numpy.load"),
        (b"\x80\x02cnumpy\ndtype\n" + text("O8") + b"K\x00K\x01\x87R.", "makes something other than an array of bytes"),
        (b"\x80\x02" + text("array") + text("array") + b"\x86R.", "not a whole pickle"),
        (b"\x80\x02" + text("array") + text("array") + b"R.", "makes something other"),
        (b"\x80\x02(ios\nsystem\n.", "has the instruction INST"),
        (b"\x80\x02}N", "not a whole pickle"),
        (b"\x80\x02}q\x01h\x07.", "not a whole pickle"),
        (b"\x80\x02T\xff\xff\xff\x7fabc.", "not a whole pickle"),
        (b"", "not a whole pickle"),
        (b"I" + b"9" * 9000 + b"\n.", "not a whole pickle"),
    ],
)
def test_what_is_not_on_the_list_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CannotRead, match=says):
        pickled.read(tmp_path / "a")


def test_batches_that_are_not_whole(batches, tmp_path: Path) -> None:
    folder = binary(tmp_path / "c", batches)
    whole = (folder / "data_batch_3.bin").read_bytes()

    def refusal() -> str:
        with pytest.raises(CannotRead) as refused:
            open_data(folder)
        return str(refused.value)

    (folder / "data_batch_3.bin").write_bytes(whole[:-100])
    assert "614,500 bytes are 199 images of 3,073 bytes and 2,973 more." in refusal()
    (folder / "data_batch_3.bin").write_bytes(b"\x0a" + whole[1:])
    assert "it has the label 10, of 10 classes" in refusal()
    (folder / "data_batch_3.bin").unlink()
    assert "it has no data_batch_3.bin." in refusal()
