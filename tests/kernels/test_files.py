"""What is no ordinary file is refused at once, whoever reads it: nobody waits for a pipe or for a device's end."""

import os
from pathlib import Path

import pytest

from mlpbench.bench.data import datasets
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, untrusted
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.spec import MNIST
from support.refusals import refusal

REFUSED = "it is not an ordinary file"


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a pipe", "link to a device"])
def test_it_is_refused_by_every_reader(kind, tmp_path):
    odd = tmp_path / "pipe" if kind.endswith("pipe") else Path("/dev/zero")
    if kind.endswith("pipe"):
        os.mkfifo(odd)
    if kind.startswith("link"):
        (tmp_path / "link").symlink_to(odd)
        odd = tmp_path / "link"
    readers = {open_ordinary: OSError, lambda path: load_params(path, MNIST): ParamsError}
    readers |= dict.fromkeys((lambda path: datasets.read_idx(path, 3), untrusted.read_bytes, runs.read_run), UserError)
    for reader, error in readers.items():
        refusal(error, REFUSED, reader, odd)


def test_pipes_in_the_folder_of_a_run_a_folder_and_a_file(tmp_path):
    for name in ("run.json", "roofs.json", "numpy.0.json", "look.json"):
        (folder := tmp_path / name).mkdir()
        os.mkfifo(folder / name)
        refusal(UserError, f"{REFUSED}|no run in this folder|no record", runs.read_run, folder)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        open_ordinary(tmp_path)
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    with open_ordinary(tmp_path / "link") as file:
        assert file.read() == b"content"
