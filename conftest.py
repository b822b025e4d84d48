"""Load the suite's options and hooks for pytest; nothing else."""

pytest_plugins = ["mlpbench.bench.measure.plugin"]
