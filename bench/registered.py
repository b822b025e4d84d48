"""How the core asks its wings. Each folder of `bench/wings` is one, and the names of its modules say what it has.

The package has ``COMMANDS``. Its modules, each optional: ``section`` has ``SECTIONS`` of a report, ``annotations`` has
``FORMATS`` of a comparison. ``measurement`` runs in a kernel's process: ``of_case`` after the rounds of a case of the
first repeat, ``of_kernel`` at the end; it returns fields of the record. ``audit`` checks whether a
kernel changed it. ``environments`` asks other Pythons what they have. ``after_run`` measures after all
processes; ``roofs`` measures the limits of one ``DEVICE``. ``refusals`` names times that cannot be true, ``resume``
finds a stopped run, ``memory`` leaves out large batches, ``foreign`` compares files, ``pages`` writes that of all runs.

No list names a wing: whoever deletes its folder takes all of it away.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


@cache
def wings() -> tuple[ModuleType, ...]:
    """Return the package of each wing that is there. It imports nothing else of its wing."""
    folders = import_module("mlpbench.bench.wings").__path__
    return tuple(import_module(f"mlpbench.bench.wings.{module.name}") for module in iter_modules(folders))


@cache
def modules(name: str) -> tuple[ModuleType, ...]:
    """Return the modules of all wings that have this name."""
    having = [wing for wing in wings() if any(module.name == name for module in iter_modules(wing.__path__))]
    return tuple(import_module(f"{wing.__name__}.{name}") for wing in having)
