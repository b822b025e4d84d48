"""The seconds that NVRTC compiles, under the stand-in, and for real where CuPy is installed: that needs no GPU."""

import numpy as np
import pytest

from mlpbench.kernels.cuda import events
from mlpbench.kernels.mlp_cupy import CupyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import fake_cupy

SPEC = ForwardSpec((4, 3, 2))


def called_once():
    """Make a kernel and call it; return the seconds that it says were compiled."""
    kernel = CupyKernel(SPEC, seeded(SPEC))
    kernel.forward(kernel.from_host(np.zeros((5, 4), np.float32)))
    return kernel.compiled_s()


def test_what_is_in_the_cache_on_disk_takes_nothing_and_another_cupy_does_not_tell(monkeypatch, tmp_path):
    """Although CuPy asks NVRTC for its version even then, with an empty source."""
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    fake_cupy.install(monkeypatch)
    assert called_once() > 0
    cupy = fake_cupy.install(monkeypatch)  # another process
    assert called_once() == 0
    del cupy.cuda.compiler._NVRTCProgram
    assert called_once() is None


def test_it_listens_once_and_what_fails_to_compile_took_its_time_too(monkeypatch):
    cupy = fake_cupy.install(monkeypatch)
    assert events.listen() is events.listen()
    with pytest.raises(fake_cupy.CompileException):
        cupy.cuda.compiler._NVRTCProgram("error").compile()
    assert fake_cupy.COMPILE_S <= events.compiled_s() == events.listen().seconds


def test_nvrtc_for_real():
    real_compiler = pytest.importorskip("cupy", reason="CuPy is not installed").cuda.compiler
    listener = events.listen()
    before = listener.seconds
    try:
        program = real_compiler._NVRTCProgram('extern "C" __global__ void nothing() {}')
        code, _ = program.compile(("-arch=compute_80",))
    except RuntimeError as error:
        pytest.skip(f"NVRTC is not installed: {error}")
    assert b"nothing" in code
    assert listener.seconds > before
    after = listener.seconds
    real_compiler._NVRTCProgram("").compile(("-arch=compute_80",))
    assert listener.seconds == after, "only its version was asked for"
