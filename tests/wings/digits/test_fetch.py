"""The download code against a server on this machine. No test here reaches the network."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlpbench.bench.data import datasets
from mlpbench.bench.data.datasets import MNIST_FILES, WEIGHTS_FILE
from mlpbench.bench.wings.digits.fetch import REMOTES, Remote, download
from support import idx_files
from support.terminal import refusal

IMAGES = gzip.compress(idx_files.packed(idx_files.images(5)), mtime=0)
LABELS = gzip.compress(idx_files.packed(idx_files.labels(5)), mtime=0)
WEIGHTS = b"weights" * 50_000


def remote(name, data):
    content = gzip.decompress(data) if name.endswith(".gz") else data
    return Remote(name, hashlib.sha256(content).hexdigest(), mirrors=())


CONTENT = {
    "t10k-images-idx3-ubyte.gz": IMAGES,
    "t10k-labels-idx1-ubyte.gz": LABELS,
    "train-images-idx3-ubyte.gz": IMAGES,
    WEIGHTS_FILE: WEIGHTS,
}
FAKES = tuple(remote(name, data) for name, data in CONTENT.items())
ONE = FAKES[:1]
NAME = ONE[0].name


#: What a server that is not good sends.
SENT = {
    "corrupt": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "repacked": lambda data: gzip.compress(gzip.decompress(data), 1, mtime=1),
    "cut": lambda data: data[: len(data) // 2],
}


class Handler(BaseHTTPRequestHandler):
    """The first part of a path says how the server behaves, the last is the file."""

    def do_GET(self):
        how, name = self.path.strip("/").split("/")
        self.server.requests.append(self.path)
        if how == "missing":
            self.send_error(404)
            return
        if how == "silent":
            self.server.released.wait(10)
            return
        sent = SENT.get(how, bytes)(CONTENT[name])
        self.send_response(200)
        if how != "unsized":
            self.send_header("Content-Length", str(len(CONTENT[name] if how == "cut" else sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.requests, made.released = [], threading.Event()
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"http://127.0.0.1:{made.server_port}"
        yield made
        made.released.set()
        made.shutdown()
        thread.join()


def get(server, folder, *mirrors, remotes=ONE, **options):
    urls = tuple(mirror if "://" in mirror else f"{server.url}/{mirror}" for mirror in mirrors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPBENCH_DATA", str(folder))
        return download([replace(remote, mirrors=urls) for remote in remotes], **options)


def fails(server, folder, *mirrors, **options):
    """Return the one line that fetching gives, having checked that it left nothing behind that is not good."""
    message = refusal(get, server, folder, *mirrors, **options)
    assert not [file.name for file in folder.iterdir() if file.name not in CONTENT]
    return message


@pytest.mark.parametrize("mirror", ["good", "good/", "unsized", "repacked"])
def test_download(server, tmp_path, mirror):
    (path,) = get(server, tmp_path / "new" / "folder", mirror)
    assert path == tmp_path / "new" / "folder" / NAME
    assert gzip.decompress(path.read_bytes()) == gzip.decompress(IMAGES)


def test_all_files_are_fetched_once_and_can_be_read(server, tmp_path, monkeypatch):
    lines = []
    paths = get(server, tmp_path, "good", remotes=FAKES, say=lines.append)
    assert {path.name: path.read_bytes() for path in paths} == CONTENT
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(CONTENT)
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))
    assert len(datasets.mnist()) == 5
    assert [line for line in lines if "verified" in line] == [f"{name}: verified" for name in CONTENT]
    server.requests.clear()
    assert get(server, tmp_path, "good", remotes=FAKES) == paths
    plain = tmp_path / "plain" / "t10k-images.idx3-ubyte"
    plain.parent.mkdir()
    plain.write_bytes(gzip.decompress(IMAGES))
    assert get(server, plain.parent, "good") == [plain], "unpacked will do"
    assert server.requests == []


@pytest.mark.parametrize("there", [b"", IMAGES[:-20], b"something else", gzip.compress(b"something else", mtime=0)])
def test_a_damaged_file_is_replaced_once_a_good_one_is_there(server, tmp_path, there):
    (tmp_path / NAME).write_bytes(there)
    fails(server, tmp_path, "corrupt")
    assert (tmp_path / NAME).read_bytes() == there
    get(server, tmp_path, "good")
    assert (tmp_path / NAME).read_bytes() == IMAGES


@pytest.mark.parametrize("bad", ["missing", "corrupt", "cut", "http://127.0.0.1:9/closed", "no-scheme://x"])
def test_next_mirror_is_tried(server, tmp_path, bad):
    get(server, tmp_path, bad, "good")
    assert (tmp_path / NAME).read_bytes() == IMAGES
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        ("missing", "HTTP 404"),
        ("corrupt", "wrong content (its SHA-256"),
        ("cut", "wrong content (its SHA-256"),
        ("silent", "no answer in time"),
    ],
)
def test_what_went_wrong_is_said_of_every_mirror_and_no_file_is_left(server, tmp_path, mirror, words):
    with socket.socket() as taken:  # bound, never listening: nobody else can take the port meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        message = fails(server, tmp_path, mirror, url, timeout_s=0.5)
    assert f"could not fetch {NAME} ({server.url}/{mirror}: {words}" in message
    assert f"{url}: no connection" in message
    assert list(tmp_path.iterdir()) == []


def test_files_that_fail_alike_are_told_together_and_the_others_are_fetched(server, tmp_path, monkeypatch):
    monkeypatch.setitem(CONTENT, "t10k-labels-idx1-ubyte.gz", IMAGES)
    monkeypatch.setitem(CONTENT, WEIGHTS_FILE, b"other weights")
    message = fails(server, tmp_path, "good", remotes=(FAKES[0], FAKES[1]))
    assert "1 of 2 files are in" in message
    assert (tmp_path / NAME).read_bytes() == IMAGES
    message = fails(server, tmp_path / "other", "missing", remotes=(FAKES[0], FAKES[2]))
    assert "t10k-images-idx3-ubyte.gz, train-images-idx3-ubyte.gz (" in message
    (tmp_path / "file").touch()
    assert "cannot write to" in refusal(get, server, tmp_path / "file", "good")


def test_the_files_are_those_that_are_read_later():
    names = [name.removesuffix(".gz") for name in (remote.name for remote in REMOTES)]
    assert sorted(names) == sorted([*MNIST_FILES["train"], *MNIST_FILES["test"], WEIGHTS_FILE])
    assert all(len(remote.mirrors) >= 2 for remote in REMOTES)
    assert all(url.startswith("https://") for remote in REMOTES for url in remote.mirrors)


def test_the_real_files_have_the_published_content_and_are_not_fetched_again(mnist_dir, monkeypatch):
    there = [remote for remote in REMOTES if remote.present(mnist_dir)]
    assert [remote.name for remote in there if not remote.name.startswith("train")] == [
        *(f"{name}.gz" for name in MNIST_FILES["test"]),
        WEIGHTS_FILE,
    ]
    monkeypatch.setattr(socket, "socket", None)
    assert len(download(there)) == len(there)
