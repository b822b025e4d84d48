"""How much faster is a neural network in batches? In Python: `load`, `compare`, `check`, `run` and more.

Importing this imports nothing else; what is asked for brings what it needs. docs/python.md shows all of it, and the
stub beside this file has the types.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Where each name is.
_MODULES = {
    "api.check": ("Check", "check"),
    "api.results": ("Comparison", "Results", "columns", "compare", "load"),
    "api.run": ("Progress", "run"),
    "errors": ("NothingComparable", "UserError"),
}
__all__ = sorted(name for names in _MODULES.values() for name in names)  # noqa: PLE0605 - a list of texts


def __getattr__(name: str) -> Any:
    """Import what is asked for, the first time that it is."""
    module = next((module for module, names in _MODULES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f"{__name__}.bench.{module}"), name)
    return found


def __dir__() -> list[str]:
    """Return what there is to ask for, imported or not."""
    return sorted({*globals(), *__all__})
