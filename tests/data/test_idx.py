"""IDX folders: MNIST itself, and files that are not what they say."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
import torch

from striate.blueprint import CannotRead, CannotTrain
from striate.data import open_data


def idx(values: torch.Tensor) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.numpy().tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small data set in the four files, two of them compressed."""
    random = torch.Generator().manual_seed(0)
    for start, count in (("train", 40), ("t10k", 10)):
        images = torch.randint(256, (count, 9, 7), generator=random, dtype=torch.uint8)
        labels = (torch.arange(count) % 5).to(torch.uint8)
        (tmp_path / f"{start}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{start}-labels.idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def refusal(folder: Path) -> str:
    with pytest.raises((CannotRead, CannotTrain)) as refused:
        open_data(folder)
    return str(refused.value)


def test_mnist(shared: Path) -> None:
    splits = open_data(shared / "mnist", size=32)
    assert (len(splits.train), len(splits.test), splits.train.volume) == (60_000, 10_000, (1, 32, 32))
    assert splits.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert splits.preprocessing.mean[0] * 32**2 / 28**2 == pytest.approx(0.1307, abs=1e-4)  # the published mean
    assert splits.told == "70,000 images, 28×28 as they are, zeros around them to 32×32"


def test_both_spellings_compressed_or_not(folder: Path) -> None:
    splits = open_data(folder)
    assert (len(splits.train), len(splits.test), splits.train.volume) == (40, 10, (1, 9, 7))
    assert splits.classes == tuple("01234")
    plain = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    assert splits.train.pixels.flatten().tolist() == list(plain[16:])


def test_fashion_mnist_has_its_names(folder: Path) -> None:
    renamed = folder.rename(folder.parent / "Fashion-MNIST")
    assert open_data(renamed).classes == ("T-shirt", "trouser", "pullover", "dress", "coat")


def test_cut_short_plain_and_compressed(folder: Path) -> None:
    path = folder / "train-labels.idx1-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:30])
    assert refusal(folder) == (
        f"Cannot read {path}: 40 + 8 = 48 bytes are stated, 30 bytes were found.\n"
        "    It was cut short or changed; fetch it again."
    )
    path.write_bytes(whole)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:1500])
    first = refusal(folder).splitlines()[0]
    assert first.startswith(f"Cannot read {path}: 40×9×7 + 16 = 2,536 bytes are stated, ")
    assert first.endswith(" bytes were found.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it begins and ends at once, an IDX file of labels begins 00 00 08 01."),
        (b"\x89PNG....", "it begins 89 50 4e 47, an IDX file of labels begins 00 00 08 01."),
        (b"\0\0\x08\x01\0", "5 bytes were found, its header alone has 8."),
        (b"\0\0\x08\x01\0\0\0\0", "its header states 0."),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "its header states 4294967295."),
        (b"\0\0\x08\x01\0\0\0\x28" + bytes(41), "40 + 8 = 48 bytes are stated, more were found."),
        (gzip.compress(b"\0\0\x08\x01", mtime=0), "it begins 1f 8b 08 00, an IDX file of labels begins 00 00 08 01."),
    ],
)
def test_what_is_not_such_a_file(folder: Path, content: bytes, says: str) -> None:
    path = folder / "train-labels.idx1-ubyte"
    path.write_bytes(content)
    assert refusal(folder).splitlines()[0] == f"Cannot read {path}: {says}"


def test_a_plain_file_called_gz(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert f"Cannot read {path}: it begins 00 00, a .gz file begins 1f 8b." in refusal(folder)
    assert "take .gz off its name" in refusal(folder)


def test_a_header_that_promises_more_than_there_is_memory(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 90_000_000, 16_000, 16_000)))
    assert "Cannot hold the 90,000,000 items that train-images-idx3-ubyte.gz states in memory" in refusal(folder)


def test_a_header_that_promises_more_than_its_file_can_hold_is_refused_unread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 1000, 32, 32) + bytes(4000)))
    asked: list[int] = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: asked.append(n) or read(self, n))
    held = path.stat().st_size
    assert refusal(folder).splitlines()[0] == (
        f"Cannot read {path}: 1000×32×32 = 1,024,000 bytes are stated, "
        f"its {held} compressed ones hold at most {1032 * held:,}."
    )
    assert sum(asked) == 16


def test_what_follows_the_stated_bytes_is_never_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 40, 9, 7) + bytes(50_000_000)))
    asked: list[int] = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: asked.append(n) or read(self, n))
    assert "2,536 bytes are stated, more were found" in refusal(folder)
    assert max(asked) == 2521


def test_a_file_that_is_not_there(folder: Path) -> None:
    (folder / "t10k-labels.idx1-ubyte").unlink()
    assert (
        refusal(folder).splitlines()[0] == f"Cannot read {folder}: it has no t10k-labels-idx?-ubyte, and none with .gz."
    )


def test_counts_that_differ(folder: Path) -> None:
    (folder / "t10k-labels.idx1-ubyte").write_bytes(idx(torch.zeros(9, dtype=torch.uint8)))
    assert "10 in t10k-images-idx3-ubyte.gz, 9 in t10k-labels.idx1-ubyte." in refusal(folder)


def test_a_test_label_that_training_never_shows(folder: Path) -> None:
    (folder / "t10k-labels.idx1-ubyte").write_bytes(idx(torch.full((10,), 7, dtype=torch.uint8)))
    assert "its two parts do not belong together." in refusal(folder)


def test_one_class(folder: Path) -> None:
    (folder / "train-labels.idx1-ubyte").write_bytes(idx(torch.full((40,), 4, dtype=torch.uint8)))
    assert refusal(folder).splitlines()[0].endswith("one class in its 40 images. To tell apart takes two.")
