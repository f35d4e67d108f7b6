"""A walk through a text: networks grow where lines speak of layers, and what is said is held against them.

An input starts a network; a layer goes on the volume before it; "stride 2" alone changes the last layer;
"Output volume: 28x28x5", "params: 0" or "=> 5x5 output" claim something of it. A network that nobody speaks of any more
for a while is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from striate.blueprint.notation.changes import FORM as CHANGED
from striate.blueprint.notation.changes import Change, read_changes, varied
from striate.blueprint.notation.claims import Claim, Listing, of_chain, of_figure, of_sum, of_volume, weights_of
from striate.blueprint.notation.figures import AGREES, DIFFERS, Chain, Figure, chains, figure_in
from striate.blueprint.notation.network import ALEXNET, EXAMPLE, LEDGER, Count, Network, of_each, of_number
from striate.blueprint.notation.sentences import Row, Spec, field, numbers, read_row, read_spoken
from striate.blueprint.notation.text import refuse
from striate.blueprint.notation.tidy import Line
from striate.blueprint.refusal import Refusal
from striate.blueprint.volume import Volume

PATIENCE = 12  # lines about something else, after which a network is done
CLOSE = 2  # lines between a network and a total that is its own
SHORT = 60  # signs of a line that only changes a stride or says "cannot"
GRID = r"\[?\s*(\d{1,6}\s{0,3}x\s{0,3}\d{1,6}(?:\s{0,3}x\s{0,3}\d{1,7})?)(?![\dx])\s*\]?"
GIVEN = re.compile(
    rf"\b(?:input|(?<!new )image)\b[^0-9\[]{{0,20}}{GRID}(?!\s*[x=*])"
    rf"|{GRID}\s*(?:input|image)\b|layer had size\s*{GRID}",
    re.I,
)
AFTER = re.compile(rf"\bafter\s+([A-Z]{{2,8}}\d{{0,3}})\s*:\s*{GRID}", re.I)
CLAIMED = re.compile(
    rf"(?:output volume\b[^0-9\[]{{0,12}}|gives\s*:?\s*|\bso:?\s+|=>\s*|new image\W{{0,3}} of size\s*)"
    rf"{GRID}(?!\s*[x=*])"
    rf"|^\s*{GRID}\s*(?:output|=>)",
    re.I,
)
ALONE = re.compile(rf"\s*{GRID}\s*")
LEADS = re.compile(r"(?:\bso|=>|\bgives|\bis)\s*:?\s*$", re.I)
LAST = re.compile(r"\bafter\b.{0,30}:$", re.I)
CANNOT = re.compile(r"(?:^|[?.:]\s{0,3})\W{0,3}cannot\b|does(?:n['’]t| not) fit|\bcan ?not apply", re.I)
LABEL = re.compile(r"\b(memory|params|parameters|weights|multiplications|operations)\b[^:?\d(=]{0,40}[:?]", re.I)
EACH = re.compile(r"\beach (?:neuron|filter) has\b|\bweights for each\b", re.I)
TOTAL = re.compile(r"\s*TOTAL (memory|params|parameters)\s*:(.*)", re.I)
UNCOUNTED = re.compile(r"not counting bias|without bias|no bias", re.I)


class Walk:
    """`take` each line; `networks` when all are taken. `told` are the sums (line, sign) that a claim is about."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.listings: list[Listing] = []
        self.net: Network | None = None
        self.model: Network | None = None  # the last listing, which others may be changes of
        self.told: set[tuple[int, int]] = set()
        self.idle = 0  # lines since the network was last spoken of
        self.topic: tuple[str, bool] | None = None  # what the next sum is about, and whether of each neuron
        self.whole = ""  # the topic that comes back after "each filter has"
        self.loose: tuple[int, int | None, int | None] = (
            -9,
            None,
            None,
        )  # at which line a stride and a pad stood alone
        self.seen = 0  # lines with words
        self.before = ""

    def take(self, line: Line) -> bool:
        """Whether the line said something of a network."""
        self.seen += 1
        took = self._take(line)
        self.idle = 0 if took else self.idle + 1
        if self.idle > PATIENCE:
            self.close()
        self.before = line.bare
        return took

    def _take(self, line: Line) -> bool:
        if UNCOUNTED.search(line.text) and self.net:
            self.net.uncounted = True
        if found := TOTAL.match(line.text):
            return self._total(line, found)
        if changes := read_changes(line):
            return self._vary(line, changes)
        if row := read_row(self.text, line):
            self._row(line, row)
            return True
        took = False
        if given := GIVEN.search(line.text):
            self._begin(line, numbers(given[0]))
            took = True
        elif after := AFTER.search(line.text):
            return self._after(line, after[1].lower(), numbers(after[2]))
        elif LAST.search(self.before) and (alone := ALONE.fullmatch(line.text)):
            return self._after(line, "", numbers(alone[1]))
        each = EACH.search(line.text)
        if self.net and not each and (spec := read_spoken(line)):
            self._grow(line, partial(self.net.add, self._loosened(line, spec)))
            took = True
        elif self.net and not each:
            took = self._change(line) or took
        return self._claims(line) or took

    # ── the network grows ──

    def _begin(self, line: Line, size: tuple[int, ...]) -> None:
        self.close()
        try:
            volume = Volume(
                size[2] if len(size) > 2 else 1 if len(size) > 1 else size[0], *(size[:2] if len(size) > 1 else ())
            ).checked()
        except Refusal as refusal:
            raise refuse(self.text, line.at(0), refusal.fact) from None
        self.net = Network(line.number, volume, flat=len(size) == 2)

    def _row(self, line: Line, row: Row) -> None:
        if row.spec is None:
            self._begin(line, row.volume or ())
            if self.net:
                self.net.uncounted = bool(UNCOUNTED.search(line.text))
        else:
            self.net = self.net or Network(line.number, None)
            if self.net.form == EXAMPLE:
                self.net.form = ALEXNET if line.bare[:1] == "[" else LEDGER
            self._grow(line, partial(self.net.add, row.spec, row.ledger))
            if row.volume:
                self._volume(line, row.volume)
        self._labelled(line)

    def _grow(self, line: Line, what: Callable[[], None]) -> None:
        try:
            what()
        except Refusal as refusal:
            raise refuse(self.text, line.at(0), refusal.fact) from None

    def _vary(self, line: Line, changes: list[Change]) -> bool:
        """The network before, a little different: only where there is one with such layers."""
        model = self.net if self.net and self.net.form != EXAMPLE else self.model
        if not model or not any(change.name in model.specs for change in changes):
            return False
        if model.form != CHANGED:
            self.close()
        try:
            self.net = varied(model, line.number, changes)
        except Refusal as refusal:
            raise refuse(self.text, line.at(0), refusal.fact) from None
        return True

    def _loosened(self, line: Line, spec: Spec) -> Spec:
        """The stride that the line before spoke of, where this line does not."""
        seen, stride, pad = self.loose
        if seen < self.seen - 1 or field("stride", line.text):
            return spec
        return spec._replace(stride=stride or spec.stride, pad=spec.pad if pad is None else pad)

    def _change(self, line: Line) -> bool:
        """A stride, a padding, a number of neurons alone: the last layer has it."""
        net = self.net
        assert net
        if len(line.bare) > SHORT or "=" in line.text.replace("=>", ""):
            return False
        stride, pad, neurons = field("stride", line.text), field("pad", line.text), field("neurons", line.text)
        shares = "sharing" in line.text.lower()
        if not (stride or pad or neurons or shares):
            return False
        self.loose = (self.seen, stride[0] if stride else None, pad[0] if pad else None)
        spec = net.spec
        if not spec or spec.kind not in ("conv", "maxpool", "avgpool"):
            return False
        changed = spec._replace(stride=stride[0] if stride else spec.stride, pad=pad[0] if pad else spec.pad)
        if neurons and spec.out is None and spec.kind == "conv":
            changed = changed._replace(out=neurons[0], shared=False)
        if shares:
            changed = changed._replace(shared=True)
        self._grow(line, partial(net.change, changed))
        return True

    def _after(self, line: Line, name: str, size: tuple[int, ...]) -> bool:
        """ "After CONV1: 55x55x96": of a layer that is there it is a claim, else the network goes on from here."""
        if self.net and name and self.net.last == name:
            self._volume(line, size)
            return True
        self._begin(line, size)
        return True

    # ── what is said of it ──

    def _claims(self, line: Line) -> bool:
        net = self.net
        if not net or not net.spec:
            return False
        took = False
        if CANNOT.search(line.text) and len(line.bare) <= SHORT + 20:
            can = f"{net.graph.output.height}x{net.graph.output.width}" if net.graph else "cannot"
            net.say(
                Claim(
                    line.number,
                    net.last,
                    "volume",
                    "cannot",
                    can,
                    DIFFERS if net.graph else AGREES,
                    net.why if not net.graph else "",
                )
            )
            took = True
        elif found := CLAIMED.search(line.text):
            self._volume(line, numbers(next(group for group in found.groups() if group)))
            took = True
        elif LEADS.search(self.before) and (alone := ALONE.fullmatch(line.text)):
            self._volume(line, numbers(alone[1]))
            took = True
        return self._labelled(line) or took

    def _volume(self, line: Line, stated: tuple[int, ...]) -> None:
        net = self.net
        assert net
        if net.graph:
            flat = net.flat or (net.spec is not None and net.spec.kind == "conv" and net.spec.out is None)
            net.say(of_volume(line.number, net.last, stated, net.graph.output, flat))
            return
        if net.base:
            said = "x".join(map(str, stated))
            net.say(Claim(line.number, net.last, "volume", said, "cannot be placed", DIFFERS, net.why))
        if len(stated) == 3:
            net.here = Volume(stated[2], *stated[:2])

    def _labelled(self, line: Line) -> bool:
        """Memory and parameters: "params: 0", "Each neuron has 5x5x3 (=75) weights", "Parameters:" and its sum."""
        net = self.net
        assert net
        sums = chains(line.text)
        for chain in sums:
            if line.text[chain.at : chain.end].endswith("neurons") and net.graph:
                self.told.add((line.number, chain.at))
                net.say(*of_chain(line.number, net.last, "neurons", chain, net.graph.output.size))
                return True
        if EACH.search(line.text):
            kind = "weights" if "weight" in line.text.lower() else "parameters"
            self.topic = (kind, True)
            if sums:
                self._number(line, kind, sums[0], each=True)
                self.topic = (self.whole, False) if self.whole else None
            return True
        labels = list(LABEL.finditer(line.text))
        for label, following in zip(labels, [*labels[1:], None], strict=False):
            end = following.start() if following else len(line.text)
            kind = {"params": "parameters", "multiplications": "operations"}.get(label[1].lower(), label[1].lower())
            inside = [chain for chain in sums if label.end() <= chain.at < end]
            figure = figure_in(line.text[label.end() : end])
            if inside or figure:
                self._number(line, kind, inside[0] if inside else figure)  # type: ignore[arg-type]
                self.topic, self.whole = None, ""
            else:
                self.topic, self.whole = (kind, False), kind
        if not labels and sums and self.topic and net.graph:
            kind, each = self.topic
            self._number(line, kind, sums[0], each)
            self.topic = (self.whole, False) if each and self.whole else None
            return True
        if not labels and self.idle > 2:
            self.topic, self.whole = None, ""
        return bool(labels)

    def _number(self, line: Line, kind: str, said: Chain | Figure, each: bool = False) -> None:
        net = self.net
        assert net
        if isinstance(said, Chain):
            self.told.add((line.number, said.at))
        if not net.graph and net.specs:
            if isinstance(said, Chain):
                net.say(of_sum(line.number, said))
            return
        volume = net.graph.output if net.graph else net.volume
        net.facts += 1
        if kind in ("memory", "operations"):
            values, macs = volume.size if volume else 0, net.graph.macs if net.graph else 0
            note = "multiply-adds" if kind == "operations" else ""
            net.say(*of_number(line.number, net.last, kind, said, macs if note else values, note))
            return
        weights, biases = weights_of(net.graph) if net.graph else (0, 0)
        about = net.last
        if each and net.graph:
            weights, biases, about = *of_each(net.graph), f"each of {net.last}"
        net.say(Count(line.number, about, kind, said, weights, biases))

    def _total(self, line: Line, found: re.Match[str]) -> bool:
        """A total is of the listing that it ends, or whose lines say what it adds up: decks have notes between."""
        net = self.net
        ours = net and (self.idle <= CLOSE or (net.facts and net.form != EXAMPLE))
        if not net or not ours or not (figure := figure_in(found[2])):
            return False
        if found[1].lower() != "memory":
            net.say(Count(line.number, "total", "parameters", figure, *net.totals[1:]))
            return True
        values = net.totals[0]
        net.say(of_figure(line.number, "total", "memory", figure, values, "values, the input among them"))
        for chain in chains(line.text)[:1]:
            self.told.add((line.number, chain.at))
            net.say(of_sum(line.number, chain))
            if chain.stated.figure and chain.stated.figure.text.endswith("B"):
                net.say(of_figure(line.number, "total", "memory", chain.stated.figure, 4 * values, "bytes, 4 a value"))
        return True

    def close(self) -> None:
        """The network is done."""
        net, self.net = self.net, None
        self.topic, self.whole = None, ""
        if net and net.specs:
            self.model = net if net.form != EXAMPLE else self.model
            self.listings.append(net.listing())
