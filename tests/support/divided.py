"""Parallel kernels that divide every batch: small batches test them."""

import sys


def divided(cls):
    """Return ``cls`` with three threads' worth of buffers, dividing even one row."""

    class Divided(cls):
        def _threads(self):
            return 3

        def _smallest_divided(self):
            return 0

        def _divide_columns(self):
            pass

    return Divided


def by_columns(cls, threads=3):
    """Return ``cls`` for so many threads, dividing the columns of every layer of a wide network, whatever the batch."""

    class ByColumns(cls):
        def _threads(self):
            return threads

        def _smallest_divided(self):
            return sys.maxsize

        def _least_bytes(self):
            return 0

    return ByColumns
