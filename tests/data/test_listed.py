"""Pictures by a list, in tar shards and in torch Datasets; and archives that somebody made to do harm."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from striate.blueprint import CannotRead, Refusal
from striate.data import Images, Streamed, deal, open_data, shards
from striate.data.decode import SUFFIXES


def png(value: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((9, 8, 3), value, np.uint8)).save(content, format="PNG")
    return content.getvalue()


def shard(path: Path, entries: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def pattern(tmp_path: Path) -> str:
    """Three shards of ten grey pictures; the class is whether it is bright, the value is 8 times the number."""
    for s in range(3):
        entries = {}
        for n in range(10 * s, 10 * s + 10):
            entries |= {f"a/{n:04}.png": png(8 * n), f"a/{n:04}.cls": b"%d" % (n > 14)}
        shard(tmp_path / "shards" / f"{s:04}.tar", entries)
    return str(tmp_path / "shards" / "{0000..0002}.tar")


def refusal(source: object) -> str:
    with pytest.raises(Refusal) as refused:
        open_data(source, size=8)  # type: ignore[arg-type]
    return str(refused.value)


def test_shards_give_their_pictures_and_their_classes(pattern: str) -> None:
    splits = open_data(pattern)
    assert splits.classes == ("0", "1")
    assert [len(splits.train), len(splits.test)] == [24, 6]
    for images in (splits.train, splits.test):
        assert ((images.pixels[:, 0, 4, 4] > 8 * 14) == (images.labels == 1)).all()
    values = torch.cat((splits.train.pixels, splits.test.pixels))[:, 0, 0, 0]
    assert values.sort().values.tolist() == [8 * n for n in range(30)]


def test_shards_beyond_memory_are_streamed(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = open_data(pattern)
    monkeypatch.setattr("striate.data.memory.free", lambda: 100)
    streamed = open_data(pattern)
    assert isinstance(streamed.train, Streamed)
    pairs = (list(deal(s.train, s.preprocessing, 7).epoch(1)) for s in (resident, streamed))
    assert all(torch.equal(a, b) and torch.equal(y, z) for (a, y), (b, z) in zip(*pairs, strict=True))


def test_names_expand_in_order() -> None:
    assert [str(path) for path in shards.expanded("s/{008..011}.tar")] == [f"s/{n:03}.tar" for n in range(8, 12)]
    assert [str(path) for path in shards.expanded("{1..2}-{0..1}.tar")] == ["1-0.tar", "1-1.tar", "2-0.tar", "2-1.tar"]
    for backwards in ("{5..4}.tar", "{0..999999999999}.tar"):
        with pytest.raises(CannotRead, match="goes up, by at most 100,000"):
            shards.expanded(backwards)
    words = "s/{train,val}-{8..9}.tar"
    assert [path.name for path in shards.expanded(words)] == ["train-8.tar", "train-9.tar", "val-8.tar", "val-9.tar"]
    with pytest.raises(CannotRead, match="it stands for more than 100,000 shards"):
        shards.expanded("{0..9999}{0..9999}{0..9999}.tar")
    assert [path.name for path in shards.expanded("{a}.tar")] == ["{a}.tar"]


NAMES = {
    "by name": ("train-{}.tar", "val-{}.tar", "test-{}.tar"),
    "by folder": ("train/{}.tar", "val/{}.tar", "test/{}.tar"),
    "in the middle": ("small-training-{}.tar", "small_valid_{}.tar", "small-test{}.tar"),
}


@pytest.mark.parametrize("how", NAMES)
def test_shards_tell_their_splits(how: str, tmp_path: Path) -> None:
    for place, name in enumerate(NAMES[how]):
        for number in range(2 if place == 0 else 1):
            values = range(60 * place + 20 * number, 60 * place + 20 * number + 20)
            entries = {f"{v}.png": png(v) for v in values} | {f"{v}.cls": b"%d" % (v % 2) for v in values}
            shard(tmp_path / "shards" / name.format(number), entries)
    splits = open_data(tmp_path / "shards")
    parts = splits.train, splits.validation, splits.test
    there = [sorted(images.pixels[:, 0, 0, 0].tolist()) for images in parts]  # type: ignore[union-attr]
    assert there == [list(range(40)), list(range(60, 80)), list(range(120, 140))]
    if how == "by name":
        pattern = open_data(f"{tmp_path}/shards/{{train-0,train-1,test-0}}.tar")
        assert (len(pattern.train), len(pattern.test), pattern.validation) == (40, 20, None)
        alone = open_data(f"{tmp_path}/shards/train-{{0..1}}.tar")  # of one kind only: split by the seed
        assert (len(alone.train), len(alone.test)) == (32, 8)
        (tmp_path / "shards" / "val-0.tar").rename(tmp_path / "shards" / "more.tar")
        assert "its splits are train, test, and of some images none is said." in refusal(tmp_path / "shards")


def test_a_folder_of_shards_is_data_and_one_of_pictures_stays_so(pattern: str, tmp_path: Path) -> None:
    there = open_data(tmp_path / "shards")
    assert len(there.train) + len(there.test) == 30
    assert torch.equal(there.train.pixels, open_data(pattern).train.pixels)
    for kind in "ab":
        for n in range(5):
            (tmp_path / "photos" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / kind / f"{n}.png").write_bytes(png(n))
    for stray in ("all.tar", "a/some.tar"):
        shard(tmp_path / "photos" / stray, {"0.png": png(0), "0.cls": b"0"})
    assert open_data(tmp_path / "photos").classes == ("a", "b")


def test_what_is_compressed_is_told_so(tmp_path: Path) -> None:
    for name in ("z.tar.gz", "z.tgz", "photos.zip"):
        (tmp_path / name).write_bytes(b"\x1f\x8b")
        assert refusal(tmp_path / name).startswith(f"Cannot read data from {tmp_path / name}: it is compressed.\n")
    (tmp_path / "notes.txt").touch()
    assert "it is a file, not a folder." in refusal(tmp_path / "notes.txt")


def attack(**fields: object) -> Callable[[Path], None]:
    """Writes an archive whose second member is what it should not be."""

    def write(path: Path) -> None:
        with tarfile.open(path, "w") as archive:
            for name, more in (("a.png", {}), ("b.png", fields)):
                member = tarfile.TarInfo(name)
                member.size = len(png(0))
                for field, value in more.items():
                    setattr(member, field, value)
                archive.addfile(member, io.BytesIO(png(0)))

    return write


ATTACKS = {
    "a name that leaves the folder": attack(name="../../evil.png"),
    "an absolute name": attack(name="/evil.png"),
    "a link": attack(type=tarfile.SYMTYPE, linkname="/etc", size=0),
    "a link ": attack(type=tarfile.LNKTYPE, linkname="../../../etc/passwd", size=0),
    "neither a file nor a folder": attack(type=tarfile.FIFOTYPE, size=0),
    "neither a file nor a folder ": attack(type=tarfile.CHRTYPE, devmajor=1, devminor=5, size=0),
    "neither a file nor a folder  ": attack(type=tarfile.BLKTYPE, devmajor=8, size=0),
    "a file with holes": lambda path: path.write_bytes(sparse()),
}


def sparse() -> bytes:
    """An archive of a kilobyte and a half whose one member unpacks to a hundred megabytes."""
    header = tarfile.TarInfo("a.png")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"%011o\0" % 0, b"%011o\0" % 512  # 512 bytes at the beginning, then nothing
    block[483:495] = b"%011o\0" % 100_000_000
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(512) + bytes(1024)


@pytest.mark.parametrize("says", ATTACKS)
def test_an_archive_that_would_reach_out_is_refused_loudly(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "inner" / "evil.tar"
    path.parent.mkdir()
    ATTACKS[says](path)
    monkeypatch.chdir(path.parent)
    before = sorted(tmp_path.rglob("*"))
    text = refusal(path)
    assert text.startswith(f"Cannot read {path}: ")
    assert f"is {says.strip()}." in text
    assert "Nothing of it was used or written." in text
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("how", ["gz", "bz2", "xz"])
def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked(how: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    with tarfile.open(path, f"w:{how}") as archive:
        member = tarfile.TarInfo("a.png")
        member.size = 1 << 24
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    assert path.stat().st_size < 1 << 15
    tracemalloc.start()
    text = refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert "A shard is a plain tar archive, not compressed." in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["bomb.tar"]


class Attack:
    """Pickled, it runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def harmful(content: bytes, folder: Path) -> dict[str, Path]:
    """The same bytes wherever data is looked for."""
    for kind, value in (("a", 0), ("b", 1)):
        (folder / "photos" / kind).mkdir(parents=True)
        for i in range(30):
            (folder / "photos" / kind / f"{i:02}.png").write_bytes(png(20 * value + i))
    for suffix in sorted(SUFFIXES)[:3]:
        (folder / "photos" / "a" / f"evil{suffix}").write_bytes(content)
    for name in ("data_batch_1", "data_batch_1.bin", "train", "test_batch", "batches.meta"):
        (folder / "cifar" / "cifar-10-batches-py").mkdir(parents=True, exist_ok=True)
        (folder / "cifar" / "cifar-10-batches-py" / name).write_bytes(content)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte"):
        (folder / "idx").mkdir(exist_ok=True)
        (folder / "idx" / name).write_bytes(content)
    for name in ("evil.tar", "evil.csv", "evil.pkl", "evil.pt"):
        (folder / name).write_bytes(content)
    shard(folder / "inside.tar", {"a.png": content, "a.cls": content[:400], "b.png": png(1), "b.cls": b"1"})
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_executed_under_no_name(protocol: int, tmp_path: Path) -> None:
    made = tmp_path / "made"
    content = pickle.dumps({"data": Attack(made), "labels": [Attack(made)]}, protocol=protocol)
    (tmp_path / "data").mkdir()
    sources = harmful(content, tmp_path / "data")
    for name, source in sources.items():
        if name == "photos":
            splits = open_data(source, size=8)
            assert len(splits.skipped) == 3
            assert all("it is not an image" in lost.reason for lost in splits.skipped)
        else:
            assert refusal(source).startswith("Cannot ")
    assert not made.exists()
    pickle.loads(content)
    assert made.exists()  # it would have


