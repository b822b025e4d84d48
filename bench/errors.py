"""Mistakes that a user can make, told in one line; the command line exits with 2."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlpbench.kernels.errors import UserError

__all__ = ["NothingComparable", "UserError", "user_error"]


class NothingComparable(UserError):  # noqa: N818 - no mistake, but an answer
    """The input was right, and nothing that can be compared was measured. The command line exits with 3."""


@contextmanager
def user_error(problem: str, advice: str = "") -> Iterator[None]:
    """Raise UserError where the system refuses something in a block: the problem, the system's words, the advice."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{problem}: {error.strerror or error}{advice}") from None
