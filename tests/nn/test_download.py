"""Weights over a bad line: a server that cuts, stalls, drips and lies; what is used is whole and as published."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch

from striate import build, load
from striate.blueprint import CannotLoad, CannotWrite
from striate.nn.weights import download, published, to_names
from striate.nn.weights.download import Patience, cache, fetch, shown

BODY = os.urandom(300_000)
DIGEST = hashlib.sha256(BODY).hexdigest()[:8]
MOST = len(BODY) + 1100
QUICK = Patience(stall=0.5, least=64, tries=3, pause=0.01)


class Handler(BaseHTTPRequestHandler):
    """Each path is a manner of answering."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012
    body = BODY
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        manner = self.path.split("/")[1]
        self.asked.append((manner, self.headers.get("Range", "")))
        getattr(self, manner)(sum(past == manner for past, _ in self.asked))

    def start(self) -> int:
        said = self.headers.get("Range", "")
        return int(said.removeprefix("bytes=").rstrip("-")) if said else 0

    def give(self, body: bytes, claim: int | None = None, start: int = 0, total: int | None = None) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{total or len(self.body)}")
        self.send_header("Content-Length", str(len(body) if claim is None else claim))
        self.end_headers()
        self.wfile.write(body)

    def well(self, _: int) -> None:
        self.give(self.body[self.start() :], start=self.start())

    def cuts(self, _: int) -> None:
        start = self.start()
        self.give(self.body[start : start + 70_000], len(self.body) - start, start)

    def cuts_always(self, _: int) -> None:
        self.give(self.body[:1000], len(self.body))

    def forgets_ranges(self, time: int) -> None:
        self.give(self.body[: 100_000 if time == 1 else None], len(self.body))

    def lies_about_the_range(self, time: int) -> None:
        start = self.start()
        if not start:
            self.give(self.body[:100_000], len(self.body))
        else:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 0-{len(self.body) - 1}/{len(self.body)}")
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

    def stalls_once(self, times: int) -> None:
        if times > 1:
            return self.well(times)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body[:5000])
        self.wfile.flush()
        time.sleep(1.2)
        return None

    def stalls(self, _: int) -> None:
        time.sleep(1.2)

    def drips(self, _: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        for i in range(40):
            self.wfile.write(self.body[i : i + 1])
            self.wfile.flush()
            time.sleep(0.1)

    def claims_too_much(self, _: int) -> None:
        self.give(self.body, 10**12)

    def goes_on(self, _: int) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(self.body)

    def claims_more(self, _: int) -> None:
        if self.start() >= len(self.body):
            self.send_error(416)
        else:
            self.give(self.body[self.start() :], len(self.body) - self.start() + 500, self.start())

    def claims_less(self, _: int) -> None:
        self.give(self.body, 1000)

    def without_length(self, _: int) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def wrong(self, _: int) -> None:
        other = b"x" * len(self.body)
        self.give(other[self.start() :], start=self.start())

    def missing(self, _: int) -> None:
        self.send_error(404)

    def busy(self, times: int) -> None:
        if times < 3:
            self.send_error(503)
        else:
            self.well(times)

    def elsewhere(self, _: int) -> None:
        self.send_response(302)
        self.send_header("Location", "/well/w.pth")
        self.end_headers()

    def to_http(self, _: int) -> None:
        self.send_response(302)
        self.send_header("Location", "http://example.invalid/w.pth")
        self.end_headers()

    def to_a_file(self, _: int) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.end_headers()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    Handler.asked.clear()


def get(address: str, manner: str, folder: Path, digest: str = DIGEST, most: int = MOST, **more: Any) -> Path:
    return fetch(f"{address}/{manner}/w.pth", digest, most, folder, patience=QUICK, **more)


@pytest.mark.parametrize(
    "manner",
    [
        *("well", "cuts", "forgets_ranges", "lies_about_the_range", "stalls_once", "claims_more", "without_length"),
        *("busy", "elsewhere"),
    ],
)
def test_it_arrives_whole(manner: str, address: str, tmp_path: Path) -> None:
    path = get(address, manner, tmp_path / "cache")
    assert path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] == ["w.pth"]


def test_what_was_cut_is_gone_on_with_and_not_begun_again(address: str, tmp_path: Path) -> None:
    get(address, "cuts", tmp_path)
    assert [said for _, said in Handler.asked] == ["", *(f"bytes={n}-" for n in (70_000, 140_000, 210_000, 280_000))]


