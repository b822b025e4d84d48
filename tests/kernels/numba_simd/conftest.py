import pytest

from mlpbench.kernels.numba_simd.codegen import machine


@pytest.fixture
def nothing_kept(monkeypatch):
    """Compile programs in this process alone: what tests write is not kept on disk."""
    monkeypatch.setattr(machine, "kept_code", lambda _as, _key, make: (make(), False))
