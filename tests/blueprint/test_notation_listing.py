"""The forms of lectures and papers become the networks they describe; a slip in one is shown where it stands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from striate.blueprint import Graph, Refusal, Volume, draft
from striate.blueprint.notation import Choice, Reading, read
from striate.blueprint.notation.listing import check, read_listing
from striate.blueprint.notation.tidy import tidy
from striate.blueprint.refusal import CannotRead

ALEXNET = """\
Full (simplified) AlexNet architecture:
[227x227x3] INPUT
[55x55x96] **CONV1**: 96 11x11 filters at stride 4, pad 0
[27x27x96] MAX POOL1: 3x3 filters at stride 2
[27x27x96] NORM1: Normalization layer
- [27x27x256] CONV2: 256 $5 \\times 5$ filters at stride 1, pad 2
[13x13x256] MAX POOL2: 3x3 filters at stride 2
[13x13x256] NORM2: Normalization layer
[13x13x384] CONV3: 384 3×3 filters at stride 1, pad 1
[13x13x384] CONV4: 384 3x3 filters at stride 1, pad 1
把另一GPU的也拿来
[13x13x256] CONV5: 256 3x3 filters at stride 1, pad 1
[6x6x256] MAX POOL3: 3x3 filters at stride 2
[4096] FC6: 4096 neurons
[4096] FC7: 4096 neurons
[1000] FC8: 1000 neurons (class scores)
"""
VGG = """\
ConvNet Configuration
A	A-LRN	C	D
11 weight layers	11 weight layers	16 weight layers	16 weight layers
input (224×224 RGB image)
conv3-64	conv3-64 LRN	conv3-64 conv3-64	conv3-64 conv3-64
maxpool
conv3-128	conv3-128	conv3-128 conv3-128	conv3-128 conv3-128
maxpool
conv3-256 conv3-256	conv3-256 conv3-256	conv3-256 conv3-256	conv3-256 conv3-256
		conv1-256	<b>conv3-256</b>
maxpool
conv3-512 conv3-512	conv3-512 conv3-512	conv3-512 conv3-512 conv1-512	conv3-512 conv3-512 conv3-512
maxpool
conv3-512 conv3-512	conv3-512 conv3-512	conv3-512 conv3-512 conv1-512	conv3-512 conv3-512 conv3-512
maxpool
FC-4096
FC-4096
FC-1000
soft-max
"""
ALPHAGO = """\
policy network:
[$19 \\times 19 \\times 48$] Input
CONV1: 192 5×5 filters , stride 1, pad 2 => [$19 \\times 19 \\times 192$]

CONV2..12: 192 3×3 filters, stride 1, pad 1 => [$19 \\times 19 \\times 192$]

