"""A run: one training, a folder. model.safetensors, recipe.json, log.jsonl, curves.png."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from striate.blueprint import CannotWrite
from striate.blueprint.files import write_atomically
from striate.training.curves import Curves, draw
from striate.training.events import Done, Epoch, Event, as_line
from striate.training.recipe import Recipe

RECIPE, LOG, CURVES = "recipe.json", "log.jsonl", "curves.png"  # and a model file
REDRAW = 30.0  # seconds between pictures while it goes on


def claim(out: str | Path) -> Path:
    """A new folder: `out`, or out-2, out-3, … where that is taken. Raises CannotWrite."""
    out = Path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = out if number == 1 else out.with_name(f"{out.name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise CannotWrite(
            f"Cannot make a run's folder {out}: {why}.", "", "Choose another place: --out runs/NAME.", where=str(out)
        ) from None
    raise AssertionError("count does not end")


def recorded(events: Iterator[Event], folder: Path, recipe: Recipe) -> Iterator[Event]:
    """The same events, each written to the log as it comes, and the curves drawn; the recipe stands there from the
    start.
    """
    write_atomically(folder / RECIPE, recipe.model_dump_json(indent=2) + "\n")
    seen, drawn = Curves(), time.monotonic()
    with (folder / LOG).open("w", encoding="utf-8") as log:
        try:
            for event in events:
                log.write(as_line(event) + "\n")
                log.flush()
                seen.add(event)
                if isinstance(event, Done) or (isinstance(event, Epoch) and time.monotonic() - drawn > REDRAW):
                    write_atomically(folder / CURVES, draw(seen, folder.name))
                    drawn = time.monotonic()
                yield event
        finally:
            log.flush()