def test_another_day_goes_on_from_there(address: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(BODY[:123_456])
    assert get(address, "well", tmp_path).read_bytes() == BODY
    assert Handler.asked == [("well", "bytes=123456-")]


def test_a_start_that_is_not_theirs_is_thrown_away(address: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(b"y" * 123_456)
    assert get(address, "well", tmp_path).read_bytes() == BODY
    assert [said for _, said in Handler.asked] == ["bytes=123456-", ""]


def test_a_start_longer_than_theirs(address: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(b"y" * (MOST + 10))
    assert get(address, "claims_more", tmp_path).read_bytes() == BODY


def test_the_cache_is_asked_first_and_checked(address: str, tmp_path: Path) -> None:
    path = get(address, "well", tmp_path)
    get(address, "well", tmp_path)
    assert len(Handler.asked) == 1
    path.write_bytes(BODY[:-1] + b"?")  # a bit flipped on the disk
    assert get(address, "well", tmp_path).read_bytes() == BODY
    assert len(Handler.asked) == 2


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("wrong", r"Cannot use what http://127.0.0.1:\d+/wrong/w.pth gave: its sha256 starts with \w{8}, published is"),
        ("claims_less", "its sha256 starts with"),
        ("claims_too_much", r"it claims 1,000,000,000,000 bytes; the published file has at most 301,100 bytes"),
        ("goes_on", r"it goes on; the published file has at most 301,100 bytes"),
        ("missing", r"the server says 404 Not Found"),
        ("stalls", r"timed out"),
        ("drips", r"bytes in \d seconds"),
        ("cuts_always", r"the connection was cut\. 1,000 bytes are here and will be gone on from"),
        ("to_http", r"Cannot fetch http://example.invalid/w.pth: only https is spoken"),
        ("to_a_file", r"Redirection to url 'file:///etc/hostname' is not allowed"),
    ],
)
def test_what_cannot_be_had_is_said_and_nothing_is_used(manner: str, said: str, address: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(CannotLoad, match=said):
        get(address, manner, tmp_path)
    assert time.monotonic() - begun < 15
    assert not (tmp_path / "w.pth").exists()
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= MOST


def test_without_a_connection_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad) as refusal:
        fetch("http://127.0.0.1:9/w.pth", DIGEST, MOST, tmp_path, patience=QUICK)
    fact, way = str(refusal.value).split("\n    ")
    assert fact.startswith("Cannot fetch http://127.0.0.1:9/w.pth: Connection refused")
    assert way == (
        f"Without a connection: fetch that address elsewhere and put it into {tmp_path}, or name it: weights=FILE."
    )


@pytest.mark.parametrize("url", ["http://example.invalid/w.pth", "ftp://example.invalid/w.pth", "file:///w.pth"])
def test_only_https_is_spoken(url: str, tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match="only https is spoken"):
        fetch(url, DIGEST, MOST, tmp_path, patience=QUICK)


def test_a_folder_that_cannot_be_written(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=r"Cannot keep w\.pth in .*file"):
        get(address, "well", tmp_path / "file")


def test_two_at_once_fetch_once(address: str, tmp_path: Path) -> None:
    got: list[Path] = []
    threads = [threading.Thread(target=lambda: got.append(get(address, "well", tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == BODY for path in got] == [True] * 4
    assert len(Handler.asked) == 1


def test_progress_off_a_terminal_is_a_few_lines(address: str, tmp_path: Path) -> None:
    stream = StringIO()
    with shown("w.pth", stream) as told:
        get(address, "well", tmp_path, told=told)
    lines = stream.getvalue().splitlines()
    assert 1 <= len(lines) <= 11
    assert lines[-1] == "w.pth: 0.3 of 0.3 MiB"


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STRIATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download.sys, "platform", "linux")
    assert cache() == Path.home() / ".cache" / "striate" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard has such a one ignored
    assert cache() == Path.home() / ".cache" / "striate" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache() == tmp_path / "striate" / "weights"
    monkeypatch.setattr(download.sys, "platform", "darwin")
    assert cache() == Path.home() / "Library" / "Caches" / "striate" / "weights"
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "mine"))
    assert cache() == tmp_path / "mine" / "weights"


def test_published_weights_all_the_way(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """load("squeezenet1_1", weights="imagenet") against a line of the table that this machine serves, badly."""
    torch.manual_seed(0)
    network = build("squeezenet1_1").eval()
    torch.save(to_names(network, "torchvision"), tmp_path / "theirs.pth")
    body = (tmp_path / "theirs.pth").read_bytes()
    line = published.find("squeezenet1_1", "imagenet")._replace(
        url=f"{address}/cuts/squeezenet1_1.pth", digest=hashlib.sha256(body).hexdigest(), bytes=len(body)
    )
    monkeypatch.setattr(Handler, "body", body)
    monkeypatch.setattr(published, "TABLE", (line,))
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    model = load("squeezenet1_1", weights="imagenet")
    assert len(Handler.asked) > 10
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.allclose(model(x), network(x), atol=1e-5)
    assert model.metadata["classes"][0] == "tench"
    assert model.metadata["preprocessing"]["short"] == 256
    assert model.metadata["weights"]["top1"] == 58.178
    assert len(model.report.loaded) == 52
