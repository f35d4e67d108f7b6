"""What lectures claim is held against what comes out: each slip in them is found, and what is right is left alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from striate.blueprint.notation.claims import Claim
from striate.blueprint.notation.figures import chains, figure_in, judge
from striate.blueprint.notation.listing import Found, check

VGG_16 = """\
INPUT: [224x224x3]      memory:  $224*224*3=150\\text{K}$     params: 0      (not counting biases)
 CONV3-64: [224x224x64]    memory:  $224*224*64=3.2\\text{M}$     params:  $(3*3*3)*64 = 1,728$
 CONV3-64: [224x224x64]    memory:  **224*224*64=3.2M**     params:  $(3 \\times 3 \\times 64) \\times 64 = 36,864$
 POOL2: [112x112x64]    memory:  $112*112*64=800\\text{K}$     params: 0
 FC: [1x1x10]    memory: 10    params:  $112*112*64*10 = 8,028,160$     74% 参数量

Note:
Most memory is in early CONV

TOTAL memory: $24M * 4 \\text{ bytes} \\approx 93\\text{MB} / \\text{image}$ (only forward! ~ 2 for bwd)
TOTAL params: 8M parameters
"""
GOOGLENET = """\
type	patch size/ stride	output size	depth	#1×1	#3×3 reduce	#3×3	#5×5 reduce	#5×5	pool proj	params	ops
convolution	7×7/2	112×112×64	1							2.7K	34M
max pool	3×3/2	56×56×64	0
convolution	3×3/1	56×56×192	2		64	192				112K	360M
max pool	3×3/2	28×28×192	0
inception (3a)		28×28×256	2	64	96	128	16	32	32	159K	128M
"""


def differing(found: Found, **fields: object) -> list[Claim]:
    return [c for c in found.claims if c.verdict == "differs" and all(getattr(c, k) == v for k, v in fields.items())]


def the(text: str, **fields: object) -> Claim:
    """The one claim with these fields."""
    [claim] = [c for c in check(text).claims if all(getattr(c, name) == value for name, value in fields.items())]
    return claim


@pytest.fixture(scope="module")
def decks(shared: Path) -> list[Found]:
    paths = sorted((shared.parent / "lectures").glob("*.txt"))
    if len(paths) != 5:
        pytest.skip("needs the five lectures in ../shared/lectures")
    return [check(path.read_text(encoding="utf-8")) for path in paths]


# ── when a figure may stand for a number ──


@pytest.mark.parametrize(
    ("figure", "number", "verdict", "how"),
    [
        ("1,728", 1_728, "agrees", ""),
        ("1600", 1_610, "differs", ""),  # a plain whole number is exact, whatever its zeros
        ("3.2M", 3_211_264, "rounds to", ""),
        ("3.2M", 3_250_000, "rounds to", ""),  # half a unit away
        ("3.2M", 3_250_001, "rounds to", "cut off"),
        ("3.2M", 3_300_000, "differs", ""),
        ("3.2M", 3_149_999, "differs", ""),
        ("150K", 150_528, "rounds to", "cut off"),
        ("35K", 34_848, "rounds to", ""),
        ("800K", 802_816, "rounds to", "its zeros only fill up"),
        ("800K", 808_080, "rounds to", "its zeros only fill up"),  # 1 % away
        ("800K", 808_081, "differs", ""),
        ("24M", 15_237_608, "differs", ""),
        ("112K", 114_944, "rounds to", "a K of 1,024"),
        ("1000K", 1_025_000, "rounds to", "cut off, a K of 1,024"),
        ("2.7K", 9_408, "differs", ""),
        ("1.8x10^9", 1_814_073_344, "rounds to", ""),
        ("3 million", 2_979_000, "rounds to", ""),
        ("3 million", 2_304_000, "differs", ""),
        ("0", 0, "agrees", ""),
        ("0", 1, "differs", ""),
    ],
)
def test_a_figure_stands_for_a_number(figure: str, number: int, verdict: str, how: str) -> None:
    read = figure_in(figure)
    assert read
    assert judge(read, number) == (verdict, how)


@pytest.mark.parametrize(
    ("text", "sums"),
    [
        ("(32+2*2-5)/1+1 = 32 spatially, so", [("(32+2*2-5)/1+1", 32, "32")]),
        ("stride 1 => (7 - 3)/1 + 1 = 5", [("(7 - 3)/1 + 1", 5, "5")]),
        ("(7 - 3)/3 + 1 = 2.33 : \\", [("(7 - 3)/3 + 1", Fraction(7, 3), "2.33")]),
        ("Each neuron has 5 x 5 x 3 (=75) weights", [("5 x 5 x 3", 75, "75")]),
        ("28x28x(128+192+96+256) = 28x28x672", [("28x28x(128+192+96+256)", 526_848, "28x28x672")]),
        ("[32x32x30] (32*32*30 = 30720 neurons)", [("32*32*30", 30_720, "30720 neurons")]),
        ("24M * 4 bytes ≈ 93MB / image", [("24M * 4 bytes", 96_000_000, "93MB")]),
        (
            "memory: 7*7*512=25K params: 7*7*512*4096 = 102,760,448",
            [("7*7*512", 25_088, "25K"), ("7*7*512*4096", 102_760_448, "102,760,448")],
        ),
        ("1*2 = 2 = 4/2", [("1*2", 2, "4/2")]),
        ("5/0 = 7", []),
        ("5/0*3 = 7", []),
        ("in 2016 (7-3)*2 = 8", [("(7-3)*2", 8, "8")]),
        ("F = 3 and N = 7", []),
        ("W2 = (W1-F)/S+1", []),
        ("9*" * 60 + "9 = 1", []),  # beyond any honest sum, as is the next
        ("*".join(["999999999999999999"] * 3) + " = 1", []),
        ("10*4 => 40", []),
    ],
)
def test_sums_are_found_and_computed(text: str, sums: list[tuple[str, Fraction, str]]) -> None:
    assert [(chain.sum.text, chain.sum.value, chain.stated.text) for chain in chains(text)] == sums


# ── small listings ──


def test_the_ledger_of_vgg_16() -> None:
    found = check(VGG_16)
    wrong = differing(found)
    assert [(c.line, c.kind, c.stated, c.computed) for c in wrong] == [
        (10, "memory", "24M", "7,375,882 (7.376M)"),
        (10, "arithmetic", "24M * 4 bytes ≈ 93MB", "96,000,000 (96MB)"),
        (10, "memory", "93MB", "29,503,528 (29.5MB)"),
    ]
    total = the(VGG_16, about="total", kind="parameters")
    assert (total.verdict, total.computed) == ("rounds to", "8,066,752 (8.067M)")
    assert total.note.endswith("without biases, as the listing says")
    assert [line.line for line in found.skipped] == [7, 8]
    assert found.counts == {"agrees": 10, "rounds to": 5, "differs": 3}


def test_every_number_of_a_row_is_held_against_the_network() -> None:
    row = "INPUT: [8x8x3] memory: 8*8*3=192 params: 0\nCONV3-4: [8x8x4] memory: 8*8*4=256 params: (3*3*3)*4 + 4 = 112"
    assert {c.verdict for c in check(row).claims} == {"agrees"}
    for right, wrong, kind in [
        ("[8x8x4]", "[8x7x4]", "volume"),
        ("8*8*4=256", "8*8*4=255", "memory"),
        ("8*8*4=256", "8*8*5=320", "memory"),
        ("(3*3*3)*4 + 4 = 112", "(3*3*3)*4 + 4 = 113", "parameters"),
        ("(3*3*3)*4 + 4 = 112", "112 + 1", "parameters"),
        ("params: 0", "params: 1", "parameters"),
    ]:
        found = check(row.replace(right, wrong))
        if wrong == "112 + 1":  # no sum: its first figure is the claim
            assert not differing(found)
        else:
            assert differing(found, kind=kind), wrong


@pytest.mark.parametrize(
    ("said", "verdict", "note"),
    [
        ("(not counting biases)", "agrees", "without biases, as the listing says"),
        ("", "agrees", "without biases, as all its lines count"),
    ],
)
def test_biases_are_counted_as_the_listing_counts_them(said: str, verdict: str, note: str) -> None:
    text = f"INPUT: [8x8x3] {said}\n" + "\n".join(f"CONV3-4: [8x8x4] params: (3*3*{n})*4 = {36 * n}" for n in (3, 4, 4))
    claims = [c for c in check(text).claims if c.kind == "parameters"]
    assert {(c.verdict, c.note) for c in claims} == {(verdict, note)}
    assert len(claims) == 3


def test_biases_left_out_without_a_word_are_said() -> None:
    slide = "Input: 227x227x3 images\n**First layer (CONV1):** 96 11x11 filters applied at stride 4\n"
    slide += "=>\nOutput volume **[55x55x96]**\n"
    rounded = the(slide + "Parameters: $(11 \\times 11 \\times 3) \\times 96 = 35K$", kind="parameters")
    assert (rounded.verdict, rounded.computed) == ("rounds to", "34,944 (34.94K)")  # 34,848 and 34,944 are both 35K
    assert rounded.note == "with biases; 34,848 leaves the 96 biases out"
    wrong = the(slide + "Parameters: $(11 \\times 11 \\times 3) \\times 96 = 34.8K$", kind="parameters")
    assert (wrong.verdict, wrong.computed) == ("differs", "34,944 (34.94K)")
    right = the(slide + "Parameters: $(11 \\times 11 \\times 3 + 1) \\times 96 = \\mathbf{35K}$", kind="parameters")
    assert right.verdict == "rounds to"
    assert the(slide, kind="volume").verdict == "agrees"


def test_a_layer_that_does_not_fit_is_said_with_its_sum() -> None:
    text = "[224x224x3] INPUT\n[55x55x96] CONV1: 96 11x11 filters at stride 4, pad 0\n"
    text += "[27x27x96] MAX POOL1: 3x3 filters at stride 2"
    first, second = (c for c in check(text).claims if c.kind == "volume")
    assert (first.verdict, first.computed) == ("differs", "cannot be placed")
    assert "(224 - 11)/4 + 1 = 54.25" in first.note
    assert second.verdict == "agrees"  # held against the volume that the line before states


@pytest.mark.parametrize(("stride", "verdict"), [(1, "differs"), (2, "differs"), (3, "agrees")])
def test_what_is_said_to_be_impossible(stride: int, verdict: str) -> None:
    claim = the(f"7x7 input\nassume 3x3 connectivity, stride 1\nwhat about stride {stride}? **Cannot.**", kind="volume")
    assert claim.verdict == verdict
    assert stride != 3 or "(7 - 3)/3 + 1 = 2.333" in claim.note


@pytest.mark.parametrize(
    ("text", "kind", "verdict", "computed"),
    [
        ("Number of parameters:\n$$10 * 4 * 4 * 10 + 10 = 1600$$", "parameters", "differs", "1,610"),
        ("Number of parameters in this layer?\n10*4*4*10 + 10 = 1,610", "parameters", "agrees", "1,610"),
        ("#weights in the layer: 4*4*10 * 10 = 1600", "weights", "agrees", "1,600"),
        ("parameters: 1,610", "parameters", "agrees", "1,610"),
    ],
)
def test_parameters_of_a_worked_example(text: str, kind: str, verdict: str, computed: str) -> None:
    claim = the(f"input: [4x4x10]\nFully-Connected FC layer to 10 neurons\n{text}", kind=kind)
    assert (claim.verdict, claim.computed) == (verdict, computed)


def test_neurons_that_share_nothing_and_neurons_that_do() -> None:
    text = "Assume input [$32 \\times 32 \\times 3$]\n"
    text += "30 neurons with receptive fields **5x5**, applied at **stride 1/pad 2**:\n"
    text += "=> Output volume: [$32 \\times 32 \\times 30$] ($32 \\times 32 \\times 30 = 30720$ neurons)\n"
    text += "Each neuron has $5 \\times 5 \\times 3$ (=75) weights\n"
    alone = check(text + "=> Number of weights in such layer: $30720 \\times 75 = 2,304,000$\n").claims
    assert [(c.kind, c.verdict) for c in alone] == [
        *(("volume", "agrees"), ("neurons", "agrees"), ("weights", "agrees"), ("weights", "agrees"))
    ]
    shared = check(text + "Now: (parameter sharing)\n#weights in the layer: $30 * 75 = 2250.$").claims[-1]
    assert (shared.kind, shared.verdict, shared.stated) == ("weights", "agrees", "30 * 75 = 2250")
    slip = check(
        text + "=> Number of weights in such layer: $39720 \\times 75 \\approx 3 \\text{ million :}$\n"
    ).claims[-1]
    assert (slip.verdict, slip.computed) == ("differs", "2,304,000 (2.304 million)")


def test_a_total_of_operations_and_what_it_counts_twice() -> None:
    lines = ["[1x1 conv, 64] 28x28x64x1x1x256", "[3x3 conv, 192] 28x28x192x3x3x64", "**Total: 100M ops**"]
    assert the("\n".join(lines), about="total").verdict == "rounds to"
    twice = the("\n".join([*lines[:2], "Total: 186M ops"]), about="total")
    assert twice.verdict == "differs"
    assert "counts 3x3 conv, 192 of line 2 twice" in twice.note


def test_googlenets_first_row() -> None:
    wrong = differing(check(GOOGLENET))
    assert [(c.line, c.kind, c.stated) for c in wrong] == [(2, "parameters", "2.7K"), (2, "operations", "34M")]
    assert "9,408 without" in wrong[0].note  # 7×7×3×64
    assert wrong[1].computed == "118,013,952 (118M)"
    moved = check(GOOGLENET.replace("28×28×256", "28×28×255"))
    assert differing(moved, about="inception3a", kind="volume", computed="28x28x256")


# ── whole decks ──


def test_the_decks_are_read_whole(decks: list[Found]) -> None:
    assert [len(found.claims) for found in decks] == [317, 9, 377, 115, 206]
    assert [found.counts["differs"] for found in decks] == [26, 0, 9, 4, 15]


@pytest.mark.parametrize(
    ("deck", "line", "fields"),
    [  # each looked up in the lecture, and computed again by hand
        (
            0,
            591,
            {"kind": "volume", "stated": "32x32x30", "computed": "30x30x30"},
        ),  # pad 1 does not keep the grid of 5×5
        (0, 610, {"kind": "weights", "stated": "39720 x 75 ≈ 3 million", "computed": "2,304,000 (2.304 million)"}),
        (0, 627, {"kind": "arithmetic", "stated": "30720 x 75 ≈ 3 million", "computed": "2,304,000 (2.304 million)"}),
        (0, 646, {"kind": "arithmetic", "stated": "(32*32*30) * 75 = 3 million"}),
        (0, 984, {"kind": "volume", "stated": "16x16x10", "computed": "14x14x10"}),  # its padding is forgotten
        (0, 1036, {"kind": "parameters", "stated": "10 * 4 * 4 * 10 + 10 = 1600", "computed": "1,610"}),
        (0, 1063, {"about": "column D", "kind": "weight layers", "stated": "16", "computed": "13"}),  # rows are missing
        (0, 1200, {"about": "total", "stated": "24M", "computed": "15,237,608 (15.24M)"}),
        (0, 1200, {"kind": "arithmetic", "stated": "24M * 4 bytes ≈ 93MB", "computed": "96,000,000 (96MB)"}),
        (0, 1200, {"about": "total", "stated": "93MB", "computed": "60,950,432 (60.95MB)"}),
        (2, 701, {"about": "total", "stated": "24M"}),
        (2, 701, {"about": "total", "stated": "96MB"}),
        (2, 1105, {"about": "total", "stated": "358M", "computed": "271,351,808 (271.4M)"}),
        (2, 1114, {"kind": "arithmetic", "computed": "526,848 (526.8k)"}),
        (3, 563, {"kind": "arithmetic", "stated": "24M * 4 bytes ≈ 93MB"}),
        (4, 974, {"about": "total", "stated": "24M", "computed": "15,237,608 (15.24M)"}),
        (4, 1003, {"about": "convolution1", "kind": "parameters", "stated": "2.7K"}),
        (4, 1003, {"about": "convolution1", "kind": "operations", "stated": "34M"}),
        (4, 1012, {"about": "inception4c", "kind": "parameters", "stated": "463K", "computed": "510,104 (510.1K)"}),
        (4, 1016, {"about": "inception5a", "kind": "operations", "stated": "54M", "computed": "51,079,168 (51.08M)"}),
    ],
)
def test_what_is_wrong_in_the_lectures_is_found(
    decks: list[Found], deck: int, line: int, fields: dict[str, object]
) -> None:
    assert differing(decks[deck], line=line, **fields)


@pytest.mark.parametrize(
    ("deck", "fields"),
    [
        (0, {"line": 432, "kind": "weights", "stated": "5x5x3 = 75", "verdict": "agrees"}),
        (0, {"line": 456, "kind": "volume", "stated": "cannot", "verdict": "agrees"}),
        (0, {"line": 650, "kind": "weights", "stated": "30 * 75 = 2250", "verdict": "agrees"}),
        (0, {"line": 1202, "about": "total", "stated": "138M", "verdict": "rounds to"}),
        (1, {"line": 354, "kind": "parameters", "stated": "76*10 = 760", "verdict": "agrees"}),
        (3, {"line": 342, "kind": "parameters", "stated": "76*10 = 760", "verdict": "agrees"}),
        (2, {"line": 231, "kind": "parameters", "computed": "34,944 (34.94K)", "verdict": "rounds to"}),
        (2, {"line": 701, "kind": "arithmetic", "stated": "24M * 4 bytes ≈ 96MB", "verdict": "agrees"}),
        (2, {"line": 979, "kind": "arithmetic", "computed": "526,848", "verdict": "agrees"}),
        (2, {"line": 1011, "about": "total", "stated": "854M", "verdict": "rounds to"}),
        (4, {"line": 797, "kind": "parameters", "computed": "34,944 (34.94K)", "verdict": "rounds to"}),
        (4, {"line": 309, "kind": "parameters", "computed": "456", "verdict": "agrees"}),
        (4, {"line": 313, "kind": "operations", "computed": "352,800", "verdict": "agrees"}),
        (4, {"line": 1164, "about": "50-layer", "kind": "operations", "verdict": "rounds to"}),
        (
            4,
            {
                "line": 1005,
                "about": "convolution2",
                "stated": "112K",
                "note": "a K of 1,024; with biases; 114,688 without",
            },
        ),
    ],
)
def test_what_is_right_in_the_lectures_is_left_alone(decks: list[Found], deck: int, fields: dict[str, object]) -> None:
    assert any(all(getattr(c, k) == v for k, v in fields.items()) for c in decks[deck].claims)


def test_a_table_that_is_not_whole_is_not_judged(decks: list[Found]) -> None:
    """In the fourth deck VGG's 1x1 convolutions stand one column too far left, and a column's name is cut off."""
    tables = [one for one in decks[3].listings if one.line in (567, 647)]
    assert [one.column for one in tables] == ["B", "C", "D", "B", "C", "D", "E"]
    assert {one.notes[-1] for one in tables} == {
        "the table is not whole: cells are missing or in the wrong column, so what it states is not judged"
    }
    assert not [claim for claim in decks[3].claims if claim.kind == "weight layers"]
    whole = "B\tC\n10 weight layers\t3 weight layers\nconv3-64\tconv3-64\n\tconv1-64\nmaxpool\t\nFC-10\t\n"
    assert [c.verdict for c in check("ConvNet Configuration\t\n" + whole).claims] == ["differs", "agrees"]


def test_a_total_is_of_the_listing_that_it_ends() -> None:
    text = "[8x8x3] INPUT\n[8x8x4] CONV1: 4 3x3 filters at stride 1, pad 1\n{}TOTAL params: 200 parameters"
    assert the(text.format(""), about="total").verdict == "differs"
    assert the(text.format("").replace("200", "112"), about="total").verdict == "agrees"
    assert [c.kind for c in check(text.format("# VGGNet\n7.3% error\nand more\n")).claims] == ["volume"]


def test_a_total_before_its_listing_belongs_to_none(decks: list[Found]) -> None:
    """In the fourth deck VGG's totals stand right behind AlexNet's listing."""
    assert [claim.kind for claim in decks[3].claims if claim.line in (563, 565)] == ["arithmetic"]
