"""`python -m bench` is `mlpbench`."""

from bench.cli import main

main()
