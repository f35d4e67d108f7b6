"""What the pickle inside a torch file may name, looked at without running it.

`torch.load(weights_only=True)` runs no code either; this list is shorter than torch's (which lets a file ask for a
bytearray of any size), and it says what a file wanted.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO

from striate.blueprint import CannotRead

TENSORS = re.compile(
    r"collections OrderedDict|torch Size|torch(\.cuda)? \w+Storage|torch\.storage (Untyped|Typed)Storage"
    r"|torch\._utils (_rebuild_tensor|_rebuild_tensor_v2|_rebuild_parameter)|torch\.nn\.parameter Parameter"
    r"|torch (float|bfloat|int|uint|bool)\d*"
)
CODE = {"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "OBJ", "NEWOBJ_EX"}
LEGACY = 5  # pickles at the start of a file of before torch 1.6: a mark, a version, sizes, the state, its keys
MARK = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
MOST_STEPS = 4_000_000  # of a pickle; a thousand tensors take some 40,000
LONGEST = 1 << 20  # bytes of a string in it; names have some 60


def check_pickle(path: Path, size: int) -> bool:
    """Whether the file is of the newer, zipped kind. Raises CannotRead where it names anything but tensors, or numbers
    larger than the file could hold.
    """
    with path.open("rb") as file:
        if not file.read(4).startswith(b"PK\x03\x04"):
            file.seek(0)
            if file.read(len(MARK)) != MARK:
                raise CannotRead(f"Cannot read {path}: torch did not write it.", ways=_WAYS)
            for _ in range(1, LEGACY):
                _check(path, file, size)
            return False
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if (
            any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            or sum(e.file_size for e in entries) > size
        ):
            raise CannotRead(
                f"Cannot read {path}: its parts are compressed; torch stores them as they are.", ways=_WAYS
            )
        pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
        if len(pickles) != 1:
            raise CannotRead(f"Cannot read {path}: it is a zip, and torch did not write it.", ways=_WAYS)
        with archive.open(pickles[0]) as file:
            _check(path, file, size)
    return True


class _Sparing:
    """A file whose reader is asked for many bytes by a number that stands in the file: no more than LONGEST at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.tell = file, file.tell

    def read(self, count: int) -> bytes:
        if count > LONGEST:
            raise ValueError(f"its pickle speaks of {count:,} bytes in one piece")
        return self.file.read(count)

    def readline(self) -> bytes:
        return self.file.readline(LONGEST)


def _check(path: Path, file: IO[bytes], size: int) -> None:
    for step, (operation, value, _) in enumerate(pickletools.genops(_Sparing(file))):  # type: ignore[arg-type]
        if operation.name in CODE and not (operation.name == "GLOBAL" and TENSORS.fullmatch(str(value))):
            wanted = str(value or "code").replace(" ", ".")[:80]
            raise CannotRead(f"Cannot read {path}: its pickle asks for {wanted}; tensors alone are read.", ways=_WAYS)
        if (isinstance(value, int) and abs(value) > max(size, 2**16)) or step > MOST_STEPS:
            raise CannotRead(
                f"Cannot read {path}: its pickle speaks of {value!r} in a file of {size:,} bytes.", ways=_WAYS
            )


_WAYS = "What is read: a state dict, torch.save(model.state_dict(), FILE), or better a .safetensors."