CONV: 1 1×1 filter, stride 1, pad 0 => [19×19] (*probability map of promising moves*)
"""
PATTERN = "[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K,SOFTMAX"
CELL = r"$\begin{bmatrix} 1 \times 1, 64 \\ 3 \times 3, 64 \\ 1 \times 1, 256 \end{bmatrix} \times 3$"


def graph(reading: Reading, volume: str | None = None) -> Graph:
    return draft(reading.blueprint, reading.volume or volume or "3x224x224")


@pytest.fixture(scope="module")
def decks(shared: Path) -> list[str]:
    found = [path.read_text(encoding="utf-8") for path in sorted((shared.parent / "lectures").glob("*.txt"))]
    if not found:
        pytest.skip("needs the lectures in ../shared/lectures")
    return found


# ── each form is its network ──


def test_alexnets_listing() -> None:
    reading = read_listing(ALEXNET)
    placed = graph(reading)
    assert reading.volume == Volume(3, 227, 227)
    assert placed.parameters == 62_378_344  # 61,100,840 of today's variant has other widths
    assert [str(placed[name].output) for name in ("conv1", "pool1", "conv5", "pool3", "fc6", "fc8")] == [
        *("96×55×55", "96×27×27", "256×13×13", "256×6×6", "4096", "1000")
    ]
    assert [name for name in ("relu5", "relu7", "relu8") if name in placed] == ["relu5", "relu7"]
    assert [line.line for line in reading.skipped] == [1, 11]
    assert {claim.verdict for claim in reading.claims} == {"agrees"}
    assert len(reading.claims) == 13


@pytest.mark.parametrize(
    ("column", "parameters"),
    [("A", 132_863_336), ("a-lrn", 132_863_336), ("C", 133_638_952), ("D", 138_357_544)],
)
def test_a_column_of_vggs_table(column: str, parameters: int) -> None:
    reading = read_listing(VGG, column=column)
    assert graph(reading).parameters == parameters
    assert reading.volume == Volume(3, 224, 224)
    assert {claim.verdict for claim in reading.claims} == {"agrees"}  # the weight layers


def test_a_table_of_several_wants_one() -> None:
    with pytest.raises(CannotRead, match=r"Cannot choose among 4 columns: A, A-LRN, C, D.") as refused:
        read_listing(VGG)
    assert "--column A" in str(refused.value)
    with pytest.raises(CannotRead, match=r'Cannot read column "F". Its columns: A, A-LRN, C, D.'):
        read_listing(VGG, column="F")


def test_no_row_of_a_table_is_passed_over() -> None:
    said = read_listing("slide 7\n" + VGG + "that was VGG", column="D").skipped
    assert [line.text for line in said] == ["slide 7", "that was VGG"]


def test_a_convolution_alone_in_a_row_is_of_its_own_column() -> None:
    text = "B\tC\nconv3-64\tconv3-64\nconv1-64\t\n\tconv1-32\nmaxpool\t\nFC-10"
    text = f"ConvNet Configuration\n{text}"
    widths = {
        column: [
            node.placed.weights["weight"][0] for node in graph(read_listing(text, column=column)) if "conv" in node.name
        ]
        for column in "BC"
    }
    assert widths == {"B": [64, 64], "C": [64, 32]}
    assert graph(read_listing(text, column="C"))["fc2"].output == Volume(10)


@pytest.mark.parametrize("between", [" ", "\n", "\n\n", " | "])
def test_one_column_of_vgg_on_a_line_or_on_many(between: str) -> None:
    said = ["conv3-64", "LRN", "maxpool", "conv1-128", "maxpool", "FC-4096", "FC-1000", "soft-max"]
    placed = graph(read_listing(between.join(said)), "3x224x224")
    assert placed["conv2_1"].output == Volume(128, 112, 112)
    assert placed["conv2_1"].placed.weights["weight"] == (128, 64, 1, 1)
    assert "relu3" in placed
    assert "relu4" not in placed
    assert placed.nodes[-1].name == "softmax"


def test_a_column_drawn_from_the_bottom_up() -> None:
    placed = graph(read_listing("FC-1000  \nMaxPool  \nConv-128  \nConv-64\n\nImage"), "3x32x32")
    assert [node.output.channels for node in placed if node.name.startswith("conv")] == [64, 128]


@pytest.mark.parametrize("letter", ["x", "×", "*"])
def test_ledger_lines(letter: str) -> None:
    text = "INPUT: [8x8x3] memory: 8*8*3=192 params: 0\nCONV3-4: [8x8x4]\nPOOL2: [4x4x4]\nFC: [1x1x10]"
    placed = graph(read_listing(text.replace("x", letter)))
    assert placed.volume == Volume(3, 8, 8)
    assert placed["conv1_1"].output == Volume(4, 8, 8)
    assert placed["pool1"].output == Volume(4, 4, 4)
    assert placed["fc2"].output == Volume(10)


def test_alphagos_lines_have_eleven_alike() -> None:
    placed = graph(read_listing(ALPHAGO))
    assert [node.name for node in placed if node.name.startswith("conv")] == [f"conv{n}" for n in range(1, 13)] + [
        "conv"
    ]
    # weights: 5·5·48·192 + 11·(3·3·192·192) + 192; biases: 12·192 + 1
    assert placed.parameters == 230_400 + 11 * 331_776 + 192 + 12 * 192 + 1
    assert placed.output == Volume(1, 19, 19)


def test_a_pattern_with_numbers() -> None:
    reading = read_listing(PATTERN, numbers={"N": 2, "M": 3, "K": 1})
    placed = graph(reading, "3x32x32")
    convs = [node for node in placed if node.name.startswith("conv")]
    assert [node.output.channels for node in convs] == [64, 64, 128, 128, 256, 256]
    assert {node.placed.weights["weight"][2:] for node in convs} == {(3, 3)}
    assert [str(node.output) for node in placed if node.name.startswith("fc")] == [
        "4096",
        "1000",
    ]  # scores, not rectified
    assert placed.nodes[-1].name == "softmax1"
    assert any("doubled after each POOL" in note for note in reading.notes)
    assert any("kept" in note for note in reading.notes)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("[CONV-RELU-POOL]x2,[FC-RELU]x1,SOFTMAX", "conv relu pool conv relu pool fc relu fc softmax"),
        ("- Typical ConvNets look like: [CONV-RELU-POOL]x1,[FC]x1,\nSOFTMAX or", "conv relu pool fc softmax"),
        ("i.e. architecture is [CONV-POOL-CONV-POOL-FC-FC]", "conv pool conv pool fc fc"),
        ("CONV-RELU-POOL-FC", "conv relu pool fc"),
        ("INPUT => [[CONV => RELU]*2 => POOL]*1 => FC", "conv relu conv relu pool fc"),
        (" $[(CONV-RELU)^*2-POOL?]^*1-(FC-RELU)^*0,SOFTMAX$", "conv relu conv relu pool fc softmax"),
    ],
)
def test_patterns_as_they_are_written(text: str, layers: str) -> None:
    placed = graph(read_listing(text), "3x32x32")
    assert " ".join(node.name.rstrip("0123456789") for node in placed.nodes[1:]) == layers


def test_what_a_pattern_leaves_open_can_be_set() -> None:
    numbers = {"N": 1, "M": 2, "K": 1, "CHANNELS": 8, "KERNEL": 5, "FC": 100, "CLASSES": 10, "POOL": 0}
    placed = graph(read_listing(PATTERN, numbers=numbers), "3x32x32")
    assert placed["conv2"].placed.weights["weight"] == (8, 8, 5, 5)
    assert "pool1" not in placed
    assert (placed["fc1"].output, placed.output) == (Volume(100), Volume(10))


def test_a_letter_without_a_number_is_asked_for() -> None:
    with pytest.raises(CannotRead) as refused:
        read_listing(PATTERN, numbers={"M": 3})
    assert "N and K have no numbers." in str(refused.value)
    assert "--set N=2 --set K=3" in str(refused.value)
    with pytest.raises(CannotRead, match="Cannot set Q"):
        read_listing("[CONV-POOL]*2-FC", numbers={"Q": 3})


def test_a_cell_of_resnets_table_is_a_stage() -> None:
    placed = graph(read_listing(CELL), "64x56x56")
    assert placed.output == Volume(256, 56, 56)
    assert sum(node.op == "add" for node in placed) == 3
    assert sum("project" in node.name and node.name.endswith("conv") for node in placed) == 1


@pytest.mark.parametrize(
    ("column", "parameters"),  # torchvision's counts
    [("18-layer", 11_689_512), ("34", 21_797_672), ("50", 25_557_032), ("101-layer", 44_549_160), ("152", 60_192_808)],
)
def test_resnets_table_in_the_lecture(decks: list[str], column: str, parameters: int) -> None:
    reading = read_listing(decks[4], column=column)
    assert graph(reading).parameters == parameters
    assert reading.claims
    assert {claim.verdict for claim in reading.claims} <= {"agrees", "rounds to"}


def test_googlenets_table_in_the_lecture(decks: list[str]) -> None:
    deck = decks[4].split("\n")
    rows = "\n".join(deck[1001:1021])
    reading = read_listing(rows)
    placed = graph(reading)
    assert placed["inception3a"].output == Volume(256, 28, 28)
    assert placed["inception5b"].output == Volume(1024, 7, 7)
    assert placed.output == Volume(1000)
    assert placed.parameters == 6_998_552  # with 5×5, as published; with 3×3 in their place it is 6,624,904 (and norms)
    one_row = read_listing(deck[1006])
    assert draft(one_row.blueprint, "192x28x28").parameters == 163_696


def test_a_table_between_bars_reads_as_one_between_tabs() -> None:
    row = "inception (3a)\t\t28×28×256\t2\t64\t96\t128\t16\t32\t32\t159K\t128M"
    assert read_listing("| " + row.replace("\t", " | ") + " |").blueprint == read_listing(row).blueprint


def test_a_list_of_operations_becomes_its_arms() -> None:
    naive = "[1x1 conv, 128] 28x28x128x1x1x256\n[3x3 conv, 192] 28x28x192x3x3x256\n[5x5 conv, 96] 28x28x96x5x5x256"
    placed = graph(read_listing(naive))
    assert (placed.macs, placed.output) == (854_196_224, Volume(416, 28, 28))
    reduced = "[1x1 conv, 64] 28x28x64x1x1x256\n[3x3 conv, 192]  28 × 28 × 192 × 3 × 3 × 64"
    placed = graph(read_listing(reduced))
    assert (placed.output, placed.volume) == (Volume(192, 28, 28), Volume(256, 28, 28))


@pytest.mark.parametrize(
    ("text", "output", "parameters"),
    [
        ("Input volume: **32x32x3**\n\n10 5x5 filters with stride 1, pad 2", "10×32×32", 760),
        (
            "input: [32x32x3]\nCONV with 10 3x3 filters, stride 1, pad 1:\nRELU\nPOOL with 2x2 filters, stride 2:",
            "10×16×16",
            280,
        ),
        ("Input: 227x227x3 images\n**First layer (CONV1):** 96 11x11 filters applied at stride 4", "96×55×55", 34_944),
        ("Input volume: 32x32x3\nReceptive fields: 5x5, stride 1\nNumber of neurons: 5", "5×28×28", 28 * 28 * 5 * 76),
        ("input: [4x4x10]\nFully-Connected FC layer to 10 neurons", "10", 1_610),
        ("7x7 input (spatially)\nassume 3x3 filter\napplied **with stride 2**", "1×3×3", 10),
    ],
)
def test_worked_examples(text: str, output: str, parameters: int) -> None:
    placed = graph(read_listing(text))
    assert (str(placed.output), placed.parameters) == (output, parameters)


def test_zfnet_is_said_by_what_it_changes() -> None:
    text = (
        ALEXNET
        + """
