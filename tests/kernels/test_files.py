"""What is no ordinary file is refused at once, whoever reads it: nobody waits for a pipe or for a device's end."""

import os

import pytest

from mlpbench.bench.data import mnist
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, untrusted
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.spec import MNIST

REFUSED = "it is not an ordinary file"


@pytest.fixture(params=["pipe", "device", "link to a pipe", "link to a device"])
def odd(request, tmp_path):
    """Return a name that is no ordinary file's."""
    path = tmp_path / "odd"
    if request.param.endswith("pipe"):
        os.mkfifo(path)
    else:
        path = os.fspath("/dev/zero")
    if request.param.startswith("link"):
        (tmp_path / "link").symlink_to(path)
        return tmp_path / "link"
    return tmp_path.__class__(path)


def test_it_is_refused_by_every_reader(odd, tmp_path):
    with pytest.raises(OSError, match=REFUSED):
        open_ordinary(odd)
    with pytest.raises(ParamsError, match=REFUSED):
        load_params(odd, MNIST)
    with pytest.raises(UserError, match=REFUSED):
        mnist.read(odd, 3)
    with pytest.raises(UserError, match=REFUSED):
        untrusted.read_bytes(odd)
    with pytest.raises(UserError, match=REFUSED):
        runs.read_run(odd)


@pytest.mark.parametrize("name", ["run.json", "roofs.json", "numpy.0.json", "look.json"])
def test_and_in_the_folder_of_a_run(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=f"{REFUSED}|no run in this folder|no record"):
        runs.read_run(tmp_path)


def test_a_folder_and_a_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        open_ordinary(tmp_path)
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    with open_ordinary(tmp_path / "link") as file:
        assert file.read() == b"content"
