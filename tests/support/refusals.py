"""What is refused, and the one line that says why."""

import re

import pytest


def refusal(error, words, call, *given, **how):
    """Call what must raise ``error``; return its message: one printable line that has the pattern ``words``."""
    with pytest.raises(error) as caught:
        call(*given, **how)
    line = str(caught.value)
    assert line.isprintable(), "one line"
    assert re.search(words, line), line
    return line
