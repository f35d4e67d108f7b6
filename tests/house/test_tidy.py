"""The house stays a pleasure: rooms know their place, files are short, and the text speaks of the project alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from striate.cli import VERBS

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "benchmarks", "docs", ".ci")
OURS = sorted(
    path
    for path in [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    if path.is_file() and path.name != ".git" and "__pycache__" not in path.parts
)
TEXTS = [path for path in OURS if path.suffix not in {".png", ".jpg", ".gz", ".safetensors", ".npy", ".npz"}]


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def test_rooms_import_only_what_lies_below() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@named([path for path in TEXTS if path.suffix in {".py", ".lark"} or path.name == "Makefile"])
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{lines} lines: it wants splitting"
    assert path.name != "utils.py"


@named(TEXTS)
def test_the_text_knows_no_machine_and_no_registry(path: Path) -> None:
    elsewhere = re.compile(
        r"(?<![\w.~-])/(?:tmp|work|root|home)\b|pypi\.org|pythonhosted\.|download\.pytorch\.org/whl|anaconda\.org"
    )
    found = [f"{n}: {line}" for n, line in enumerate(path.read_text("utf-8").splitlines(), 1) if elsewhere.search(line)]
    assert not found, "\n".join(found)


def code_in(page: str) -> Iterator[str]:
    """The code of a Markdown page: what is fenced, and what stands between backticks."""
    fence = re.compile(r"^```.*?\n(.*?)^```", re.S | re.M)
    yield from fence.findall(page)
    yield from re.findall(r"`([^`\n]+)`", fence.sub("", page))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_a_page_tells_to_type_is_there(page: str) -> None:
    code = "\n".join(code_in((ROOT / page).read_text(encoding="utf-8")))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    asked = set(re.findall(r"^(?:\$ )?make ([a-z]+)", code, re.M))
    assert asked, "the page names no make target"
    assert asked <= targets
    assert set(re.findall(r"^(?:\$ )?striate ([a-z]+)", code, re.M)) <= {*VERBS}


def test_the_lock_pins_every_direct_dependency_and_no_build_of_one_machine() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    same = lambda name: re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()  # noqa: E731
    assert {same(need) for need in wanted} <= {same(pin) for pin in pins}
