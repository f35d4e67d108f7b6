"""`striate train`, `eval` and `predict` as they are typed: real digits, real files, real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file

from striate.blueprint import CannotPlace
from striate.cli import verbs
from striate.data import open_data
from striate.nn import save
from striate.training import fit, started

NET = """\
conv: conv 8 3x3
act: relu
pool: maxpool 2x2
fc: linear 10
out: softmax
"""


def striate(*arguments: object) -> Result:
    return CliRunner().invoke(verbs, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network written in a file, as the verb makes it."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "mine.txt").write_text(NET)
    out = ("--out", folder / "runs" / "a")
    done = striate("train", folder / "mine.txt", "--epochs", 8, "--lr", 0.02, "--set", "threads=1", *out)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "mine.txt on digits: 1,797 images, 8×8 as they are"
    assert "epoch 8/8   loss 0." in done.stdout
    assert "On the 360 test images: 9" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{folder}/runs/a/ has model.safetensors (epoch ")
    return folder / "runs" / "a"


def test_a_second_run_of_that_name_is_numbered(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    done = striate(
        *("train", run.parents[1] / "mine.txt", "--recipe", run / "recipe.json", "--epochs", 1, "--out", run)
    )
    assert done.exit_code == 0, done.output
    recipe = json.loads((run.with_name("a-2") / "recipe.json").read_text())
    assert (recipe["epochs"], recipe["lr"]) == (1, 0.02)
    assert (run / "model.safetensors").read_bytes() == before


def test_eval(run: Path) -> None:
    done = striate("eval", run, "--confusion")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[1].startswith("top-1 9")
    assert sum(line.endswith(" of 36") for line in lines) == 6
    assert lines[-11].split() == [*"0123456789", "taken", "for"]
    said = json.loads(striate("eval", run, "--json").stdout)
    assert said["examples"] == 360
    assert sum(said["confusion"][i][i] for i in range(10)) / 360 == pytest.approx(said["top1"], abs=1e-6)
    assert f"top-1 {said['top1']:.2%}" in lines[1]
    assert json.loads(striate("eval", run, "--json", "--split", "train").stdout)["examples"] == 1437


def test_predict_and_one_image_that_cannot_be_read(run: Path, tmp_path: Path) -> None:
    test = open_data("digits").test
    for i in range(3):
        Image.fromarray(test.pixels[i, 0].numpy()).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_text("no")
    done = striate("predict", run, *(tmp_path / f"{i}.png" for i in range(3)), "--json")
    assert done.exit_code == 2
    assert done.stderr == f"Cannot read {tmp_path}/1.png: it is not an image.\n"
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(one["image"]).name for one in said] == ["0.png", "2.png"]
    assert [one["classes"][0]["label"] for one in said] == [str(test.labels[i].item()) for i in (0, 2)]
    assert all(len(one["classes"]) == 5 for one in said)
    plain = striate("predict", run / "model.safetensors", tmp_path / "0.png", "--top", 2)
    assert plain.exit_code == 0
    assert plain.stdout.startswith(f"{tmp_path}/0.png: {test.labels[0].item()} ")


def test_channels_and_classes_follow_the_data(tmp_path: Path) -> None:
    for name, colour in (("red", (200, 0, 0)), ("green", (0, 200, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (30 + i, 24), colour).save(tmp_path / "photos" / name / f"{i}.png")
    (tmp_path / "photos" / "red" / "broken.png").write_text("no")
    arguments = (
        "--data",
        tmp_path / "photos",
        "--size",
        32,
        "--epochs",
        3,
        "--set",
        "threads=1",
        "--out",
        tmp_path / "run",
    )
    done = striate("train", "lenet5", *arguments)
    assert done.exit_code == 0, done.output
    assert "31 images, short side scaled, centre 32×32" in done.stdout
    assert done.stderr == f"Left out: Cannot read {tmp_path}/photos/red/broken.png: it is not an image.\n"
    found = striate("predict", tmp_path / "run", tmp_path / "photos" / "blue" / "0.png", "--json")
    assert len(json.loads(found.stdout)["classes"]) == 3
    assert striate("eval", tmp_path / "run").exit_code == 2  # it does not know digits


REFUSED = [
    (["train", "lenet6"], 'No network "lenet6". Near: lenet5'),
    (["train", "lenet5", "--data", "nosuch"], "Cannot read data from nosuch: it is not there."),
    (["train", "lenet5", "--lr", "-1"], "Cannot train with lr=-1.0: it must be greater than 0."),
    (["train", "lenet5", "--batch-size", "many"], "Cannot read --batch-size: 'many' is neither a number of images nor"),
    (["train", "lenet5", "--batch-size", "0"], "Cannot read --batch-size: '0' is neither a number of images nor auto."),
    (["train", "lenet5", "--checkpoint-every", "nan"], "Cannot write a checkpoint every nan seconds."),
    (["train", "lenet5", "--checkpoint-every", "inf"], "Cannot write a checkpoint every inf seconds."),
    (["train", "lenet5", "--checkpoint-every", "-1"], "Cannot write a checkpoint every -1 seconds."),
    (["train", "lenet5", "--epochs", "0"], "Cannot read --epochs: 0 is not 1 or more."),
    (["train", "lenet5", "--set", "momentun=0.5"], 'No field of a recipe "momentun". Near: momentum'),
    (["train", "lenet5", "--set", "lr"], 'Cannot set "lr": it is written FIELD=VALUE'),
    (["train", "lenet5", "--set", "optimizer=adam"], 'No optimizer "adam". Near: adamw.'),
    (["train", "lenet5", "--recipe", "nosuch.json"], "Cannot read nosuch.json: no such file"),
    (["train", "lenet5", "--size", "31"], "Cannot place "),
    (["train", "lenet5", "--size", "100000"], "Cannot make images of 100000×100000: sides go from 1 to 4,096."),
    (["train", "Conv 1000000000 3"], "Cannot read line 1, column 6: Conv(1000000000, 3): out_channels is 1000000000"),
    (["train", "Conv 10 3"], "Cannot train the text: it gives 10×6×6, not one number for each class."),
    (["train", "nosuch.txt"], "Cannot read nosuch.txt: no such file"),
    (["eval", "nosuch.safetensors"], "Cannot read nosuch.safetensors: no such file"),
    (["predict", "nosuch.safetensors", "a.png"], "Cannot read nosuch.safetensors: no such file"),
    (["predict", "model"], "striate predict needs IMAGE..."),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_what_is_refused(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = striate(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(says), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_does_not_fit_comes_with_one_that_does() -> None:
    with pytest.raises(CannotPlace) as refused:
        fit("lenet5", "digits", size=31)
    sizes = [remedy.volume.height for remedy in refused.value.remedies if "input" in remedy.text]
    assert sizes
    fit("lenet5", "digits", size=sizes[0])


@pytest.mark.parametrize(("size", "least"), [(1, 16), (31, 32)])
def test_a_size_too_small_comes_with_the_option_and_the_least(size: int, least: int) -> None:
    done = striate("train", "lenet5", "--size", size)
    assert done.exit_code == 2
    assert f"--size {least}, the smallest from there on that lenet5 takes" in done.stderr
    assert fit("lenet5", "digits", size=least).graph.volume == (1, least, least)
    with pytest.raises(CannotPlace):
        fit("lenet5", "digits", size=least - 1)


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = striate("train", "lenet5", "--out", tmp_path / "file" / "run")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Cannot make a run's folder {tmp_path}/file/run: ")
    assert "epoch" not in done.stdout


def test_a_model_file_cut_short_and_a_pickle(run: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-100])
    (tmp_path / "evil.safetensors").write_bytes(b"\x80\x04cposix\nsystem\n.")
    for name, says in (("cut", "it is cut short"), ("evil", "it is a pickle")):
        for verb in (["eval"], ["predict"]):
            done = striate(*verb, tmp_path / f"{name}.safetensors", *(["a.png"] if verb == ["predict"] else []))
            assert (done.exit_code, done.stdout) == (2, "")
            assert says in done.stderr


def endless(run: Path, until: str) -> subprocess.Popen[str]:
    """A training under way, its log so far that `until` stands in it."""
    command = [sys.executable, "-m", "striate", "train", "lenet5", "--epochs", "9999", "--set", "threads=1"]
    process = subprocess.Popen([*command, "--out", str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = run / "log.jsonl"
    for _ in range(600):
        if log.exists() and until in log.read_text():
            break
        time.sleep(0.1)
    return process


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda x: str(int(x))
)
def test_a_signal_ends_it_after_the_step_and_it_says_what_is_saved(
    sign: signal.Signals, code: int, tmp_path: Path
) -> None:
    if signal.getsignal(sign) is signal.SIG_IGN:
        pytest.skip("whoever started the tests has it ignored, as nohup does, and so does what they start")
    process, log = endless(tmp_path / "run", '"checkpoint"'), tmp_path / "run" / "log.jsonl"
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.startswith("Stopped after step ")
    assert f"Saved in {tmp_path}/run/: model.safetensors (as after epoch " in said
    assert said.endswith(f"To go on: striate resume {tmp_path}/run\n")
    assert "Traceback" not in said
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["finished"]) == ("done", False)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoints",
        "curves.png",
        "log.jsonl",
        "model.safetensors",
        "recipe.json",
    ]
    assert striate("eval", tmp_path / "run", "--json").exit_code == 0


def test_a_pipe_that_nobody_reads_is_like_a_signal(tmp_path: Path) -> None:
    process, log = endless(tmp_path / "run", '"kept"'), tmp_path / "run" / "log.jsonl"
    assert process.stdout
    assert process.stderr
    process.stdout.close()  # it says something at least every ten seconds
    said = process.stderr.read()
    assert process.wait(60) == 128 + signal.SIGPIPE
    assert said.startswith("Stopped after step ")
    assert said.endswith(f"To go on: striate resume {tmp_path}/run\n")
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["finished"]) == ("done", False)
    assert f"-{last['step']:010}".strip("-") in {path.name[:10] for path in (tmp_path / "run/checkpoints").iterdir()}


def test_a_batch_size_is_sought_and_written_down(run: Path, tmp_path: Path) -> None:
    out = ("--epochs", 1, "--set", "threads=1", "--out", tmp_path / "a")
    done = striate("train", run.parents[1] / "mine.txt", "--batch-size", "auto", *out)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("Tried")][-1] == "Tried 1,024 images at once: they fit"
    assert (
        "Batches of 1,024 images: more are not tried, whatever memory allows. That is 2 steps an epoch." in lines
    )  # which whoever sees the figures below will want to know
    assert json.loads((tmp_path / "a" / "recipe.json").read_text())["batch_size"] == 1024


def test_a_field_said_twice_is_what_was_set_and_refused_in_words(tmp_path: Path) -> None:
    done = striate("train", "lenet5", "--epochs", 1, "--set", "epochs=0", "--out", tmp_path / "a")
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "epochs=0: it must be 1 or more" in done.output


def test_a_model_file_is_trained_on_from_its_weights(run: Path, tmp_path: Path) -> None:
    still = ("--epochs", 1, "--lr", 1e-12, "--set", "threads=1")  # what it starts from is what it ends with
    on = striate("train", run, *still, "--out", tmp_path / "on")
    assert on.exit_code == 0, on.output
    assert on.stdout.splitlines()[1] == f"Weights: {run}/model.safetensors -> a: 4 of 4 tensors loaded as they are"
    before, after = (json.loads(striate("eval", folder, "--json").stdout) for folder in (run, tmp_path / "on"))
    assert after["confusion"] == before["confusion"]
    fresh = striate("train", run / "model.safetensors", *still, "--fresh", "--out", tmp_path / "fresh")
    assert fresh.stdout.splitlines()[1] == f"Weights: drawn anew, none of {run}/model.safetensors"
    assert json.loads(striate("eval", tmp_path / "fresh", "--json").stdout)["top1"] < 0.5


def test_a_head_of_other_classes_is_new_and_the_trunk_is_kept(run: Path, tmp_path: Path) -> None:
    for name, shade in (("dark", 20), ("light", 220), ("grey", 120)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (8, 8), shade + i).save(tmp_path / "photos" / name / f"{i}.png")
    still = ("--epochs", 1, "--lr", 1e-12, "--set", "threads=1")
    done = striate("train", run, "--data", tmp_path / "photos", *still, "--out", tmp_path / "on")
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()[1:3]
    assert said[0] == f"Weights: {run}/model.safetensors -> a: 2 of 4 tensors loaded as they are"
    assert said[1] == "    skipped     fc.weight: 10×72 there, of other classes; as initialised"
    old, new = (load_file(folder / "model.safetensors") for folder in (run, tmp_path / "on"))
    assert (old["conv.weight"] - new["conv.weight"]).abs().max() < 1e-6
    assert new["fc.weight"].shape[0] == 3
    larger = fit(str(run), "digits", size=16)
    assert "skipped     fc.weight: 10×72 there, of another size; as initialised" in str(started(larger)[1])


def test_weights_that_do_not_fit_are_refused_with_a_way_on(tmp_path: Path) -> None:
    save(started(fit("lenet5", "digits"))[0], tmp_path / "lenet5.safetensors")
    refused = striate("train", tmp_path / "lenet5.safetensors", "--size", 64, "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Cannot load "), refused.output
    assert refused.stderr.endswith("To start from none of its weights: --fresh.\n")
    assert not (tmp_path / "run").exists()


def test_what_ends_before_there_is_a_model_leaves_no_folder(tmp_path: Path) -> None:
    process = endless(tmp_path / "run", '"started"')
    process.send_signal(signal.SIGSTOP)  # so that both arrive before it does anything more
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == [] or "as after epoch 1" in said
    came_apart = striate("train", "lenet5", "--lr", 1000, "--set", "optimizer=sgd", "--out", tmp_path / "apart")
    assert came_apart.exit_code == 2
    assert came_apart.stderr.startswith("Cannot go on from step ")
    assert "Cannot go on" not in came_apart.stdout, "it is said once"
    assert not (tmp_path / "apart").exists()


def test_a_full_disk_leaves_nothing_and_says_a_way_out(tmp_path: Path) -> None:
    limited = f"ulimit -f 4; exec {sys.executable} -m striate train lenet5 --epochs 1 --set threads=1 --out run"
    done = subprocess.run(["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Cannot write run/")
    assert done.stderr.endswith("\n    Make room there, or write to another disk.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_name_and_one_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    for out, says in (
        (".", f"that is {tmp_path}, which is there already."),
        ("file/x", "file is a file, not a folder."),
    ):
        done = striate("train", "lenet5", "--out", out)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Cannot make a run's folder {out}: {says}\n")
