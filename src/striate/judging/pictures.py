"""How a model was judged, as pictures that are read on a phone: what it confuses, whether it knows when it is wrong,
and what it is most wrong about.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from striate.blueprint import Refusal
from striate.blueprint.said import counted, visible
from striate.data import Images, Streamed
from striate.data.drawn import BLUE, FAINT, INK, ORANGE
from striate.judging.asked import Answers
from striate.judging.metrics import Metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, DPI = 5.0, 200  # inches; on a phone a point is then about a pixel
FEW = 16  # classes: a matrix has room for its numbers
WORST = 20  # confusions, of more classes
MANY = 10  # images from which a share says something
SHOWN, ACROSS = 12, 3  # mistakes, and how many beside each other
LONGEST, TITLE = 20, 48  # characters of a name, and of the title
THUMBNAIL = 256  # pixels that its short side has, about


class Mistake(NamedTuple):
    """An image taken for what it is not: uint8 C×H×W, the name of what it is, of what it was taken for, and how sure
    the model was.
    """

    pixels: Tensor
    true: str
    said: str
    probability: float


def confusion(metrics: Metrics, title: str) -> bytes:
    """A PNG: of few classes the matrix, a row what images are and a column what they were taken for; of many the
    confusions that are most frequent, as bars.
    """
    return _matrix(metrics, title) if len(metrics.classes) <= FEW else _bars(metrics, title)


def _matrix(metrics: Metrics, title: str) -> bytes:
    from matplotlib.colors import to_rgb

    counts, names = metrics.confusion, [_short(name) for name in metrics.classes]
    n, shares = len(names), metrics.confusion / metrics.confusion.sum(1, keepdim=True).clamp(min=1)
    strength = torch.where(torch.eye(n, dtype=torch.bool), shares, (shares * 4).clamp(max=1).sqrt())
    figure, axes = _figure(WIDE + 0.4)
    blue, orange, white = (torch.tensor(to_rgb(colour)) for colour in (BLUE, ORANGE, "white"))
    hue = torch.where(torch.eye(n, dtype=torch.bool)[..., None], blue, orange)
    axes.imshow((white + (hue - white) * 0.85 * strength[..., None]).numpy())
    size = max(5.0, min(11.0, 90 / n))
    for row in range(n):
        for column in range(n):
            if count := int(counts[row, column]):
                colour = "white" if strength[row, column] > 0.6 else INK
                axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=size)
    axes.set_xticks(range(n), names, rotation=0 if max(map(len, names)) <= 2 else 60, ha="center", parse_math=False)
    if max(map(len, names)) > 2:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names, parse_math=False)
    axes.tick_params(length=0, labelsize=max(7.0, min(11.0, 110 / n)))
    axes.set_xticks([i - 0.5 for i in range(1, n)], minor=True)
    axes.set_yticks([i - 0.5 for i in range(1, n)], minor=True)
    axes.grid(which="minor", color="#e4e7eb", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("taken for", color=INK)
    axes.set_ylabel("is", color=INK)
    _framed(axes, ())
    return _png(figure, title, f"{metrics.top1:.1%} of {counted(metrics.examples, 'image')} right")


def _bars(metrics: Metrics, title: str) -> bytes:
    kept, of = frequent(metrics), metrics.confusion.sum(1)
    figure, axes = _figure(1.3 + 0.44 * max(1, len(kept)))
    for place, (true, said, count) in enumerate(kept):
        axes.barh(place, count, color=ORANGE, height=0.34)
        names = f"{_short(metrics.classes[true])} taken for {_short(metrics.classes[said])}"
        axes.text(0, place - 0.24, names, va="bottom", color=INK, fontsize=10, parse_math=False)
        axes.text(count, place, f" {count} of {int(of[true])}", va="center", color=INK, fontsize=9)
    axes.set_ylim(max(1, len(kept)) - 0.5, -0.75)
    axes.set_xlim(0, 1.25 * max((count for _, _, count in kept), default=1))
    axes.set_yticks([])
    axes.set_xticks([])
    _framed(axes, ())
    among = f": the {len(kept)} most frequent" if kept else ""
    wrong = metrics.examples - int(metrics.confusion.trace())
    told = f"{counted(wrong, 'mistake')} in {counted(metrics.examples, 'image')}{among}"
    return _png(figure, title, told)


def frequent(metrics: Metrics, most: int = WORST) -> list[tuple[int, int, int]]:
    """(class, taken for, how often), most often first; what happened once may be chance, and is left out where others
    happened twice.
    """
    wrong, n = metrics.confusion.clone().fill_diagonal_(0).flatten(), len(metrics.classes)
    places = wrong.argsort(descending=True, stable=True)[:most].tolist()
    found = [(place // n, place % n, int(wrong[place])) for place in places if wrong[place]]
    return [each for each in found if each[2] > 1] or found


def calibration(metrics: Metrics, title: str) -> bytes:
    """A PNG: the share of right answers by how sure the model was, and how often it was so sure. Niculescu-Mizil &
    Caruana 2005; Guo et al. 2017, figure 1.
    """
    figure, (axes, below) = _figure(WIDE + 0.8, rows=(4, 1))
    for low, high, images, confidence, accuracy in metrics.calibration.bins:
        middle, width, firm = (low + high) / 2, (high - low) * 0.86, 1.0 if images >= MANY else 0.35
        axes.bar(middle, accuracy, width, color=BLUE, alpha=firm)
        if confidence > accuracy:
            axes.bar(middle, confidence - accuracy, width, accuracy, color=ORANGE, alpha=firm)
        axes.plot([middle - width / 2, middle + width / 2], [confidence] * 2, color=INK, linewidth=1.8)
        below.bar(middle, images, width, color=FAINT, alpha=firm)
        below.text(middle, images, f"{images}", ha="center", va="bottom", color=INK, fontsize=6.5)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
    axes.set_ylabel("right", color=INK)
    axes.legend(
        handles=[*(_patch(*each) for each in (("right", BLUE), ("too sure", ORANGE))), _line("how sure it was")],
        frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=9.5, columnspacing=1.2,
        handlelength=1.4, labelcolor=INK,
    )  # fmt: skip
    below.set_xlabel(f"how sure it was, and of how many images (pale: under {MANY})", color=INK, fontsize=9.5)
    for each in (axes, below):
        each.set_xlim(0, 1)
        each.xaxis.set_major_formatter(_percent())
    _framed(axes, ("left", "bottom"))
    _framed(below, ("bottom",))
    axes.tick_params(labelbottom=False)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(_percent())
    below.set_yticks([])
    below.margins(y=0.25)
    told = f"expected calibration error {metrics.calibration.error:.1%} of {counted(metrics.examples, 'image')}"
    return _png(figure, title, told)


def mistakes(found: Sequence[Mistake], title: str) -> bytes:
    """A PNG of images taken for what they are not, with what they are and how sure the model was of something else."""
    down = max(1, -(-len(found) // ACROSS))
    figure, axes = _figure(0.9 + 2.1 * down, rows=(1,) * down, columns=ACROSS)
    for place, each in enumerate(axes.flat):
        each.axis("off")
        if place < len(found):
            pixels, true, said, probability = found[place]
            image = pixels.permute(1, 2, 0).numpy()
            each.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=255)
            each.set_title(
                f"{_short(said, 14)}: {_sure(probability)}", color=ORANGE, fontsize=10, parse_math=False, pad=3
            )
            each.text(
                0.5, -0.04, f"is {_short(true, 16)}", color=BLUE, fontsize=10, ha="center", va="top", parse_math=False,
                transform=each.transAxes,
            )  # fmt: skip
    told = "the mistakes it was most sure of: what it said, what it is" if found else "it made no mistake"
    return _png(figure, title, told)


def worst(images: Images | Streamed, answers: Answers, classes: tuple[str, ...], most: int = SHOWN) -> list[Mistake]:
    """The mistakes that the model was most sure of."""
    probability, said = answers.shares.max(1)
    wrong = (said != answers.labels).nonzero().flatten()
    found = []
    for i in wrong[probability[wrong].argsort(descending=True, stable=True)].tolist()[:most]:
        which = int(answers.which[i])
        try:
            pixels = images.pixels[which] if isinstance(images, Images) else _thumbnail(images, which)
        except Refusal:  # it was there a moment ago
            continue
        found.append(
            Mistake(pixels.cpu(), classes[int(answers.labels[i])], classes[int(said[i])], probability[i].exp().item())
        )
    return found


def _thumbnail(images: Streamed, which: int) -> Tensor:
    """uint8 C×H×W, no larger than it need be seen: its middle square."""
    from striate.data.preprocessing import scaled

    pixels = scaled(images.pictures[which].read(3, (THUMBNAIL, THUMBNAIL)).unsqueeze(0), (THUMBNAIL, THUMBNAIL))[0]
    height, width = pixels.shape[1:]
    top, left = (height - THUMBNAIL) // 2, (width - THUMBNAIL) // 2
    return pixels[:, top : top + THUMBNAIL, left : left + THUMBNAIL]


def _sure(probability: float) -> str:
    return f"{probability:.0%}" if probability < 0.99 else f"{probability:.1%}" if probability < 0.999 else "> 99.9%"


def _short(name: str, most: int = LONGEST) -> str:
    name = visible(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def _figure(high: float, rows: tuple[int, ...] = (1,), columns: int = 1) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE, high), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, height_ratios=rows, squeeze=columns == 1)
    return figure, axes


def _png(figure: Figure, title: str, told: str) -> bytes:
    title = visible(title)
    title = title if len(title) <= TITLE else f"{title[: TITLE // 2]}…{title[-TITLE // 2 :]}"
    figure.suptitle(f"{title}\n", color=INK, fontweight="bold", fontsize=12, parse_math=False)
    figure.text(0.5, 0.985, f"\n{told}", color=INK, fontsize=9.5, ha="center", va="top", linespacing=1.6)
    picture = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font has not
        figure.savefig(picture, format="png")
    return picture.getvalue()


def _framed(axes: Axes, kept: tuple[str, ...]) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side in kept)
        spine.set_color(FAINT)
    axes.tick_params(colors=INK)


def _patch(label: str, colour: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)


def _line(label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=INK, linewidth=1.8, label=label)


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1, decimals=0)