AlexNet but:
CONV1: change from (11x11 stride 4) to (7x7 stride 2)
CONV3,4,5: instead of 384, 384, 256 filters use 512, 1024, 512
"""
    )
    found = check(text)
    alexnet, zfnet = found.listings
    assert alexnet.blueprint == read_listing(ALEXNET).blueprint
    placed = draft(zfnet.blueprint, zfnet.volume)
    assert placed["conv1"].placed.weights["weight"] == (96, 3, 7, 7)
    assert [str(placed[name].output) for name in ("conv1", "conv3", "conv4", "pool3")] == [
        *("96×111×111", "512×27×27", "1024×27×27", "512×13×13")
    ]
    assert [(c.about, c.verdict) for c in zfnet.claims] == [(f"conv{n}", "agrees") for n in (1, 3, 4, 5)]
    wrong = check(text.replace("(11x11 stride 4) to", "(11x11 stride 3) to")).listings[1].claims[0]
    assert (wrong.stated, wrong.computed, wrong.verdict) == ("11x11 stride 3", "11x11 stride 4", "differs")
    assert not check("AlexNet but:\nCONV1: change from (11x11 stride 4) to (7x7 stride 2)").listings


def test_several_networks_are_not_one() -> None:
    two = ALEXNET + ALPHAGO
    with pytest.raises(
        CannotRead, match=r"Cannot choose among 2 networks: AlexNet's listing from line 2; .* from line 18"
    ):
        read_listing(two)
    assert read_listing(ALEXNET * 3).blueprint == read_listing(ALEXNET).blueprint  # a slide shown three times is one


# ── a slip is shown where it stands ──


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("[227x227x3] INPUT\n[55x55x96] CONV1: 96 11y11 filters at stride 4", 2, 19, "does not say what conv1 is"),
        ("INPUT: [8x8x3]\n**CONV**: [8x8x4] memory", 2, 11, "does not say what conv is"),
        ("conv3-64 conv3-64 maxpool\nconv3-128 conv3-xx maxpool", 2, 11, '"conv3-xx" is no layer'),
        ("conv3-64\nmapool\nFC-10", 2, 1, '"mapool" is no layer of VGG\'s columns. Near: maxpool'),
        ("[(CONV-RELU)*2-POOL]*3-(FC-RELU*2", 1, 34, '")" is missing'),
        ("[(CONV-RELU)*2-POL]*3-FC", 1, 16, '"POL" is no layer of a pattern. Near: pool'),
        ("[CONV-RELU--POOL]", 1, 12, "a layer is missing"),
        ("inception (3a)\t\t28×28×256\t2\t64\t96\t\t16\t32\t32", 1, 35, "#3x3 are missing"),
        ("max pool\t3×3\t56×56×64\t0\t", 1, 10, 'needs its patch size and stride, as 3x3/2, not "3x3"'),
        ("[3x3 conv, 192] 28x28x192x3", 1, 16, "a convolution has six numbers"),
        ("[3x3, 64; 3x3] x 2", 1, 1, "is no cell of ResNet's table"),
    ],
)
def test_a_slip_has_its_line_and_column(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(CannotRead) as refused:
        read_listing(text)
    assert says in str(refused.value)
    assert f"line {line}, column {column}:" in str(refused.value)
    assert "^" in str(refused.value)


ENORMOUS = [
    "conv3-999999999 FC-10",
    "[1000000000x3x3] INPUT\n[1x1x1] CONV1: 5 1x1 filters",
    "[8x8x3] INPUT\n[8x8x4] CONV1: 900000000 3x3 filters",
    "[(CONV-RELU)*9999]*9999-FC",
    "[" * 200 + "CONV-FC" + "]" * 200,
    "x" * 2_000_000,
]


@pytest.mark.parametrize("text", ENORMOUS, ids=lambda text: text[:20])
def test_enormous_numbers_are_refused_at_once(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(Refusal, match=r"Cannot "):
        graph(read_listing(text), "3x32x32")
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("text", ["", "\n\n", "A deck about cats.", "We use ConvNets, [Krizhevsky 2012]", "1 + 1 = 2"])
def test_prose_is_no_listing(text: str) -> None:
    with pytest.raises(CannotRead, match="no line is a row of a listing"):
        read_listing(text)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        *((text, Choice()) for text in (ALEXNET, ALPHAGO, CELL, "conv3-64 FC-10", "[CONV-RELU]*2-FC")),
        (VGG, Choice("D")),
        (PATTERN, Choice(numbers={"N": 2, "M": 3, "K": 1})),
    ],
)
def test_a_listing_reads_as_any_notation(text: str, choice: Choice) -> None:
    assert read(text, choice=choice) == read_listing(text, *choice)


def test_a_tidied_line_knows_where_its_signs_stood() -> None:
    raw = r"  - **CONV1**: $5 \times 5$ filters \rightarrow $28\text{K}$"
    [line] = tidy(raw)
    assert line.bare == "CONV1: 5 x 5 filters => 28K"
    for word in ("CONV1", "filters", "28", "K"):
        assert raw[line.at(line.text.index(word)) :].startswith(word)
    assert raw[line.at(line.text.index("=>")) :].startswith(r"\rightarrow")
