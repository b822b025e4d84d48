"""A CUDA device as CuPy shows it, under the stand-in; what it says of itself is in `test_mlp_cupy`."""

import pytest

from mlpbench.kernels.cuda import device
from support import fake_cupy


@pytest.mark.parametrize(("version", "said"), [(12090, "12.9"), (13000, "13.0"), (11080, "11.8"), (0, "0.0")])
def test_versions_as_people_write_them(version, said):
    assert device.dotted(version) == said


def test_products_are_computed_in_their_own_dtype(monkeypatch):
    fake_cupy.install(monkeypatch)
    assert device.compute_type("float32") == "COMPUTE_TYPE_DEFAULT"
    device.multiply_in("float32")
    assert device.compute_type("float32") == "COMPUTE_TYPE_FP32"
    assert device.compute_type("float64") == "COMPUTE_TYPE_DEFAULT", "told one by one"
