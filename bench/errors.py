"""Mistakes that a user can make, told in one line."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """Bad input. The message is one line: what is wrong and what to do. The command line exits with 2."""
