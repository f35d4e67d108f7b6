"""A file is whole or not there, and what stood there before a failure still stands."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from striate.blueprint.files import write_atomically
from striate.blueprint.refusal import CannotWrite


def test_writes_and_replaces(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    assert write_atomically(place, "ä").read_bytes() == "ä".encode()
    write_atomically(str(place), b"two")
    assert place.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_new_file_is_as_open_as_any_other_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    assert write_atomically(tmp_path / "ours", b"").stat().st_mode == plain.stat().st_mode
    plain.chmod(0o640)
    assert write_atomically(plain, b"x").stat().st_mode & 0o777 == 0o640


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"through")
        assert os.read(reader, 99) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_failure_at_any_step_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(CannotWrite, match=os.strerror(code).lower()) as refused:
            write_atomically(place, b"new")
    assert str(place) in str(refused.value)
    assert place.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_being_stopped_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "why"), [("no/such/a", "no such file or directory"), (".", "it is a folder"), ("a\0b", "null")]
)
def test_a_place_that_cannot_be(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(CannotWrite, match=why):
        write_atomically(f"{tmp_path}/{path}", b"")
    assert os.listdir(tmp_path) == []
