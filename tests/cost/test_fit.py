"""`striate fit`: amounts of memory read, the largest batch computed, what would raise it, and every no."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from striate.blueprint import CannotRead, NotFound, Refusal
from striate.cost import ledger
from striate.cost.fitting import fit, free
from striate.cost.training import capacity, training
from striate.cost.units import in_bytes


def striate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "striate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("24GiB", 24 * 2**30),
        ("16GB", 16 * 10**9),
        ("512MiB", 2**29),
        ("8e9", 8 * 10**9),
        ("1.5 gib", 3 * 2**29),
        (".5kB", 500),
        ("123", 123),
        ("2 TiB", 2**41),
    ],
)
def test_amounts_of_memory_are_read(text: str, amount: int) -> None:
    assert in_bytes(text) == amount


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("24G", 'there is no unit "G".\n    Near: GB (1,000,000,000 bytes), GiB (1,073,741,824 bytes).'),
        ("24 gigs", 'there is no unit "gigs".\n    Near: GB '),
        ("24 x", 'there is no unit "x".\n    Known: B, kB,'),
        ("much", 'Cannot read "much" as an amount of memory.\n    Written 24GiB, 16GB, 512MiB, or in bytes: 8e9.'),
        ("-3GB", 'Cannot read "-3GB" as an amount'),
        ("", 'Cannot read "" as an amount'),
        ("0GB", "it is none"),
        ("1e99", 'Cannot read "1e99" as an amount of memory: more than there is anywhere.'),
    ],
)
def test_what_is_no_amount_is_refused_with_what_is_near(text: str, says: str) -> None:
    with pytest.raises(CannotRead) as refusal:
        in_bytes(text)
    assert says in str(refusal.value)


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "lenet5"])
@pytest.mark.parametrize("room", [2**31, 10**10])
def test_one_example_more_does_not_fit_and_each_change_is_what_it_says(name: str, room: int) -> None:
    found = fit(name, room, optimizer="adamw")
    graph = ledger(name).graph
    assert not found.batch or training(graph, found.batch, 4, "adamw").peak_bytes <= room
    assert training(graph, found.batch + 1, 4, "adamw").peak_bytes > room
    assert found.changes
    assert len({change.what for change in found.changes}) == len(found.changes)
    for change in found.changes:
        optimizer, precision, checkpointing = change.way[1:]
        other = ledger(name, change.way.input).graph
        assert change.batch == capacity(room, other, optimizer, precision, checkpointing).batch > found.batch


def test_the_tightest_moment_is_that_of_the_batch() -> None:
    found = fit("resnet50", 24 * 2**30)
    priced = training(ledger("resnet50").graph, found.batch, 4, "sgd")
    assert (found.tightest.bytes, found.tightest.at) == (priced.peak_bytes, priced.peak_at)
    assert found.room - found.each_bytes < found.tightest.bytes <= found.room


def test_where_not_one_example_fits_it_says_what_one_would_take() -> None:
    found = fit("vgg16", 2**29)
    assert found.batch == 0
    assert found.tightest.bytes == training(ledger("vgg16").graph, 1, 4, "sgd").peak_bytes
    assert "not even one example fits" in str(found)
    assert striate("fit", "vgg16", "--memory", "512MiB").returncode == 1


def test_memory_that_nobody_states_is_what_is_free() -> None:
    before = free()
    said = json.loads(striate("fit", "resnet18", "--json").stdout)
    assert said["memory_bytes"] == pytest.approx(before, rel=0.5)
    reserved = json.loads(striate("fit", "resnet18", "--memory", "4GiB", "--reserve", "1GiB", "--json").stdout)
    assert reserved["memory_bytes"] == 3 * 2**30


def test_a_script_gets_the_documented_keys() -> None:
    done = striate("fit", "resnet18", "--memory", "8GB", "--precision", "bf16", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    way = ["input", "optimizer", "precision", "checkpointing"]
    assert list(said) == [*("network", *way, "memory_bytes", "batch", "peak_bytes", "peak_at", "each_bytes", "changes")]
    assert list(said["changes"][0]) == ["what", *way, "batch"]
    assert said == fit("resnet18", 8 * 10**9, precision="bf16").to_json()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--memory", "24G"), "Near: GB"),
        (("--memory", "1GB", "--reserve", "2GB"), "nothing would be left"),
        (("--optimizer", "sdg"), "sdg"),
        (("--input", "3x7x7"), "Cannot"),
    ],
)
def test_a_slip_is_met_in_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    done = striate("fit", "alexnet", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_words_that_nobody_knows_are_refused() -> None:
    for how in ({"optimizer": "adm"}, {"precision": "bf32"}):
        with pytest.raises(NotFound):
            fit("lenet5", 10**9, **how)
    with pytest.raises(Refusal):
        ledger("lenet5", training=True, precision="bf16", dtype="float16")


def test_torch_stays_out() -> None:
    probe = "import sys; from striate.cost.fitting import fit; fit('vgg16', 10**10); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout == "False\n"


def test_its_help_and_what_it_says(golden: Callable[[str, str], None]) -> None:
    golden("help-fit.txt", striate("fit", "--help").stdout)
    golden("fit-resnet50.txt", str(fit("resnet50", 24 * 2**30, optimizer="adamw")))
