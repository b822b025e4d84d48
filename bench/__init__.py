"""In: a command's words, and kernels.

Out: times as JSON, and what they mean as reports: `data` to `measure` make the one, `stats` to `report` read it.
May import: `kernels`; its packages, what lies below them in the order that pyproject.toml gives to import-linter.
"""
