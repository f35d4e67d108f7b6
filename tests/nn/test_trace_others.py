"""Somebody else's module: how it is named and read, what is said of what nobody knows; nothing of it changes."""

import json
import random
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

import striate
from nn.modules_suite import SUITE, Of, of
from nn.small_modules import ByShape, Pyramid
from striate.blueprint import Refusal
from striate.cli import main
from striate.nn import trace

NET = """
import torch
from torch import nn

print("made")

class Net(nn.Module):
    def __init__(self, width=8, head=10):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, head)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

def double():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1))

class Values(Net):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x

broken = 3
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`striate ledger …` in a folder with mymodels.py: (exit code, stdout, stderr)."""
    (tmp_path / "mymodels.py").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["striate", "ledger", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        out, err = capsys.readouterr()
        return done.value.code, out, err

    return run


def changing():
    """Everything that a forward in training would change, and hooks that must not run."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 2))
    module[1].running_mean.uniform_()
    module[0].weight.requires_grad_(False)
    module[4].eval()
    seen = []
    module[0].register_forward_hook(lambda *_: seen.append("forward"))
    module[4].register_forward_pre_hook(lambda *_: seen.append("before"))
    module.register_full_backward_hook(lambda *_: seen.append("back"))
    return module, seen


def test_nothing_of_the_module_changes():
    module, seen = changing()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    before = [(id(p), p.requires_grad, p.device, p.grad) for p in module.parameters()]
    flags, hooks = [part.training for part in module.modules()], [len(part._forward_hooks) for part in module.modules()]
    dice = torch.get_rng_state(), random.getstate()
    trace(module, "3x8x8")
    assert seen == []
    assert [(id(p), p.requires_grad, p.device, p.grad) for p in module.parameters()] == before
    assert [part.training for part in module.modules()] == flags
    assert [len(part._forward_hooks) for part in module.modules()] == hooks
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), dice[0])
    assert random.getstate() == dice[1]
    assert torch.is_grad_enabled()


def test_what_nobody_knows_is_a_question_and_the_totals_are_the_least():
    priced = striate.ledger(
        Of(lambda m, x: m.b(torch.linalg.inv(m.a(x))), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1)), "3x6x6"
    )
    [unknown] = [row for row in priced.rows if row.macs is None]
    assert (unknown.layer, str(unknown.output)) == ("aten.linalg_inv", "4×6×6")
    assert not priced.totals.exact
    assert priced.totals.macs == 36 * (12 + 8)
    text = str(priced)
    assert "≥ 720" in text
    assert "The MACs of linalg_inv are not known" in text
    [line] = (line for line in text.splitlines() if line.startswith("linalg_inv"))
    assert line.split()[4] == "?"


def test_an_operator_of_somebody_s_own_is_a_question_with_its_volume_and_weights():
    library = torch.library.Library("mystery", "FRAGMENT")
    library.define("mix(Tensor x, Tensor w) -> Tensor")
    torch.library.register_fake(
        "mystery::mix", lambda x, w: x.new_empty(x.shape[0], w.shape[0], *x.shape[2:]), lib=library
    )
    library.define("linear(Tensor x) -> Tensor")  # which is not torch's, whatever it is called
    torch.library.register_fake("mystery::linear", torch.empty_like, lib=library)
    net = Of(lambda m, x: torch.ops.mystery.linear(torch.ops.mystery.mix(x, m.w)), w=torch.rand(5, 3))
    _, mixed, line = trace(net, "3x4x4").nodes
    assert (repr(mixed.op), str(mixed.output), mixed.placed.macs, mixed.parameters) == (
        "mystery.mix",
        "5×4×4",
        None,
        15,
    )
    assert (repr(line.op), str(line.output), line.placed.macs) == ("mystery.linear", "5×4×4", None)


def test_numbers_known_only_when_it_runs_are_no_silent_zero():
    graph = trace(Of(lambda m, x: m.fc(x[x > 0][:, None]), fc=nn.Linear(1, 3)), "3x4x4")
    assert graph.unknown
    assert graph.parameters == 6


def test_weights_used_twice_are_a_twin_s():
    graph = trace(SUITE["conv shared"].make(), "3x8x8")
    first, second = (node for node in graph if node.placed.macs)
    assert (second.twin, second.parameters) == (first.name, 0)
    assert second.placed.weights == first.placed.weights


@pytest.mark.parametrize("module", [nn.LSTM(6, 5, 2), nn.LocalResponseNorm(3), nn.GRU(6, 4, bidirectional=True)])
def test_a_module_that_is_one_step_may_be_all_there_is(module):
    graph = trace(module, (torch.rand(1, 7, 6) if isinstance(module, nn.RNNBase) else torch.rand(1, 6, 4, 4),))
    assert [node.name for node in graph][:2] == [
        "input",
        {"LSTM": "lstm", "GRU": "gru"}.get(module._get_name(), "leaf"),
    ]
    assert graph.parameters == sum(parameter.numel() for parameter in module.parameters())
    outs = [out.numel() for out in pytree.tree_leaves(module(torch.rand(1, 7, 6)))] if graph.parameters else [96]
    assert sorted(graph[node].output.size for node in graph.taps.values()) == sorted(outs)


def test_weights_never_read_stand_in_rows_of_their_own():
    priced = striate.ledger(Of(lambda m, x: m.used(x), used=nn.Conv2d(3, 2, 1), spare=nn.Linear(7, 5)), "3x4x4")
    assert [(row.name, row.label, row.parameters, row.macs, row.activation_bytes) for row in priced.rows][-1] == (
        "spare",
        "never read",
        40,
        0,
        0,
    )


def test_rows_are_named_by_the_module_and_fold_by_its_path():
    graph = trace(nn.Sequential(*[SUITE["residual, relu in place"].make() for _ in range(3)]), "3x6x6")
    assert [node.name for node in graph.nodes[1:6]] == ["0.a", "0.relu", "0.b", "0.add", "0.relu@2"]
    assert "0-2 ×3" in str(striate.ledger(graph))


def test_ways_out_have_the_names_that_the_module_gives_them():
    assert set(trace(Pyramid(), (torch.rand(1, 4, 8, 8),)).taps) == {"out", "maps.1", "maps.2", "first"}


def test_the_steps_depend_on_the_shape():
    deep, shallow = (trace(ByShape(), f"3x{n}x{n}") for n in (32, 8))
    assert len(deep) > len(shallow)


FIELDS = [
    (
        of(
            lambda m, x: m.a(x) + F.conv2d(F.pad(x, (2, 2, 2, 2)), m.w),
            a=lambda: nn.Conv2d(3, 4, 1),
            w=lambda: torch.rand(4, 3, 5, 5),
        ),
        5,
    ),
    (
        of(
            lambda m, x: m.b(F.max_pool2d(m.a(x), 3, 2)),
            a=lambda: nn.Conv2d(3, 4, 3),
            b=lambda: nn.Conv2d(4, 4, 3, dilation=2),
        ),
        13,
    ),
    (
        of(
            lambda m, x: m.b(F.pixel_unshuffle(m.a(x), 2)),
            a=lambda: nn.Conv2d(3, 4, 3),
            b=lambda: nn.Conv2d(16, 4, 3),
        ),
        8,
    ),
    (of(lambda m, x: m.c(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)[:, :, 1:, 2:], c=lambda: nn.Linear(3, 4)), 1),
]


@pytest.mark.parametrize(("net", "field"), FIELDS)
def test_the_field_goes_through_branches_and_layouts(net, field):
    module = net().double().eval()
    graph = trace(module, "3x16x16")
    node = graph[graph.taps["out"]]
    assert node.field.rows.size == node.field.columns.size == field
    x = torch.rand(1, 3, 16, 16, dtype=torch.double, requires_grad=True)
    out = module(x)
    for row, column in ((0, 0), (out.shape[2] - 1, out.shape[3] // 2)):
        seen = torch.autograd.grad(out[0, :, row, column].square().sum(), x, retain_graph=True)[0].abs().sum((0, 1))
        for axis, cell, interval in ((1, row, node.field.rows), (0, column, node.field.columns)):
            cells = seen.sum(axis).nonzero().flatten()
            first, last = interval.of(cell)
            assert max(first, 0) <= int(cells[0]) <= int(cells[-1]) <= min(last, 15)


def test_a_step_that_brings_cells_together_sees_them_all():
    turned = trace(Of(lambda m, x: (y := m.a(x)) + y.transpose(2, 3), a=nn.Conv2d(3, 4, 3)), "3x8x8")
    assert turned[turned.taps["out"]].field.rows.size == 8
    spatial = trace(Of(lambda m, x: m.a(x).softmax(3), a=nn.Conv2d(3, 4, 3)), "3x8x8")
    assert spatial[spatial.taps["out"]].field.rows.size == 8


def test_attention_sees_everything():
    graph = trace(SUITE["patches"].make(), "3x8x8")
    assert graph[graph.taps["out"]].field.rows.size == 8


REFUSED = [
    (lambda: trace(nn.Conv2d(3, 4, 3), "1x8x8"), "Cannot trace Conv2d on 1×8×8: Given groups=1"),
    (lambda: trace(nn.LazyConv2d(4, 3), "1x8x8"), "Cannot trace LazyConv2d: weight has no shape yet"),
    (lambda: trace(Of(lambda m, x: x if x.sum() > 0 else -x), "1x8x8"), "Cannot trace Of on 1×8×8"),
    (lambda: trace(Of(lambda m, x: m.w, w=torch.ones(3)), "1x8x8"), "does not depend on its input"),
    (lambda: trace(Of(lambda m, x: x, lock=open(__file__)), "1x8x8"), "it cannot be copied"),  # noqa: SIM115
    (lambda: trace(nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)), "Cannot trace a batch of 2"),
    (lambda: trace("resnet18", "3x8x8"), "Cannot trace a str"),
    (lambda: striate.ledger(nn.Conv2d(3, 4, 3)), "Cannot price Conv2d without its input"),
    (lambda: striate.ledger(nn.Conv2d(3, 4, 3), "3x8x8", fit="exact"), "Cannot give Conv2d a fit"),
    (lambda: striate.ledger("mymodels.py:Net", "3x32x32"), "annot"),  # a text from anywhere runs no code
]


@pytest.mark.parametrize(("attempt", "fact"), REFUSED, ids=[fact for _, fact in REFUSED])
def test_what_cannot_be_traced_is_refused(attempt, fact):
    with pytest.raises(Refusal) as refused:
        attempt()
    assert fact in str(refused.value)


def test_a_traced_graph_is_no_network_to_build_or_resize():
    graph = trace(SUITE["convnext block"].make(), "3x6x6")
    with pytest.raises(Refusal, match="Cannot build"):
        striate.build(graph)
    with pytest.raises(Refusal, match="trace the module again"):
        striate.ledger(graph, "3x8x8")


def test_a_module_in_a_file_is_priced_as_it_is_in_python(command, monkeypatch):
    code, out, _ = command("mymodels.py:Net(4, head=3)", "--input", "3x12x12", "--json")
    said = json.loads(out.removeprefix("made\n"))
    assert (code, said["network"]) == (0, "mymodels.py:Net(4, head=3)")
    monkeypatch.syspath_prepend(".")
    from mymodels import Net

    want = striate.ledger(Net(4, head=3), "3x12x12").to_json()
    assert {**said, "network": "Net"} == json.loads(json.dumps(want))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mymodels.py:Nett", "--input", "3x8x8"), 'No module in mymodels.py "Nett". Near: Net.'),
        (("mymodels.py:Net(os.getcwd())", "--input", "3x8x8"), "must be numbers, texts and lists"),
        (("mymodels.py:Net(depth=3)", "--input", "3x8x8"), "Cannot make Net: TypeError"),
        (("mymodels.py:broken", "--input", "3x8x8"), "it is int; an nn.Module is wanted"),
        (("mymodels.py:Values", "--input", "3x8x8"), "What it does depends on numbers"),
        (("mymodels.py:double",), "without its input"),
        (("other.py:Net", "--input", "3x8x8"), "there is no such file"),
    ],
)
def test_what_is_named_wrongly_is_refused_in_a_sentence(command, arguments, said):
    code, _, err = command(*arguments)
    assert (code, "Traceback" in err) == (2, False)
    assert said in err


def test_a_library_s_network_is_priced_by_its_name(command):
    code, out, err = command("torchvision:regnet_y_400mf", "--depth", "1")
    if "Cannot look into torchvision" in err:
        pytest.skip(err)
    assert code == 0, err
    assert "4,344,144" in out
    code, _, err = command("torchvision:resnet19")
    assert (code, err.startswith('No network of torchvision "resnet19". Near:')) == (2, True)


def test_a_library_that_is_not_there_is_named():
    gone = "import sys; sys.modules['timm'] = None; sys.argv = ['striate', 'ledger', 'timm:resnet26d']"
    code = f"{gone}; from striate.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "Cannot look into timm" in done.stderr
