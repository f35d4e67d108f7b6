"""Where the real images are: beside the project, or where an argument says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

SHARED = Path(__file__).parents[2] / "shared"


def there(given: str | Path | None, name: str) -> Path:
    """The folder given, or that of this name beside the project; who has neither is told so."""
    folder = Path(given) if given else SHARED / "data" / name
    if not folder.is_dir():
        sys.exit(f"{name} is not in {folder}: give its folder as an argument")
    return folder


@contextmanager
def cifar10(given: str | Path | None = None) -> Iterator[Path]:
    """A folder of CIFAR-10's binary batches: the one given, or written anew from the sheets beside the project."""
    if given:
        yield there(given, "cifar10")
        return
    there(None, "cifar10")
    with TemporaryDirectory() as made:
        subprocess.run([sys.executable, SHARED / "tools" / "cifar10_batches.py", made], check=True, capture_output=True)
        yield Path(made)