def test_a_hard_link_and_a_windows_name_are_refused_too(tmp_path: Path) -> None:
    attack(type=tarfile.LNKTYPE, linkname="a.png", size=0)(tmp_path / "hard.tar")
    assert "is a link." in refusal(tmp_path / "hard.tar")
    for name in ("C:\\evil.png", "..\\evil.png"):
        shard(tmp_path / "w.tar", {name: png(0)})
        assert "is an absolute name" in refusal(tmp_path / "w.tar") or "leaves the folder" in refusal(
            tmp_path / "w.tar"
        )


def test_an_archive_that_lies_of_its_sizes_or_is_none(tmp_path: Path, pattern: str) -> None:
    whole = Path(pattern.replace("{0000..0002}", "0000")).read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[:1000])
    assert "cut.tar: " in refusal(cut)
    header = tarfile.TarInfo("huge.png")
    header.size = 1 << 40  # a terabyte, in 512 bytes
    (tmp_path / "huge.tar").write_bytes(header.tobuf())
    assert "is larger than 268,435,456 bytes" in refusal(tmp_path / "huge.tar")
    header.size = 100_000
    (tmp_path / "short.tar").write_bytes(header.tobuf() + b"\0" * 600)
    assert "is cut off by the end of the archive" in refusal(tmp_path / "short.tar")
    (tmp_path / "text.tar").write_text("a letter " * 200)
    assert "A shard is a plain tar archive" in refusal(tmp_path / "text.tar")
    assert "there is no such file" in refusal(tmp_path / "none.tar")
    with tarfile.open(tmp_path / "zipped.tar", "w:gz") as archive:  # 1000:1 is not even looked at
        member = tarfile.TarInfo("zeros.png")
        member.size = 10_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    assert "not compressed" in refusal(tmp_path / "zipped.tar")
    assert "0001.png has no label" in refusal(shard(tmp_path / "bare.tar", {"0001.png": png(1)}))


