"""Libraries that may be missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mlpbench.kernels.errors import KernelUnavailable

__all__ = ["require"]


def require(module: str, extra: str) -> Any:
    """Import and return ``module``, which the extra ``extra`` of this project installs.

    Raises KernelUnavailable, with the words of the import that failed, where it is missing or does not fit.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise KernelUnavailable(
            f"{module} cannot be imported: {error}; pip install -e '.[{extra}]' brings it"
        ) from error
