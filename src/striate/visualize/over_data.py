"""Views of what a network does with a data set."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from striate.blueprint import Refusal
from striate.blueprint.said import counted
from striate.visualize import learning
from striate.visualize.activations import statistics
from striate.visualize.activations_drawn import draw_statistics
from striate.visualize.embedding import embedding_picture, features, tsne
from striate.visualize.exciting import exciting, patches
from striate.visualize.exciting_drawn import draw_exciting
from striate.visualize.images import batches, ruled
from striate.visualize.learning_drawn import draw_flows
from striate.visualize.neighbours import nearest, neighbours_picture
from striate.visualize.similarity import Similarity, similarity, similarity_picture, telling_layers
from striate.visualize.units import Unit
from striate.visualize.wanted import View, Wanted, evenly

MANY, FEW = 2_000, 256  # images that are looked at, where nobody says how many; from which gradients come
CHANNELS = 6  # of a layer, whose exciting patches are shown
NEIGHBOURS, TESTED = 6, 10
EMBEDDED, COMPARED = 400, 512
ANEW = {"he": "anew, He", "xavier": "anew, Xavier"}
NAMES = {"cka": "Linear CKA", "rsa": "RSA"}


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
    png = embedding_picture(found, placed, f"{of.name}: images by layer {found.layer}")
    return View(png, facts, f"{counted(len(found.values), 'image')} by layer {found.said}. {placed.said}")


def neighbours_view(of: Wanted) -> View:
    """Of the image that is given, or of some test images; among the training images."""
    assert of.data is not None
    known = evenly(of.data.splits.train, of.images or MANY)
    with of.progress("Features", len(known), "image") as tick:
        among = features(of.model, known, of.layer, tick=tick)
    mine = features(of.model, of.seen().x if of.image else of.data.some(TESTED), among.layer)
    found = nearest(mine, among, min(NEIGHBOURS, len(among.values)))
    told = f"Nearest by layer {among.layer}, of {counted(len(among.values), 'training image')}"
    facts = {"layer": among.layer, "which": found.which.tolist(), "distances": found.distances.tolist()}
    if among.labels is not None:
        theirs = [[among.classes[i] for i in row] for row in among.labels[found.which].tolist()]
        facts["labels"] = theirs
        if mine.labels is not None:
            same = (among.labels[found.which] == mine.labels[:, None]).float().mean()
            told += f": {same:.0%} are of the test image's class"
        elif len(theirs) == 1:
            told += f": {', '.join(theirs[0])}"
    return View(neighbours_picture(mine, among, found, f"{of.name}: nearest by layer {among.layer}"), facts, told)


def similarity_view(of: Wanted) -> View:
    """Of its layers with each other, or with those of another network."""
    data, (mine, name), measure = of.some(COMPARED), (of.model, of.name), of.measure or "cka"
    its, other = of.other[:2] if of.other else (mine, name)
    passes = 1 if measure == "cka" else 1 + (its is not mine)
    rule = of.other.rule if of.other else None
    with ruled(its, rule), of.progress("Layers compared", passes * len(data), "image") as tick:
        rows, columns = (telling_layers(one, next(batches(one, data[:1], 1))[0]) for one in (mine, its))
        found = similarity(mine, data, rows, its if of.other else None, columns if of.other else (), measure, tick)
    facts: dict[str, object] = {"measure": found.measure, "layers": [*found.rows], "values": found.values.tolist()}
    facts |= {"other": {"model": other, "layers": [*found.columns]}} if of.other else {}
    told = f"{NAMES.get(measure, measure)} of {counted(len(rows), 'layer')}"
    told += f" and {len(columns)} of {other}" if of.other else ""
    told += f" on {counted(found.images, 'image')}; {_most_alike(found) if of.other else _least_alike(found)}"
    title = f"{name}: layers compared" if not of.other else f"{name} and {other}: layers compared"
    return View(
        similarity_picture(found, title, name, other) if of.other else similarity_picture(found, title), facts, told
    )


def _least_alike(found: Similarity) -> str:
    """Of neighbours among one network's layers."""
    apart = found.values.diagonal(1)
    if not len(apart):
        return "there is one"
    least = int(apart.argmin())
    return f"most changes from {found.rows[least]} to {found.rows[least + 1]}: {float(apart[least]):.2f}"


def _most_alike(found: Similarity) -> str:
    """Of two networks' layers."""
    row, column = divmod(int(found.values.argmax()), len(found.columns))
    return f"most alike are {found.rows[row]} and {found.columns[column]}: {float(found.values.max()):.2f}"


def flow_view(of: Wanted) -> View:
    """The network as it is, and drawn anew in two ways, with its BatchNorms and without; before learning, and after
    some steps where so many are said.
    """
    data = of.judged(FEW)
    parts = [(x, y) for x, y, _ in batches(of.model, data) if y is not None]
    if not parts:
        raise Refusal("Cannot see how it learns: the data has no labels.")
    x, y = (torch.cat(column) for column in zip(*parts, strict=True))
    normed = any(isinstance(module, _BatchNorm) for module in of.model.modules())
    networks = {"as it is": of.model}
    for norms in (True, False) if normed else (True,):
        for word, name in ANEW.items():
            networks[name + ", no norms" * (not norms)] = learning.anew(of.model, word, norms, of.seed)
    at = tuple(sorted({0, of.steps or 0}))
    with of.progress("Gradients by layer", len(networks) * (1 + at[-1]), "step") as tick:
        found = learning.flows(networks, x, y, at, seed=of.seed, tick=tick)
    whole = {flow.network for flow in found if flow.step == at[-1]}
    left_out = [
        f"{name} is left out after {counted(at[-1], 'step')}: its loss is no number."
        for name in networks
        if name not in whole
    ]
    facts = {"flows": [flow.to_json() for flow in found], "left_out": left_out}
    told = "\n".join([*(flow.told() for flow in found), *left_out])
    return View(draw_flows(found, f"{of.name}: values and gradients by layer"), facts, told)
