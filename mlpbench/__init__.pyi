# What `import mlpbench` offers, as type checkers and editors read it; `__init__.py` imports it when it is asked for.
from mlpbench.bench.api.check import Check, check
from mlpbench.bench.api.results import Comparison, Results, columns, compare, load
from mlpbench.bench.api.run import Progress, run
from mlpbench.bench.errors import NothingComparable, UserError

__all__ = [
    "Check",
    "Comparison",
    "NothingComparable",
    "Progress",
    "Results",
    "UserError",
    "check",
    "columns",
    "compare",
    "load",
    "run",
]

__version__: str
