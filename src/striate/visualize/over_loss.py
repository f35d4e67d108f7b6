"""Views of the loss around a network's weights, over a data set."""

from __future__ import annotations

from pathlib import Path

from striate.blueprint import CannotTrain
from striate.blueprint.said import counted
from striate.judging.trained import classes_of
from striate.visualize import surface
from striate.visualize.images import ruled
from striate.visualize.surface.sharpness import DIRECTIONS
from striate.visualize.wanted import View, Wanted

FEW = 256  # images of which losses are taken, where nobody says how many
PLANE, LINE = 11, 25  # points


def objective(of: Wanted) -> surface.Objective:
    return surface.objective(of.model, of.judged(FEW))


def line_view(of: Wanted) -> View:
    points, lossy = of.points or LINE, objective(of)
    found = dict[str, surface.Surface]()
    with of.progress("The loss along two lines", 2 * points, "point") as tick:
        for number in range(2):
            way = surface.random_direction(of.model, of.seed + number)

            def both(done: int, before: int = number * points) -> None:
                tick(before + done)

            found[f"direction {number + 1}"] = surface.line(
                of.model, lossy, way, points=points, folder=of.folder, tick=both
            )
    one = next(iter(found.values()))
    facts = {"x": one.x.tolist(), "here": one.here, "images": one.images}
    facts |= {"losses": {name: each.losses[:, 0].tolist() for name, each in found.items()}}
    told = (
        f"Loss {one.here:.3g} on {counted(one.images, 'image')}, along 2 random directions of its filters' own lengths"
    )
    png = surface.line_picture(found, f"{of.name}: the loss along lines", "distance, in its filters' own lengths")
    return View(png, facts, told, _rows(*found.values()))


def surface_view(of: Wanted) -> View:
    """From above or as a relief; beside that of another network both, on one scale."""
    if of.other:
        return _compared(of, *_both(of))
    found = _surface(of, "The loss over a plane")
    picture = surface.relief_picture if of.relief else surface.contour_picture
    return View(picture(found, f"{of.name}: the loss around its weights"), _plane(found), _told(found), _rows(found))


def _surface(of: Wanted, what: str) -> surface.Surface:
    points, lossy = of.points or PLANE, objective(of)
    ways = surface.random_directions(of.model, of.seed)
    with of.progress(what, points * points, "point") as tick:
        return surface.surface(of.model, lossy, ways, points=points, folder=of.folder, threads=of.threads, tick=tick)


def _both(of: Wanted) -> tuple[surface.Surface, surface.Surface]:
    """Of the network and the other one, on the same images, each by its own rule."""
    assert of.other is not None
    model, name, rule = of.other
    if classes_of(model) != classes_of(of.model):
        raise CannotTrain(
            f"Cannot compare the losses of {of.name} and {name}: they do not tell the same classes apart.",
            ways="Two networks that learnt from the same classes, in the same order.",
        )
    with ruled(model, rule):
        theirs = _surface(of._replace(model=model, name=name, rule=rule), f"The loss of {name}")
    return _surface(of, f"The loss of {of.name}"), theirs


def _compared(of: Wanted, mine: surface.Surface, theirs: surface.Surface) -> View:
    assert of.other is not None
    name = of.other.name if of.other.name != of.name else f"{of.name}, the other"
    png = surface.compared_picture(
        {of.name: mine, name: theirs}, f"{of.name} and {name}: the loss around their weights"
    )
    told = f"{of.name}: {_told(mine)}\n{name}: {_told(theirs)}"
    return View(png, {**_plane(mine), "other": {"model": name, **_plane(theirs)}}, told, _rows(mine, theirs))


def trajectory_view(of: Wanted) -> View:
    """From the first of the weights that lie along the way to the model's own."""
    points, lossy, stops = of.points or PLANE, objective(of), surface.along(of.model, of.along)
    went = surface.trajectory(of.model, [*(stop.weights for stop in stops), of.model])
    with of.progress("The loss over the way's plane", points * points, "point") as tick:
        found = surface.surface(
            of.model, lossy, went.directions, went.spans, points, of.folder, threads=of.threads, tick=tick
        )
    names = [stop.path.stem for stop in stops]
    facts = {"way": went.points.tolist(), "weights": [*names, of.name], "shares": [*went.shares], **_plane(found)}
    told = f"{counted(len(stops), 'set')} of weights, {names[0]} to {names[-1]}, and its own: "
    told += f"the plane holds {sum(went.shares):.0%} of the way's variance. {_told(found)}"
    share = [f"{100 * share:.0f}% of the variance" for share in went.shares]
    png = surface.contour_picture(
        found,
        f"{of.name}: the way of its training",
        went.points,
        (f"first direction, {share[0]}", f"second direction, {share[1]}"),
    )
    return View(png, facts, told, _rows(found))


def sharpness_view(of: Wanted) -> View:
    lossy = objective(of)
    with of.progress("Sharpness", DIRECTIONS, "direction") as tick:
        found = surface.sharpness(of.model, lossy, seed=of.seed, tick=tick)
    facts = {"worst": found.worst, "average": found.average, "here": found.here, "losses": found.losses.tolist()}
    facts["radii"] = found.radii.tolist()
    told = (
        f"Sharpness {found.worst:.3g}, {found.average:.3g} on average, within {float(found.radii[-1]):g} of the weights"
    )
    return View(surface.sharpness_picture(found, f"{of.name}: sharpness"), facts, told)


def _plane(found: surface.Surface) -> dict[str, object]:
    facts = {"x": found.x.tolist(), "y": found.y.tolist(), "losses": found.losses.tolist(), "here": found.here}
    return {**facts, "images": found.images}


def _told(found: surface.Surface) -> str:
    shape = "×".join(map(str, found.losses.shape))
    told = f"Loss {found.here:.3g} on {counted(found.images, 'image')}; over {shape} points "
    return told + f"from {float(found.losses.min()):.3g} to {float(found.losses.max()):.3g}"


def _rows(*found: surface.Surface) -> tuple[Path, ...]:
    return tuple(one.rows for one in found if one.rows)
