"""The report, and the table of what can be shown."""

from __future__ import annotations

import re
from base64 import b64decode
from importlib import import_module
from inspect import signature
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from striate import visualize
from striate.blueprint import NotFound, Refusal
from striate.nn.build import Network
from striate.visualize.report import Section, lean, report
from striate.visualize.views import NEEDED, VIEWS, lacking, view
from striate.visualize.wanted import Wanted


def picture(photo: bool, side: int = 200) -> bytes:
    """A chart, or what is as rich as a photo: smooth, with a little noise."""
    rows, columns = np.mgrid[:side, :side] / side
    waves = 30 * np.sin(90 * rows * columns)
    smooth = np.stack([200 * rows, 200 * columns, 100 * (rows + columns)], 2) + waves[..., None] + 30
    smooth += np.random.default_rng(0).normal(0, 1, smooth.shape)
    chart = np.where((np.abs(rows - columns) < 0.02)[..., None], [200, 40, 0], 255)
    file = BytesIO()
    Image.fromarray((smooth if photo else chart).clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


PNG = picture(photo=False)
PAYLOAD = '"><script>alert(1)</script>\x1b[31m'


def test_whatever_names_say_is_text() -> None:
    drawn = Section(PAYLOAD, PAYLOAD, PAYLOAD, PNG, f"{PAYLOAD}\nmore")
    page = report(PAYLOAD, [PAYLOAD], [drawn, Section(PAYLOAD, "", "", why=PAYLOAD)])
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;") == 11


def test_a_section_has_its_picture_and_how_it_is_read_or_why_not() -> None:
    one = Section("Filters", "How to read.", "A paper", PNG, "In a line.")
    page = report("Net", ["a fact"], [one, Section("Loss", "", "", why="No data.")])
    assert page.count("<img ") == page.count("data:image/webp;base64,") == 1
    for text in ("<h1>Net</h1>", "a fact", "How to read.", "In a line.", "A paper", "No data."):
        assert text in page
    assert [*re.findall(r'href="#(s\d)"', page)] == [*re.findall(r'section id="(s\d)"', page)] == ["s0", "s1"]
    assert 'alt="In a line."' in page
    assert page.index("What could not be shown") < page.index("Loss") < page.index("No data.")
    twice = report("Net", [], [Section(name, "", "", why="No data.") for name in ("Loss", "Flow")])
    assert (twice.count("No data."), "Loss, Flow" in twice) == (1, True)
    assert "<details" not in page
    assert "<details open>" in report("Net", [], [one._replace(line="a\n" * 9)])


def test_pictures_are_small_and_look_the_same() -> None:
    """Of a chart to the bit, of a photo to the eye."""
    for photo in (False, True):
        png = picture(photo)
        kind, small = lean(png, photos=photo)
        before, after = (np.asarray(Image.open(BytesIO(one)).convert("RGB"), np.float64) for one in (png, small))
        apart = np.sqrt(np.square(before - after).mean())
        assert kind == "webp"
        if photo:
            assert len(small) < len(png) / 4
            assert apart < 2  # of 255
        else:
            assert len(small) < len(png)
            assert apart == 0
    dot = BytesIO()
    Image.new("P", (1, 1)).save(dot, "PNG")
    assert len(lean(dot.getvalue())[1]) <= len(dot.getvalue())


def test_nothing_is_left_out_of_a_chart() -> None:
    """However rich it is; of the same among photos, something is."""
    png = picture(photo=True)
    before = np.asarray(Image.open(BytesIO(png)))
    for photos in (False, True):
        page = report("Net", [], [Section("Loss", "", "", png, "In a line.", photos=photos)])
        [small] = re.findall(r'src="data:image/\w+;base64,([^"]*)"', page)
        after = np.asarray(Image.open(BytesIO(b64decode(small))).convert("RGB"))
        assert np.array_equal(before, after) is not photos


@pytest.mark.parametrize("photos", [False, True])
def test_what_is_too_large_for_webp_stays_as_it_is(photos: bool) -> None:
    file = BytesIO()
    Image.linear_gradient("L").resize((16_384, 4)).save(file, "PNG")
    assert lean(file.getvalue(), photos) == ("png", file.getvalue())


def test_views_with_photos_are_told_from_charts() -> None:
    assert {name for name, kind in VIEWS.items() if not kind.photos} == {
        "filters", "statistics", "similarity", "line", "surface", "trajectory", "sharpness", "flow",
    }  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_each_view_is_a_function_of_what_is_wanted(name: str) -> None:
    kind = VIEWS[name]
    module, _, function = kind.make.rpartition(".")
    made = getattr(import_module(f"striate.visualize.{module}"), function)
    assert [parameter.annotation for parameter in signature(made).parameters.values()] == ["Wanted"]
    assert {*kind.needs} <= {*NEEDED}
    assert {*kind.needs, *kind.takes} <= {*Wanted._fields}
    assert all(text.endswith(".") for text in (kind.read,))


def test_what_is_lacking_is_refused(lenet: Network) -> None:
    of = Wanted(lenet, "LeNet-5")
    assert lacking("style", of) == ["image", "like"]
    with pytest.raises(Refusal, match=r"Cannot show surface without data\."):
        view("surface", of)
    with pytest.raises(NotFound, match=r'No view "dreams"\. Near: dream\.'):
        view("dreams", of)


def test_a_view_from_python(lenet: Network) -> None:
    shown = visualize.view("filters", visualize.Wanted(lenet, "LeNet-5"))
    assert shown.png.startswith(b"\x89PNG")
    assert (shown.facts["filters"], shown.line[:12]) == (6, "conv1.conv: ")


def test_the_rooms_names() -> None:
    for name in visualize.FACE:
        assert getattr(visualize, name) is not None
    assert visualize.filters.__name__ == "striate.visualize.filters"
    with pytest.raises(AttributeError, match="has no attribute 'filtres'"):
        visualize.filtres  # noqa: B018
