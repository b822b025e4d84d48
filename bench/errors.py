"""Mistakes that a user can make, told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlpbench.kernels.errors import ParamsError, SpecError, UnknownKernel


class UserError(Exception):
    """Bad input. The message is one line: what is wrong and what to do. The command line exits with 2."""


class NothingComparable(UserError):  # noqa: N818 - no mistake, but an answer
    """The input was right, and yet nothing that can be compared was measured. The command line exits with 3."""


@contextmanager
def kernels_errors() -> Iterator[None]:
    """Raise UserError for bad specifications, weights and names of kernels in a block."""
    try:
        yield
    except (SpecError, ParamsError, UnknownKernel) as error:
        raise UserError(str(error)) from None


@contextmanager
def user_error(problem: str, advice: str = "") -> Iterator[None]:
    """Raise UserError where the system refuses something in a block: the problem, the system's words, the advice."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{problem}: {error.strerror or error}{advice}") from None
