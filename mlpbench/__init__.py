"""One forward pass, many array backends, one honest clock."""

__version__ = "0.1.0"
