"""What can go wrong with a specification, its parameters or a kernel."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input. The message is one line: what is wrong and what to do."""


class SpecError(UserError, ValueError):
    """A specification that makes no sense; the message says what is wrong with it."""


class ParamsError(UserError, ValueError):
    """Weights that cannot be read, or that do not fit their specification."""


class UnknownKernel(UserError, LookupError):  # noqa: N818 - says what it is
    """No kernel of that name; the message names the nearest."""


class KernelUnavailable(Exception):  # noqa: N818 - a state of the machine, not a mistake
    """A kernel that cannot run here; the message is the library's or driver's own reason."""


class NonConforming(Exception):  # noqa: N818 - a verdict
    """A kernel that ran and is wrong; the message says which check it failed, and by how much."""


@contextmanager
def user_error(problem: str, advice: str = "") -> Iterator[None]:
    """Raise UserError where the system refuses something in a block: the problem, the system's words, the advice."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{problem}: {error.strerror or error}{advice}") from None
