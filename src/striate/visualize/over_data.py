"""Views of what a network does with a data set."""

from __future__ import annotations

import torch

from striate.blueprint import Refusal
from striate.blueprint.said import counted
from striate.visualize import learning, surface
from striate.visualize.activations import statistics
from striate.visualize.activations_drawn import draw_statistics
from striate.visualize.embedding import embedding_picture, features, tsne
from striate.visualize.exciting import exciting, patches
from striate.visualize.exciting_drawn import draw_exciting
from striate.visualize.images import batches
from striate.visualize.learning_drawn import draw_flows
from striate.visualize.neighbours import nearest, neighbours_picture
from striate.visualize.similarity import similarity, similarity_picture, telling_layers
from striate.visualize.surface.sharpness import DIRECTIONS
from striate.visualize.units import Unit
from striate.visualize.wanted import View, Wanted, evenly

MANY, FEW = 2_000, 256  # images that are looked at, where nobody says how many; of which losses are taken
PLANE, LINE = 11, 25  # points
CHANNELS = 6  # of a layer, whose exciting patches are shown
NEIGHBOURS, TESTED = 6, 10
EMBEDDED = 400


def statistics_view(of: Wanted) -> View:
    data = of.some(MANY)
    with of.progress("Values by layer", len(data), "image") as tick:
        found = statistics(of.model, data, [of.layer] if of.layer else (), tick=tick)
    rows = [
        {"layer": one.layer, "mean": one.mean, "deviation": one.deviation, "zeros": one.zeros, "dead": [*one.dead]}
        for one in found
    ]
    dead = [one for one in found if one.dead]
    told = f"{counted(len(found), 'layer')} on {counted(found[0].images, 'image')}; "
    told += f"dead channels in {', '.join(one.layer for one in dead)}" if dead else "no dead channels"
    return View(draw_statistics(found), {"layers": rows}, told)


def exciting_view(of: Wanted) -> View:
    """Of the unit that is named; of a layer, some of its channels."""
    data = of.some(MANY)
    x = next(batches(of.model, data[:1], 1))[0]
    unit = of.read_unit() if of.unit else Unit(of.chosen_layer(x))
    with of.progress(f"What excites {unit}", len(data), "image") as tick:
        found = exciting(of.model, data, unit, tick=tick)
    rows = torch.linspace(0, len(found.channels) - 1, min(CHANNELS, len(found.channels))).round().long().tolist()
    cut = {str(Unit(found.layer, int(found.channels[row]))): patches(of.model, data, found, row) for row in rows}
    facts = {
        name: [{"image": one.image, "value": one.value, "rows": one.rows, "columns": one.columns} for one in these]
        for name, these in cut.items()
    }
    told = f"Of {counted(found.seen, 'image')}, the patches that excite most {', '.join(cut)}"
    return View(draw_exciting(cut), {"units": facts, "seen": found.seen, "left_out": found.left_out}, told)


def embedding_view(of: Wanted) -> View:
    data = of.some(EMBEDDED)
    with of.progress("Features", len(data), "image") as tick:
        found = features(of.model, data, of.layer, tick=tick)
    placed = tsne(found.values, seed=of.seed)
    labels = None if found.labels is None else [found.classes[i] for i in found.labels.tolist()]
    facts = {"layer": found.layer, "how": placed.said, "points": placed.points.tolist(), "labels": labels}
    png = embedding_picture(found, placed, f"{of.name}: images by {found.layer}")
    return View(png, facts, f"{counted(len(found.values), 'image')} by {found.said}. {placed.said}")


