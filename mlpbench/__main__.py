"""`python -m mlpbench` is `mlpbench`."""

from mlpbench.bench.cli.app import main

main()
