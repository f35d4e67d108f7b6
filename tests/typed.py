"""`striate see` as it is typed, in a folder of three digits."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from striate.cli import verbs

LENET = "lenet5-mnist"


def see(*words: object) -> Result:
    return CliRunner().invoke(verbs, ["see", *(str(word) for word in words)])


def files(folder: Path) -> set[str]:
    """What is there beside the digits."""
    return {path.name for path in folder.iterdir()} - {"7.png", "4.png", "<b>&.png"}