def neighbours_view(of: Wanted) -> View:
    """Of the image that is given, or of some test images; among the training images."""
    assert of.data is not None
    known = evenly(of.data.splits.train, of.images or MANY)
    with of.progress("Features", len(known), "image") as tick:
        among = features(of.model, known, of.layer, tick=tick)
    mine = features(of.model, of.seen().x if of.image else of.data.some(TESTED), among.layer)
    found = nearest(mine, among, min(NEIGHBOURS, len(among.values)))
    told = f"Nearest by {among.layer}, of {counted(len(among.values), 'training image')}"
    facts = {"layer": among.layer, "which": found.which.tolist(), "distances": found.distances.tolist()}
    if among.labels is not None:
        theirs = [[among.classes[i] for i in row] for row in among.labels[found.which].tolist()]
        facts["labels"] = theirs
        if mine.labels is not None:
            same = (among.labels[found.which] == mine.labels[:, None]).float().mean()
            told += f": {same:.0%} are of the test image's class"
        elif len(theirs) == 1:
            told += f": {', '.join(theirs[0])}"
    return View(neighbours_picture(mine, among, found, f"{of.name}: nearest by {among.layer}"), facts, told)


def similarity_view(of: Wanted) -> View:
    data = of.some(512)
    names = telling_layers(of.model, next(batches(of.model, data[:1], 1))[0])
    with of.progress("Layers compared", len(data), "image") as tick:
        found = similarity(of.model, data, names, tick=tick)
    facts = {"measure": found.measure, "layers": [*found.rows], "values": found.values.tolist()}
    apart = found.values.diagonal(1)
    least = int(apart.argmin())
    told = f"Linear CKA of {counted(len(names), 'layer')} on {counted(found.images, 'image')}"
    told += f"; most changes from {names[least]} to {names[least + 1]}: {float(apart[least]):.2f}" if len(apart) else ""
    return View(similarity_picture(found, f"{of.name}: layers compared"), facts, told)


def _objective(of: Wanted) -> surface.Objective:
    return surface.objective(of.model, of.judged(FEW))


def line_view(of: Wanted) -> View:
    points, lossy = of.points or LINE, _objective(of)
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
    return View(
        surface.line_picture(found, f"{of.name}: the loss along lines", "distance, in its filters' own lengths"),
        facts,
        told,
    )


def surface_view(of: Wanted) -> View:
    points, lossy = of.points or PLANE, _objective(of)
    ways = surface.random_directions(of.model, of.seed)
    with of.progress("The loss over a plane", points * points, "point") as tick:
        found = surface.surface(of.model, lossy, ways, points=points, folder=of.folder, tick=tick)
    facts = {"x": found.x.tolist(), "y": found.y.tolist(), "losses": found.losses.tolist(), "here": found.here}
    facts["images"] = found.images
    told = f"Loss {found.here:.3g} on {counted(found.images, 'image')}; over {points}×{points} points "
    told += f"from {float(found.losses.min()):.3g} to {float(found.losses.max()):.3g}"
    return View(surface.contour_picture(found, f"{of.name}: the loss around its weights"), facts, told)


def sharpness_view(of: Wanted) -> View:
    lossy = _objective(of)
    with of.progress("Sharpness", DIRECTIONS, "direction") as tick:
        found = surface.sharpness(of.model, lossy, seed=of.seed, tick=tick)
    facts = {"worst": found.worst, "average": found.average, "here": found.here, "losses": found.losses.tolist()}
    facts["radii"] = found.radii.tolist()
    told = (
        f"Sharpness {found.worst:.3g}, {found.average:.3g} on average, within {float(found.radii[-1]):g} of the weights"
    )
    return View(surface.sharpness_picture(found, f"{of.name}: sharpness"), facts, told)


def flow_view(of: Wanted) -> View:
    """The network as it is, and drawn anew in two ways, before learning."""
    data = of.judged(FEW)
    parts = [(x, y) for x, y, _ in batches(of.model, data) if y is not None]
    if not parts:
        raise Refusal("Cannot see how it learns: the data has no labels.")
    x, y = (torch.cat(column) for column in zip(*parts, strict=True))
    networks = {"as it is": of.model, "anew, He": learning.anew(of.model, "he", seed=of.seed)}
    networks["anew, Xavier"] = learning.anew(of.model, "xavier", seed=of.seed)
    with of.progress("Gradients by layer", len(networks), "network") as tick:
        found = learning.flows(networks, x, y, seed=of.seed, tick=tick)
    told = "\n".join(one.told() for one in found)
    return View(
        draw_flows(found, f"{of.name}: values and gradients by layer"), {"flows": [f.to_json() for f in found]}, told
    )
