"""The seconds that NVRTC compiles for CuPy, which has no events as Numba does: its call of NVRTC is timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any


@dataclass
class Listener:
    """Seconds that NVRTC has compiled since it listens, what failed included."""

    seconds: float = 0.0


def listen() -> Listener | None:
    """Begin to listen, once for the process: what was compiled before is not counted. None where CuPy has changed.

    All that CuPy compiles goes through this method: fused functions, ufuncs, reductions, raw code. What it finds in its
    cache on disk (``CUPY_CACHE_DIR``) does not.
    """
    import cupy

    program: Any = getattr(cupy.cuda.compiler, "_NVRTCProgram", None)  # there is no public way
    if program is None:
        return None
    if not hasattr(program.compile, "listener"):
        program.compile = _timed(program.compile, Listener())
    listener: Listener = program.compile.listener
    return listener


def _timed(compiling: Callable[..., Any], listener: Listener) -> Any:
    @wraps(compiling)
    def timed(program: Any, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return compiling(program, *arguments, **options)
        finally:
            # Without a source CuPy only asks for NVRTC's version, also where all that it needs is in its cache.
            if program.src:
                listener.seconds += time.perf_counter() - start

    timed.listener = listener  # type: ignore[attr-defined]
    return timed


def compiled_s() -> float | None:
    """Return the seconds that NVRTC has compiled since `listen`; None where that cannot be told."""
    listener = listen()
    return None if listener is None else listener.seconds
