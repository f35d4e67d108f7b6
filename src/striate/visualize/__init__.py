"""Seeing inside: what a network looks at, what it has learnt, whether it can learn. On any nn.Module.

Everything is a function of a model, images as it reads them (float N×C×H×W, `seen` makes them of files) and a layer or
unit as text (`layer3.2`, `conv2:17`, `conv2:17@3,5`, `out:collie`), and beside it one that draws what came out as PNG:

    import striate
    from striate import visualize

    model = striate.load("lenet5-mnist")
    x = visualize.seen(model, ["seven.png"]).x
    heat = visualize.attribute(model, x, "grad-cam")          # heat.values: N×H×W
    visualize.randomised(model, x, "grad-cam", heat).unchanged  # whether it says nothing of what was learnt

    shown = visualize.view("filters", visualize.Wanted(model, "LeNet-5"))   # as `striate see … --show filters`
    Path("filters.png").write_bytes(shown.png)                # shown.facts, shown.line: the same in numbers and words

Where a module has its function's name it is the module that is found here: `visualize.filters.filters(model)`.

weights        filters.filters, filters_drawn.draw_filters
activations    maps, last_by_grid, statistics; draw_maps, draw_statistics
data           exciting.exciting, patches, draw_exciting
field          sight, effective, draw_field
attribution    attribute (METHODS), draw_attribution; curves, pointing, randomised, draw_trust; deconvnet.deconvnet
made images    imagine.imagine, imagine.measured; dream.dream; restyle
embedding      features, pca, tsne, embedding_picture; nearest, neighbours_picture; similarity.similarity
surface        surface.surface, surface.line, surface.trajectory, surface.sharpness, their pictures
learning       flows, anew, draw_flows
text           words.words, words_drawn.draw_words
all of it      view, VIEWS, Wanted; page.page, draw_page; report.report

What is not used is not loaded: `import striate.visualize` loads no torch.
"""

from importlib import import_module
from typing import Any

FACE = {  # name -> the module of this room that has it; any other name is a module itself
    **dict.fromkeys(("VIEWS", "Kind", "view"), "views"),
    **dict.fromkeys(("Data", "View", "Wanted", "opened"), "wanted"),
    **dict.fromkeys(("Seen", "seen", "shown"), "images"),
    **dict.fromkeys(("Unit", "map_layer", "unit"), "units"),
    **dict.fromkeys(("undisturbed", "values", "watched"), "watching"),
    **dict.fromkeys(("METHODS", "Heat", "attribute"), "attribution"),
    "draw_attribution": "attribution.drawn",
    **dict.fromkeys(("curves", "pointing", "randomised"), "trust"),
    "draw_trust": "trust_drawn",
    "draw_filters": "filters_drawn",
    **dict.fromkeys(("last_by_grid", "maps", "statistics"), "activations"),
    **dict.fromkeys(("draw_maps", "draw_statistics"), "activations_drawn"),
    "patches": "exciting",
    "draw_exciting": "exciting_drawn",
    **dict.fromkeys(("effective", "layer_field", "sight"), "field"),
    "draw_field": "field_drawn",
    **dict.fromkeys(("embedding_picture", "features", "pca", "tsne"), "embedding"),
    **dict.fromkeys(("nearest", "neighbours_picture"), "neighbours"),
    "similarity_picture": "similarity",
    "restyle": "style",
    **dict.fromkeys(("anew", "flows"), "learning"),
    "draw_flows": "learning_drawn",
    "draw_words": "words_drawn",
    "draw_page": "page_drawn",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'striate.visualize' has no attribute '{name}'")
    if name in FACE:
        return getattr(import_module(f"striate.visualize.{FACE[name]}"), name)
    try:
        return import_module(f"striate.visualize.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"striate.visualize.{name}":
            raise
        raise AttributeError(f"module 'striate.visualize' has no attribute '{name}'") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *FACE})
