"""Everything that can be shown of a network, by name: what `striate see --show NAME` draws, and a report has in it.

The table is read without torch; who draws is loaded when it draws.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from striate.blueprint.refusal import NotFound, Refusal

if TYPE_CHECKING:
    from striate.visualize.wanted import View, Wanted


class Kind(NamedTuple):
    """A thing that can be shown: the function (Wanted) -> View that does, as module.name of this room; `shows`, in a
    list; its title, how it is `read`, and where it is from. `needs` is what it cannot do without (image, data, …),
    `takes` what else of `Wanted` it heeds. `alone`: in a report only where it is asked for. `photos`: are in it, else
    it is a chart.
    """

    make: str
    shows: str
    title: str
    read: str
    source: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    alone: bool = False
    photos: bool = False


VIEWS: dict[str, Kind] = {  # in the order of a report
    "page": Kind(
        "over_image.page_view", "what it sees in an image (made where nothing else is asked for)",
        "What it sees in the image",
        "Bars are probabilities. Bright, or brown, places speak for the class; in a map of slopes they matter, for it "
        "or against; below each map, whether to trust it.",
        "Grad-CAM: Selvaraju et al. 2016. SmoothGrad: Smilkov et al. 2017. Occlusion: Zeiler and Fergus 2013.",
        ("image",), ("target", "layer"), photos=True,
    ),
    "attribution": Kind(
        "over_image.attribution_view", "where in an image it looks, by one method or by all",
        "Where it looks, by every method",
        "Each map asks in another way which places the score is due to; what all of them say is more likely so.",
        "Of each map, in striate.visualize.attribution",
        ("image",), ("method", "target", "layer"), photos=True,
    ),
    "trust": Kind(
        "over_image.trust_view", "how far maps of attribution are to be trusted, in curves",
        "Whether its maps are to be trusted",
        "Pixels deleted, or inserted, as a map ranks them should move the class sooner than by chance (dotted); with "
        "more and more random weights a map should become another.",
        "Petsiuk et al. 2018, section 4; Adebayo et al. 2018, section 3",
        ("image",), ("method", "target", "layer"), photos=True,
    ),
    "pointing": Kind(
        "over_boxes.pointing_view", "how often maps point at the things themselves (--boxes)",
        "Whether its maps point at things",
        "How often a map's strongest place lies in a box of its class; beside it, the image's middle and any place.",
        "Zhang et al. 2016, section 4.1",
        ("boxes",), ("method", "target", "layer", "images"), photos=True,
    ),
    "deconvnet": Kind(
        "over_image.deconvnet_view", "what of an image a unit answered to",
        "What units answered to in the image",
        "Left, what of the pixels made the unit respond, grey being nothing; right, the same part of the image.",
        "Zeiler and Fergus 2013, section 2.1",
        ("image",), ("unit",), photos=True,
    ),
    "activations": Kind(
        "over_image.activations_view", "what its layers make of an image",
        "What its layers make of the image",
        "A row for each size of map, its strongest channels. Early ones find edges, late ones parts and things.",
        "LeCun et al. 1998, figure 2; Zeiler and Fergus 2013",
        ("image",), ("layer",), photos=True,
    ),
    "filters": Kind(
        "over_image.filters_view", "a layer's weights",
        "Its filters",
        "Smooth, different filters have learnt; noisy ones have not, flat ones are dead. Below: their norms.",
        "Krizhevsky et al. 2012, figure 3",
        (), ("layer",),
    ),
    "field": Kind(
        "over_image.field_view", "what a unit sees of an image",
        "What a unit sees of the image",
        "All that can reach the unit is in the blue frame, most of what counts in the orange one.",
        "Luo et al. 2016",
        (), ("image", "data", "unit", "layer", "images"), photos=True,
    ),
    "statistics": Kind(
        "over_data.statistics_view", "values by layer, and dead channels, over data",
        "Values by layer",
        "A deviation that falls towards 0, or grows, from layer to layer is a signal lost; dead channels are always 0.",
        "Glorot and Bengio 2010",
        ("data",), ("layer", "images"),
    ),
    "exciting": Kind(
        "over_data.exciting_view", "the patches of a data set that excite a unit most",
        "What excites units most",
        "Of all images, the patches at which a channel responds most: what they share is what it looks for.",
        "Girshick et al. 2014, section 3.1; Zeiler and Fergus 2013, section 4.1",
        ("data",), ("unit", "layer", "images"), photos=True,
    ),
    "imagine": Kind(
        "made.imagine_view", "images made to excite a unit",
        "What would excite units most",
        "Images made from noise to excite a channel, by gradient ascent; beside them, with data, the real ones that do "
        "most.",
        "Erhan et al. 2009; Olah et al. 2017",
        (), ("data", "unit", "layer", "images", "seed"), photos=True,
    ),
    "dream": Kind(
        "made.dream_view", "a photo with more in it of what a layer or a unit sees",
        "A dream",
        "What a layer sees a little of in the photo was made more, again and again.",
        "Mordvintsev et al. 2015",
        ("image",), ("unit", "layer", "seed"), alone=True, photos=True,
    ),
    "style": Kind(
        "made.style_view", "a photo in the style of another picture (--like)",
        "A photo in the style of another picture",
        "The photo's things, the other picture's textures, as the network tells them apart.",
        "Gatys et al. 2015",
        ("image", "like"), ("seed",), alone=True, photos=True,
    ),
    "embedding": Kind(
        "over_data.embedding_view", "where a layer puts a data set's images",
        "Where a layer puts images",
        "Images lie near each other that the layer takes for alike; classes that mix are those it confuses.",
        "van der Maaten and Hinton 2008",
        ("data",), ("layer", "images", "seed"), photos=True,
    ),
    "neighbours": Kind(
        "over_data.neighbours_view", "which images of a data set are nearest to an image in a layer",
        "The nearest images",
        "Beside the image, or each of some test images, the training images whose features are nearest.",
        "Krizhevsky et al. 2012, figure 4",
        ("data",), ("image", "layer", "images"), photos=True,
    ),
    "similarity": Kind(
        "over_data.similarity_view", "how alike its layers are, or those of another network (--other)",
        "How alike layers are",
        "Bright: two layers hold the same images for alike. Blocks of layers that are all alike add little.",
        "Kornblith et al. 2019; Nguyen et al. 2021; RSA: Kriegeskorte et al. 2008",
        ("data",), ("other", "measure", "images"),
    ),
    "line": Kind(
        "over_loss.line_view", "the loss along lines from its weights",
        "The loss along lines",
        "A wide valley about 0 is a flat minimum: small changes of the weights cost little.",
        "Li et al. 2018, section 4",
        ("data",), ("points", "images", "seed"),
    ),
    "surface": Kind(
        "over_loss.surface_view", "the loss over a plane through its weights (--relief), or two (--other)",
        "The loss around its weights",
        "Smooth rings about the weights are easy to descend; many pits and ridges are not.",
        "Li et al. 2018, section 4",
        ("data",), ("points", "images", "seed", "relief", "other", "threads"),
    ),
    "trajectory": Kind(
        "over_loss.trajectory_view", "the way its training went, over the loss (--along)",
        "The way of its training",
        "From the ring to the cross, over the loss in the plane in which the weights went furthest.",
        "Li et al. 2018, section 7.2",
        ("data", "along"), ("points", "images", "threads"),
    ),
    "sharpness": Kind(
        "over_loss.sharpness_view", "how sharp its minimum is",
        "How sharp its minimum is",
        "The more the loss rises within the radius, the sharper the minimum.",
        "Keskar et al. 2017",
        ("data",), ("images", "seed"),
    ),
    "flow": Kind(
        "over_data.flow_view", "whether gradients arrive at every layer, with norms and without (--steps)",
        "Whether gradients arrive",
        "Lines that stay level let every layer learn; one that falls towards the left starves the first layers.",
        "Glorot and Bengio 2010; He et al. 2015",
        ("data",), ("images", "seed", "steps"),
    ),
}  # fmt: skip

NEEDED = {  # what it is called, and how it is given
    "image": ("an image", "striate see MODEL cat.jpg --show {}"),
    "data": ("data", "--data digits, or a folder of images."),
    "like": ("a picture to be like", "--like painting.jpg"),
    "along": ("weights to go along", "--along runs/photos, or a folder of model files."),
    "boxes": ("boxes", "--boxes FOLDER, with Pascal VOC's XML or COCO's JSON and the images."),
}


def find(name: str) -> Kind:
    """Raises NotFound, with the near names."""
    if name not in VIEWS:
        raise NotFound("view", name, VIEWS)
    return VIEWS[name]


def lacking(name: str, of: Wanted) -> list[str]:
    """What a view needs and is not given."""
    return [need for need in find(name).needs if not getattr(of, need)]


def complete(name: str, of: Wanted) -> None:
    """Raises Refusal for what a view needs and is not given."""
    for need in lacking(name, of):
        what, way = NEEDED[need]
        raise Refusal(f"Cannot show {name} without {what}.", ways=way.format(name))


def view(name: str, of: Wanted) -> View:
    """Draw one thing of the table. Raises NotFound, also for a layer, unit or class that the network has not; Refusal
    where what it needs is not there, or cannot be drawn.
    """
    complete(name, of)
    of.checked()
    module, _, function = find(name).make.rpartition(".")
    with of.ruled():
        made: View = getattr(import_module(f"striate.visualize.{module}"), function)(of)
    return made
