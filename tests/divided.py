"""Parallel kernels that divide every batch: small batches test them."""


def divided(cls):
    """Return ``cls`` with three threads' worth of buffers, dividing even one row."""

    class Divided(cls):
        def _threads(self):
            return 3

        def _divides(self, rows):
            return True

    return Divided
