"""Learning curves as a picture: the loss of each step, and the share of right answers epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

from striate.training.events import Checkpoint, Epoch, Event, Step

INK, FAINT, BLUE, ORANGE = "#1f2933", "#9aa5b1", "#2b6cb0", "#c05621"


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
        elif isinstance(event, Checkpoint):
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontweight="bold")
    loss, accuracy = figure.subplots(1, 2)
    steps = range(1, len(curves.losses) + 1)
    held = [(e.step, e.loss, e.top1) for e in curves.epochs if e.loss is not None and e.top1 is not None]
    loss.plot(steps, curves.losses, color=FAINT, linewidth=0.6, alpha=0.6)
    loss.plot(
        steps,
        smoothed(curves.losses, len(curves.losses) / 40),
        color=BLUE,
        linewidth=1.8,
        label="training, batch by batch",
    )
    if held:
        loss.plot(
            [s for s, _, _ in held],
            [v for _, v, _ in held],
            color=ORANGE,
            linewidth=1.8,
            marker="o",
            markersize=3,
            label="held out",
        )
    loss.set(title="Loss", xlabel="step", yscale="log")
    loss.legend(frameon=False)
    epochs = [e for e in curves.epochs if e.top1 is not None]
    if epochs:
        shares = [e.top1 for e in epochs]
        accuracy.plot([e.epoch for e in epochs], shares, color=ORANGE, linewidth=1.8, marker="o", markersize=3)
        for e in epochs:
            if e.epoch == curves.kept and e.top1 is not None:
                accuracy.plot(e.epoch, e.top1, "o", color=ORANGE, markersize=9, markerfacecolor="none")
                place = {"textcoords": "offset points", "ha": "right", "va": "top", "color": ORANGE}
                accuracy.annotate(f"kept: epoch {e.epoch}, {e.top1:.2%}", (e.epoch, e.top1), (6, -16), **place)
        accuracy.set_xlim(left=0)
    accuracy.set(title="Right answers on images held out", xlabel="epoch")
    accuracy.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 2):g}%"))
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss, accuracy):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.tick_params(colors=INK)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
