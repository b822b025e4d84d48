"""Mistakes that a user can make, told in one line."""


class UserError(Exception):
    """Bad input. The message is one line: what is wrong and what to do. The command line exits with 2."""


class NothingComparable(UserError):  # noqa: N818 - no mistake, but an answer
    """The input was right, and yet nothing that can be compared was measured. The command line exits with 3."""
