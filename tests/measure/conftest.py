"""Fixtures of the tests of what is timed."""

import pytest

from support.doubles import stopped_clock


@pytest.fixture
def clock(monkeypatch):
    return stopped_clock(monkeypatch)
