"""Mistakes that a user can make, told in one line; the command line exits with 2."""

from mlpbench.kernels.errors import UserError, user_error

__all__ = ["NothingComparable", "UserError", "user_error"]


class NothingComparable(UserError):  # noqa: N818 - no mistake, but an answer
    """The input was right, and nothing that can be compared was measured. The command line exits with 3."""
