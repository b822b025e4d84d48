"""The card in use, under the stand-in: which it is, and what changes its arithmetic."""

from types import SimpleNamespace

import pytest

from mlpbench.kernels.cuda import card
from support import fake_cupy


@pytest.mark.parametrize(
    ("name", "prefix", "mode", "word"),
    [("NVIDIA H100 80GB HBM3", "GPU-", 3, "exclusive"), ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "MIG-", 9, "9")],
)
def test_a_slice_of_a_card_is_named_as_such_and_who_else_may_use_it(monkeypatch, name, prefix, mode, word):
    monkeypatch.setattr(fake_cupy, "COMPUTE_MODE", mode)
    cupy = fake_cupy.install(monkeypatch)
    cupy.cuda.runtime.getDeviceProperties(0)["name"] = name.encode()
    found = card.identity()
    assert (found["device_name"], found["mig"], found["compute_mode"]) == (name, prefix == "MIG-", word)
    assert found["device_uuid"] == prefix + fake_cupy.UUID.removeprefix("GPU-")


#: One card in seventeen has a byte of zeros, where CuPy's text of it ends.
WHOLE, ASKED = bytes([0x5A, 0x1C, 0, *range(1, 14)]), card._uuid


def driver(status):
    """Return the library of a driver that knows one device, or says that it is not initialized."""

    def get(device, ordinal):
        device._obj.value = 7 + ordinal
        return status

    def get_uuid(found, device):
        assert device.value == 7
        found.raw = WHOLE
        return status

    return SimpleNamespace(cuDeviceGet=get, cuDeviceGetUuid_v2=get_uuid)


@pytest.mark.parametrize(
    ("driver", "told", "uuid"),
    [
        (driver(0), WHOLE[:2], "GPU-5a1c0001-0203-0405-0607-08090a0b0c0d"),
        (driver(3), bytes(range(16)), fake_cupy.UUID),
        (object(), bytes(range(20)), fake_cupy.UUID),
        (OSError("libcuda.so.1: cannot open shared object file"), WHOLE[:2], None),
    ],
)
def test_the_uuid_is_whole_or_none(monkeypatch, driver, told, uuid):
    def library(_name):
        if isinstance(driver, OSError):
            raise driver
        return driver

    cupy = fake_cupy.install(monkeypatch)
    cupy.cuda.runtime.getDeviceProperties(0)["uuid"] = told
    monkeypatch.setattr(card, "_uuid", ASKED)
    monkeypatch.setattr(card.ctypes, "CDLL", library)
    assert card.identity()["device_uuid"] == uuid


def test_overrides_that_change_the_arithmetic(monkeypatch):
    for name in card.OVERRIDES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setenv("CUBLAS_LOGINFO_DBG", "1")
    assert card.overrides() is None
    monkeypatch.setenv("CUBLAS_EMULATE_SINGLE_PRECISION", "1")
    monkeypatch.setenv("CUBLAS_EMULATION_STRATEGY", "eager")
    assert card.overrides() == "CUBLAS_EMULATE_SINGLE_PRECISION=1, CUBLAS_EMULATION_STRATEGY=eager"
