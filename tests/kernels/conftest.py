"""Compiled code is kept on disk, where all processes of a run of the tests find it: one of them compiles a function."""

import fcntl
import hashlib
import os

import pytest

# A process has one backend of JAX. Without this it is that of the peer that is asked first, and the others are skipped.
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Let a worker of pytest-xdist that needs a function wait where another one compiles it, and load it then."""
    from numba.core.dispatcher import Dispatcher

    from mlpbench.kernels.numba_jit.cache import Cache

    folder, compile_now = tmp_path_factory.getbasetemp().parent, Dispatcher.compile

    def compile_alone(self, signature):
        if not isinstance(self._cache, Cache):
            return compile_now(self, signature)
        name = f"{self._cache.cache_path} {self.py_func.__module__}.{self.py_func.__qualname__} {signature}"
        with (folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
            return compile_now(self, signature)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "compile", compile_alone)
        yield


@pytest.fixture
def one_program(monkeypatch):
    """Let all networks share one program of the vector kernels, which otherwise has the activations of a network."""
    from mlpbench.kernels.numba_simd.codegen import layers
    from mlpbench.kernels.spec import read_hidden
    from support.contestants import EACH

    all_of_them = layers.others(read_hidden(",".join(EACH)))
    monkeypatch.setattr(layers, "others", lambda _: all_of_them)
