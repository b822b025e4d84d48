"""The seconds that Numba compiles, by its own events."""

from functools import cache
from typing import Any

from numba.core import event


@cache
def listen() -> Any:
    """Begin to listen, once in a process. Functions that were compiled before do not count."""
    listener = event.TimingListener()  # type: ignore[no-untyped-call,unused-ignore]
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call,unused-ignore]
    return listener


def compiled_s() -> float:
    """Return the seconds that Numba has compiled since `listen`. To load a function from the cache takes none."""
    listener = listen()
    return float(listener.duration) if listener.done else 0.0
