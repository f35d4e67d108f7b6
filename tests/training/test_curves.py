"""The picture of a run, short ones too."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.training import Epoch, Kept, Step
from striate.training.curves import Curves, drawn


def curves(epochs: int, steps: int) -> Curves:
    seen = Curves()
    for step in range(1, epochs * steps + 1):
        epoch = -(-step // steps)
        seen.add(Step(step, epoch, 2.3 * 0.98**step, 1e-3, 64))
        if step % steps == 0:
            seen.add(Epoch(epoch, step, 2.0, 2.1 * 0.98**step, 1 - 0.6 / epoch, 1.0, 64.0))
            seen.add(Kept(Path("model.safetensors"), epoch, 1 - 0.6 / epoch))
    return seen


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 21), (3, 2), (40, 20)])
def test_whole_steps_alike_percents_and_the_label_inside(epochs: int, steps: int) -> None:
    figure = drawn(curves(epochs, steps), "run")
    figure.canvas.draw()
    loss, accuracy = figure.axes
    for axes in (loss, accuracy):
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels
        assert all(label.isdigit() for label in labels), labels
    shares = [label.get_text() for label in accuracy.get_yticklabels()]
    assert all(share.endswith("%") for share in shares)
    assert len({len(share.partition(".")[2]) for share in shares}) == 1, shares
    [kept] = accuracy.texts
    assert kept.get_text() == f"kept: epoch {epochs}, {1 - 0.6 / epochs:.2%}"
    around, box = accuracy.get_window_extent(), kept.get_window_extent()
    assert around.x0 <= box.x0 < box.x1 <= around.x1
    assert around.y0 <= box.y0 < box.y1 <= around.y1
    [point] = accuracy.lines[0].get_xydata()[-1:]
    assert accuracy.viewLim.contains(*point)
    if epochs == 1:
        assert accuracy.get_ylim() == (0, 1.03)
    if epochs * steps < 30:
        assert loss.lines[1].get_marker() == "o"
