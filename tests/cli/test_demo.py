"""`striate demo`, as `make demo` runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_the_whole_path_in_a_minute(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "striate", "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert "61,706" in text.partition("epoch")[0]  # the ledger comes first
    right = int(re.search(r"On the 360 test digits.* right \((\d+)\)", text)[1])  # type: ignore[index]
    assert right / 360 >= 0.98
    run = tmp_path / "runs" / "demo"
    assert sorted(path.name for path in run.iterdir()) == [
        "curves.png",
        "digits",
        "log.jsonl",
        "model.safetensors",
        "recipe.json",
    ]
    assert Image.open(run / "curves.png").size[0] >= 1000
    read = re.findall(r"runs/demo/digits/(\d)\.png  (\d)", text)
    assert [digit for digit, _ in read] == list("0123456789")
    assert sum(digit == label for digit, label in read) >= 9
    assert "All of it took" in text
    *_, last = text.rstrip().partition("What to try next:\n")
    assert len(re.findall(r"^  striate \w+", last, re.M)) == len(last.strip().splitlines()) >= 4
    judged = subprocess.run(
        [sys.executable, "-m", "striate", "eval", "runs/demo", "--json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert round(json.loads(judged.stdout)["top1"] * 360) == right
