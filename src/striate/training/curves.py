"""Learning curves as a picture: the loss of each step, and the share of right answers epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.training.events import Epoch, Event, Kept, Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 30  # steps: each is a dot


@dataclass
class Curves:
    """What a picture needs of the events so far."""

    losses: list[float] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    kept: int = 0  # the epoch whose network is on the disk

    def add(self, event: Event) -> None:
        if isinstance(event, Step):
            self.losses.append(event.loss)
        elif isinstance(event, Epoch):
            self.epochs.append(event)
        elif isinstance(event, Kept):
            self.kept = event.epoch


def smoothed(values: list[float], memory: float) -> list[float]:
    """An exponential mean over about `memory` values, unbiased at the start (Kingma & Ba 2014, section 3)."""
    keep, mean, weight, out = 1 - 1 / max(1.0, memory), 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        out.append(mean / weight)
    return out


def draw(curves: Curves, title: str) -> bytes:
    """A PNG: loss on the left (logarithmic), accuracy on the right."""
    picture = BytesIO()
    drawn(curves, title).savefig(picture, format="png")
    return picture.getvalue()


def drawn(curves: Curves, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

    figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontweight="bold")
    loss, accuracy = figure.subplots(1, 2)
    steps = range(1, len(curves.losses) + 1)
    held = [(e.step, e.loss, e.top1) for e in curves.epochs if e.loss is not None and e.top1 is not None]
    dots = {"marker": "o", "markersize": 3}
    few = dots if len(steps) < FEW else {}  # a line through one point is not there
    loss.plot(steps, curves.losses, color=FAINT, linewidth=0.6, alpha=0.6)
    trend = smoothed(curves.losses, len(curves.losses) / 40)
    loss.plot(steps, trend, color=BLUE, linewidth=1.8, label="training, batch by batch", **few)
    if held:
        at, losses = [s for s, _, _ in held], [v for _, v, _ in held]
        loss.plot(at, losses, color=ORANGE, linewidth=1.8, label="held out", **dots)
    loss.set(title="Loss", xlabel="step", yscale="log")
    loss.set_xlim(0, max(1, len(steps)) * 1.03)
    numbers = FuncFormatter(lambda value, _: f"{value:.3g}")
    loss.yaxis.set_major_formatter(numbers)
    loss.yaxis.set_minor_formatter(numbers if _narrow([*trend, *(v for _, v, _ in held)]) else NullFormatter())
    loss.legend(frameon=False)
    epochs = [e for e in curves.epochs if e.top1 is not None]
    if epochs:
        shares = [e.top1 for e in epochs]
        accuracy.plot([e.epoch for e in epochs], shares, color=ORANGE, linewidth=1.8, **dots)
        accuracy.set_xlim(0, epochs[-1].epoch + max(0.5, 0.03 * epochs[-1].epoch))
        for e in epochs:
            if e.epoch == curves.kept and e.top1 is not None:
                accuracy.plot(e.epoch, e.top1, "o", color=ORANGE, markersize=9, markerfacecolor="none")
                said = f"kept: epoch {e.epoch}, {e.top1:.2%}"
                accuracy.text(0.98, 0.04, said, transform=accuracy.transAxes, ha="right", color=ORANGE)
        if len(epochs) == 1:  # nothing to compare it with but all and nothing
            accuracy.set_ylim(0, 1.03)
    accuracy.set(title="Right answers on images held out", xlabel="epoch")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.tick_params(colors=INK)
    return figure


def _narrow(values: list[float]) -> bool:
    """Whether a logarithmic axis over these has no power of ten, or one, to be read by."""
    return bool(values) and max(values) < 10 * min(values)