def test_a_list_of_paths_and_labels(tmp_path: Path) -> None:
    rows = []
    for n in range(20):
        (tmp_path / f"{n}.png").write_bytes(png(10 * n))
        rows.append(f"{n}.png,{'bright' if n > 9 else 'dark'}")
    path = tmp_path / "list.csv"
    path.write_text("path,label\n" + "\n".join(rows) + "\n\n")
    splits = open_data(path)
    assert splits.classes == ("bright", "dark")
    assert [len(splits.train), len(splits.test)] == [16, 4]
    assert ((splits.train.pixels[:, 0, 0, 0] > 90) == (splits.train.labels == 0)).all()
    parts = ("train", "val", "test", "train")
    path.write_text("\n".join(f"{row},{parts[i % 4]}" for i, row in enumerate(rows)))
    splits = open_data(path)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [10, 5, 5]
    for text, says in {
        "1.png\n": "line 1 is '1.png'.",
        "1.png,a,b\n": "line 1 is '1.png,a,b'.",
        "path,label\n1.png,\n": "line 2 is '1.png,'.",
        "1.png,a\n2.png,a\n": "one class, a. To tell apart takes two.",
        "": "there are no images in it.",
        "1.png,a,train\n2.png,b,train\n": "its splits are train.",
        "1.png,a,train\n2.png,b,test\n3.png,b\n": "and of some images none is said.",
        "1.png,a\n2.png,b\n3.png,a\nx.png,b\n": "there is no such file",
    }.items():
        path.write_text(text)
        assert says in refusal(path), text
    path.write_bytes(b"\xff\xfe\x00")
    assert "A list is UTF-8 text" in refusal(path)


