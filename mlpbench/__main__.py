"""`python -m mlpbench` is `mlpbench`."""

from mlpbench.bench.cli import main

main()
