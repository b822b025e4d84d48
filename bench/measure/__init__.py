"""In: the plan of a process, as pytest's options; a kernel.

Out: pytest-benchmark's JSON with the block "mlpbench": times, what was watched beside them, failures.
May import: `plan`, `machine`, `trust`, `record`, what lies below; pytest; never `run`, `analysis` or `report`.
"""
