"""How the core asks its wings. Each folder of `bench/wings` is one, and the names of its modules say what it has.

The package itself has ``COMMANDS``. ``section`` has ``SECTIONS`` of a report, and ``chart`` ``CHARTS``. In the process
of a kernel, ``measurement`` has ``of_case``, when all rounds of a case of the first repeat are over, and ``of_kernel``
at the end, which returns fields of the record. ``after_run`` measures when all processes are over, and ``refusals``
says which times of a run cannot be. ``audit`` asks whether a kernel has changed its process, and ``resume`` finds a run
that stopped. ``foreign`` compares files of other programs, and ``annotations`` has ``FORMATS`` of a comparison. No list
names a wing: whoever deletes its folder takes all of it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

_WINGS = "mlpbench.bench.wings"


@cache
def wings() -> tuple[ModuleType, ...]:
    """Return the package of each wing that is there. It imports nothing else of its wing."""
    folders = import_module(_WINGS).__path__
    return tuple(import_module(f"{_WINGS}.{module.name}") for module in iter_modules(folders))


@cache
def modules(name: str) -> tuple[ModuleType, ...]:
    """Return the modules of all wings that have this name."""
    return tuple(_named(name))


def _named(name: str) -> Iterator[ModuleType]:
    for wing in wings():
        if any(module.name == name for module in iter_modules(wing.__path__)):
            yield import_module(f"{wing.__name__}.{name}")