class Squares(Dataset):
    """(image, label) in any of the forms that people's data sets have."""

    classes = ("dark", "bright")

    def __init__(self, form: str) -> None:
        self.form = form

    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> tuple[object, object]:
        array = np.full((6, 5, 3), 12 * i, np.uint8)
        label = int(i > 9)
        match self.form:
            case "PIL":
                return Image.fromarray(array), label
            case "array":
                return array, np.int64(label)
            case "grey":
                return array[..., 0], label
            case "floats":
                return torch.from_numpy(array).permute(2, 0, 1) / 255, torch.tensor(label)
            case "normalised":
                return torch.randn(3, 6, 5), label
            case _:
                raise OSError("the disk is gone")


@pytest.mark.parametrize("form", ["PIL", "array", "grey", "floats"])
def test_any_torch_dataset(form: str) -> None:
    splits = open_data(Squares(form))
    assert splits.classes == ("dark", "bright")
    assert splits.train.volume == (1 if form == "grey" else 3, 6, 5)
    assert isinstance(splits.train, Images)
    assert ((splits.train.pixels[:, 0, 0, 0] > 108) == (splits.train.labels == 1)).all()
    assert len(splits.train) + len(splits.test) == 20


def test_datasets_that_give_no_images() -> None:
    assert "floats of 0 to 1 are read" in refusal(Squares("normalised"))
    assert "item 0 is not a pair of image and label" in refusal(TensorDataset(torch.zeros(9, 3, 4, 4)))

    class Endless(IterableDataset):
        def __iter__(self):  # pragma: no cover
            yield 0

    assert "Endless: it has no length" in refusal(Endless())


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX paths")
def test_mnist_as_a_tensor_dataset_is_read(shared: Path) -> None:
    mnist = open_data(shared / "mnist").test[:200]
    splits = open_data(TensorDataset(mnist.pixels, mnist.labels))
    assert splits.train.volume == (1, 28, 28)
    assert len(splits.classes) == 10
