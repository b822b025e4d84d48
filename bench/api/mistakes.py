"""Mistakes of whoever calls: one class of exception, whichever module found them."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlpbench.bench.errors import UserError
from mlpbench.kernels.errors import ParamsError, SpecError, UnknownKernel


@contextmanager
def told() -> Iterator[None]:
    """Raise UserError for bad specifications, weights and names of kernels; the message is one line."""
    try:
        yield
    except (SpecError, ParamsError, UnknownKernel) as error:
        raise UserError(str(error)) from None
